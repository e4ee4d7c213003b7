//! What becomes of a job after an attempt.
use std::time::Duration;

use apalis_core::{error::BoxDynError, task::into_response::IntoResponse};

use crate::{Done, JobError, Policy};

/// How long a refused job waits until the queue looks again.
pub const REFUSED_PAUSE: Duration = Duration::from_mins(1);

/// Longest error text that is kept with a job, in bytes.
const LONGEST_TEXT: usize = 2048;

/// Tells the queue what to do with a job that it had handed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is finished; nothing of it is kept but a counter.
    Done(Done),
    /// Again after the delay; the attempt is spent.
    Retry {
        /// Zero means at once, behind what waits.
        delay: Duration,
        /// Shown to operators.
        error: String,
    },
    /// Never again; kept among the dead for operators.
    Dead {
        /// Shown to operators.
        reason: String,
    },
    /// Again after the delay; no attempt is spent.
    Snooze {
        /// Zero means at once, behind what waits.
        delay: Duration,
        /// Shown to operators; empty leaves what was there.
        reason: String,
    },
    /// Back to the front of the queue, no attempt spent: this process could not finish it.
    GiveBack,
}

impl Outcome {
    /// Decides what becomes of a job from what its attempt returned.
    ///
    /// `attempt` is [`Envelope::attempt`](crate::Envelope::attempt): the last that `policy`
    /// allows makes a failed job dead. The pause before another attempt is jittered.
    pub fn of(result: Result<Done, JobError>, policy: &Policy, attempt: u32) -> Self {
        match result {
            Ok(done) => Self::Done(done),
            Err(JobError::Dead { reason }) => Self::Dead { reason },
            Err(JobError::Snooze(delay)) => Self::Snooze {
                delay,
                reason: String::new(),
            },
            Err(ref away @ JobError::Unavailable { again_in, .. }) => Self::Snooze {
                delay: again_in,
                reason: away.to_string(),
            },
            Err(refused @ JobError::Refused { .. }) => Self::Snooze {
                delay: REFUSED_PAUSE,
                reason: refused.to_string(),
            },
            Err(failed @ (JobError::Retry(_) | JobError::Partial { .. })) => {
                Self::failed(&failed.to_string(), policy, attempt)
            }
        }
    }

    /// Decides what becomes of a job whose attempt failed for `error` (also a panic or a
    /// time-out): another attempt after the back-off, or dead after the last one.
    pub fn failed(error: &str, policy: &Policy, attempt: u32) -> Self {
        if attempt >= policy.max_attempts {
            return Self::Dead {
                reason: format!("attempt {attempt} of {}: {error}", policy.max_attempts),
            };
        }
        Self::Retry {
            delay: policy.backoff.pause(attempt, crate::jitter::fraction()),
            error: error.to_owned(),
        }
    }
}

impl IntoResponse for Outcome {
    type Output = Self;

    fn into_response(self) -> Result<Self, BoxDynError> {
        Ok(self)
    }
}

/// Cuts a text to what is kept with a job, between two characters.
pub(crate) fn kept(text: &str) -> &str {
    cut(text, LONGEST_TEXT)
}

/// Cuts a text to so many bytes at most, between two characters.
pub(crate) fn cut(text: &str, longest: usize) -> &str {
    let mut end = text.len().min(longest);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_attempt_that_fails_makes_a_job_dead() {
        let policy = Policy::DEFAULT.max_attempts(2);
        let fail = || Err(JobError::from(std::fmt::Error));
        assert!(matches!(
            Outcome::of(fail(), &policy, 1),
            Outcome::Retry { .. }
        ));
        assert!(matches!(
            Outcome::of(fail(), &policy, 2),
            Outcome::Dead { reason } if reason.starts_with("attempt 2 of 2: ")
        ));
    }

    #[test]
    fn snooze_and_refusal_never_kill() {
        let policy = Policy::DEFAULT.max_attempts(1);
        let snooze = Outcome::of(Err(JobError::Snooze(Duration::from_secs(3))), &policy, 9);
        assert!(matches!(snooze, Outcome::Snooze { delay, .. } if delay.as_secs() == 3));
        let reason = "the drift gate is closed".to_owned();
        let refused = Outcome::of(Err(JobError::Refused { reason }), &policy, 9);
        assert!(matches!(refused, Outcome::Snooze { delay, .. } if delay == REFUSED_PAUSE));
    }

    #[test]
    fn long_errors_are_cut_between_characters() {
        let text = "ä".repeat(LONGEST_TEXT);
        assert_eq!(kept(&text).len(), LONGEST_TEXT);
        assert_eq!(kept(&text[..2047 - 1]), &text[..2046]);
        assert_eq!(kept(&format!("a{text}")).len(), LONGEST_TEXT - 1);
    }
}
