//! How an attempt ended, and what becomes of its job.
use std::{any::Any, time::Duration};

use quayhand_queue::{Done, JobError, Outcome, Policy};
use tokio::task::JoinError;

use super::report::Summary;

/// Why an attempt was told to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stopped {
    /// Its time was over.
    TimedOut,
    /// Its lease was lost: somebody else may run the job.
    LeaseLost,
    /// The daemon stops.
    HandedBack,
}

/// How an attempt ended.
pub(super) enum Ended {
    /// The job returned by itself.
    Returned(Result<Done, JobError>),
    /// The job returned after it was told to stop.
    Told(Stopped, Result<Done, JobError>),
    /// The job did not return after it was told to stop, and was dropped.
    Dropped(Stopped),
    /// The job panicked.
    Panicked(String),
}

impl Ended {
    /// Tells why a task did not return.
    pub(super) fn of_broken_task(error: JoinError) -> Self {
        match error.try_into_panic() {
            Ok(panic) => Self::Panicked(panic_text(panic.as_ref())),
            // Nobody but the runtime's end cancels it from outside.
            Err(_cancelled) => Self::Dropped(Stopped::HandedBack),
        }
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    format!("the job panicked: {}", text.unwrap_or("no text"))
}

/// Decides what becomes of the job, and what to say about the attempt.
pub(super) fn decide(ended: Ended, policy: &Policy, attempt: u32) -> (Summary, Outcome) {
    let failed = |text: &str| Outcome::failed(text, policy, attempt);
    match ended {
        Ended::Returned(result) => (Summary::of(&result), Outcome::of(result, policy, attempt)),
        Ended::Panicked(text) => (Summary::Failed, failed(&text)),
        Ended::Told(Stopped::TimedOut, Ok(done)) if done != Done::default() => {
            // It advanced and stopped when told: the rest is no failure.
            let reason = format!("its {:?} were over; so far: {done}", policy.timeout);
            (
                Summary::Done(done),
                Outcome::Snooze {
                    delay: Duration::ZERO,
                    reason,
                },
            )
        }
        Ended::Told(Stopped::TimedOut, Ok(_)) | Ended::Dropped(Stopped::TimedOut) => (
            Summary::Failed,
            failed(&format!("timed out after {:?}", policy.timeout)),
        ),
        Ended::Told(Stopped::TimedOut, Err(error))
        | Ended::Told(_, Err(error @ JobError::Dead { .. })) => {
            (Summary::Failed, Outcome::of(Err(error), policy, attempt))
        }
        // What it did is done; what is left, if anything, the next attempt finds.
        Ended::Told(Stopped::LeaseLost, _) | Ended::Dropped(Stopped::LeaseLost) => {
            (Summary::LeaseLost, Outcome::GiveBack)
        }
        Ended::Told(Stopped::HandedBack, _) | Ended::Dropped(Stopped::HandedBack) => {
            (Summary::HandedBack, Outcome::GiveBack)
        }
    }
}
