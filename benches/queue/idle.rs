//! What a pool costs that has nothing to do.
use std::time::Duration;

use tokio::time::sleep;

use super::{
    Size,
    figures::median,
    ledger::Ledger,
    peer::Tuning,
    report::{Report, Target},
    stage::{Stage, cpu_seconds},
    way::{Way, Worker},
};

const CONCURRENT: usize = 100;
/// Until all connections stand and the first waits have begun.
const SETTLING: Duration = Duration::from_secs(1);
/// Two of an idle pool's waits, one of its reports.
const WINDOW: Duration = Duration::from_secs(10);
/// Most commands that Redis runs in a second for one pool, those inside scripts included.
const COMMANDS: f64 = 5.0;

/// What one run came to, each by the second.
#[derive(Clone, Copy)]
struct Figures {
    commands: f64,
    /// Reads from a socket: requests, one or more at a time.
    requests: f64,
    process: f64,
    redis: f64,
}

pub(crate) async fn measure(stage: &mut Stage, size: &Size, report: &mut Report) {
    let mut figures = Way::OURS.map(|way| (way, Vec::new()));
    for _ in 0..size.runs {
        for (way, figures) in &mut figures {
            figures.push(run(stage, *way).await);
        }
    }
    println!("\nidle: one daemon with one pool");
    for (way, runs) in figures {
        let middle = |figure: fn(&Figures) -> f64| median(runs.iter().map(figure));
        let commands = report.judge(
            &format!("idle, {way}, commands of Redis"),
            middle(|run| run.commands),
            "/s",
            Target::AtMost(COMMANDS),
        );
        println!(
            "{way:<24} commands {commands}, in {:.2} requests/s; process {:.2} %, Redis {:.2} % of a core",
            middle(|run| run.requests),
            middle(|run| run.process) * 100.0,
            middle(|run| run.redis) * 100.0,
        );
    }
}

async fn run(stage: &mut Stage, way: Way) -> Figures {
    stage.clear().await;
    // A ledger of jobs that never come.
    let ledger = Ledger::new(10);
    let worker = Worker::start(stage, way, CONCURRENT, Tuning::DEFAULT, &ledger).await;
    sleep(SETTLING).await;
    let before = read(stage).await;
    sleep(WINDOW).await;
    let after = read(stage).await;
    worker.stop().await;
    let each = |figure: fn(&Figures) -> f64, by_us: f64| {
        (figure(&after) - figure(&before) - by_us) / WINDOW.as_secs_f64()
    };
    Figures {
        commands: each(|read| read.commands, READING),
        requests: each(|read| read.requests, READING),
        process: each(|read| read.process, 0.0),
        redis: each(|read| read.redis, 0.0),
    }
}

/// Requests that it takes to read the figures once.
const READING: f64 = 4.0;

async fn read(stage: &mut Stage) -> Figures {
    Figures {
        commands: stage.figure("stats", "total_commands_processed").await,
        requests: stage.figure("stats", "total_reads_processed").await,
        redis: stage.redis_cpu_seconds().await,
        process: cpu_seconds(),
    }
}
