//! Says once that a loop waits for a server, and once that it goes on.
use std::{
    error::Error,
    time::{Duration, Instant},
};

use quayhand_queue::chain;

use super::patience::Patience;

/// The time since something went wrong in every round of a loop.
pub(super) struct Outage {
    /// Who waits, as the log says it: a plural.
    who: &'static str,
    since: Option<Instant>,
    patience: Patience,
}

impl Outage {
    /// Starts well. The pauses after failures grow from a second to `longest`.
    pub(super) fn new(who: &'static str, longest: Duration) -> Self {
        Self {
            who,
            since: None,
            patience: Patience::new(Duration::from_secs(1), longest),
        }
    }

    /// Notes a failure; returns the pause to take.
    pub(super) fn failed(&mut self, error: &(dyn Error + 'static)) -> Duration {
        if self.since.is_none() {
            self.since = Some(Instant::now());
            let who = self.who;
            tracing::warn!("{who} wait, and are tried again: {}", chain(error));
        }
        self.patience.pause()
    }

    /// Notes a success; tells whether an outage ended with it.
    pub(super) fn ended(&mut self) -> bool {
        self.patience.reset();
        let Some(since) = self.since.take() else {
            return false;
        };
        let who = self.who;
        tracing::info!(seconds = since.elapsed().as_secs(), "{who} go on");
        true
    }
}
