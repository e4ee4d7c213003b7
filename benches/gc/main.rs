//! How fast garbage goes, side by side with one hand-written transaction of the same scope.
//!
//! `make bench-gc` runs it. Three ways take turns on copies of one snapshot: `job run
//! --all`, the same on one connection, and `baseline.sql`; five runs each, medians are
//! printed with their ratios. `QUAYHAND_BENCH_TAGS` sizes the registry (default 30,000 tags,
//! about 200,000 rows), `QUAYHAND_BENCH_RUNS` the runs.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that cannot go on says so by ending"
)]

mod database;
mod figures;
mod program;

use database::Snapshot;
use figures::{Figures, median};

/// One way of collecting everything.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// `job run tag_expiry --all`, as many batches side by side as there are cores.
    SideBySide,
    /// The same, one batch at a time.
    OneConnection,
    /// One hand-written transaction.
    ByHand,
}

const WAYS: [Way; 3] = [Way::SideBySide, Way::OneConnection, Way::ByHand];

#[tokio::main]
async fn main() {
    let tags = number("QUAYHAND_BENCH_TAGS", 30_000);
    let runs = number("QUAYHAND_BENCH_RUNS", 5);
    let snapshot = Snapshot::make(tags).await;
    println!(
        "{} rows, {} tags, {} of them garbage; {runs} runs each, in turn",
        snapshot.rows, snapshot.tags, snapshot.garbage
    );
    let mut figures: Vec<Vec<Figures>> = WAYS.iter().map(|_| Vec::new()).collect();
    for _ in 0..runs {
        for (way, figures) in WAYS.iter().zip(&mut figures) {
            figures.push(run(&snapshot, *way).await);
        }
    }
    report(&snapshot, &figures);
}

async fn run(snapshot: &Snapshot, way: Way) -> Figures {
    let database = snapshot.copy().await;
    let url = snapshot.server.url(&database);
    let figures = match way {
        Way::SideBySide => program::run(&url, None).await,
        Way::OneConnection => program::run(&url, Some(1)).await,
        Way::ByHand => snapshot.by_hand(&database).await,
    };
    let survivors = snapshot.survivors(&database).await;
    snapshot.agree(way, survivors);
    snapshot.drop(&database).await;
    figures
}

fn report(snapshot: &Snapshot, figures: &[Vec<Figures>]) {
    let seconds: Vec<_> = figures
        .iter()
        .map(|runs| median(runs.iter().map(|run| run.seconds)))
        .collect();
    let limit = seconds[WAYS.len() - 1];
    for ((way, runs), seconds) in WAYS.iter().zip(figures).zip(seconds) {
        let peak = median(runs.iter().map(|run| run.peak_mib));
        let statements = median(runs.iter().map(|run| run.statements));
        let p50 = median(runs.iter().map(|run| run.p50_ms));
        let longest = runs.iter().map(|run| run.longest_ms).fold(0.0, f64::max);
        let garbage = figures::float(snapshot.garbage);
        println!(
            "{:<14} median {seconds:>7.2} s  {:>5.2} of the limit  {:>7.0} tags/s  \
             {:>5.1} statements/1,000 tags  peak {peak:>5.1} MiB  \
             transaction p50 {p50:.0} ms, longest {longest:.0} ms",
            format!("{way:?}"),
            seconds / limit,
            garbage / seconds,
            statements / garbage * 1_000.0,
        );
    }
}

fn number(variable: &str, default: u32) -> u32 {
    let set = std::env::var(variable).ok();
    set.map_or(default, |text| text.parse().unwrap())
}
