//! The attempts that run in this process: counted for the drain, listed for the dump.
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use quayhand_queue::{Envelope, Queue};
use tokio::sync::Notify;

/// Knows every attempt that runs here. Cheap to clone; clones share one state.
#[derive(Clone, Default)]
pub(crate) struct RunningJobs(Arc<Inner>);

#[derive(Default)]
struct Inner {
    jobs: Mutex<Jobs>,
    /// Notified when the last one ended.
    none: Notify,
}

#[derive(Default)]
struct Jobs {
    last_key: u64,
    by_key: BTreeMap<u64, Listing>,
}

/// One attempt that runs.
#[derive(Clone, Debug)]
pub(crate) struct RunningJob {
    pub(crate) queue: Queue,
    pub(crate) envelope: Arc<Envelope>,
    pub(crate) started: Instant,
}

/// Stands for one entry; dropping it takes the attempt off the list.
pub(crate) struct Entered {
    inner: Arc<Inner>,
    key: u64,
    listing: Listing,
}

/// One entry, for those who change it. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Listing(Arc<Mutex<RunningJob>>);

impl Entered {
    /// Returns the entry; a change is seen while it is on the list.
    pub(crate) fn listing(&self) -> Listing {
        self.listing.clone()
    }
}

impl Listing {
    /// Puts another attempt of the same queue in the place of the one that ended.
    pub(crate) fn goes_on(&self, envelope: &Arc<Envelope>, started: Instant) {
        let mut job = self.lock();
        job.envelope = Arc::clone(envelope);
        job.started = started;
    }

    fn lock(&self) -> MutexGuard<'_, RunningJob> {
        // Nothing that can panic runs under this lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RunningJobs {
    /// Adds an attempt, for as long as the answer lives.
    pub(crate) fn enter(&self, job: RunningJob) -> Entered {
        let mut jobs = self.0.lock();
        jobs.last_key += 1;
        let key = jobs.last_key;
        let listing = Listing(Arc::new(Mutex::new(job)));
        jobs.by_key.insert(key, listing.clone());
        Entered {
            inner: Arc::clone(&self.0),
            key,
            listing,
        }
    }

    /// Counts them.
    pub(crate) fn count(&self) -> usize {
        self.0.lock().by_key.len()
    }

    /// Lists them, the oldest first.
    pub(crate) fn list(&self) -> Vec<RunningJob> {
        let listed: Vec<_> = self.0.lock().by_key.values().cloned().collect();
        let mut jobs: Vec<_> = listed
            .iter()
            .map(|listing| listing.lock().clone())
            .collect();
        jobs.sort_by_key(|job| job.started);
        jobs
    }

    /// Waits until none runs.
    pub(crate) async fn none(&self) {
        loop {
            // Made before the look: what ends in between is not missed.
            let none = self.0.none.notified();
            if self.count() == 0 {
                return;
            }
            none.await;
        }
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Jobs> {
        // Nothing that can panic runs under this lock.
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let mut jobs = self.inner.lock();
        jobs.by_key.remove(&self.key);
        if jobs.by_key.is_empty() {
            self.inner.none.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn an_attempt_is_listed_until_it_ends() {
        let running = RunningJobs::default();
        assert!(running.none().now_or_never().is_some());
        let envelope = r#"{"id":"1","kind":"k","payload":{}}"#;
        let entered = running.enter(RunningJob {
            queue: Queue::new("gc"),
            envelope: Arc::new(serde_json::from_str(envelope).unwrap()),
            started: Instant::now(),
        });
        assert_eq!((running.count(), running.list().len()), (1, 1));
        assert!(running.none().now_or_never().is_none());
        let listing = entered.listing();
        let next = r#"{"id":"2","kind":"k","payload":{}}"#;
        let next = Arc::new(serde_json::from_str(next).unwrap());
        listing.goes_on(&next, Instant::now());
        assert_eq!(running.list()[0].envelope.id, "2");
        drop(entered);
        listing.goes_on(&next, Instant::now());
        assert!(running.none().now_or_never().is_some() && running.list().is_empty());
    }
}
