//! A million jobs wait: does the queue slow down, and what do they need?
use super::{
    Size,
    figures::{median, whole},
    ledger::Ledger,
    peer::Tuning,
    report::{Report, Target},
    stage::{Stage, forget_peak, peak_mib},
    way::{Sender, Way, Worker},
};

const CONCURRENT: usize = 100;
/// Speed of the last tenth, as a part of the first one's.
const LAST_TENTH: f64 = 0.9;
/// Most memory of our process, in MiB.
const MEMORY_MIB: f64 = 256.0;
/// Most memory of Redis, in MiB.
const REDIS_MIB: f64 = 1_024.0;
const MIB: f64 = 1_048_576.0;

/// What one run came to.
#[derive(Clone, Copy)]
struct Figures {
    first: f64,
    last: f64,
    process_mib: f64,
    redis_mib: f64,
}

pub(crate) async fn measure(stage: &mut Stage, size: &Size, report: &mut Report) {
    let mut figures = Way::OURS.map(|way| (way, Vec::new()));
    for _ in 0..size.runs {
        for (way, figures) in &mut figures {
            figures.push(run(stage, *way, size.backlog).await);
        }
    }
    println!(
        "\nbacklog: {} jobs wait, {CONCURRENT} concurrent",
        whole(f64::from(size.backlog))
    );
    for (way, runs) in figures {
        let middle = |figure: fn(&Figures) -> f64| median(runs.iter().map(figure));
        let what = |figure: &str| format!("backlog, {way}, {figure}");
        // The ratio of each run: the machine may have been slower in one than in another.
        let ratio = middle(|run| run.last / run.first);
        println!(
            "{way:<24} first tenth {}/s, last {}/s: {}",
            whole(middle(|run| run.first)),
            whole(middle(|run| run.last)),
            report.judge(
                &what("last tenth of the first"),
                ratio,
                "",
                Target::AtLeast(LAST_TENTH)
            ),
        );
        println!(
            "{:<24} process {}, Redis {}",
            "",
            report.judge(
                &what("our process"),
                middle(|run| run.process_mib),
                " MiB",
                Target::AtMost(MEMORY_MIB)
            ),
            report.judge(
                &what("Redis"),
                middle(|run| run.redis_mib),
                " MiB",
                Target::AtMost(REDIS_MIB)
            ),
        );
    }
}

async fn run(stage: &mut Stage, way: Way, jobs: u32) -> Figures {
    stage.clear().await;
    forget_peak();
    let mut sender = Sender::new(stage, way).await;
    sender.fill(jobs).await;
    let redis_mib = stage.figure("memory", "used_memory").await / MIB;
    let ledger = Ledger::new(jobs);
    let worker = Worker::start(stage, way, CONCURRENT, Tuning::DEFAULT, &ledger).await;
    ledger.full().await;
    sender.settled(jobs).await;
    worker.stop().await;
    ledger.check();
    let (first, last) = ledger.tenths();
    let tenth = f64::from(jobs / 10);
    Figures {
        first: tenth / first,
        last: tenth / last,
        process_mib: peak_mib(),
        redis_mib,
    }
}
