//! How many jobs a pool may run at a time.
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::Notify;

/// Counts the slots of a pool; their number may change while it runs.
///
/// Only the fetcher takes slots, so what it saw free stays free until it takes it.
#[derive(Debug)]
pub(super) struct Slots {
    all: AtomicUsize,
    used: AtomicUsize,
    changed: Notify,
}

impl Slots {
    pub(super) fn new(all: usize) -> Arc<Self> {
        Arc::new(Self {
            all: AtomicUsize::new(all),
            used: AtomicUsize::new(0),
            changed: Notify::new(),
        })
    }

    pub(super) fn all(&self) -> usize {
        self.all.load(Ordering::Acquire)
    }

    pub(super) fn used(&self) -> usize {
        self.used.load(Ordering::Acquire)
    }

    /// Changes the number; jobs that run beyond it run to their end.
    pub(super) fn resize(&self, all: usize) {
        self.all.store(all, Ordering::Release);
        self.changed.notify_one();
    }

    pub(super) fn free(&self) -> usize {
        self.all().saturating_sub(self.used())
    }

    /// Waits until the number of free slots may have grown.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    pub(super) fn take(self: &Arc<Self>) -> Slot {
        self.used.fetch_add(1, Ordering::AcqRel);
        Slot(self.clone())
    }
}

/// One taken slot; dropping it frees it.
#[derive(Debug)]
pub(super) struct Slot(Arc<Slots>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.used.fetch_sub(1, Ordering::AcqRel);
        self.0.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn running_jobs_outlive_a_smaller_pool() {
        let slots = Slots::new(3);
        let taken = [slots.take(), slots.take()];
        assert_eq!(slots.free(), 1);
        slots.resize(1);
        assert_eq!((slots.free(), slots.used()), (0, 2));
        drop(taken);
        assert_eq!(slots.free(), 1);
    }
}
