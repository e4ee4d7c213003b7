//! How many jobs a pool may run at a time, and how many it holds.
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst},
    },
    task::Waker,
};

use futures::task::AtomicWaker;
use tokio::sync::{Notify, watch};

/// Counts the slots of a pool; their number may change while it runs.
///
/// A job is held from its fetch to its end, and has a slot while it runs. Only the fetcher adds
/// jobs and only the worker takes free slots, so what either saw free stays free until it takes it; a
/// job that follows another takes over its slot.
#[derive(Debug)]
pub(super) struct Slots {
    all: AtomicUsize,
    used: AtomicUsize,
    held: AtomicUsize,
    /// Jobs that ran and left their slots free, ever.
    left: AtomicU64,
    /// Jobs that took the slot of one that ended, ever.
    followed: AtomicU64,
    /// No job is taken and none starts. Each job asks.
    is_quiet: AtomicBool,
    /// Tells those who wait for that.
    quiet: watch::Sender<bool>,
    /// The fetcher waits until fewer jobs than this are held; 0: it does not.
    wanted: AtomicUsize,
    changed: Notify,
    /// The worker, when it waits for a job or a slot.
    worker: AtomicWaker,
}

impl Slots {
    pub(super) fn new(all: usize) -> Arc<Self> {
        Arc::new(Self {
            all: AtomicUsize::new(all),
            used: AtomicUsize::new(0),
            held: AtomicUsize::new(0),
            left: AtomicU64::new(0),
            followed: AtomicU64::new(0),
            is_quiet: AtomicBool::new(false),
            quiet: watch::Sender::new(false),
            wanted: AtomicUsize::new(0),
            changed: Notify::new(),
            worker: AtomicWaker::new(),
        })
    }

    pub(super) fn all(&self) -> usize {
        self.all.load(SeqCst)
    }

    pub(super) fn used(&self) -> usize {
        self.used.load(SeqCst)
    }

    pub(super) fn held(&self) -> usize {
        self.held.load(SeqCst)
    }

    /// Counts the jobs that ran and ended, ever.
    pub(super) fn ended(&self) -> u64 {
        self.left.load(SeqCst) + self.followed()
    }

    pub(super) fn followed(&self) -> u64 {
        self.followed.load(SeqCst)
    }

    /// Says whether a job may start.
    pub(super) fn are_free(&self) -> bool {
        self.used() < self.all() && !self.is_quiet()
    }

    /// Says whether a job may start in the slot of one that ended.
    pub(super) fn may_go_on(&self) -> bool {
        self.used() <= self.all() && !self.is_quiet()
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.is_quiet.load(SeqCst)
    }

    /// Tells when the pool becomes quiet, or is so no more.
    pub(super) fn quiet(&self) -> watch::Receiver<bool> {
        self.quiet.subscribe()
    }

    /// Lets no job start, or jobs start again.
    pub(super) fn set_quiet(&self, is_quiet: bool) {
        self.is_quiet.store(is_quiet, SeqCst);
        self.quiet.send_replace(is_quiet);
        self.wake_worker();
    }

    /// Changes the number; jobs that run beyond it run to their end.
    pub(super) fn resize(&self, all: usize) {
        self.all.store(all, SeqCst);
        self.changed.notify_one();
        self.wake_worker();
    }

    /// Waits until fewer jobs than this are held, or the slots were resized. For the fetcher alone.
    pub(super) async fn fewer_than(&self, jobs: usize) {
        self.wanted.store(jobs, SeqCst);
        let _forget = Forget(&self.wanted);
        // What ends after this look notifies: nothing is missed in between.
        if self.held() >= jobs {
            self.changed.notified().await;
        }
    }

    /// Has the worker woken by the next job or free slot.
    pub(super) fn register_worker(&self, waker: &Waker) {
        self.worker.register(waker);
    }

    pub(super) fn wake_worker(&self) {
        self.worker.wake();
    }

    /// Adds a job that was fetched.
    pub(super) fn hold(self: &Arc<Self>) -> Slot {
        self.held.fetch_add(1, SeqCst);
        Slot {
            slots: self.clone(),
            is_held: true,
            is_taken: false,
        }
    }
}

/// Forgets what the fetcher waits for when it does no more, also when it gave up.
struct Forget<'a>(&'a AtomicUsize);

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.0.store(0, SeqCst);
    }
}

/// The place of one job; dropping it frees it.
#[derive(Debug)]
pub(super) struct Slot {
    slots: Arc<Slots>,
    is_held: bool,
    is_taken: bool,
}

impl Slot {
    /// Takes a slot for the job, which runs from now on.
    pub(super) fn take(&mut self) {
        self.is_taken = true;
        self.slots.used.fetch_add(1, SeqCst);
    }

    /// Takes the slot of a job that ended.
    pub(super) fn take_over(&mut self, other: &mut Self) {
        if !std::mem::take(&mut other.is_taken) {
            return self.take();
        }
        self.is_taken = true;
        self.slots.followed.fetch_add(1, SeqCst);
    }

    pub(super) fn is_taken(&self) -> bool {
        self.is_taken
    }

    /// Frees the place before it is dropped; says whether that woke the fetcher.
    pub(super) fn free(&mut self) -> bool {
        if !std::mem::take(&mut self.is_held) {
            return false;
        }
        let slots = &self.slots;
        if std::mem::take(&mut self.is_taken) {
            slots.used.fetch_sub(1, SeqCst);
            slots.left.fetch_add(1, SeqCst);
            slots.wake_worker();
        }
        let held = slots.held.fetch_sub(1, SeqCst) - 1;
        let is_wanted = held < slots.wanted.load(SeqCst);
        if is_wanted {
            slots.changed.notify_one();
        }
        is_wanted
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.free();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn running_jobs_outlive_a_smaller_pool() {
        let slots = Slots::new(3);
        let mut held = [slots.hold(), slots.hold(), slots.hold()];
        held[0].take();
        held[1].take();
        assert_eq!((slots.held(), slots.used(), slots.ended()), (3, 2, 0));
        assert!(slots.are_free());
        slots.set_quiet(true);
        assert!(!slots.are_free());
        slots.set_quiet(false);
        slots.resize(1);
        assert!(!slots.are_free() && slots.used() == 2);
        drop(held);
        assert_eq!((slots.held(), slots.used(), slots.ended()), (0, 0, 2));
        assert!(slots.are_free());
    }

    #[tokio::test]
    async fn the_fetcher_is_told_when_few_enough_are_held() {
        let slots = Slots::new(3);
        let mut held = vec![slots.hold(), slots.hold(), slots.hold()];
        assert!(slots.fewer_than(4).now_or_never().is_some());
        let mut few = Box::pin(slots.fewer_than(2));
        assert!(few.as_mut().now_or_never().is_none());
        held.pop();
        assert!(few.as_mut().now_or_never().is_none());
        held.pop();
        assert!(few.as_mut().now_or_never().is_some());
        drop(few);
        let mut resized = Box::pin(slots.fewer_than(0));
        assert!(resized.as_mut().now_or_never().is_none());
        slots.resize(1);
        assert!(resized.now_or_never().is_some());
    }
}
