//! F17: one host's clock is wrong. Leases go by Redis's clock, schedules by the database's.
use std::{collections::BTreeSet, time::Duration};

use chrono::DateTime;
use quayhand_testkit::{wait_for, wrong_clock};

use super::{PATIENCE, now_ms};
use crate::{
    process::Daemon,
    testd::{
        kinds::{MarkA, MarkB, QUEUES},
        settings::Settings,
    },
    world::{World, doubles},
};

const LEASE: Duration = Duration::from_secs(2);
const JOBS: i64 = 100;
/// Ticks, a second each, that are watched.
const TICKS: i64 = 5;

/// Starts a daemon whose clock is wrong, and sees that it is.
async fn wrong_daemon(world: &World, settings: &Settings, shift_s: i64) -> Daemon {
    let mut command = world.command(settings);
    command.envs(wrong_clock(world.folder(), shift_s).unwrap());
    let daemon = Daemon::start(&mut command, &world.file("log"));
    let ready = daemon.says("ready").await;
    let said = ready.field("timestamp").as_str().unwrap().to_owned();
    let said_ms = DateTime::parse_from_rfc3339(&said)
        .unwrap()
        .timestamp_millis();
    let off_s = (said_ms - now_ms()) / 1000;
    assert!(
        (off_s - shift_s).abs() < 30,
        "its clock is off by {off_s} s"
    );
    daemon
}

/// Ticks that ran: their times, and how many ran.
async fn ticks(world: &World) -> (BTreeSet<i64>, usize) {
    let rows = world
        .ledger
        .query("select job from ticks", &[])
        .await
        .unwrap();
    let of = |job: &str| -> i64 { job.strip_prefix("ticked@").unwrap().parse().unwrap() };
    (rows.iter().map(|row| of(row.get(0))).collect(), rows.len())
}

async fn one_host_is_off_by(shift_s: i64) {
    let world = World::new().await;
    let mut settings = world.settings();
    (settings.lease, settings.tick) = (LEASE, Duration::from_secs(1));
    let began_ms = now_ms();
    let wrong = wrong_daemon(&world, &settings, shift_s).await;
    let right = world.daemon(&settings).await;
    let short: Vec<_> = (0..JOBS).map(|id| MarkA { id, ms: 50 }).collect();
    // These outlive their first lease, twice.
    let long: Vec<_> = (JOBS..JOBS + 6).map(|id| MarkB { id, ms: 4_500 }).collect();
    world.client.enqueue_all(&short).await.unwrap();
    world.client.enqueue_all(&long).await.unwrap();
    world.marked(JOBS + 6, PATIENCE).await;
    let enough = usize::try_from(TICKS).unwrap();
    wait_for("ticks", PATIENCE, async || {
        (ticks(&world).await.1 >= enough).then_some(())
    })
    .await;
    tokio::join!(wrong.stop(), right.stop());
    let (slots, fired) = ticks(&world).await;
    let foreign = slots
        .iter()
        .filter(|at| !(began_ms - 1_000..=now_ms()).contains(*at));
    let (foreign, twice) = (foreign.count(), fired - slots.len());
    let marks = world.marks().await;
    let pids: BTreeSet<_> = marks.iter().map(|mark| mark.pid).collect();
    let mut stolen = 0;
    for queue in QUEUES {
        stolen += world.store().counts(&queue).await.unwrap().crashes_total;
    }
    println!(
        "F17 a host's clock off by {shift_s} s: target leases stolen 0, jobs twice 0, ticks twice \
         0 or of another time 0; seen {stolen}, {}, {twice} or {foreign} (of {fired})",
        doubles(&marks).len()
    );
    assert_eq!(
        (stolen, doubles(&marks).len(), twice, foreign),
        (0, 0, 0, 0)
    );
    assert_eq!(pids.len(), 2, "both hosts worked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_whose_clock_is_wrong_does_no_harm() {
    // Ten minutes and a day ahead, an hour behind.
    tokio::join!(
        one_host_is_off_by(600),
        one_host_is_off_by(86_400),
        one_host_is_off_by(-3_600)
    );
}
