//! One tick, one job, however many daemons there are.
use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime},
};

use quayhand_testkit::wait_for;

use rustix::process::Signal;

use crate::{
    testd::{kinds::TICKS, settings::Settings},
    world::{LONG_TICK, World},
};

async fn ticks(world: &World) -> Vec<(String, i32)> {
    let rows = world
        .ledger
        .query("select job, pid from ticks", &[])
        .await
        .unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_daemons_make_one_job_of_each_tick() {
    let world = World::new().await;
    let mut settings = world.settings();
    settings.tick = Duration::from_secs(1);
    let (one, two) = tokio::join!(world.daemon(&settings), world.daemon(&settings));
    wait_for("six ticks", Duration::from_secs(30), async || {
        (ticks(&world).await.len() >= 6).then_some(())
    })
    .await;
    let took = tokio::join!(one.stop(), two.stop());
    let runs = ticks(&world).await;
    let jobs: BTreeSet<_> = runs.iter().map(|(job, _)| job).collect();
    let pids: BTreeSet<_> = runs.iter().map(|(_, pid)| pid).collect();
    let counts = world.store().counts(&TICKS).await.unwrap();
    let waiting = counts.ready + counts.delayed;
    assert_eq!(counts.leased + counts.dead, 0);
    let claimed = "select count(*) from quayhand_schedule
                    where entry = 'ticked' and state <> 'skipped'";
    let claimed: i64 = world.ledger.query_one(claimed, &[]).await.unwrap().get(0);
    println!(
        "F26 2 daemons, {claimed} ticks: target jobs twice 0, missing 0; seen {}, {} ({} ran in {} \
         processes, {waiting} wait; ended after {took:.1?})",
        runs.len() - jobs.len(),
        u64::try_from(claimed).unwrap() - jobs.len() as u64 - waiting,
        runs.len(),
        pids.len()
    );
    assert_eq!(jobs.len(), runs.len(), "no tick ran twice");
    assert_eq!(
        u64::try_from(claimed).unwrap(),
        jobs.len() as u64 + waiting,
        "none is missing"
    );
}

/// The long tick that is due, in milliseconds since the epoch.
fn due_ms() -> i64 {
    let now_ms = i64::try_from(SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap();
    now_ms - now_ms % i64::try_from(LONG_TICK.as_millis()).unwrap()
}

/// Notes a tick in the table, as a host that claimed it so many seconds ago.
async fn note(world: &World, tick_ms: i64, state: &str, age_s: f64) {
    let row = "insert into quayhand_schedule values
        ('ticked', timestamptz 'epoch' + $1 * interval '1 ms', $2,
         clock_timestamp() - $3 * interval '1 s')";
    let tick_ms = f64::from(i32::try_from(tick_ms / 1000).unwrap()) * 1000.0;
    world
        .ledger
        .execute(row, &[&tick_ms, &state, &age_s])
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn after_downtime_an_entry_fires_once() {
    let world = World::new().await;
    let long_ago = due_ms() - 3 * i64::try_from(LONG_TICK.as_millis()).unwrap();
    note(&world, long_ago, "done", 1e9).await;
    let settings = world.settings();
    let daemon = world.daemon(&settings).await;
    daemon.says("ran `ticked`").await;
    daemon.stop().await;
    let daemon = world.daemon(&settings).await;
    // Rounds follow one another: when a tick of the new interval ran, the long one was looked at.
    Settings {
        tick: Duration::from_secs(1),
        ..settings
    }
    .write(&world.settings_file());
    daemon.signal(Signal::HUP);
    daemon.says("ran `ticked`").await;
    daemon.stop().await;
    let long: Vec<_> = ticks(&world)
        .await
        .into_iter()
        .filter(|(job, _)| *job == job_of(due_ms()))
        .collect();
    let ticks: i64 = world
        .ledger
        .query_one("select count(*) from ticks", &[])
        .await
        .unwrap()
        .get(0);
    println!(
        "F21 back after 34 years, 3 ticks missed: target firings 1, seen {}",
        long.len()
    );
    assert_eq!(
        long.len(),
        1,
        "two ticks were missed, the second daemon found the third one had"
    );
    assert!(ticks > 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tick_whose_claimer_died_is_taken_over() {
    let world = World::new().await;
    note(&world, due_ms(), "claimed", 61.0).await;
    let daemon = world.daemon(&world.settings()).await;
    daemon.says("ran `ticked`").await;
    daemon.stop().await;
    let runs = ticks(&world).await;
    assert_eq!(
        (runs.len(), &runs[0].0),
        (1, &job_of(due_ms())),
        "its id follows from the tick"
    );
}

fn job_of(tick_ms: i64) -> String {
    format!("ticked@{tick_ms}")
}
