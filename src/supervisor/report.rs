//! Says in the log how an attempt ended: one line, once.
use std::time::Duration;

use quayhand_queue::{Done, JobError, Outcome};
use tracing::{error, info, warn};

/// How an attempt ended, in a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Summary {
    /// The job did this.
    Done(Done),
    /// The job did not succeed; the outcome carries the reason.
    Failed,
    /// Somebody else may run the job by now.
    LeaseLost,
    /// Somebody cancelled the job.
    Cancelled,
    /// The daemon stops.
    HandedBack,
}

impl Summary {
    /// Sums up what a job returned by itself.
    pub(crate) fn of(result: &Result<Done, JobError>) -> Self {
        match result {
            Ok(done) | Err(JobError::Partial { done, .. }) => Self::Done(done.clone()),
            Err(_) => Self::Failed,
        }
    }

    fn counts(&self) -> String {
        match self {
            Self::Done(done) => done.to_string(),
            _ => String::new(),
        }
    }
}

/// Logs the end of an attempt, inside its span.
pub(crate) fn report(kind: &str, summary: &Summary, outcome: &Outcome, took: Duration) {
    let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    match (outcome, summary) {
        (Outcome::Done(done), _) => {
            info!(
                duration_ms,
                counts = summary.counts(),
                outcome = "done",
                "ran `{kind}`: {done}"
            );
        }
        (Outcome::Retry { delay, error }, _) => {
            warn!(
                duration_ms,
                counts = summary.counts(),
                outcome = "retry",
                error,
                "`{kind}` failed; again in {delay:.1?}"
            );
        }
        (Outcome::Dead { reason }, _) => {
            error!(
                duration_ms,
                counts = summary.counts(),
                outcome = "dead",
                error = reason,
                "`{kind}` is dead"
            );
        }
        (Outcome::Snooze { delay, reason }, _) => {
            info!(
                duration_ms,
                counts = summary.counts(),
                outcome = "snooze",
                reason,
                "`{kind}` goes on in {delay:.1?}"
            );
        }
        (Outcome::GiveBack, Summary::LeaseLost) => {
            warn!(
                duration_ms,
                outcome = "lost",
                "`{kind}` was stopped: its lease is lost"
            );
        }
        (Outcome::GiveBack, Summary::Cancelled) => {
            info!(
                duration_ms,
                outcome = "cancelled",
                "`{kind}` was stopped: somebody cancelled it"
            );
        }
        (Outcome::GiveBack, _) => {
            info!(
                duration_ms,
                outcome = "handed back",
                "`{kind}` was stopped and goes back to its queue"
            );
        }
    }
}
