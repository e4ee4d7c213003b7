//! F2: a daemon that was killed is started again.
use std::time::{Duration, Instant};

use super::PATIENCE;
use crate::{testd::kinds::MarkA, world::World};

/// From the start of the process to the first job's effect.
const FIRST_JOB_WITHIN: Duration = Duration::from_secs(2);
/// The middle one counts: the machine may have been busy once.
const ROUNDS: usize = 3;

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_daemon_runs_its_first_job_within_two_seconds() {
    let world = World::new().await;
    let mut daemon = world.daemon(&world.settings()).await;
    let mut took = Vec::new();
    for id in 1..=i64::try_from(ROUNDS).unwrap() {
        daemon.kill();
        world.client.enqueue(&MarkA { id, ms: 0 }).await.unwrap();
        let started = Instant::now();
        daemon = world.launch(&world.settings());
        world.marked(id, PATIENCE).await;
        took.push(started.elapsed());
    }
    daemon.stop().await;
    took.sort_unstable();
    let seen = took[ROUNDS / 2];
    println!(
        "F2 first job after kill -9 and restart: target {FIRST_JOB_WITHIN:.1?}, seen {seen:.1?}"
    );
    assert!(seen <= FIRST_JOB_WITHIN, "{took:?}");
}
