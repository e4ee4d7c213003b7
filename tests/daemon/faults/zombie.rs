//! F25: a process stands still for longer than its leases and goes on: what it finishes is refused,
//! what it does to the database finds the work done.
use std::time::Duration;

use quayhand_testkit::wait_for;
use rustix::process::Signal;

use super::PATIENCE;
use crate::{
    testd::{faulty::Fenced, kinds::A},
    world::{World, doubles},
};

const JOBS: i64 = 4;
const LEASE: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread")]
async fn a_zombie_is_refused_and_its_effects_find_nothing_to_do() {
    let world = World::new().await;
    // No sweep: it would find the rows of `work` as well.
    let mut settings = world.settings().slots("ticks", 0);
    settings.lease = LEASE;
    let insert = "insert into work select generate_series(1, $1::bigint)";
    world.ledger.execute(insert, &[&JOBS]).await.unwrap();
    let jobs: Vec<_> = (1..=JOBS).map(|id| Fenced { id, ms: 1_000 }).collect();
    world.client.enqueue_all(&jobs).await.unwrap();
    let zombie = world.daemon(&settings).await;
    world.leased(&A, u64::try_from(JOBS).unwrap()).await;
    zombie.signal(Signal::STOP);
    let other = world.daemon(&settings).await;
    world.marked(JOBS, PATIENCE).await;
    wait_for("an empty queue", PATIENCE, async || {
        (world.unfinished().await == 0).then_some(())
    })
    .await;
    let before = world.store().counts(&A).await.unwrap();
    zombie.signal(Signal::CONT);
    wait_for("the end of the zombie's attempts", PATIENCE, async || {
        let ended = zombie.events().into_iter();
        let ended = ended.filter(|event| event.message().contains("`fenced`"));
        (ended.count() >= jobs.len()).then_some(())
    })
    .await;
    // A stop waits until everything is reported; then it is known what was refused.
    zombie.stop().await;
    other.stop().await;
    let after = world.store().counts(&A).await.unwrap();
    let (settled, twice) = (
        after.done_total - before.done_total,
        doubles(&world.marks().await),
    );
    println!(
        "F25 stopped for longer than its lease: target finishes accepted 0 of {JOBS}, effects \
         twice 0; seen {settled}, {} ({} leases ran out)",
        twice.len(),
        after.crashes_total
    );
    assert_eq!((settled, twice.len()), (0, 0));
    assert_eq!(after.crashes_total, u64::try_from(JOBS).unwrap());
    assert_eq!(after.done_total, u64::try_from(JOBS).unwrap());
}
