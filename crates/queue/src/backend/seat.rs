//! Where in a pool a job runs, and how the next one follows it there.
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio_util::sync::CancellationToken;

use super::{Taken, ahead::Ahead, taken::Ticket};
use crate::{Envelope, Outcome};

/// Stands for a slot that a job runs in, and for the duty to say what became of the job. Cheap to
/// clone; clones are the same seat.
///
/// [`AckLayer`](super::AckLayer) settles the job that has the seat with what the handler returns.
/// A handler that ends short jobs may settle one itself and run the next in the same place, without
/// the way through apalis: [`Seat::go_on`].
#[derive(Clone, Debug)]
pub struct Seat {
    shared: Arc<Shared>,
}

/// A job that follows another.
#[derive(Debug)]
pub struct Follower {
    /// The job.
    pub taken: Taken,
    /// What was settled before it has woken a task of the pool, or may have. The runtime may keep that
    /// task in a place of this thread from which no other takes it: let it run before the job, which may
    /// block.
    pub has_woken: bool,
}

#[derive(Debug)]
struct Shared {
    /// The duty of the job that runs here; none when it is settled and nobody followed.
    ticket: Mutex<Option<Ticket>>,
    /// A job that blocks its thread keeps no pool alive.
    ahead: Weak<Ahead>,
    cancelled: Arc<CancellationToken>,
}

impl Seat {
    /// Makes an empty seat.
    pub(super) fn new(ahead: &Arc<Ahead>) -> Self {
        let shared = Shared {
            ticket: Mutex::default(),
            ahead: Arc::downgrade(ahead),
            cancelled: Arc::default(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Returns what is cancelled for the job that has the seat. All that follow each other share it:
    /// none follows one that was cancelled.
    pub(super) fn cancelled(&self) -> &Arc<CancellationToken> {
        &self.shared.cancelled
    }

    /// Lets a job have the seat.
    pub(super) fn take(&self, ticket: Ticket) {
        *self.lock() = Some(ticket);
    }

    /// Settles the job that has the seat, if any has, by which attempt it is.
    pub(super) fn settle(&self, outcome: impl FnOnce(u32) -> Outcome) {
        if let Some(ticket) = self.leave() {
            let outcome = outcome(ticket.attempt);
            ticket.settle(outcome);
        }
    }

    /// Takes the job out of the seat, if there is one.
    pub(super) fn leave(&self) -> Option<Ticket> {
        self.lock().take()
    }

    /// Settles the job that has the seat and returns the next one that waits for a slot, which has it
    /// now; it may be of any kind, and `may_follow` refuses those that must not run here.
    ///
    /// `None` ends it: the slot is free, and nothing is left for the handler to say. That is so when
    /// no job waits, the next may not follow, the pool is quiet or has fewer slots now, the job was
    /// cancelled or had lost its lease, or was settled before. Costs a few locks and no call.
    ///
    /// A worker is not asked to stop while its jobs follow each other: who stops one makes its pool
    /// quiet first, or answers `false` for all.
    pub fn go_on(
        &self,
        outcome: Outcome,
        may_follow: impl Fn(&Envelope) -> bool,
    ) -> Option<Follower> {
        let mut ticket = self.leave()?;
        let has_woken = ticket.commit(outcome);
        // It has ended, and nobody cancels it any more.
        if self.shared.cancelled.is_cancelled() {
            return None;
        }
        let ahead = self.shared.ahead.upgrade()?;
        let mut follower = ahead.follow(&mut ticket.slot, self, may_follow)?;
        follower.has_woken |= has_woken | ticket.slot.free();
        Some(follower)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Ticket>> {
        // Nothing that can panic runs under this lock.
        self.shared
            .ticket
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
