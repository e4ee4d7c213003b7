//! How a kind of job wants to be run: all data, no behaviour.
use std::time::Duration;

use crate::{KeyBy, Limit, Rate, UniqueMode};

/// Says how long, how often and how patiently the attempts of one kind run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Longest time of one attempt. The job's stop token is cancelled then; five seconds
    /// later the attempt is dropped.
    pub timeout: Duration,
    /// Attempts, the first included, before the job is dead. At least 1.
    pub max_attempts: u32,
    /// Pauses between attempts.
    pub backoff: Backoff,
    /// While a job of this kind with an equal payload is queued or running, another is
    /// not enqueued; the mark goes with the job and at the latest after this time.
    /// `None`: equal jobs may queue side by side.
    pub unique_for: Option<Duration>,
    /// What happens to an equal job, when [`Self::unique_for`] is set.
    pub unique_mode: UniqueMode,
    /// Which jobs of the kind are equal; `None`: those with the same payload.
    pub unique_by: Option<KeyBy>,
    /// Higher goes first, over all tenants; 0 is ordinary. A placement may say otherwise.
    pub priority: i8,
    /// How many run at a time, over all hosts; `None`: as many as there are slots.
    pub limit: Option<Limit>,
    /// How many start in a time, over all hosts; `None`: any.
    pub rate: Option<Rate>,
    /// How long a record of each attempt is kept: outcome, counts, error, last log lines. Zero
    /// keeps none and costs nothing. At most ten attempts a job, and a thousand jobs a queue.
    pub keep_for: Duration,
    /// Version of the payload. A host leaves newer versions than its own in the queue.
    pub version: u32,
}

/// Doubling pauses between the attempts of a job, with jitter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// Pause before the second attempt.
    pub first: Duration,
    /// Longest pause.
    pub longest: Duration,
}

impl Backoff {
    /// Five seconds, doubling, at most an hour.
    pub const DEFAULT: Self = Self {
        first: Duration::from_secs(5),
        longest: Duration::from_hours(1),
    };

    /// Returns the pause after attempt number `attempt` (1 is the first).
    ///
    /// `jitter` in 0.0 to 1.0 spreads the pause over 50 % to 100 % of its full length, so
    /// that jobs which failed together do not come back together.
    #[must_use]
    pub fn pause(&self, attempt: u32, jitter: f64) -> Duration {
        let doublings = attempt.saturating_sub(1).min(31);
        let full = self.first.saturating_mul(1 << doublings).min(self.longest);
        full.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0)
    }
}

impl Policy {
    /// Five minutes, ten attempts, [`Backoff::DEFAULT`], not unique, unlimited, ordinary priority,
    /// no records, version 1.
    pub const DEFAULT: Self = Self {
        timeout: Duration::from_mins(5),
        max_attempts: 10,
        backoff: Backoff::DEFAULT,
        unique_for: None,
        unique_mode: UniqueMode::WhileQueuedOrRunning,
        unique_by: None,
        priority: 0,
        limit: None,
        rate: None,
        keep_for: Duration::ZERO,
        version: 1,
    };

    /// Returns the policy with another time limit.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Returns the policy with another number of attempts.
    #[must_use]
    pub const fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = attempts;
        self
    }

    /// Returns the policy with equal jobs kept out while one is queued or running.
    #[must_use]
    pub const fn unique_for(mut self, at_most: Duration) -> Self {
        self.unique_for = Some(at_most);
        self
    }

    /// Returns the policy with another way to keep equal jobs apart.
    #[must_use]
    pub const fn unique_mode(mut self, mode: UniqueMode) -> Self {
        self.unique_mode = mode;
        self
    }

    /// Returns the policy with jobs equal that share less than the whole payload.
    #[must_use]
    pub const fn unique_by(mut self, by: KeyBy) -> Self {
        self.unique_by = Some(by);
        self
    }

    /// Returns the policy with another priority.
    #[must_use]
    pub const fn priority(mut self, priority: i8) -> Self {
        self.priority = priority;
        self
    }

    /// Returns the policy with at most `most` jobs running at a time, over all hosts.
    #[must_use]
    pub const fn limit(mut self, most: u32, by: KeyBy) -> Self {
        self.limit = Some(Limit { most, by });
        self
    }

    /// Returns the policy with at most `most` jobs starting in a time, over all hosts.
    #[must_use]
    pub const fn rate(mut self, most: u32, per: Duration, by: KeyBy) -> Self {
        self.rate = Some(Rate { most, per, by });
        self
    }

    /// Returns the policy with a record of each attempt kept.
    #[must_use]
    pub const fn keep_for(mut self, at_most: Duration) -> Self {
        self.keep_for = at_most;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let pauses: Vec<_> = [1, 2, 3, 100]
            .map(|n| Backoff::DEFAULT.pause(n, 1.0).as_secs())
            .into();
        assert_eq!(pauses, [5, 10, 20, 3600]);
        assert_eq!(
            Backoff::DEFAULT.pause(1, 0.0),
            Duration::from_millis(2500),
            "jitter takes at most half"
        );
    }
}
