//! F26: hosts that enqueue the jobs of ticks are killed or stand still. There is no leader: the
//! others go on at once, and no tick fires twice.
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use quayhand_testkit::wait_for;
use rustix::process::Signal;

use super::PATIENCE;
use crate::{testd::kinds::TICKS, world::World};

/// A wake-up that goes to a host that stands still is made good within a wait of 5 s.
const LEASE: Duration = Duration::from_secs(5);
/// Rounds: in each one host is killed and one stands still.
const ROUNDS: usize = 2;

/// Jobs of ticks that ran, with the attempt of each run.
async fn runs(world: &World) -> Vec<(String, i32)> {
    let runs = "select job, attempt from ticks";
    let rows = world.ledger.query(runs, &[]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// Waits for so many further ticks to run; returns how long the first one took.
async fn further(world: &World, ticks: usize) -> Duration {
    let (before, since) = (runs(world).await.len(), Instant::now());
    let mut first = None;
    wait_for("further ticks", PATIENCE, async || {
        let seen = runs(world).await.len();
        if seen > before {
            first.get_or_insert_with(|| since.elapsed());
        }
        (seen >= before + ticks).then_some(())
    })
    .await;
    first.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_tick_fires_twice_while_hosts_die_and_stand_still() {
    let world = World::new().await;
    let mut settings = world.settings().slots("ticks", 4);
    (settings.lease, settings.tick) = (LEASE, Duration::from_millis(500));
    let mut hosts = vec![
        world.daemon(&settings).await,
        world.daemon(&settings).await,
        world.daemon(&settings).await,
    ];
    let mut silence = Duration::ZERO;
    for _ in 0..ROUNDS {
        hosts[0].kill();
        hosts[1].signal(Signal::STOP);
        silence = silence.max(further(&world, 3).await);
        hosts[1].signal(Signal::CONT);
        hosts[0] = world.daemon(&settings).await;
        hosts.rotate_left(1);
        further(&world, 3).await;
    }
    for host in hosts {
        host.stop().await;
    }
    let runs = runs(&world).await;
    let slots: BTreeSet<_> = runs.iter().map(|(job, _)| job).collect();
    // A job that is run again after its host's end is a later attempt of the same firing.
    let firings: BTreeSet<_> = runs.iter().collect();
    let first = runs.iter().filter(|(_, attempt)| *attempt == 1).count();
    let twice = runs.len() - firings.len() + first.saturating_sub(slots.len());
    let crashes = world.store().counts(&TICKS).await.unwrap().crashes_total;
    println!(
        "F26 {ROUNDS} ticking hosts killed and {ROUNDS} paused: target slots fired twice 0, others \
         go on within 2 leases = {:.1?}; seen {twice} of {}, {silence:.1?} ({crashes} leases ran out)",
        LEASE * 2,
        slots.len()
    );
    assert!(silence <= LEASE * 2, "{silence:?}");
    assert_eq!(twice, 0);
}
