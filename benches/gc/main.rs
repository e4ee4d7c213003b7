//! How fast garbage goes, beside one hand-written transaction of the same scope.
//!
//! `make bench-gc` runs it: registries of several sizes, for each one snapshot, and ways that
//! take turns on copies of it: `job run --all`, the daemon, each side by side, on one
//! connection and behind `PgBouncer`, and `baseline.sql`. All ways must leave the same rows.
//! What it prints are medians, each beside its target; a figure that misses it says so.
//!
//! The environment chooses parts of it:
//!
//! - `QUAYHAND_BENCH_SIZES`: of `golden,small,half,large`, default all. `half` is there for
//!   the comparison with `large`, and runs only what is compared.
//! - `QUAYHAND_BENCH_WAYS`: words that the names of the ways begin with, default all. The
//!   hand-written transaction always runs.
//! - `QUAYHAND_BENCH_RUNS`: runs of each way, default 5.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that cannot go on says so by ending"
)]

mod daemon;
mod database;
mod figures;
mod program;
mod report;
mod size;
mod way;

use std::env;

use database::Snapshot;
use figures::Figures;
use quayhand_testkit::{PgBouncer, chosen_words};
use report::Report;
use size::Size;
use way::{Caller, Way};

#[tokio::main]
async fn main() {
    let sizes = chosen_words("QUAYHAND_BENCH_SIZES");
    let runs = env::var("QUAYHAND_BENCH_RUNS").map_or(5, |text| text.parse().unwrap());
    let mut reports = Vec::new();
    for size in Size::ALL {
        if sizes.is_empty() || sizes.iter().any(|name| name == size.name()) {
            reports.extend(measure(size, runs).await);
        }
    }
    report::compare_sizes(&reports);
    report::missed(&reports);
}

/// Measures all ways at one size; `None` when there is no such registry.
async fn measure(size: Size, runs: usize) -> Option<Report> {
    let snapshot = Snapshot::make(size).await?;
    let bouncer = PgBouncer::start(&snapshot.server, 8).await.unwrap();
    let chosen = chosen_words("QUAYHAND_BENCH_WAYS");
    let ways: Vec<_> = Way::ALL
        .into_iter()
        .filter(|way| size.takes(*way) && way.is_chosen(&chosen))
        .collect();
    println!(
        "\n{}: {}; {runs} runs each, in turn",
        size.name(),
        snapshot.describe()
    );
    let mut figures: Vec<Vec<Figures>> = ways.iter().map(|_| Vec::new()).collect();
    for turn in 1..=runs {
        for (way, figures) in ways.iter().zip(&mut figures) {
            let run = run(&snapshot, &bouncer, *way).await;
            // A benchmark of an hour that is stopped has said what it saw.
            println!("  run {turn}: {way:<26} {run}");
            figures.push(run);
        }
    }
    let figures: Vec<_> = ways.into_iter().zip(figures).collect();
    let report = Report::new(size, &snapshot, &figures);
    report.print();
    Some(report)
}

async fn run(snapshot: &Snapshot, bouncer: &PgBouncer, way: Way) -> Figures {
    let database = snapshot.copy().await;
    let url = if way.bounced {
        bouncer.url(&database)
    } else {
        snapshot.server.url(&database)
    };
    let figures = match way.caller {
        Caller::Run => program::run(&url, way).await,
        Caller::Daemon => daemon::run(snapshot, &database, &url, way).await,
        Caller::Hand => snapshot.by_hand(&database).await,
    };
    snapshot.agree(way, &database).await;
    snapshot.drop(&database).await;
    figures
}
