//! Worker tasks, daemons and Redis are killed in turn while jobs flow. No acknowledged job is lost,
//! and none takes effect twice but where something died between its effect and its finish.
//!
//! `QUAYHAND_FAULT_JOBS` and `QUAYHAND_FAULT_KILLS` say how many; 10,000 and 5 unless told.
mod audit;
mod blows;
mod feed;

use std::time::{Duration, Instant};

use quayhand_testkit::{RedisOptions, wait_for};

use super::{PATIENCE, kills, number};
use crate::{
    process::Daemon,
    testd::{kinds::QUEUES, settings::Settings},
    world::World,
};
use audit::{Crash, Figures, Victim};
use feed::Feeder;

/// More than twice as long as an idle worker waits: a queue that is silent for half a lease would
/// give its workers a third of one to report, as after an outage.
const LEASE: Duration = Duration::from_secs(12);
/// A worker renews its leases, and so tells that it lives, every third of one.
const HEARTBEAT: Duration = Duration::from_secs(4);
/// Orphans run again within so many heartbeats.
const REDO_WITHIN: u32 = 4;
/// Work goes on so soon after Redis is back.
const RESUME_WITHIN: Duration = Duration::from_secs(5);

/// Two daemons at work, and what has happened to them.
struct Campaign {
    world: World,
    settings: Settings,
    daemons: [Daemon; 2],
    crashes: Vec<Crash>,
    /// The longest time from a death to the end of the dead process's jobs.
    redo: Duration,
    /// The longest time from Redis's return to the next finished job.
    resumed: Duration,
}

impl Campaign {
    async fn begin() -> Self {
        let world = World::with(&RedisOptions {
            appendonly: true,
            // A kill during the second's sync would lose what was answered meanwhile.
            fsync_always: true,
            ..RedisOptions::default()
        })
        .await;
        let mut settings = world.settings();
        settings.lease = LEASE;
        for queue in QUEUES {
            settings = settings.slots(queue.as_str(), 16);
        }
        let daemons = [
            daemon(&world, &settings).await,
            daemon(&world, &settings).await,
        ];
        Self {
            world,
            settings,
            daemons,
            crashes: Vec::new(),
            redo: Duration::ZERO,
            resumed: Duration::ZERO,
        }
    }

    /// Feeds a share of the jobs and strikes when half of it is done.
    async fn round(&mut self, nth: usize, feeder: Feeder, share: usize) -> Feeder {
        let half = self.finished().await + share as u64 / 2;
        let (feeder, ()) = tokio::join!(feeder.feed(share), self.strike(nth, half));
        for daemon in &mut self.daemons {
            assert!(daemon.is_running(), "it ended by itself: {}", daemon.text());
        }
        feeder
    }

    /// Kills somebody when so many jobs are done.
    async fn strike(&mut self, nth: usize, finished: u64) {
        self.wait_for_finished(finished).await;
        match nth % 3 {
            0 => self.kill_a_worker(nth).await,
            1 => self.kill_a_daemon(nth).await,
            _ => self.kill_redis().await,
        }
    }

    /// Counts the jobs that the queues know as done.
    async fn finished(&self) -> u64 {
        let mut all = 0;
        for queue in QUEUES {
            all += self.world.store().counts(&queue).await.unwrap().done_total;
        }
        all
    }

    async fn wait_for_finished(&self, expected: u64) {
        wait_for(&format!("{expected} finished jobs"), PATIENCE, async || {
            (self.finished().await >= expected).then_some(())
        })
        .await;
    }

    /// Waits until nothing is left to do, and ends the daemons.
    async fn end(self) -> (World, Vec<Crash>, [Duration; 2]) {
        wait_for("empty queues", PATIENCE, async || {
            (self.world.unfinished().await == 0).then_some(())
        })
        .await;
        for daemon in self.daemons {
            daemon.stop().await;
        }
        (self.world, self.crashes, [self.redo, self.resumed])
    }
}

/// Starts a daemon that does not write a line for every job.
async fn daemon(world: &World, settings: &Settings) -> Daemon {
    let mut command = world.command(settings);
    command.env("RUST_LOG", "info,quayhand::supervisor::report=warn");
    let daemon = Daemon::start(&mut command, &world.file("log"));
    daemon.says("ready").await;
    daemon
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_while_workers_daemons_and_redis_are_killed() {
    let (jobs, kills) = (number("QUAYHAND_FAULT_JOBS", 10_000), kills());
    let began = Instant::now();
    let mut campaign = Campaign::begin().await;
    let mut feeder = Feeder::new(campaign.world.client.clone());
    let share = jobs / (kills + 1);
    for nth in 0..kills {
        feeder = campaign.round(nth, feeder, share).await;
    }
    let feeder = feeder.feed(jobs - share * kills).await;
    let (world, crashes, [redo, resumed]) = campaign.end().await;
    let figures = Figures::of(&world.marks().await, &crashes, &feeder.answers);
    figures.print(&crashes);
    let target = HEARTBEAT * REDO_WITHIN;
    println!("F1 redo after a kill: target 4 heartbeats = {target:.1?}, seen {redo:.1?}");
    println!("F5 work after Redis is back: target {RESUME_WITHIN:.1?}, seen {resumed:.1?}");
    println!("the campaign took {:.0?}", began.elapsed());
    assert_eq!(figures.lost, 0, "acknowledged jobs without effect");
    assert!(
        figures.without_cause.is_empty(),
        "{:?} {crashes:?}",
        figures.without_cause
    );
    assert!(redo <= target, "{redo:?}");
    assert!(resumed <= RESUME_WITHIN, "{resumed:?}");
}
