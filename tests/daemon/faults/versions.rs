//! F22: hosts of two releases side by side, through rolling upgrades and back.
use std::collections::BTreeSet;

use quayhand_queue::Job;
use quayhand_testkit::wait_for;

use super::PATIENCE;
use crate::{
    testd::{TestCtx, faulty::Versioned, kinds::B},
    world::World,
};

/// One host after the other goes to the newer release, back, and so on; at last to the newer one.
const RESTARTS: [bool; 10] = [
    true, true, false, false, true, true, false, false, true, true,
];
/// Jobs of each version between two restarts.
const EACH: i64 = 20;

async fn put<J: Job<TestCtx>>(world: &World, jobs: Vec<J>) {
    let receipts = world.client.enqueue_all(&jobs).await.unwrap();
    assert!(receipts.iter().all(|receipt| receipt.is_new));
}

#[tokio::test(flavor = "multi_thread")]
async fn rolling_restarts_between_two_versions_lose_no_job_and_spend_no_attempt() {
    let world = World::new().await;
    let mut settings = world.settings();
    let mut hosts = [world.daemon(&settings).await, world.daemon(&settings).await];
    let mut all = 0;
    for (nth, is_newer) in RESTARTS.into_iter().enumerate() {
        let first = i64::try_from(nth).unwrap() * 1000;
        let ids = first..first + EACH;
        put(
            &world,
            ids.clone().map(|id| Versioned::<1> { id }).collect(),
        )
        .await;
        put(
            &world,
            ids.map(|id| Versioned::<2> { id: id + 500 }).collect(),
        )
        .await;
        all += 2 * EACH;
        settings.is_newer = is_newer;
        let next = world.daemon(&settings).await;
        std::mem::replace(&mut hosts[nth % 2], next).stop().await;
    }
    world.marked(all, PATIENCE).await;
    wait_for("an empty queue", PATIENCE, async || {
        let counts = world.store().counts(&B).await.unwrap();
        (counts.ready + counts.delayed + counts.leased == 0).then_some(())
    })
    .await;
    for host in hosts {
        host.stop().await;
    }
    let marks = world.marks().await;
    let ids: BTreeSet<_> = marks.iter().map(|mark| mark.id).collect();
    let spent = marks.iter().filter(|mark| mark.attempt > 1).count();
    let dead = world.store().counts(&B).await.unwrap().dead;
    println!(
        "F22 {} rolling restarts between two versions: target lost 0 of {all}, dead 0, twice 0, \
         attempts spent 0; seen {}, {dead}, {}, {spent}",
        RESTARTS.len(),
        all - i64::try_from(ids.len()).unwrap(),
        marks.len() - ids.len()
    );
    assert_eq!((dead, marks.len() - ids.len(), spent), (0, 0, 0));
}
