//! Says once that schedules wait, and once that they go on.
use std::time::{Duration, Instant};

use super::RoundError;
use crate::supervisor::patience::Patience;
use quayhand_queue::chain;

/// The time since something went wrong in every round.
pub(super) struct Outage {
    since: Option<Instant>,
    patience: Patience,
}

impl Outage {
    pub(super) fn new() -> Self {
        let patience = Patience::new(Duration::from_secs(1), Duration::from_secs(30));
        Self {
            since: None,
            patience,
        }
    }

    /// Notes a failure; returns the pause to take.
    pub(super) fn failed(&mut self, error: &RoundError) -> Duration {
        if self.since.is_none() {
            self.since = Some(Instant::now());
            tracing::warn!("schedules wait, and are tried again: {}", chain(error));
        }
        self.patience.pause()
    }

    /// Notes a success; tells whether an outage ended with it.
    pub(super) fn ended(&mut self) -> bool {
        self.patience.reset();
        let Some(since) = self.since.take() else {
            return false;
        };
        tracing::info!(seconds = since.elapsed().as_secs(), "schedules go on");
        true
    }
}
