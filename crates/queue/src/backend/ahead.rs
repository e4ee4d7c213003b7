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

use super::{Taken, slots::Slots};
use crate::{LARGEST_BATCH, Rule};

/// For how long the jobs that wait here will do.
const AHEAD: Duration = Duration::from_millis(10);
/// Longest that a job waits here before it is given back to the queue.
const LONGEST_AHEAD: Duration = Duration::from_millis(50);
/// Least time that says something of how fast jobs end.
const SPAN: Duration = Duration::from_millis(5);

/// Jobs, each with the time when it came, oldest first.
type Waiting = VecDeque<(Instant, Box<Taken>)>;

/// The jobs of one pool that wait for a slot.
#[derive(Debug)]
pub(super) struct Ahead {
    jobs: Mutex<Waiting>,
    slots: Arc<Slots>,
    is_closed: AtomicBool,
}

impl Ahead {
    pub(super) fn new(slots: Arc<Slots>) -> Arc<Self> {
        Arc::new(Self {
            jobs: Mutex::default(),
            slots,
            is_closed: AtomicBool::new(false),
        })
    }

    /// Adds jobs; they run when slots are free.
    pub(super) fn add(&self, jobs: VecDeque<Box<Taken>>) {
        if !jobs.is_empty() {
            let now = Instant::now();
            self.lock().extend(jobs.into_iter().map(|job| (now, job)));
            self.slots.wake_worker();
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Says whether a job has waited too long: those before it are long.
    pub(super) fn is_stuck(&self) -> bool {
        let jobs = self.lock();
        jobs.front()
            .is_some_and(|(since, _)| since.elapsed() > LONGEST_AHEAD)
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
        self.slots.wake_worker();
    }

    /// Hands the next job out when there is a slot for it; `None` when none comes any more.
    pub(super) fn poll_next(&self, cx: &Context<'_>) -> Poll<Option<Box<Taken>>> {
        if let Some(job) = self.next() {
            return Poll::Ready(Some(job));
        }
        self.slots.register_worker(cx.waker());
        // What came before the registration woke nobody.
        match self.next() {
            Some(job) => Poll::Ready(Some(job)),
            None if self.is_closed.load(SeqCst) => Poll::Ready(None),
            None => Poll::Pending,
        }
    }

    fn next(&self) -> Option<Box<Taken>> {
        while self.slots.are_free() {
            let (_, mut job) = self.lock().pop_front()?;
            // One that lost its lease, or was cancelled, while it waited goes back and does not run.
            if !job.cancelled.is_cancelled() {
                job.start();
                return Some(job);
            }
        }
        None
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
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

    /// Fetches none ahead until the jobs are seen to be short again.
    pub(super) fn reset(&mut self, slots: &Slots) {
        (self.since, self.ended, self.ahead) = (Instant::now(), slots.ended(), 0);
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::{Envelope, KeyBy, Lease, Policy};

    fn waiting(id: &str) -> Box<Taken> {
        let envelope = format!(r#"{{"id":"{id}","kind":"test","payload":{{}}}}"#);
        let lease = Lease {
            id: id.to_owned(),
            token: "token".into(),
        };
        Box::new(Taken {
            envelope: Arc::new(Envelope::read(envelope.as_bytes()).unwrap()),
            lease,
            cancelled: CancellationToken::new(),
            notes: crate::Notes::default(),
            ticket: None,
        })
    }

    #[test]
    fn what_was_cancelled_while_it_waited_does_not_start() {
        let ahead = Ahead::new(Slots::new(1));
        let jobs = VecDeque::from(["gone", "next"].map(waiting));
        jobs[0].cancelled.cancel();
        ahead.add(jobs);
        let cx = Context::from_waker(Waker::noop());
        let Poll::Ready(Some(job)) = ahead.poll_next(&cx) else {
            panic!("no job although a slot is free");
        };
        assert_eq!(job.lease.id, "next");
        assert!(ahead.is_empty() && ahead.poll_next(&cx).is_pending());
        ahead.close();
        assert!(matches!(ahead.poll_next(&cx), Poll::Ready(None)));
    }

    #[test]
    fn the_oldest_job_says_whether_jobs_are_stuck() {
        let ahead = Ahead::new(Slots::new(0));
        assert!(!ahead.is_stuck());
        ahead.add([waiting("new")].into());
        assert!(!ahead.is_stuck());
        let long_ago = Instant::now().checked_sub(2 * LONGEST_AHEAD).unwrap();
        ahead.lock().push_front((long_ago, waiting("old")));
        assert!(ahead.is_stuck());
        ahead.give_back();
        assert!(ahead.is_empty() && !ahead.is_stuck());
    }

    /// Lets jobs end in a span that is over now, and asks.
    fn after(pace: &mut Pace, slots: &Arc<Slots>, span: Duration, jobs: usize) -> usize {
        for _ in 0..jobs {
            slots.hold().take();
        }
        pace.since = Instant::now().checked_sub(span).unwrap();
        pace.ahead(slots)
    }

    #[test]
    fn as_many_are_fetched_ahead_as_end_in_ten_milliseconds() {
        let (slots, mut pace) = (Slots::new(1), Pace::new(&[]));
        assert_eq!(pace.ahead(&slots), 0);
        let some = after(&mut pace, &slots, Duration::from_secs(1), 20_000);
        assert!((100..=200).contains(&some), "{some}");
        assert_eq!(pace.ahead(&slots), some, "too short a span to say more");
        let many = after(&mut pace, &slots, SPAN, 100_000);
        assert_eq!(many, LARGEST_BATCH);
        let long = after(&mut pace, &slots, Duration::from_mins(1), 100);
        assert_eq!(long, 0, "half a second each");
        after(&mut pace, &slots, Duration::from_secs(1), 20_000);
        pace.reset(&slots);
        assert_eq!(pace.ahead(&slots), 0);
    }

    #[test]
    fn no_more_are_fetched_ahead_than_a_rate_lets_start_meanwhile() {
        let second = Duration::from_secs(1);
        for (most, expected) in [(5, 0), (700, 7), (1_000_000, LARGEST_BATCH)] {
            let policy = Policy::DEFAULT.rate(most, second, KeyBy::Tenant);
            let rules = [Rule::of("test", &policy).unwrap()];
            let (slots, mut pace) = (Slots::new(1), Pace::new(&rules));
            assert_eq!(after(&mut pace, &slots, SPAN, 100_000), expected);
        }
    }
}
