//! F23: how soon after TERM a daemon takes no further job.
use std::time::Duration;

use rustix::process::Signal;

use super::{PATIENCE, now_ms};
use crate::{testd::kinds::MarkA, world::World};

const TAKES_NONE_AFTER: Duration = Duration::from_millis(100);
/// More than are done before the daemon has ended.
const JOBS: i64 = 4_000;
/// The middle one counts: the machine may have been busy once.
const ROUNDS: i64 = 3;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_taken_a_tenth_of_a_second_after_term() {
    let world = World::new().await;
    let mut took = Vec::new();
    for round in 1..=ROUNDS {
        let first = round * 100_000;
        let jobs: Vec<_> = (first..first + JOBS)
            .map(|id| MarkA { id, ms: 0 })
            .collect();
        world.client.enqueue_all(&jobs).await.unwrap();
        let done = i64::try_from(world.marks().await.len()).unwrap();
        let mut daemon = world.daemon(&world.settings()).await;
        world.marked(done + 100, PATIENCE).await;
        let term_ms = now_ms();
        daemon.signal(Signal::TERM);
        let status = daemon.ended(PATIENCE).await;
        assert_eq!(status.code(), Some(0));
        let marks = world.marks().await;
        let last_ms = marks.last().unwrap().at_ms;
        took.push(Duration::from_millis(
            u64::try_from(last_ms - term_ms).unwrap_or_default(),
        ));
        let left = world.unfinished().await;
        assert!(left > 0, "it was idle when it was told to end");
    }
    took.sort_unstable();
    let seen = took[took.len() / 2];
    println!("F23 last effect after TERM: target within {TAKES_NONE_AFTER:.0?}, seen {seen:.0?}");
    assert!(seen <= TAKES_NONE_AFTER, "{took:?}");
}
