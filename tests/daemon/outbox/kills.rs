//! `kill -9` between each pair of steps: relayed, enqueued, noted, run, removed, finished.
use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use quayhand_testkit::{Fault, Proxy, wait_for};

use super::PATIENCE;
use crate::{
    testd::{
        kinds::{A, Once},
        settings::Settings,
    },
    world::{World, doubles},
};

/// Settings under which a killed daemon is replaced within seconds.
fn hasty(world: &World) -> Settings {
    let mut settings = world.settings();
    settings.lease = Duration::from_secs(2);
    settings.relay_interval = Duration::from_secs(1);
    settings
}

async fn ready(world: &World, expected: u64) {
    wait_for("jobs in the queue", PATIENCE, async || {
        let counts = world.client.store().counts(&A).await.unwrap();
        (counts.ready == expected).then_some(())
    })
    .await;
}

/// Keeps everybody from writing the rows of the outbox until the connection is dropped.
async fn hold_rows(world: &World) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(&world.database_url, tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    client
        .batch_execute("begin; select from quayhand_outbox for update")
        .await
        .unwrap();
    client
}

/// Waits until somebody wants to write a row that is held.
async fn blocked(world: &World, what: &str) {
    wait_for(what, PATIENCE, async || {
        let waits = "pg_stat_activity where datname = current_database()
                     and wait_event_type = 'Lock' and application_name = 'quayhand'";
        (world.count(waits).await > 0).then_some(())
    })
    .await;
}

/// Lets another daemon finish, and returns how often the one job ran.
async fn runs_in_the_end(world: &World) -> usize {
    let daemon = world.daemon(&hasty(world)).await;
    world.rows("quayhand_outbox", 0).await;
    wait_for("an empty queue", PATIENCE, async || {
        (world.unfinished().await == 0).then_some(())
    })
    .await;
    daemon.stop().await;
    world.marks().await.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn between_the_commit_and_the_queue() {
    let world = World::new().await;
    let mut daemon = world.daemon(&hasty(&world)).await;
    world.redis.pause().await.unwrap();
    world.commit_only([Once { id: 1, ms: 0 }]).await;
    daemon.says("jobs of the outbox wait").await;
    daemon.kill();
    world.redis.resume().unwrap();
    let runs = runs_in_the_end(&world).await;
    println!("F1 kill -9 between commit and enqueue: target lost 0, effects 1; seen 0, {runs}");
    assert_eq!(runs, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn between_the_queue_and_the_note() {
    let world = World::new().await;
    world.commit_only([Once { id: 1, ms: 0 }]).await;
    let held = hold_rows(&world).await;
    let mut daemon = world.daemon(&hasty(&world).slots("a", 0)).await;
    ready(&world, 1).await;
    blocked(&world, "the note that is held up").await;
    daemon.kill();
    drop(held);
    let runs = runs_in_the_end(&world).await;
    println!("F1 kill -9 between enqueue and note: target lost 0, effects 1; seen 0, {runs}");
    assert_eq!(runs, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn between_the_work_and_the_row() {
    let world = World::new().await;
    let mut daemon = world.daemon(&hasty(&world).slots("a", 0)).await;
    world.commit_only([Once { id: 1, ms: 0 }]).await;
    world
        .rows("quayhand_outbox where relayed_at is not null", 1)
        .await;
    let held = hold_rows(&world).await;
    hasty(&world).write(&world.settings_file());
    daemon.signal(rustix::process::Signal::HUP);
    world.marked(1, PATIENCE).await;
    blocked(&world, "the removal that is held up").await;
    daemon.kill();
    // The server would go on with what it was asked, the asker being dead or not.
    let end = "select pg_terminate_backend(pid, 10000) from pg_stat_activity
                where datname = current_database() and application_name = 'quayhand'";
    world.ledger.batch_execute(end).await.unwrap();
    drop(held);
    let runs = runs_in_the_end(&world).await;
    println!(
        "F1 kill -9 between work and removal (a process died): target lost 0, effects 2; seen 0, {runs}"
    );
    assert_eq!(
        runs, 2,
        "nothing but the dead process knew that it was done"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn between_the_row_and_the_queue() {
    let world = World::new().await;
    // A Redis that only sleeps would read, after the kill, what lies in its socket by then.
    let redis = SocketAddr::from((Ipv4Addr::LOCALHOST, world.redis.port()));
    let mut proxy = Proxy::start(redis).await.unwrap();
    let mut settings = hasty(&world);
    settings.redis_url = format!("redis://{}/0", proxy.address());
    // Nothing renews it from then on, and a job whose lease may end is cancelled.
    settings.lease = Duration::from_secs(8);
    let mut daemon = world.daemon(&settings).await;
    world.commit_only([Once { id: 1, ms: 1_500 }]).await;
    world.leased(&A, 1).await;
    proxy.set(Fault::BlackHole).await;
    world.rows("quayhand_outbox", 0).await;
    daemon.kill();
    let counts = world.client.store().counts(&A).await.unwrap();
    assert_eq!(counts.leased, 1, "the queue was not told");
    let runs = runs_in_the_end(&world).await;
    println!("F1 kill -9 between removal and finish: target lost 0, effects 1; seen 0, {runs}");
    assert_eq!(runs, 1, "the next attempt finds the row gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn at_any_time_while_jobs_run() {
    const ALL: i64 = 600;
    let world = World::new().await;
    let settings = hasty(&world).slots("a", 16);
    let mut killed = BTreeSet::new();
    world
        .commit_only((0..ALL).map(|id| Once { id, ms: 5 }))
        .await;
    for marked in [60, 150, 250, 350, 450] {
        let mut daemon = world.daemon(&settings).await;
        world.marked(marked, PATIENCE).await;
        daemon.kill();
        killed.insert(daemon.pid());
    }
    let others = [world.daemon(&settings).await, world.daemon(&settings).await];
    world.marked(ALL, PATIENCE).await;
    world.rows("quayhand_outbox", 0).await;
    for daemon in others {
        daemon.stop().await;
    }
    let doubles = doubles(&world.marks().await);
    println!(
        "F1 5 processes killed over the outbox: target lost 0 of {ALL}; seen 0, twice {} (each where \
         one died)",
        doubles.len()
    );
    for (id, pids) in doubles {
        let died = pids.iter().any(|pid| killed.contains(pid));
        assert!(died, "job {id} ran twice in {pids:?}");
    }
    assert_eq!(world.unfinished().await, 0);
}
