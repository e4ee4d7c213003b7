//! Quay's lock around purges, `lock:LARGE_GARBAGE_COLLECTION`: one purge of a repository or
//! a namespace at a time in the whole registry, Quay's workers and ours alike.
//!
//! Quay holds it for three hours, so that a worker which died keeps all others out for as
//! long. Here it ends within a minute and is renewed between batches. It is a courtesy: what
//! makes a purge safe are the locks on its rows.
use std::time::Duration;

use quayhand_queue::{Hold, JobError, Locks};

use crate::{Ctx, Locking};

const NAME: &str = "LARGE_GARBAGE_COLLECTION";
const TTL: Duration = Duration::from_mins(1);
/// With less than this left, the lock is renewed.
const RENEW_BELOW: Duration = Duration::from_secs(45);
/// When to try again while another purge runs, or Redis is out of reach.
const AGAIN_IN: Duration = Duration::from_mins(1);

/// The lock, held; or nothing to hold, when no Redis for locks is configured.
pub(crate) struct LargeLock(Option<(Locks, Hold)>);

impl LargeLock {
    /// Takes the lock without waiting.
    ///
    /// # Errors
    ///
    /// [`JobError::Snooze`] while another purge holds it, for an operator
    /// [`JobError::Partial`] instead; [`JobError::Unavailable`] without Redis.
    pub(crate) async fn take(ctx: &Ctx) -> Result<Self, JobError> {
        let Locking::Redis(locks) = &ctx.locks else {
            return Ok(Self(None));
        };
        match locks.try_acquire(NAME, TTL).await.map_err(unavailable)? {
            Some(hold) => Ok(Self(Some((locks.clone(), hold)))),
            None if ctx.options.by_hand => Err(JobError::Partial {
                done: quayhand_queue::Done::default(),
                left: vec![format!(
                    "another purge, of Quay or of ours, holds `lock:{NAME}`: try again later"
                )],
            }),
            None => Err(JobError::Snooze(AGAIN_IN)),
        }
    }

    /// Renews the lock when its end is near; `false` when it ended, so that another purge
    /// may have begun.
    ///
    /// # Errors
    ///
    /// [`JobError::Unavailable`] without Redis.
    pub(crate) async fn keep(&mut self) -> Result<bool, JobError> {
        let Some((locks, hold)) = self.0.take_if(|(_, hold)| hold.time_left() < RENEW_BELOW) else {
            return Ok(true);
        };
        let renewed = locks.renew(hold, TTL).await.map_err(unavailable)?;
        let kept = renewed.is_some();
        self.0 = renewed.map(|hold| (locks, hold));
        Ok(kept)
    }

    /// Releases the lock; one that cannot be released ends by itself within a minute.
    pub(crate) async fn release(self) {
        let Some((locks, hold)) = self.0 else { return };
        if let Err(error) = locks.release(hold).await {
            tracing::warn!(%error, "`lock:{NAME}` was not released; it ends by itself");
        }
    }
}

fn unavailable(error: quayhand_queue::QueueError) -> JobError {
    JobError::Unavailable {
        source: error.into(),
        again_in: AGAIN_IN,
    }
}
