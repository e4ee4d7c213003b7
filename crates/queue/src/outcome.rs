//! How an attempt ends.
use std::{collections::BTreeMap, fmt, time::Duration};

use serde::{Deserialize, Serialize};

/// Counts what a finished attempt did, for the log line, the CLI and the metrics.
///
/// Empty counts mean there was nothing to do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[must_use]
pub struct Done {
    /// Rows, objects or jobs handled, by what they are (`tags`, `manifests`, `objects`).
    pub counts: BTreeMap<String, u64>,
}

impl Done {
    /// Counts `n` of `what`; a count of zero is left out.
    pub fn count(mut self, what: &str, n: u64) -> Self {
        self.add(what, n);
        self
    }

    /// Adds `n` of `what`; a count of zero is left out.
    pub fn add(&mut self, what: &str, n: u64) {
        if n > 0 {
            *self.counts.entry(what.to_owned()).or_default() += n;
        }
    }

    /// Returns the count of `what`, 0 when there was none.
    #[must_use]
    pub fn of(&self, what: &str) -> u64 {
        self.counts.get(what).copied().unwrap_or_default()
    }
}

impl std::ops::AddAssign for Done {
    fn add_assign(&mut self, other: Self) {
        for (what, n) in other.counts {
            self.add(&what, n);
        }
    }
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.counts.is_empty() {
            return f.write_str("nothing to do");
        }
        for (at, (what, n)) in self.counts.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{n} {what}")?;
        }
        Ok(())
    }
}

/// Says why an attempt did not finish, and so what the queue does next.
///
/// Not itself a [`std::error::Error`], so that `?` turns any error into
/// [`JobError::Retry`].
#[derive(Debug)]
pub enum JobError {
    /// Try again after the back-off; counts as an attempt.
    Retry(Box<dyn std::error::Error + Send + Sync>),
    /// Some of the work failed and the rest is done. Tried again like [`Self::Retry`];
    /// at the shell it is the exit code "partial".
    Partial {
        /// What was done.
        done: Done,
        /// What was left, each with its reason.
        left: Vec<String>,
    },
    /// No hour and no deploy could help: never try again.
    Dead {
        /// For the operator.
        reason: String,
    },
    /// Try again after the delay; spends no attempt.
    Snooze(Duration),
    /// Something the job depends on is out of reach. Nothing was lost; the queue tries
    /// again after the delay and spends no attempt.
    Unavailable {
        /// What is out of reach.
        source: Box<dyn std::error::Error + Send + Sync>,
        /// When to try again.
        again_in: Duration,
    },
    /// A setting or a safety check forbids the work now. Nothing was changed; the queue
    /// looks again in a minute and spends no attempt, the shell exits with "refused".
    Refused {
        /// What forbids it, and what lifts it.
        reason: String,
    },
}

impl<E: std::error::Error + Send + Sync + 'static> From<E> for JobError {
    fn from(source: E) -> Self {
        Self::Retry(source.into())
    }
}

impl fmt::Display for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Retry(source) => f.write_str(&chain(source.as_ref())),
            Self::Unavailable { source, again_in } => {
                let source = chain(source.as_ref());
                write!(f, "{source}; again in {again_in:?}")
            }
            Self::Partial { done, left } => write!(f, "{done}; left: {}", left.join("; ")),
            Self::Dead { reason } => write!(f, "can never succeed: {reason}"),
            Self::Snooze(delay) => write!(f, "not now; again in {delay:?}"),
            Self::Refused { reason } => write!(f, "refused: {reason}"),
        }
    }
}

/// Returns an error with all its causes in one line; a cause that the error shows itself is
/// not said twice.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_add_up_and_leave_zeros_out() {
        let mut done = Done::default().count("tags", 2).count("blobs", 0);
        done += Done::default().count("tags", 3).count("objects", 1);
        assert_eq!(done.to_string(), "1 objects, 5 tags");
        assert_eq!(done.of("blobs"), 0);
        assert_eq!(Done::default().to_string(), "nothing to do");
    }
}
