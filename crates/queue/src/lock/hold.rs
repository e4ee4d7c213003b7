//! A lock that this process holds, or held.
use std::time::{Duration, Instant};

use super::table::Row;

/// Says since when a lock is held, at the earliest, and so for how long it can be trusted.
///
/// Give it to [`Locks::release`](crate::Locks::release); one that is dropped ends by itself
/// after its time to live.
#[derive(Debug)]
#[must_use = "a lock that is not released blocks others until its time to live ends"]
pub struct Hold {
    name: String,
    token: String,
    since: Instant,
    ttl: Duration,
    _listed: Row,
}

impl Hold {
    pub(super) fn new(
        name: String,
        token: String,
        since: Instant,
        ttl: Duration,
        listed: Row,
    ) -> Self {
        Self {
            name,
            token,
            since,
            ttl,
            _listed: listed,
        }
    }

    /// Returns the lock's name, without the `lock:` of its key.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns how long the lock has been held, at the most: the time since just before it was
    /// asked for, by this process's monotonic clock.
    pub fn held_for(&self) -> Duration {
        self.since.elapsed()
    }

    /// Returns how long the lock is surely still ours, at this moment; zero when it may have
    /// ended. A process that was stopped meanwhile finds zero.
    pub fn time_left(&self) -> Duration {
        self.ttl.saturating_sub(self.held_for())
    }

    pub(super) fn token(&self) -> &str {
        &self.token
    }

    /// Returns the same hold with a new time to live.
    pub(super) fn renewed(self, since: Instant, ttl: Duration) -> Self {
        Self { since, ttl, ..self }
    }
}
