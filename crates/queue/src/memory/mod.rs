//! Queues in this process: the twin of the Redis store, verb for verb.
mod fetch;
mod gates;
mod hosts;
mod leases;
mod line;
mod operate;
mod settle;
mod show;
mod state;
mod verbs;

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use self::state::QueueState;
use crate::{
    Counts, Fetch, Fetched, Finish, Lease, NewJob, Queue, Receipt, Renewed, Shown, State, TakenJob,
    WorkerId, redis::ms,
};

type Clock = dyn Fn() -> u64 + Send + Sync;

/// Holds queues in memory; clones share them. The verbs are those of [`Store`](crate::Store).
#[derive(Clone)]
pub struct MemoryStore {
    clock: Arc<Clock>,
    queues: Arc<Mutex<HashMap<Queue, QueueState>>>,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::with_clock(|| {
            let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
            ms(since_epoch.unwrap_or_default())
        })
    }
}

impl MemoryStore {
    /// Makes an empty store that takes the time from `clock`: milliseconds since the Unix epoch.
    pub fn with_clock(clock: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self {
            clock: Arc::new(clock),
            queues: Arc::default(),
        }
    }

    fn on<T>(&self, queue: &Queue, verb: impl FnOnce(&mut QueueState, u64) -> T) -> T {
        // A panic under the lock is a defect of the state itself; what it left is used on.
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        let now_ms = (self.clock)();
        if let Some(state) = queues.get_mut(queue) {
            return verb(state, now_ms);
        }
        verb(queues.entry(queue.clone()).or_default(), now_ms)
    }

    pub(crate) fn enqueue(&self, queue: &Queue, jobs: &[NewJob]) -> Vec<Receipt> {
        self.on(queue, |state, now_ms| state.enqueue(jobs, now_ms))
    }

    pub(crate) fn fetch(&self, queue: &Queue, fetch: &Fetch<'_>) -> Fetched {
        self.on(queue, |state, now_ms| state.fetch(fetch, now_ms))
    }

    pub(crate) fn adopt(&self, queue: &Queue, worker: &WorkerId, lease: Duration) -> Vec<TakenJob> {
        self.on(queue, |state, now_ms| {
            state.adopt(worker, ms(lease), now_ms)
        })
    }

    pub(crate) fn renew(&self, queue: &Queue, leases: &[Lease], lease: Duration) -> Vec<Renewed> {
        self.on(queue, |state, now_ms| {
            state.renew(leases, ms(lease), now_ms)
        })
    }

    pub(crate) fn finish(&self, queue: &Queue, batch: &[Finish]) -> Vec<bool> {
        self.on(queue, |state, now_ms| state.finish(batch, now_ms))
    }

    pub(crate) fn leave(&self, queue: &Queue, worker: &WorkerId, is_for_good: bool) {
        self.on(queue, |state, now_ms| {
            state.leave(worker, is_for_good, now_ms);
        });
    }

    pub(crate) fn counts(&self, queue: &Queue) -> Counts {
        self.on(queue, |state, _| state.counts())
    }

    pub(crate) fn list(&self, queue: &Queue, of: State, offset: usize, limit: usize) -> Vec<Shown> {
        self.on(queue, |state, _| state.list(of, offset, limit))
    }

    pub(crate) fn get(&self, queue: &Queue, id: &str) -> Option<Shown> {
        self.on(queue, |state, _| state.get(id))
    }

    pub(crate) async fn wait(&self, queue: &Queue, longest: Duration) {
        let wake = self.on(queue, |state, _| Arc::clone(&state.wake));
        if let Ok(Ok(permit)) = tokio::time::timeout(longest, wake.acquire()).await {
            permit.forget();
        }
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemoryStore")
    }
}
