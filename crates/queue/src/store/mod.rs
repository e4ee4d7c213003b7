//! The verbs of a queue, over Redis or in memory.
//!
//! Both stores do the same (one suite of tests holds them to it): every verb handles a batch,
//! is bounded, may be repeated after a lost answer, and takes the time from the store's own
//! clock. [`Backend`](crate::Backend) and [`Client`](crate::Client) are built on it.
mod control;
mod hosts;
mod operate;
mod types;
mod why;

use std::time::Duration;

pub(crate) use control::LONGEST_NOTE_BYTES;
pub use control::{BadTarget, Cancelled, Filter, Note, Page, Pause, Renewed, Target};
pub(crate) use hosts::LONGEST_LINE_BYTES;
pub use hosts::{
    About, Ending, MOST_KEPT, MOST_LINES, MOST_RECORDS, PastAttempt, Progress, Record, SeenWorker,
};
pub use types::{
    Counts, Fetch, Fetched, Finish, Kept, Lease, NewJob, Receipt, Shown, State, TakenJob, WorkerId,
};
pub(crate) use why::{Facts, PRESENT_MS};
pub use why::{Span, Why};

use crate::{MemoryStore, Outcome, Queue, QueueError, RedisStore, redis::RedisWaiter};

/// Longest time an idle worker waits before it looks again by itself.
pub const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// Most jobs that one call on the store handles; larger batches are split.
pub const LARGEST_BATCH: usize = 1000;
/// Most dead jobs a queue keeps; the oldest go first.
pub const MOST_DEAD: usize = 10_000;
/// Longest time a dead job is kept.
pub const LONGEST_DEATH: Duration = Duration::from_hours(30 * 24);
/// Most things that are paused in one queue.
pub const MOST_PAUSES: usize = 1000;
/// Processes that a job may take down before it is dead.
pub const MOST_CRASHES: u32 = 3;

/// Holds the jobs of every queue; cheap to clone.
#[derive(Clone, Debug)]
pub enum Store {
    /// In Redis: shared by every process that uses the server.
    Redis(RedisStore),
    /// In this process, for tests and for `job run`: gone with it.
    Memory(MemoryStore),
}

impl From<RedisStore> for Store {
    fn from(store: RedisStore) -> Self {
        Self::Redis(store)
    }
}

impl From<MemoryStore> for Store {
    fn from(store: MemoryStore) -> Self {
        Self::Memory(store)
    }
}

impl Store {
    /// Adds jobs, in order; wakes as many waiting workers as they need.
    ///
    /// A job whose id the queue holds (also among the dead) or whose unique key is taken is
    /// left out; its receipt names the job that is there. Costs one round trip for 1,000 jobs.
    ///
    /// # Errors
    ///
    /// After an error some of the jobs may be enqueued; repeating the call with the same ids
    /// is safe.
    pub async fn enqueue(
        &self,
        queue: &Queue,
        jobs: &[NewJob],
    ) -> Result<Vec<Receipt>, QueueError> {
        match self {
            Self::Redis(store) => store.enqueue(queue, jobs).await,
            Self::Memory(store) => Ok(store.enqueue(queue, jobs)),
        }
    }

    /// Promotes what is due, recovers what its worker lost, and leases the first jobs: by
    /// priority, then tenant after tenant, the oldest first. What [`Fetch::rules`] or a pause
    /// hold back is put aside until it may run.
    ///
    /// Taking a job counts as an attempt. When fewer jobs come than were asked for, the worker
    /// is registered as waiting and [`Fetched::wait`] says for how long.
    ///
    /// # Errors
    ///
    /// After an error jobs may be leased under the worker's name that it never saw: see
    /// [`Self::adopt`].
    pub async fn fetch(&self, queue: &Queue, fetch: &Fetch<'_>) -> Result<Fetched, QueueError> {
        match self {
            Self::Redis(store) => store.fetch(queue, fetch).await,
            Self::Memory(store) => Ok(store.fetch(queue, fetch)),
        }
    }

    /// Returns every job that is leased under the worker's name, with its lease renewed: after
    /// a failed fetch, those it never saw among them are its own.
    ///
    /// # Errors
    ///
    /// When Redis fails; repeat it.
    pub async fn adopt(
        &self,
        queue: &Queue,
        worker: &WorkerId,
        lease: Duration,
    ) -> Result<Vec<TakenJob>, QueueError> {
        match self {
            Self::Redis(store) => store.adopt(queue, worker, lease).await,
            Self::Memory(store) => Ok(store.adopt(queue, worker, lease)),
        }
    }

    /// Renews leases to a whole `lease` from now; answers for each job whether it is still held,
    /// and whether somebody wants it stopped. Jobs that were taken together share a lease, so the
    /// others under a token keep theirs as well.
    ///
    /// # Errors
    ///
    /// When Redis fails; repeat it before the leases end.
    pub async fn renew(
        &self,
        queue: &Queue,
        leases: &[Lease],
        lease: Duration,
    ) -> Result<Vec<Renewed>, QueueError> {
        match self {
            Self::Redis(store) => store.renew(queue, leases, lease).await,
            Self::Memory(store) => Ok(store.renew(queue, leases, lease)),
        }
    }

    /// Settles jobs; answers for each whether it was settled.
    ///
    /// A lease that is no longer held is refused alone, the rest of the batch is settled. After
    /// an error, a refusal may also mean that the lost answer had settled it.
    ///
    /// # Errors
    ///
    /// When Redis fails; repeat it.
    pub async fn finish(&self, queue: &Queue, batch: &[Finish]) -> Result<Vec<bool>, QueueError> {
        match self {
            Self::Redis(store) => store.finish(queue, batch).await,
            Self::Memory(store) => Ok(store.finish(queue, batch)),
        }
    }

    /// Gives jobs back to the front of the queue, in order, without spending an attempt;
    /// answers for each whether its lease was still held.
    ///
    /// # Errors
    ///
    /// As [`Self::finish`].
    pub async fn release(&self, queue: &Queue, leases: &[Lease]) -> Result<Vec<bool>, QueueError> {
        let batch: Vec<Finish> = leases
            .iter()
            .map(|lease| Finish {
                lease: lease.clone(),
                outcome: Outcome::GiveBack,
                kept: None,
            })
            .collect();
        self.finish(queue, &batch).await
    }

    /// Takes a worker off the list of those that wait; for good, off that of those that are.
    ///
    /// # Errors
    ///
    /// When Redis fails; the entries lapse by themselves after a wait, and after a minute.
    pub async fn leave(
        &self,
        queue: &Queue,
        worker: &WorkerId,
        is_for_good: bool,
    ) -> Result<(), QueueError> {
        match self {
            Self::Redis(store) => store.leave(queue, worker, is_for_good).await,
            Self::Memory(store) => {
                store.leave(queue, worker, is_for_good);
                Ok(())
            }
        }
    }

    /// Counts the jobs of a queue by state. Cost does not grow with their number.
    ///
    /// # Errors
    ///
    /// When Redis fails.
    pub async fn counts(&self, queue: &Queue) -> Result<Counts, QueueError> {
        match self {
            Self::Redis(store) => store.counts(queue).await,
            Self::Memory(store) => Ok(store.counts(queue)),
        }
    }

    /// Lists jobs in one state: ready in the order they will be taken (where there are tenants or
    /// priorities, the first 10,000), blocked by what blocks them, delayed and leased by time,
    /// dead by the time of death; `offset` jobs are skipped, at most 1,000 returned.
    ///
    /// # Errors
    ///
    /// When Redis fails.
    pub async fn list(
        &self,
        queue: &Queue,
        state: State,
        offset: usize,
        limit: usize,
    ) -> Result<Vec<Shown>, QueueError> {
        let limit = limit.min(LARGEST_BATCH);
        match self {
            Self::Redis(store) => store.list(queue, state, offset, limit).await,
            Self::Memory(store) => Ok(store.list(queue, state, offset, limit)),
        }
    }

    /// Returns one job; `None` when the queue does not hold it (it is done, or never was).
    ///
    /// # Errors
    ///
    /// When Redis fails.
    pub async fn get(&self, queue: &Queue, id: &str) -> Result<Option<Shown>, QueueError> {
        match self {
            Self::Redis(store) => store.get(queue, id).await,
            Self::Memory(store) => Ok(store.get(queue, id)),
        }
    }

    /// Returns the store with a connection of its own, opened on the runtime that uses it.
    #[must_use]
    pub fn separate(&self) -> Self {
        match self {
            Self::Redis(store) => Self::Redis(store.separate()),
            Self::Memory(store) => Self::Memory(store.clone()),
        }
    }

    /// Returns what an idle worker waits on, with a connection of its own.
    pub(crate) fn waiter(&self, queue: &Queue) -> Waiter {
        match self {
            Self::Redis(store) => Waiter::Redis(store.waiter(queue)),
            Self::Memory(store) => Waiter::Memory(store.clone(), queue.clone()),
        }
    }
}

/// Waits until a queue has work.
pub(crate) enum Waiter {
    Redis(RedisWaiter),
    Memory(MemoryStore, Queue),
}

impl Waiter {
    /// Waits for a wake-up, at most `longest`. Dropping the future gives the wake-up up.
    pub(crate) async fn wait(&mut self, longest: Duration) -> Result<(), QueueError> {
        match self {
            Self::Redis(waiter) => waiter.wait(longest).await,
            Self::Memory(store, queue) => {
                store.wait(queue, longest).await;
                Ok(())
            }
        }
    }
}
