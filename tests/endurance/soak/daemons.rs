//! Two daemons that collect every second, and are killed in turn.

use std::{fs, time::Duration};

use quayhand_testkit::wait_for;
use tokio::time::{Instant, sleep, sleep_until};

use super::world::World;
use crate::program::Running;

/// How long both live until one is killed.
const LIFE: Duration = Duration::from_secs(20);
/// How long a daemon may take to its first line, on a busy machine.
const START: Duration = Duration::from_mins(1);
/// The event at the end of a collection's sweep.
const CYCLE: &str = "ran `tag_expiry_sweep`";

/// Both daemons.
pub(super) struct Daemons {
    running: [Running; 2],
}

impl Daemons {
    /// Starts both and waits until both have looked for garbage or somebody did it for them.
    pub(super) async fn start(world: &World) -> Self {
        let running = [0, 1].map(|number| start(world, number));
        wait_for("a first sweep", START, async || {
            (cycles(world) > 0).then_some(())
        })
        .await;
        Self { running }
    }

    /// Kills one of them every 20 s (twice in a shorter soak), in turn, and starts it again, until
    /// the soak is over. Returns how many were killed.
    pub(super) async fn die_in_turn(&mut self, world: &World, soak: Duration) -> u32 {
        let (mut killed, until) = (0, Instant::now() + soak);
        let life = LIFE.min(soak / 3);
        while Instant::now() + life < until {
            sleep(life).await;
            let number = killed as usize % 2;
            let fresh = start(world, number);
            std::mem::replace(&mut self.running[number], fresh)
                .kill()
                .await;
            killed += 1;
        }
        sleep_until(until).await;
        killed
    }

    /// Kills both; neither may have ended by itself.
    pub(super) async fn end(self, world: &World) {
        for mut running in self.running {
            if !running.is_running() {
                world.tally.fail("a daemon ended by itself".to_owned());
                continue;
            }
            running.kill().await;
        }
    }
}

/// Counts the sweeps that found what to collect, by all daemons.
pub(super) fn cycles(world: &World) -> usize {
    let logs = [0, 1].map(|number| fs::read_to_string(world.place.file(&log(number))));
    let logs = logs.into_iter().filter_map(Result::ok);
    logs.map(|text| text.matches(CYCLE).count()).sum()
}

/// Lists the lines of a level that the daemons wrote, a few of them.
pub(super) fn complaints(world: &World) -> Vec<String> {
    let logs = [0, 1].map(|number| fs::read_to_string(world.place.file(&log(number))));
    let is_error = |line: &&str| line.contains("\"level\":\"ERROR\"");
    let logs = logs.iter().filter_map(|text| text.as_deref().ok());
    let lines = logs.flat_map(|text| text.lines().filter(is_error));
    lines.take(5).map(str::to_owned).collect()
}

fn start(world: &World, number: usize) -> Running {
    world
        .place
        .program()
        .start(&["run"], &world.place.file(&log(number)))
}

fn log(number: usize) -> String {
    format!("daemon{number}.log")
}
