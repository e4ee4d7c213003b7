//! A job that was fetched and waits for a slot; its envelope is read when it gets one, by whoever
//! is to run it.
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tracing::warn;

use super::{
    Taken,
    pool::Pool,
    seat::Seat,
    slots::Slot,
    taken::{Keeping, Ticket},
};
use crate::{Envelope, Outcome, Policy, TakenJob};

/// How long a job of an unknown kind or a newer version waits for another host.
const UNKNOWN_PAUSE: Duration = Duration::from_secs(30);

/// A job and the duty to say what becomes of it. Dropping it gives the job back.
#[derive(Debug)]
pub(super) struct Waiting {
    /// When it came.
    pub(super) since: Instant,
    pub(super) job: TakenJob,
    pub(super) ticket: Ticket,
}

impl Waiting {
    /// Lets the job have a seat; `start` gives it a slot. `None`: it is given back.
    pub(super) fn begin(
        mut self,
        envelope: Arc<Envelope>,
        seat: Seat,
        start: impl FnOnce(&mut Slot),
    ) -> Option<Taken> {
        // One that lost its lease, or was cancelled, while it waited goes back and does not run.
        if !self.ticket.notes.begin(seat.cancelled()) {
            return None;
        }
        start(&mut self.ticket.slot);
        let notes = self.ticket.notes.clone();
        seat.take(self.ticket);
        Some(Taken {
            envelope,
            lease: self.job.lease,
            notes,
            seat,
        })
    }

    /// Reads the envelope, for a job that is to begin at once; one that cannot be run here is settled.
    pub(super) fn read(mut self, pool: &Pool) -> Option<(Self, Arc<Envelope>)> {
        let read = self.job.read().map_err(|reason| {
            warn!(queue = %pool.queue, job.id = &*self.job.lease.id, "a job is dead: {reason}");
            Outcome::Dead { reason }
        });
        match read.and_then(|envelope| Ok((decide(pool, &envelope)?, envelope))) {
            Ok((policy, envelope)) => {
                self.ticket.keeping = keeping(pool, policy, &envelope);
                Some((self, Arc::new(envelope)))
            }
            Err(outcome) => {
                self.ticket.settle(outcome);
                None
            }
        }
    }
}

/// Returns the policy that a job is run by, or what becomes of one that must not be run here.
fn decide<'a>(pool: &'a Pool, envelope: &Envelope) -> Result<&'a Policy, Outcome> {
    let Envelope { kind, version, .. } = envelope;
    let wait = |reason| {
        Err(Outcome::Snooze {
            delay: UNKNOWN_PAUSE,
            reason,
        })
    };
    let Some(policy) = pool.kinds.get(kind) else {
        return wait(format!("no host knows `{kind}` yet"));
    };
    if *version > policy.version {
        return wait(format!("no host knows version {version} of `{kind}` yet"));
    }
    if envelope.attempt > policy.max_attempts {
        let reason = format!("all {} attempts are spent", policy.max_attempts);
        return Err(Outcome::Dead { reason });
    }
    Ok(policy)
}

/// What is needed to keep a record of the attempt that starts now; `None`: none is kept.
fn keeping(pool: &Pool, policy: &Policy, envelope: &Envelope) -> Option<Keeping> {
    let keep_for = policy.keep_for;
    (!keep_for.is_zero()).then(|| Keeping {
        worker: pool.worker.clone(),
        attempt: envelope.attempt,
        since: Instant::now(),
        keep_for,
    })
}
