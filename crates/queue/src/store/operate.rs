//! The verbs by which operators steer a queue and look into it.
use super::{
    About, Cancelled, Filter, Note, Page, PastAttempt, Pause, Progress, SeenWorker, Store, Target,
    Why, WorkerId,
};
use crate::{LARGEST_BATCH, Queue, QueueError};

impl Store {
    /// Pauses a queue, a kind or a tenant: what waits is not taken any more, what runs goes on.
    /// Holds over restarts of workers and hosts; `false`: it was paused already.
    ///
    /// # Errors
    ///
    /// [`QueueError::TooMany`] beyond 1,000 pauses; [`QueueError::Target`] for a name that no job
    /// has; when Redis fails.
    pub async fn pause(
        &self,
        queue: &Queue,
        target: &Target,
        by: &str,
        why: &str,
    ) -> Result<bool, QueueError> {
        let target = target.checked()?;
        match self {
            Self::Redis(store) => store.pause(queue, &target, by, why).await,
            Self::Memory(store) => store.pause(queue, &target, by, why),
        }
    }

    /// Ends a pause; idle workers look at once. `false`: it was not paused.
    ///
    /// # Errors
    ///
    /// When Redis fails; repeat it.
    pub async fn resume(&self, queue: &Queue, target: &Target) -> Result<bool, QueueError> {
        match self {
            Self::Redis(store) => store.resume(queue, target).await,
            Self::Memory(store) => Ok(store.resume(queue, target)),
        }
    }

    /// Lists what is paused in a queue, at most 1,000.
    ///
    /// # Errors
    ///
    /// When Redis fails.
    pub async fn pauses(&self, queue: &Queue) -> Result<Vec<Pause>, QueueError> {
        match self {
            Self::Redis(store) => store.pauses(queue).await,
            Self::Memory(store) => Ok(store.pauses(queue)),
        }
    }

    /// Cancels jobs; answers for each what became of the wish. One round trip for 1,000 jobs.
    ///
    /// What ends is recorded for a day: see [`Self::history`].
    ///
    /// # Errors
    ///
    /// When Redis fails; repeat it.
    pub async fn cancel(
        &self,
        queue: &Queue,
        ids: &[impl AsRef<str> + Sync],
        by: &str,
        why: &str,
    ) -> Result<Vec<Cancelled>, QueueError> {
        let ids: Vec<&str> = ids.iter().map(AsRef::as_ref).collect();
        match self {
            Self::Redis(store) => store.cancel(queue, &ids, by, why).await,
            Self::Memory(store) => Ok(store.cancel(queue, &ids, by, why)),
        }
    }

    /// Puts dead jobs back in line, with all their attempts; answers for each whether it was
    /// dead. One round trip for 1,000 jobs. See [`Client::revive`](crate::Client::revive).
    ///
    /// # Errors
    ///
    /// When Redis fails; repeat it.
    pub async fn retry_dead(
        &self,
        queue: &Queue,
        ids: &[impl AsRef<str> + Sync],
    ) -> Result<Vec<bool>, QueueError> {
        self.settle_dead(queue, ids, true).await
    }

    /// Throws dead jobs away; answers for each whether it was dead.
    ///
    /// # Errors
    ///
    /// When Redis fails; repeat it.
    pub async fn discard_dead(
        &self,
        queue: &Queue,
        ids: &[impl AsRef<str> + Sync],
    ) -> Result<Vec<bool>, QueueError> {
        self.settle_dead(queue, ids, false).await
    }

    async fn settle_dead(
        &self,
        queue: &Queue,
        ids: &[impl AsRef<str> + Sync],
        again: bool,
    ) -> Result<Vec<bool>, QueueError> {
        let ids: Vec<&str> = ids.iter().map(AsRef::as_ref).collect();
        match self {
            Self::Redis(store) => store.settle_dead(queue, &ids, again).await,
            Self::Memory(store) => Ok(store.settle_dead(queue, &ids, again)),
        }
    }

    /// Removes up to `most` jobs (1,000 a call) that wait: ready, delayed and blocked, neither
    /// running nor dead. Returns how many; fewer than `most` means that none was left.
    ///
    /// # Errors
    ///
    /// When Redis fails; some may be gone.
    pub async fn clear(&self, queue: &Queue, most: usize) -> Result<usize, QueueError> {
        let most = most.min(LARGEST_BATCH);
        match self {
            _ if most == 0 => Ok(0),
            Self::Redis(store) => store.clear(queue, most).await,
            Self::Memory(store) => Ok(store.clear(queue, most)),
        }
    }

    /// Looks at some jobs and returns those that fit; `cursor` is where the last page ended,
    /// `None` for the first. A page may be empty with more to come. A job that is there all the
    /// time is found; one may be found twice. Costs one bounded call; all of a queue takes one for
    /// about 500 jobs.
    ///
    /// # Errors
    ///
    /// When Redis fails, or the cursor is none.
    pub async fn find(
        &self,
        queue: &Queue,
        filter: &Filter,
        cursor: Option<&str>,
    ) -> Result<Page, QueueError> {
        match self {
            Self::Redis(store) => store.find(queue, filter, cursor).await,
            Self::Memory(store) => Ok(store.find(queue, filter, cursor)),
        }
    }

    /// Says why a job is not running. One round trip.
    ///
    /// # Errors
    ///
    /// When Redis fails.
    pub async fn why(&self, queue: &Queue, id: &str) -> Result<Why, QueueError> {
        match self {
            Self::Redis(store) => store.why(queue, id).await,
            Self::Memory(store) => Ok(store.why(queue, id)),
        }
    }

    /// Tells what a worker is and which kinds it knows; throws away what is too old of the queue:
    /// records, dead jobs, silent workers, kinds that nobody knows.
    ///
    /// # Errors
    ///
    /// When Redis fails; it is told again in ten seconds.
    pub async fn register(
        &self,
        queue: &Queue,
        worker: &WorkerId,
        about: &About,
    ) -> Result<(), QueueError> {
        match self {
            Self::Redis(store) => store.register(queue, worker, about).await,
            Self::Memory(store) => {
                store.register(queue, worker, about);
                Ok(())
            }
        }
    }

    /// Lists the workers that called within a minute, at most 1,000.
    ///
    /// # Errors
    ///
    /// When Redis fails.
    pub async fn workers(&self, queue: &Queue) -> Result<Vec<SeenWorker>, QueueError> {
        match self {
            Self::Redis(store) => store.workers(queue).await,
            Self::Memory(store) => Ok(store.workers(queue)),
        }
    }

    /// Notes how far running jobs are; answers for each whether its lease is held.
    ///
    /// # Errors
    ///
    /// When Redis fails.
    pub async fn note(&self, queue: &Queue, notes: &[Progress]) -> Result<Vec<bool>, QueueError> {
        match self {
            Self::Redis(store) => store.note(queue, notes).await,
            Self::Memory(store) => Ok(store.note(queue, notes)),
        }
    }

    /// Returns what is kept of a job's attempts, the oldest first; also of one that is done. Empty
    /// when nothing is kept.
    ///
    /// # Errors
    ///
    /// When Redis fails.
    pub async fn history(&self, queue: &Queue, id: &str) -> Result<Vec<PastAttempt>, QueueError> {
        match self {
            Self::Redis(store) => store.history(queue, id).await,
            Self::Memory(store) => {
                let records = store.history(queue, id);
                Ok(records.into_iter().map(PastAttempt::from).collect())
            }
        }
    }

    /// Says whether anybody wants a running job of the queue stopped. One cheap command.
    ///
    /// # Errors
    ///
    /// When Redis fails.
    pub(crate) async fn wants_stops(&self, queue: &Queue) -> Result<bool, QueueError> {
        match self {
            Self::Redis(store) => store.wants_stops(queue).await,
            Self::Memory(store) => Ok(store.wants_stops(queue)),
        }
    }
}

impl Note {
    /// Cuts who and why to what is kept.
    pub(crate) fn made(at_ms: u64, by: &str, why: &str) -> Self {
        let cut = |text: &str| crate::settle::cut(text, super::LONGEST_NOTE_BYTES).to_owned();
        Self {
            at_ms,
            by: cut(by),
            why: cut(why),
        }
    }
}
