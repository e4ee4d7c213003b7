//! The collector slows down for others, one test a reason, each with a twin that does not.
use std::{sync::LazyLock, time::Duration};

use quayhand_jobs::{Pace, PaceLimits, Settings, tag_expiry::TagExpiry};
use quayhand_model::{DbConfig, configure, pressure};
use quayhand_queue::{Done, Job};
use quayhand_testkit::{PostgresOptions, PostgresServer, wait_for};

use crate::scene::Scene;

const DEADLINE: Duration = Duration::from_secs(30);
const TAGS: u32 = 200;
/// Every batch takes 50 ms longer.
const SLOW: &str = "
    create function slow() returns trigger language plpgsql as $$ begin
        perform pg_sleep(0.05);
        return null;
    end $$;
    create trigger slow after delete on tag for each statement execute function slow()";
/// Every batch goes on only when a session waits for it.
const UNTIL_SOMEBODY_WAITS: &str = "
    create function until_somebody_waits() returns trigger language plpgsql as $$ begin
        while not exists (select from pg_locks
                           where not granted and pg_backend_pid() = any(pg_blocking_pids(pid)))
        loop perform pg_sleep(0.01); end loop;
        return null;
    end $$;
    create trigger until_somebody_waits after delete on tag
        for each statement execute function until_somebody_waits()";

/// A server that replicas may follow.
async fn primary() -> &'static PostgresServer {
    let settings = PostgresServer::REPLICATED.map(|(name, value)| (name.into(), value.into()));
    let options = PostgresOptions {
        fsync: false,
        settings: settings.into(),
    };
    Box::leak(Box::new(
        PostgresServer::start_with(&options).await.unwrap(),
    ))
}

/// Garbage for 20 batches, and nothing that slows it down but what a test chooses.
async fn scene(server: &'static PostgresServer) -> Scene {
    let mut scene = Scene::clean_on(server).await;
    scene.litter("litter", 1, TAGS, 1_000).await;
    limit(&mut scene, |_| ());
    scene
}

static NO_LIMITS: LazyLock<PaceLimits> = LazyLock::new(|| PaceLimits {
    slow_batch: None,
    replica_lag: None,
    replica_lag_mib: 0,
    longest_pause: Duration::from_millis(20),
    ..PaceLimits::default()
});

fn limit(scene: &mut Scene, change: impl FnOnce(&mut PaceLimits)) {
    let mut pace = NO_LIMITS.clone();
    change(&mut pace);
    scene.set(|settings| {
        *settings = Settings {
            batch_tags: 10,
            pace,
            ..Settings::default()
        }
    });
    scene.ctx.pace = Pace::default();
}

/// Collects everything: no pause may keep a run from its end.
async fn collect(scene: &Scene) -> Done {
    let done = TagExpiry::all(&scene.ctx).unwrap().await.unwrap();
    let garbage = "select count(*) from tag where lifetime_end_ms < 100000";
    assert_eq!(scene.number(garbage).await, 0);
    done
}

#[tokio::test]
async fn a_slow_database_slows_it_down() {
    for (slow_batch_ms, paced) in [(Some(10), true), (Some(60_000), false), (None, false)] {
        let mut scene = scene(PostgresServer::shared().await.unwrap()).await;
        scene.execute(SLOW).await;
        limit(&mut scene, |limits| {
            limits.slow_batch = slow_batch_ms.map(Duration::from_millis);
        });
        let paced_ms = collect(&scene).await.of("paced_ms");
        println!("limit {slow_batch_ms:?} ms, batches of 50 ms: paused for {paced_ms} ms");
        assert_eq!(paced_ms > 0, paced, "{slow_batch_ms:?}");
    }
}

#[tokio::test]
async fn the_switch_takes_all_of_it_away() {
    let mut scene = scene(PostgresServer::shared().await.unwrap()).await;
    scene.execute(SLOW).await;
    limit(&mut scene, |limits| {
        limits.slow_batch = Some(Duration::ZERO);
        limits.enabled = false;
    });
    assert_eq!(collect(&scene).await.of("paced_ms"), 0);
}

#[tokio::test]
async fn a_stop_ends_a_pause() {
    let mut scene = scene(PostgresServer::shared().await.unwrap()).await;
    limit(&mut scene, |limits| {
        limits.slow_batch = Some(Duration::ZERO);
        limits.longest_pause = Duration::from_hours(1);
    });
    let ctx = scene.ctx.clone();
    let run = tokio::spawn(async move { TagExpiry::all(&ctx).unwrap().await });
    let left = format!("select count(*) - {TAGS} from tag where lifetime_end_ms < 100000");
    wait_for("a batch", DEADLINE, async || {
        (scene.number(&left).await < 0).then_some(())
    })
    .await;
    scene.ctx.stop.cancel();
    let ended = tokio::time::timeout(DEADLINE, run).await.unwrap().unwrap();
    assert!(ended.is_err(), "it says that it was stopped: {ended:?}");
    assert!(
        scene.number(&left).await > -i64::from(TAGS),
        "there is garbage left"
    );
}

#[tokio::test]
async fn a_session_that_waits_slows_it_down() {
    let server = PostgresServer::shared().await.unwrap();
    let scene = scene(server).await;
    scene.execute(UNTIL_SOMEBODY_WAITS).await;
    let pusher = server.connect(&scene.database).await.unwrap();
    let ctx = scene.ctx.clone();
    let run = tokio::spawn(async move { TagExpiry::all(&ctx).unwrap().await.unwrap() });
    while !run.is_finished() {
        // Only when the batch has its locks: it does not wait for a pusher that is first.
        let sleeps = "select count(*) from pg_stat_activity
                       where datname = current_database() and wait_event = 'PgSleep'";
        let sleeping: i64 = pusher.query_one(sleeps, &[]).await.unwrap().get(0);
        if sleeping > 0 {
            let push = "update repository set description = 'pushed' where name = 'r1'";
            pusher.batch_execute(push).await.unwrap();
        }
        tokio::task::yield_now().await;
    }
    let done = run.await.unwrap();
    println!(
        "{} ms of pauses while a session waited for every batch",
        done.of("paced_ms")
    );
    assert_eq!(done.of("tags"), u64::from(TAGS));
    assert!(done.of("paced_ms") > 0);
}

#[tokio::test]
async fn nobody_waits_and_it_does_not_slow_down() {
    let scene = scene(PostgresServer::shared().await.unwrap()).await;
    assert_eq!(collect(&scene).await.of("paced_ms"), 0);
}

#[tokio::test]
async fn a_replica_that_stands_still_slows_it_down() {
    let server = primary().await;
    let mut scene = scene(server).await;
    let replica = server.replica().await.unwrap();
    let lag = async || scene.ctx.db.scope(pressure::replica_lag).await.unwrap();
    let follows = "select count(*) from pg_stat_replication where state = 'streaming'";
    wait_for("a replica", DEADLINE, async || {
        (scene.number(follows).await == 1 && lag().await.bytes == 0).then_some(())
    })
    .await;
    let plain = as_plain_role(&scene).await;
    let plain = plain.scope(pressure::replica_lag).await.unwrap();
    assert_eq!((plain.hidden, plain.bytes, plain.ms), (1, 0, 0));

    let change = |limits: &mut PaceLimits| limits.replica_lag_mib = 32;
    limit(&mut scene, change);
    assert_eq!(
        collect(&scene).await.of("paced_ms"),
        0,
        "the replica follows"
    );

    replica
        .execute("postgres", "select pg_wal_replay_pause()")
        .await
        .unwrap();
    scene
        .execute("create table bulk as select repeat('x', 900) from generate_series(1, 60000)")
        .await;
    scene.litter("more", 1, TAGS, 1_000).await;
    limit(&mut scene, change);
    let lag = scene.ctx.db.scope(pressure::replica_lag).await.unwrap();
    let paced_ms = collect(&scene).await.of("paced_ms");
    println!(
        "a replica has {} MiB to apply: paused for {paced_ms} ms",
        lag.bytes >> 20
    );
    assert!(lag.bytes >> 20 > 32 && paced_ms > 0);
}

/// Connects as a role that may see no replica.
async fn as_plain_role(scene: &Scene) -> quayhand_model::Db {
    scene
        .execute("create role plain login password 'plain'")
        .await;
    let url = scene.server.url(&scene.database);
    let (_, address) = url.split_once('@').unwrap();
    configure(DbConfig::new(format!("postgresql://plain:plain@{address}"))).unwrap()
}
