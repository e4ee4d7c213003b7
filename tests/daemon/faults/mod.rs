//! The faults of `docs/faults.md` that are played with daemons as processes. Each test prints
//! `F<number> <what>: target .., seen ..`.
mod campaign;
mod clock;
mod copies;
mod hosts;
mod page;
mod promotion;
mod restart;
mod steps;
mod takedown;
mod term;
mod versions;
mod zombie;

use std::time::{Duration, SystemTime};

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(2);

/// Reads a number from the environment; without it the short form.
fn number(variable: &str, short: usize) -> usize {
    std::env::var(variable).map_or(short, |text| text.parse().unwrap())
}

/// How many processes the kill campaign kills; other tests derive their rounds from it.
fn kills() -> usize {
    number("QUAYHAND_FAULT_KILLS", 5)
}

/// This host's time, which is the database's too, in milliseconds since the Unix epoch.
fn now_ms() -> i64 {
    let since_epoch = SystemTime::UNIX_EPOCH.elapsed().unwrap();
    i64::try_from(since_epoch.as_millis()).unwrap()
}
