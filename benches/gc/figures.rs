//! What one run came to.
use std::fmt;

/// The figures of one run; those a way does not have are 0.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Figures {
    pub(crate) seconds: f64,
    pub(crate) statements: f64,
    pub(crate) peak_mib: f64,
    pub(crate) p50_ms: f64,
    pub(crate) longest_ms: f64,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            seconds,
            p50_ms,
            longest_ms,
            ..
        } = self;
        write!(
            f,
            "{seconds:>6.2} s, p50 {p50_ms:.0} ms, longest {longest_ms:.0} ms"
        )
    }
}

/// Returns the middle value; 0 when there is none.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// Turns a count into a float; counts of a benchmark are far below what a float holds.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
pub(crate) fn float(count: u64) -> f64 {
    count as f64
}
