//! Every job takes effect once; orphans run again. `faults/campaign` is the same with deaths.
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use quayhand_queue::Job;

use crate::{
    testd::{
        TestCtx,
        kinds::{A, Hang, MarkA, MarkB, MarkC, QUEUES},
    },
    world::{World, doubles},
};

/// Jobs that are enqueued.
const ALL: i64 = 10_000;
/// Longest time for all of them.
const DEADLINE: Duration = Duration::from_mins(2);

async fn enqueue<J: Job<TestCtx>>(world: &World, nth: usize, job: impl Fn(i64) -> J) {
    let first = i64::try_from(nth).unwrap();
    let jobs: Vec<J> = (0..ALL).filter(|id| id % 3 == first).map(job).collect();
    let receipts = world.client.enqueue_all(&jobs).await.unwrap();
    assert!(receipts.iter().all(|receipt| receipt.is_new));
}

async fn enqueue_everywhere(world: &World, ms: u64) {
    enqueue(world, 0, |id| MarkA { id, ms }).await;
    enqueue(world, 1, |id| MarkB { id, ms }).await;
    enqueue(world, 2, |id| MarkC { id, ms }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_jobs_over_three_queues_each_take_effect_once() {
    let world = World::new().await;
    let mut settings = world.settings();
    for queue in QUEUES {
        settings = settings.slots(queue.as_str(), 16);
    }
    enqueue_everywhere(&world, 0).await;
    let started = Instant::now();
    let daemon = world.daemon(&settings).await;
    world.marked(ALL, DEADLINE).await;
    let took = started.elapsed();
    daemon.stop().await;
    let marks = world.marks().await;
    let ids: BTreeSet<_> = marks.iter().map(|mark| mark.id).collect();
    println!(
        "10,000 jobs over 3 queues: enqueued less ledger {}, twice {}, {took:.1?} with start-up",
        ALL - i64::try_from(ids.len()).unwrap(),
        doubles(&marks).len(),
    );
    assert_eq!((ids.len(), marks.len()), (10_000, 10_000));
    assert_eq!(world.unfinished().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn orphans_of_a_killed_process_are_redone_within_40_s_at_the_default_lease() {
    let world = World::new().await;
    let settings = world.settings().slots("a", 8);
    assert_eq!(settings.lease, Duration::from_secs(30));
    let jobs: Vec<_> = (0..8).map(|id| Hang { id }).collect();
    world.client.enqueue_all(&jobs).await.unwrap();
    let mut daemon = world.daemon(&settings).await;
    world.leased(&A, 8).await;
    daemon.kill();
    let killed = Instant::now();
    let daemon = world.daemon(&settings).await;
    world.marked(8, Duration::from_mins(1)).await;
    let took = killed.elapsed();
    daemon.stop().await;
    let marks = world.marks().await;
    println!(
        "F2 kill -9 with 8 running jobs, lease 30 s: target redone within 40 s, lost 0; seen \
         {took:.1?}, 0"
    );
    assert!(took <= Duration::from_secs(40), "{took:?}");
    assert!(marks.len() == 8 && marks.iter().all(|mark| mark.attempt == 2));
}
