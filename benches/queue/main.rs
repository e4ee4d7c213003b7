//! How fast jobs go, beside a loop written by hand and beside apalis-redis's own storage.
//!
//! `make bench-queue` runs it, on one Redis and in one process. These ways take turns:
//!
//! - ours, features unused; and ours with all features on: a priority, a tenant, a unique key, a
//!   limit by key, a rate and a record of every job. The jobs run through the whole daemon, as the
//!   tests of the daemon build it: `Client`, and a `Supervisor` with its pools and attempts.
//!   Nobody reads its log; a daemon that logs at `info` writes a line a job besides.
//! - by hand: a list and two scripts, 500 jobs a call. The limit that ours is measured by.
//! - by hand, with leases: the same loop as a queue needs it at least. What lies between the two is
//!   the price of that promise, and not of ours.
//! - apalis-redis 1.0.0, each time with the best of the settings that were tried before.
//!
//! Every way carries the same payload, and a ledger proves of every run that no job was lost and
//! none ran twice. What is printed are medians, each beside its target; a figure that misses it
//! says so.
//!
//! The environment chooses parts of it:
//!
//! - `QUAYHAND_BENCH_PARTS`: of `backlog,enqueue,speed,latency,idle`, default all. What is
//!   compared with another way's figure needs that way's part.
//! - `QUAYHAND_BENCH_RUNS`: runs of each way, default 5.
//! - `QUAYHAND_BENCH_JOBS`: jobs of a run, default 100,000; fewer where each takes a round trip, three
//!   times as many in the part `speed`.
//! - `QUAYHAND_BENCH_BACKLOG`: jobs of the backlog, default 1,000,000.
//! - `QUAYHAND_BENCH_CONCURRENT`: of the part `speed`, how many at a time; default
//!   `1,10,100,1000`.
//! - `QUAYHAND_BENCH_WAYS`: of the part `speed`, words that the names of the ways have, such as
//!   `unused,hand`; default all.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that cannot go on says so by ending"
)]

mod backlog;
mod enqueue;
mod figures;
mod hand;
mod idle;
mod latency;
mod ledger;
mod load;
mod ours;
mod peer;
mod report;
mod speed;
mod stage;
mod way;

use std::{env, panic, process};

use quayhand_testkit::chosen_words;
use report::Report;
use stage::Stage;

/// How much is measured.
struct Size {
    runs: usize,
    jobs: u32,
    backlog: u32,
    /// Jobs at a time, of the part `speed`; none for all.
    concurrent: Vec<usize>,
    /// Words of the names of the ways, of the part `speed`; none for all.
    ways: Vec<String>,
}

fn main() {
    // A task that panics would be waited for in vain.
    let said = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        said(panic);
        process::abort();
    }));
    // The daemon's own: all ways run on as many threads.
    let runtime = quayhand::supervisor::runtime().unwrap();
    runtime.block_on(measure());
}

async fn measure() {
    let size = Size {
        runs: number("QUAYHAND_BENCH_RUNS", 5),
        jobs: number("QUAYHAND_BENCH_JOBS", 100_000),
        backlog: number("QUAYHAND_BENCH_BACKLOG", 1_000_000),
        concurrent: chosen_words("QUAYHAND_BENCH_CONCURRENT")
            .iter()
            .map(|word| word.parse().unwrap())
            .collect(),
        ways: chosen_words("QUAYHAND_BENCH_WAYS"),
    };
    let parts = chosen_words("QUAYHAND_BENCH_PARTS");
    let is_chosen = |part: &str| parts.is_empty() || parts.iter().any(|word| word == part);
    let mut stage = Stage::set().await;
    let mut report = Report::default();
    println!(
        "Redis {}; medians of {} runs, in turn",
        stage.version().await,
        size.runs
    );
    // First: what other parts leave in our memory would count.
    if is_chosen("backlog") {
        backlog::measure(&mut stage, &size, &mut report).await;
    }
    if is_chosen("enqueue") {
        enqueue::measure(&mut stage, &size, &mut report).await;
    }
    if is_chosen("speed") {
        speed::measure(&mut stage, &size, &mut report).await;
    }
    if is_chosen("latency") {
        latency::measure(&mut stage, &size, &mut report).await;
    }
    if is_chosen("idle") {
        idle::measure(&mut stage, &size, &mut report).await;
    }
    report.print();
}

/// Reads a number from the environment.
fn number<T: std::str::FromStr<Err: std::fmt::Debug>>(variable: &str, default: T) -> T {
    env::var(variable).map_or(default, |text| text.parse().unwrap())
}
