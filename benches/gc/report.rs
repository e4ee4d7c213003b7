//! Medians beside their targets.
use super::{
    Snapshot,
    figures::{Figures, float, median},
    size::Size,
    way::{Caller, Way},
};

/// Statements that 1,000 tags may take.
const STATEMENTS: f64 = 40.0;
/// Memory our process may take, in MiB.
const MEMORY_MIB: f64 = 64.0;
/// Time a transaction may take, in milliseconds.
const LONGEST_MS: f64 = 500.0;
/// Time the large registry may take, as a multiple of its half's.
const TWICE: f64 = 2.2;

/// The figures of all ways at one size.
pub(crate) struct Report {
    size: Size,
    garbage: f64,
    rows: f64,
    lines: Vec<Line>,
}

/// The medians of one way.
struct Line {
    way: Way,
    seconds: f64,
    statements: f64,
    peak_mib: f64,
    p50_ms: f64,
    /// Not a median: the longest of all runs.
    longest_ms: f64,
}

impl Line {
    fn new(way: Way, runs: &[Figures]) -> Self {
        let middle = |figure: fn(&Figures) -> f64| median(runs.iter().map(figure));
        Self {
            way,
            seconds: middle(|run| run.seconds),
            statements: middle(|run| run.statements),
            peak_mib: middle(|run| run.peak_mib),
            p50_ms: middle(|run| run.p50_ms),
            longest_ms: runs.iter().map(|run| run.longest_ms).fold(0.0, f64::max),
        }
    }
}

impl Report {
    pub(crate) fn new(size: Size, snapshot: &Snapshot, figures: &[(Way, Vec<Figures>)]) -> Self {
        let lines = figures.iter().map(|(way, runs)| Line::new(*way, runs));
        Self {
            size,
            garbage: float(snapshot.garbage),
            rows: float(snapshot.rows_gone()),
            lines: lines.collect(),
        }
    }

    fn seconds(&self, way: Way) -> Option<f64> {
        let line = self.lines.iter().find(|line| line.way == way)?;
        Some(line.seconds)
    }

    /// Prints a line a way.
    pub(crate) fn print(&self) {
        println!(
            "{:<26} {:>8} {:>6} {:>7} {:>7} {:>8} {:>11} {:>9} {:>7} {:>9}",
            "",
            "median",
            "ratio",
            "target",
            "tags/s",
            "rows/s",
            "stmts/1,000",
            "peak",
            "p50",
            "longest"
        );
        for line in &self.lines {
            let target = self.size.target(line.way);
            println!(
                "{:<26} {:>6.2} s {:>6.2} {:>7} {:>7.0} {:>8.0} {:>11.1} {:>5.1} MiB {:>4.0} ms {:>6.0} ms",
                line.way,
                line.seconds,
                self.ratio(line),
                target.map_or_else(String::new, |target| format!("{target:.2}")),
                self.garbage / line.seconds,
                self.rows / line.seconds,
                self.statements(line),
                line.peak_mib,
                line.p50_ms,
                line.longest_ms,
            );
        }
    }

    /// The time of a way as a share of the hand-written transaction's.
    fn ratio(&self, line: &Line) -> f64 {
        line.seconds / self.seconds(Way::HAND).unwrap_or(f64::NAN)
    }

    /// Statements for 1,000 tags.
    fn statements(&self, line: &Line) -> f64 {
        line.statements / self.garbage * 1_000.0
    }

    /// Lists what misses its target.
    fn missed(&self) -> Vec<String> {
        let mut missed = Vec::new();
        for line in &self.lines {
            let ratio = self
                .size
                .target(line.way)
                .map(|target| (self.ratio(line), target));
            let figures = [
                ("ratio", ratio),
                ("statements", Some((self.statements(line), STATEMENTS))),
                ("MiB", Some((line.peak_mib, MEMORY_MIB))),
                ("ms at most", Some((line.longest_ms, LONGEST_MS))),
            ];
            for (what, figure) in figures {
                let Some((value, target)) = figure.filter(|(value, target)| value > target) else {
                    continue;
                };
                let (size, way) = (self.size.name(), line.way);
                missed.push(format!(
                    "{size}, {way}: {value:.2} {what}, target {target:.2}"
                ));
            }
        }
        missed
    }
}

/// Prints what twice the registry costs, when both sizes were measured.
pub(crate) fn compare_sizes(reports: &[Report]) {
    let of = |size| reports.iter().find(|report| report.size == size);
    let (Some(half), Some(large)) = (of(Size::Half), of(Size::Large)) else {
        return;
    };
    println!();
    for way in Way::ALL.into_iter().filter(|way| way.caller == Caller::Run) {
        if let (Some(once), Some(twice)) = (half.seconds(way), large.seconds(way)) {
            let times = twice / once;
            let mark = if times > TWICE { "  MISSED" } else { "" };
            println!("twice the registry, {way}: {times:.2} times the time (target {TWICE}){mark}");
        }
    }
}

/// Prints what misses its target.
pub(crate) fn missed(reports: &[Report]) {
    let missed: Vec<_> = reports.iter().flat_map(Report::missed).collect();
    println!();
    for line in &missed {
        println!("MISSED: {line}");
    }
    if missed.is_empty() {
        println!("Every figure above meets its target.");
    }
}
