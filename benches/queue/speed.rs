//! Jobs that do nothing, so many at a time: what the queue itself costs.
use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::{
    Size,
    figures::{median, whole},
    ledger::Ledger,
    peer::Tuning,
    report::{Report, Target},
    stage::{Stage, cpu_seconds},
    way::{Sender, Way, Worker},
};

const CONCURRENT: [usize; 4] = [1, 10, 100, 1_000];
/// How many at a time the targets are about.
const JUDGED: usize = 100;
/// Parts of the loop's speed.
const UNUSED_RATIO: f64 = 0.6;
const ALL_ON_RATIO: f64 = 0.25;
/// Times the peer's speed, at whatever concurrency that is best.
const PEER_TIMES: f64 = 2.0;

/// So many times as long as those of the other parts are these runs: a daemon that starts asks its
/// database what there is, some 30 ms of a processor, and runs jobs meanwhile.
const LONGER: u32 = 3;
/// Longest that a run may take.
const PATIENCE: Duration = Duration::from_mins(3);

/// What one run came to: jobs a second, and microseconds of a processor for each.
#[derive(Clone, Copy, Default)]
struct Figures {
    speed: f64,
    process_us: f64,
    redis_us: f64,
}

impl Figures {
    /// The figures of a way that was not chosen.
    const fn unknown() -> Self {
        Self {
            speed: f64::NAN,
            process_us: f64::NAN,
            redis_us: f64::NAN,
        }
    }
}

/// The medians at one concurrency.
struct Row {
    concurrent: usize,
    tuning: Tuning,
    figures: Vec<(Way, Figures)>,
}

impl Row {
    fn of(&self, way: Way) -> Figures {
        let found = self.figures.iter().find(|(known, _)| *known == way);
        found.map_or_else(Figures::unknown, |(_, figures)| *figures)
    }

    fn speed(&self, way: Way) -> f64 {
        self.of(way).speed
    }
}

pub(crate) async fn measure(stage: &mut Stage, size: &Size, report: &mut Report) {
    let mut rows = Vec::new();
    let is_chosen =
        |concurrent: &usize| size.concurrent.is_empty() || size.concurrent.contains(concurrent);
    for concurrent in CONCURRENT.into_iter().filter(is_chosen) {
        rows.push(measure_at(stage, size, concurrent).await);
    }
    let best = rows.iter().map(|row| row.speed(Way::Peer));
    let best = best.fold(0.0, f64::max);
    println!("\nspeed: jobs that do nothing, in one process; processor time of a job");
    println!(
        "{:<24} {:>10} {:>8} {:>10} {:>8}  of the loop, of the peer",
        "", "concurrent", "jobs/s", "process", "Redis"
    );
    for row in &rows {
        for (way, _) in row.figures.iter().copied() {
            let note = match way {
                Way::Peer => format!("  {:?}", row.tuning),
                Way::Hand | Way::Leased => String::new(),
                Way::Unused | Way::AllOn => judge(report, row, way, best),
            };
            println!(
                "{way:<24} {:>10} {:>8} {:>7.1} us {:>5.1} us  {:.2} {:>6.2}{note}",
                row.concurrent,
                whole(row.speed(way)),
                row.of(way).process_us,
                row.of(way).redis_us,
                row.speed(way) / row.speed(Way::Hand),
                row.speed(way) / row.speed(Way::Peer),
            );
        }
    }
}

/// Judges what there is a target for.
fn judge(report: &mut Report, row: &Row, way: Way, best_peer: f64) -> String {
    if row.concurrent != JUDGED {
        return String::new();
    }
    let target = match way {
        Way::AllOn => ALL_ON_RATIO,
        _ => UNUSED_RATIO,
    };
    let speed = row.speed(way);
    let what = format!("{way}, {JUDGED} concurrent");
    let mut note = String::from("  of the loop ");
    note += &report.judge(
        &format!("{what}, of the loop"),
        speed / row.speed(Way::Hand),
        "",
        Target::AtLeast(target),
    );
    if way == Way::Unused {
        note += ", of the peer's best ";
        note += &report.judge(
            &format!("{what}, of the peer's best"),
            speed / best_peer,
            "",
            Target::AtLeast(PEER_TIMES),
        );
    }
    note
}

async fn measure_at(stage: &mut Stage, size: &Size, concurrent: usize) -> Row {
    let jobs = size.jobs * LONGER;
    let ways: Vec<_> = Way::ALL
        .into_iter()
        .filter(|way| way.is_chosen(&size.ways))
        .collect();
    let mut tuning = Tuning::DEFAULT;
    if ways.contains(&Way::Peer) {
        tuning = tune(stage, size.jobs / 10, concurrent).await;
    }
    let mut figures: Vec<_> = ways.into_iter().map(|way| (way, Vec::new())).collect();
    for _ in 0..size.runs {
        for (way, figures) in &mut figures {
            figures.push(run(stage, *way, jobs, concurrent, tuning).await);
        }
    }
    let figures = figures.into_iter().map(|(way, runs): (_, Vec<Figures>)| {
        let middle = |figure: fn(&Figures) -> f64| median(runs.iter().map(figure));
        let figures = Figures {
            speed: middle(|run| run.speed),
            process_us: middle(|run| run.process_us),
            redis_us: middle(|run| run.redis_us),
        };
        (way, figures)
    });
    Row {
        concurrent,
        tuning,
        figures: figures.collect(),
    }
}

/// Runs jobs that wait already. The peer may sleep for ever beside jobs that wait: its speed is 0
/// then.
async fn run(stage: &mut Stage, way: Way, jobs: u32, concurrent: usize, tuning: Tuning) -> Figures {
    let running = time(stage, way, jobs, concurrent, tuning);
    let ended = timeout(PATIENCE, running).await.ok();
    assert!(
        ended.is_some() || way == Way::Peer,
        "{way}: {jobs} jobs have not run in {PATIENCE:?}"
    );
    ended.unwrap_or_default()
}

/// Looks for the peer's best settings.
async fn tune(stage: &mut Stage, jobs: u32, concurrent: usize) -> Tuning {
    let mut best = (0.0, Tuning::DEFAULT);
    for tuning in Tuning::candidates(concurrent) {
        let speed = run(stage, Way::Peer, jobs, concurrent, tuning).await.speed;
        if speed > best.0 {
            best = (speed, tuning);
        }
    }
    best.1
}

/// Counts from the start of the first job until the last is noted as done.
async fn time(
    stage: &mut Stage,
    way: Way,
    jobs: u32,
    concurrent: usize,
    tuning: Tuning,
) -> Figures {
    stage.clear().await;
    let mut sender = Sender::new(stage, way).await;
    sender.fill(jobs).await;
    let before = (cpu_seconds(), stage.redis_cpu_seconds().await);
    let ledger = Ledger::new(jobs);
    let worker = Worker::start(stage, way, concurrent, tuning, &ledger).await;
    ledger.full().await;
    sender.settled(jobs).await;
    let ended = Instant::now();
    let after = (cpu_seconds(), stage.redis_cpu_seconds().await);
    worker.stop().await;
    ledger.check();
    stage.clear().await;
    let jobs = f64::from(jobs);
    Figures {
        speed: jobs / (ended - ledger.first()).as_secs_f64(),
        process_us: (after.0 - before.0) / jobs * 1e6,
        redis_us: (after.1 - before.1) / jobs * 1e6,
    }
}
