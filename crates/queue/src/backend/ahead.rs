//! Jobs that were fetched and wait here for a slot.
//!
//! Short jobs end faster than the next ones can be asked for: a pool that runs thousands a second
//! fetches some ahead, as many as it runs in [`AHEAD`]. Where jobs are long that is none. Should
//! one be caught behind long ones, the fetcher gives it back soon.
use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use super::{
    Taken,
    pool::Pool,
    seat::{Follower, Seat},
    slots::{Slot, Slots},
    waiting::Waiting,
};
use crate::{Envelope, LARGEST_BATCH, Rule};

#[cfg(test)]
mod tests;

/// For how long the jobs that wait here will do.
const AHEAD: Duration = Duration::from_millis(10);
/// Longest that a job waits here before it is given back to the queue.
const LONGEST_AHEAD: Duration = Duration::from_millis(50);
/// Least time that says something of how fast jobs end.
const SPAN: Duration = Duration::from_millis(5);

/// The jobs of one pool that wait for a slot, oldest first.
#[derive(Debug)]
pub(super) struct Ahead {
    jobs: Mutex<VecDeque<Waiting>>,
    pool: Arc<Pool>,
    is_closed: AtomicBool,
    /// The first job may not follow another: the worker has to hand it out.
    is_held_up: AtomicBool,
}

impl Ahead {
    pub(super) fn new(pool: Arc<Pool>) -> Arc<Self> {
        Arc::new(Self {
            jobs: Mutex::default(),
            pool,
            is_closed: AtomicBool::new(false),
            is_held_up: AtomicBool::new(false),
        })
    }

    /// Adds jobs; they run when slots are free.
    pub(super) fn add(&self, jobs: impl IntoIterator<Item = Waiting>) {
        self.lock().extend(jobs);
        self.pool.slots.wake_worker();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Says whether none of those that end can take the next job along.
    pub(super) fn is_held_up(&self) -> bool {
        self.is_held_up.load(SeqCst)
    }

    /// Says whether a job has waited too long: those before it are long.
    pub(super) fn is_stuck(&self) -> bool {
        let jobs = self.lock();
        jobs.front()
            .is_some_and(|job| job.since.elapsed() > LONGEST_AHEAD)
    }

    /// Gives the jobs that wait back to the front of their queue.
    pub(super) fn give_back(&self) {
        let jobs = std::mem::take(&mut *self.lock());
        // Dropped without the lock: each says that it is not run.
        drop(jobs);
    }

    /// Gives back what waits; no job comes any more.
    pub(super) fn close(&self) {
        self.is_closed.store(true, SeqCst);
        self.give_back();
        self.pool.slots.wake_worker();
    }

    /// Hands the next job out when there is a slot for it; `None` when none comes any more.
    pub(super) fn poll_next(self: &Arc<Self>, cx: &Context<'_>) -> Poll<Option<Box<Taken>>> {
        if let Some(job) = self.next() {
            return Poll::Ready(Some(job));
        }
        self.pool.slots.register_worker(cx.waker());
        // What came before the registration woke nobody.
        match self.next() {
            Some(job) => Poll::Ready(Some(job)),
            None if self.is_closed.load(SeqCst) => Poll::Ready(None),
            None => Poll::Pending,
        }
    }

    fn next(self: &Arc<Self>) -> Option<Box<Taken>> {
        let pool = &*self.pool;
        self.is_held_up.store(false, SeqCst);
        while pool.slots.are_free() {
            let job = self.lock().pop_front()?;
            let Some((job, envelope)) = job.read(pool) else {
                continue;
            };
            let seat = Seat::new(self);
            let begun = job.begin(envelope, seat, Slot::take);
            if begun.is_some() {
                return begun.map(Box::new);
            }
        }
        None
    }

    /// Hands the next job out to a seat, in whose slot another one ended; that stays taken.
    pub(super) fn follow(
        &self,
        slot: &mut Slot,
        seat: &Seat,
        may_follow: impl Fn(&Envelope) -> bool,
    ) -> Option<Follower> {
        let pool = &*self.pool;
        // Those that are passed over are settled.
        let mut has_woken = false;
        while pool.slots.may_go_on() {
            let job = self.lock().pop_front()?;
            let Some((job, envelope)) = job.read(pool) else {
                has_woken = true;
                continue;
            };
            if !may_follow(&envelope) {
                self.put_back(job);
                return None;
            }
            match job.begin(envelope, seat.clone(), |next| next.take_over(slot)) {
                Some(taken) => return Some(Follower { taken, has_woken }),
                None => has_woken = true,
            }
        }
        None
    }

    /// Puts a job back to the front: the worker hands it out.
    fn put_back(&self, job: Waiting) {
        self.lock().push_front(job);
        self.is_held_up.store(true, SeqCst);
        // Whoever gave all back before did not see it.
        if self.is_closed.load(SeqCst) || self.pool.slots.is_quiet() {
            self.give_back();
        }
        self.pool.slots.wake_worker();
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Waiting>> {
        // Nothing that can panic runs under this lock.
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Measures how fast jobs end, and says how many to fetch ahead.
#[derive(Debug)]
pub(super) struct Pace {
    since: Instant,
    ended: u64,
    ahead: usize,
    most: usize,
}

impl Pace {
    /// Makes the pace of a pool that goes by these rules. A start that a rate let through is spent
    /// also when the job is given back: no more wait here than the slowest rate lets start meanwhile.
    pub(super) fn new(rules: &[Rule]) -> Self {
        let rates = rules.iter().filter_map(|rule| rule.rate);
        let shares = rates.map(|rate| {
            let starts = u128::from(rate.most) * AHEAD.as_micros() / rate.per.as_micros().max(1);
            usize::try_from(starts).unwrap_or(LARGEST_BATCH)
        });
        Self {
            since: Instant::now(),
            ended: 0,
            ahead: 0,
            most: shares.min().unwrap_or(LARGEST_BATCH).min(LARGEST_BATCH),
        }
    }

    /// Returns how many jobs to hold beyond the slots.
    pub(super) fn ahead(&mut self, slots: &Slots) -> usize {
        let span = self.since.elapsed();
        if span >= SPAN {
            let ended = slots.ended();
            let ahead = u128::from(ended - self.ended) * AHEAD.as_micros() / span.as_micros();
            self.ahead = usize::try_from(ahead).map_or(self.most, |n| n.min(self.most));
            (self.since, self.ended) = (Instant::now(), ended);
        }
        self.ahead
    }

    /// Says whether jobs are held beyond the slots.
    pub(super) fn is_ahead(&self) -> bool {
        self.ahead > 0
    }

    /// Fetches none ahead until the jobs are seen to be short again.
    pub(super) fn reset(&mut self, slots: &Slots) {
        (self.since, self.ended, self.ahead) = (Instant::now(), slots.ended(), 0);
    }
}
