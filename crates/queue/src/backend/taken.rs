//! A job in the hands of this process, from its fetch to its finish.
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::{finisher::Finisher, running::Running, slots::Slot};
use crate::{Envelope, Finish, Lease, Outcome};

/// A job that a worker is to run: what apalis hands to the handler.
///
/// One that is dropped before the worker called its handler goes back to the front of the
/// queue, without an attempt spent.
#[derive(Debug)]
pub struct Taken {
    /// Who the job is and what it asks for.
    pub envelope: Envelope,
    /// The hold on it.
    pub lease: Lease,
    /// Cancelled when the lease is lost: somebody else may run the job now, and the outcome of
    /// this attempt will be refused.
    pub cancelled: CancellationToken,
    pub(super) ticket: Option<Ticket>,
}

impl Taken {
    /// Makes a text that no other attempt has: the token and the id.
    pub(super) fn token(&self) -> String {
        format!("{}:{}", self.lease.token, self.lease.id)
    }
}

/// The duty to say what became of a job. Dropping it unfulfilled gives the job back.
#[derive(Debug)]
pub(super) struct Ticket {
    lease: Option<Lease>,
    running: Arc<Running>,
    finisher: Finisher,
    _slot: Slot,
}

impl Ticket {
    pub(super) fn new(lease: Lease, running: Arc<Running>, finisher: Finisher, slot: Slot) -> Self {
        Self {
            lease: Some(lease),
            running,
            finisher,
            _slot: slot,
        }
    }

    /// Says what became of the job and frees its slot.
    pub(super) fn settle(mut self, outcome: Outcome) {
        self.commit(outcome);
    }

    fn commit(&mut self, outcome: Outcome) {
        if let Some(lease) = self.lease.take() {
            self.running.end(&lease);
            self.finisher.commit(Finish { lease, outcome });
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let outcome = if std::thread::panicking() {
            // The supervisor catches panics of jobs. One that came through is a defect around
            // the job; it counts, so that it cannot go on for ever.
            Outcome::Retry {
                delay: crate::REFUSED_PAUSE,
                error: "the worker panicked".to_owned(),
            }
        } else {
            Outcome::GiveBack
        };
        self.commit(outcome);
    }
}
