//! A job in the hands of this process, from its fetch to its finish.
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;

use super::{Notes, Seat, finisher::Finisher, slots::Slot};
use crate::{Envelope, Finish, Kept, Lease, Outcome, Record, WorkerId};

/// A job that a worker is to run: what apalis hands to the handler.
///
/// One that is dropped before the worker called its handler goes back to the front of the
/// queue, without an attempt spent.
#[derive(Debug)]
pub struct Taken {
    /// Who the job is and what it asks for.
    pub envelope: Arc<Envelope>,
    /// The hold on it.
    pub lease: Lease,
    /// Where the attempt says how far it is.
    pub notes: Notes,
    /// Where it runs.
    pub seat: Seat,
}

impl Taken {
    /// Returns what is cancelled when the lease is lost: somebody else may run the job now, and the
    /// outcome of this attempt will be refused. Cancelled as well when somebody cancelled the job:
    /// then an outcome other than done ends it.
    pub fn cancelled(&self) -> &CancellationToken {
        self.seat.cancelled()
    }

    /// Makes a text that no other attempt has: the token and the id.
    pub(super) fn token(&self) -> String {
        let Lease { id, token } = &self.lease;
        [&**token, ":", id].concat()
    }
}

/// The duty to say what became of a job. Dropping it unfulfilled gives the job back.
#[derive(Debug)]
pub(super) struct Ticket {
    pub(super) lease: Option<Lease>,
    pub(super) attempt: u32,
    pub(super) notes: Notes,
    pub(super) finisher: Finisher,
    /// Freed with the ticket.
    pub(super) slot: Slot,
    /// What is kept of the attempt; `None`: nothing.
    pub(super) keeping: Option<Keeping>,
}

/// What is needed to keep a record of an attempt.
#[derive(Debug)]
pub(super) struct Keeping {
    pub(super) worker: WorkerId,
    pub(super) attempt: u32,
    /// When the job began to run.
    pub(super) since: Instant,
    pub(super) keep_for: Duration,
}

impl Keeping {
    fn kept(self, outcome: &Outcome, notes: &Notes) -> Kept {
        let lines = notes.lines();
        Kept {
            record: Record::of(outcome, self.attempt, &self.worker, lines),
            took: self.since.elapsed(),
            keep_for: self.keep_for,
        }
    }
}

impl Ticket {
    /// Says what became of the job and frees its slot.
    pub(super) fn settle(mut self, outcome: Outcome) {
        self.commit(outcome);
    }

    /// Says what became of the job, once; its slot stays taken. Returns whether that woke a task.
    pub(super) fn commit(&mut self, outcome: Outcome) -> bool {
        let Some(lease) = self.lease.take() else {
            return false;
        };
        self.notes.end();
        // There is nothing to say of an attempt that did not begin.
        let keeping = self.keeping.take().filter(|_| self.slot.is_taken());
        self.finisher.commit(Finish {
            lease,
            kept: keeping.map(|keeping| Box::new(keeping.kept(&outcome, &self.notes))),
            outcome,
        })
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.commit(Outcome::GiveBack);
    }
}
