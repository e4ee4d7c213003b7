//! How long a job waits that nothing is in front of.
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::{
    Size,
    figures::{median, percentile},
    ledger::Ledger,
    peer::Tuning,
    report::{Report, Target},
    stage::Stage,
    way::{Sender, Way, Worker},
};

const CONCURRENT: usize = 10;
/// Jobs a run.
const JOBS: u32 = 500;
/// Between two jobs; not in step with anything.
const PAUSE: Duration = Duration::from_micros(10_700);
/// Longest times from the call that enqueues to the start, in milliseconds.
const P50_MS: f64 = 1.0;
const P99_MS: f64 = 5.0;

pub(crate) async fn measure(stage: &mut Stage, size: &Size, report: &mut Report) {
    // The peer is left out: it looks every so often, and may sleep for ever between two jobs.
    let mut figures = Way::OURS.map(|way| (way, Vec::new()));
    for _ in 0..size.runs {
        for (way, figures) in &mut figures {
            figures.push(run(stage, *way).await);
        }
    }
    println!("\nlatency: from enqueue to start, idle, {JOBS} jobs");
    for (way, runs) in figures {
        let p50 = median(runs.iter().map(|run| run.0));
        let p99 = median(runs.iter().map(|run| run.1));
        let p50 = report.judge(
            &format!("latency, {way}, p50"),
            p50,
            " ms",
            Target::AtMost(P50_MS),
        );
        let p99 = report.judge(
            &format!("latency, {way}, p99"),
            p99,
            " ms",
            Target::AtMost(P99_MS),
        );
        println!("{way:<24} p50 {p50}, p99 {p99}");
    }
}

async fn run(stage: &mut Stage, way: Way) -> (f64, f64) {
    stage.clear().await;
    let mut sender = Sender::new(stage, way).await;
    let (ledger, mut starts) = Ledger::telling(JOBS);
    let worker = Worker::start(stage, way, CONCURRENT, Tuning::DEFAULT, &ledger).await;
    let mut waits = Vec::new();
    for n in 0..JOBS {
        let asked = Instant::now();
        sender.push(n).await;
        let started = starts.recv().await.unwrap();
        // The first ones wait for connections.
        if n >= JOBS / 10 {
            waits.push((started - asked).as_secs_f64() * 1_000.0);
        }
        sleep(PAUSE).await;
    }
    ledger.full().await;
    sender.settled(JOBS).await;
    worker.stop().await;
    ledger.check();
    let p50 = percentile(waits.iter().copied(), 50);
    (p50, percentile(waits, 99))
}
