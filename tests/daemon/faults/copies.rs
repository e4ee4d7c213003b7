//! F18: a job is delivered many times at once, by callers who do not know of each other.
use quayhand_jobs::Outbox;
use quayhand_model::{DbConfig, DbError, configure};
use quayhand_queue::{Client, Placement, Redis, RedisStore};
use quayhand_testkit::wait_for;

use super::PATIENCE;
use crate::{
    testd::{TestCtx, kinds::Once},
    world::{World, doubles},
};

const JOBS: i64 = 100;

/// Commits the jobs; returns each with its id in the queue.
async fn commit(world: &World) -> Vec<(i64, String)> {
    let jobs: Vec<_> = (0..JOBS)
        .map(|id| (Once { id, ms: 2 }, Placement::default()))
        .collect();
    let db = configure(DbConfig::new(&world.database_url)).unwrap();
    let written = db.transaction(async |tx| {
        let written = Outbox::write::<TestCtx, Once>(tx, &jobs).await;
        Ok::<_, DbError>(written.unwrap())
    });
    let written = written.await.unwrap();
    (0..JOBS).zip(written.ids().map(str::to_owned)).collect()
}

/// Enqueues every job one by one; returns how many the queue took, by a connection of its own.
async fn deliver(url: String, jobs: Vec<(i64, String)>) -> usize {
    let client = Client::new(RedisStore::new(Redis::connect(&url).await.unwrap()));
    let mut taken = 0;
    for (id, job_id) in jobs {
        let (job, placement) = (Once { id, ms: 2 }, Placement::default().id(job_id));
        let receipt = client.enqueue_placed::<TestCtx, _>(&job, placement).await;
        taken += usize::from(receipt.unwrap().is_new);
    }
    taken
}

/// Delivers each job so many times at once to two daemons whose relays deliver it as well.
async fn delivered(times: usize) {
    let world = World::new().await;
    let mut settings = world.settings();
    settings.relay_interval = std::time::Duration::from_secs(1);
    let daemons = [world.daemon(&settings).await, world.daemon(&settings).await];
    let jobs = commit(&world).await;
    let callers: Vec<_> = (0..times)
        .map(|_| tokio::spawn(deliver(world.redis.url(), jobs.clone())))
        .collect();
    let mut taken = 0;
    for caller in callers {
        taken += caller.await.unwrap();
    }
    world.marked(JOBS, PATIENCE).await;
    wait_for("empty queues", PATIENCE, async || {
        (world.unfinished().await == 0).then_some(())
    })
    .await;
    for daemon in daemons {
        daemon.stop().await;
    }
    let marks = world.marks().await;
    println!(
        "F18 each of {JOBS} jobs delivered {times} times at once: target effects {JOBS}, twice 0; \
         seen {}, {} (the queue took {taken})",
        marks.len(),
        doubles(&marks).len()
    );
    assert_eq!(marks.len(), usize::try_from(JOBS).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_delivered_twice_takes_effect_once() {
    delivered(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_delivered_ten_times_takes_effect_once() {
    delivered(10).await;
}
