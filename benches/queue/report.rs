//! Figures beside their targets, and those that miss them.
use std::fmt::Write as _;

/// What a figure must reach, or must not exceed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    AtLeast(f64),
    AtMost(f64),
}

impl Target {
    fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(target) => value >= target,
            Self::AtMost(target) => value <= target,
        }
    }

    fn written(self) -> String {
        match self {
            Self::AtLeast(target) => format!("at least {target}"),
            Self::AtMost(target) => format!("at most {target}"),
        }
    }
}

/// Collects what misses its target.
#[derive(Default)]
pub(crate) struct Report {
    missed: Vec<String>,
}

impl Report {
    /// Judges a figure, in `unit`; returns it as it stands in a table, with its target.
    pub(crate) fn judge(&mut self, what: &str, value: f64, unit: &str, target: Target) -> String {
        let mut text = format!("{value:.2}{unit} ({})", target.written());
        // A figure that could not be made meets nothing.
        if !target.is_met(value) {
            self.missed.push(format!("{what}: {text}"));
            let _infallible = write!(text, " MISSED");
        }
        text
    }

    /// Prints what misses its target.
    pub(crate) fn print(&self) {
        println!();
        for line in &self.missed {
            println!("MISSED: {line}");
        }
        if self.missed.is_empty() {
            println!("Every figure above meets its target.");
        }
    }
}
