//! F1: `kill -9` of the process at each step between queue and finish, for a job that Redis alone
//! knows. `outbox/kills.rs` has the steps of a job of the outbox.
use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use quayhand_queue::{Fetch, Job, WorkerId};
use quayhand_testkit::{Fault, Proxy, wait_for};

use super::PATIENCE;
use crate::{
    process::Daemon,
    testd::{
        TestCtx,
        kinds::{A, MarkA},
        settings::Settings,
    },
    world::World,
};

const LEASE: Duration = Duration::from_secs(2);
/// One-way delay of a network that is slow enough to strike while an answer is under way.
const SLOW: Duration = Duration::from_secs(1);

fn settings(world: &World) -> Settings {
    let mut settings = world.settings();
    settings.lease = LEASE;
    settings
}

async fn put(world: &World, job: &impl Job<TestCtx>) {
    assert!(world.client.enqueue(job).await.unwrap().is_new);
}

/// Waits until the queue counts the job as done.
async fn done(world: &World) {
    wait_for("a finished job", PATIENCE, async || {
        let counts = world.store().counts(&A).await.unwrap();
        (counts.done_total == 1).then_some(())
    })
    .await;
}

/// Lets another daemon finish, and sees how often the job took effect.
async fn expect(world: &World, step: &str, effects: usize) {
    let daemon = world.daemon(&settings(world)).await;
    world.marked(1, PATIENCE).await;
    wait_for("an empty queue", PATIENCE, async || {
        (world.unfinished().await == 0).then_some(())
    })
    .await;
    daemon.stop().await;
    let seen = world.marks().await.len();
    println!("F1 kill -9 {step}: target lost 0, effects {effects}; seen 0, {seen}");
    assert_eq!(seen, effects, "{step}");
}

#[tokio::test(flavor = "multi_thread")]
async fn before_the_fetch() {
    let world = World::new().await;
    let mut daemon = world.daemon(&settings(&world).slots("a", 0)).await;
    put(&world, &MarkA { id: 1, ms: 0 }).await;
    daemon.kill();
    expect(&world, "before the fetch", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_fetch_and_its_lease() {
    let world = World::new().await;
    put(&world, &MarkA { id: 1, ms: 0 }).await;
    // A process that ended before the answer came.
    let gone = Fetch {
        worker: &WorkerId::new("gone"),
        number: 1,
        most: 1,
        lease: LEASE,
        rules: &[],
        suspects: 1000,
    };
    assert_eq!(world.store().fetch(&A, &gone).await.unwrap().jobs.len(), 1);
    expect(&world, "after the fetch", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_the_middle_of_the_effect() {
    let world = World::new().await;
    let mut daemon = world.daemon(&settings(&world)).await;
    let held = hold_the_ledger(&world).await;
    put(&world, &MarkA { id: 1, ms: 0 }).await;
    let waiting = "select pid from pg_stat_activity
                    where datname = current_database() and wait_event_type = 'Lock'";
    let waiting: i32 = wait_for("the effect that is held up", PATIENCE, async || {
        let row = world.ledger.query_opt(waiting, &[]).await.unwrap()?;
        Some(row.get(0))
    })
    .await;
    daemon.kill();
    // The server would go on with what it was asked, the asker being dead or not.
    let end = "select pg_terminate_backend($1, 10000)";
    world.ledger.execute(end, &[&waiting]).await.unwrap();
    drop(held);
    expect(&world, "in the middle of the effect", 1).await;
}

/// Keeps everybody from writing the ledger until the connection is dropped.
async fn hold_the_ledger(world: &World) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(&world.database_url, tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    let hold = "begin; lock table ledger in share row exclusive mode";
    client.batch_execute(hold).await.unwrap();
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn between_the_effect_and_the_finish() {
    let world = World::new().await;
    let (mut daemon, proxy) = slow_daemon(&world).await;
    world.marked(1, PATIENCE).await;
    // The finish is on its way for a second, and would arrive without its sender.
    drop(proxy);
    daemon.kill();
    let counts = world.store().counts(&A).await.unwrap();
    assert_eq!(counts.leased, 1, "the queue was not told");
    expect(&world, "between effect and finish (a process died)", 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn before_the_answer_to_the_finish() {
    let world = World::new().await;
    let (mut daemon, proxy) = slow_daemon(&world).await;
    done(&world).await;
    // The answer comes a second later.
    daemon.kill();
    drop(proxy);
    expect(&world, "before the answer to the finish", 1).await;
}

/// A daemon that has taken a job and is a second away from Redis now.
async fn slow_daemon(world: &World) -> (Daemon, Proxy) {
    let target = SocketAddr::from((Ipv4Addr::LOCALHOST, world.redis.port()));
    let mut proxy = Proxy::start(target).await.unwrap();
    let mut settings = settings(world);
    settings.redis_url = format!("redis://{}/0", proxy.address());
    settings.lease = Duration::from_secs(4);
    let daemon = world.daemon(&settings).await;
    put(world, &MarkA { id: 1, ms: 500 }).await;
    world.leased(&A, 1).await;
    proxy.set(Fault::Delay(SLOW)).await;
    (daemon, proxy)
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_finish() {
    let world = World::new().await;
    let mut daemon = world.daemon(&settings(&world)).await;
    put(&world, &MarkA { id: 1, ms: 0 }).await;
    done(&world).await;
    daemon.kill();
    expect(&world, "after the finish", 1).await;
}
