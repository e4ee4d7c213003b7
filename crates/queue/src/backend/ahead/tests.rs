//! Who gets a slot, and whom a job follows.
use std::task::Waker;

use futures::FutureExt as _;
use tokio::sync::Semaphore;

use super::*;
use crate::{
    Done, KeyBy, Lease, MemoryStore, Notes, Outcome, Policy, PoolConfig, Queue, TakenJob,
    backend::{finisher::Finisher, linger::Linger, taken::Ticket},
};

struct Scene {
    ahead: Arc<Ahead>,
    finisher: Finisher,
}

impl Scene {
    fn new(slots: usize) -> Self {
        let config = PoolConfig {
            queue: Queue::new("gc"),
            host: "test".to_owned(),
            slots,
            lease: PoolConfig::LEASE,
            kinds: Arc::new([("test".to_owned(), Policy::DEFAULT)].into()),
        };
        let suspects = Arc::new(Semaphore::new(1));
        let (pool, finisher) = Pool::new(MemoryStore::default().into(), &config, suspects);
        let ahead = Ahead::new(pool);
        Self { ahead, finisher }
    }

    fn waiting(&self, id: &str, kind: &str) -> Waiting {
        let envelope = format!(r#"{{"id":"{id}","kind":"{kind}","payload":{{}}}}"#);
        let lease = Lease {
            id: id.into(),
            token: "token".into(),
        };
        Waiting {
            since: Instant::now(),
            ticket: Ticket {
                lease: Some(lease.clone()),
                attempt: 1,
                notes: Notes::default(),
                finisher: self.finisher.clone(),
                slot: self.ahead.pool.slots.hold(),
                keeping: None,
            },
            job: TakenJob {
                lease,
                envelope: envelope.into_bytes(),
                attempt: 1,
                crashes: 0,
            },
        }
    }

    fn add<const N: usize>(&self, ids: [&str; N]) -> [Notes; N] {
        let jobs = ids.map(|id| self.waiting(id, "test"));
        let notes = std::array::from_fn(|n| jobs[n].ticket.notes.clone());
        self.ahead.add(jobs);
        notes
    }

    fn next(&self) -> Poll<Option<Box<Taken>>> {
        self.ahead.poll_next(&Context::from_waker(Waker::noop()))
    }

    fn started(&self) -> Taken {
        match self.next() {
            Poll::Ready(Some(job)) => *job,
            other => panic!("no job although a slot is free: {other:?}"),
        }
    }

    /// Slots in use, and jobs held.
    fn counts(&self) -> (usize, usize) {
        let slots = &self.ahead.pool.slots;
        (slots.used(), slots.held())
    }
}

fn done() -> Outcome {
    Outcome::Done(Done::default())
}

#[test]
fn what_was_called_off_while_it_waited_does_not_start() {
    let scene = Scene::new(1);
    let [gone, _] = scene.add(["gone", "next"]);
    gone.call_off();
    let job = scene.started();
    assert_eq!(&*job.lease.id, "next");
    assert!(gone.has_ended(), "given back");
    assert!(scene.ahead.is_empty() && scene.next().is_pending());
    scene.ahead.close();
    drop(job);
    assert!(matches!(scene.next(), Poll::Ready(None)));
}

#[test]
fn a_job_follows_another_in_its_slot() {
    let scene = Scene::new(1);
    let [first, second] = scene.add(["first", "second"]);
    let seat = scene.started().seat;
    assert!(scene.next().is_pending(), "the slot is taken");
    assert_eq!(scene.counts(), (1, 2));
    let next = seat.go_on(done(), |_| true).expect("another waits");
    assert_eq!(&*next.taken.lease.id, "second");
    assert!(first.has_ended() && !second.has_ended());
    assert_eq!(scene.counts(), (1, 1));
    assert!(seat.go_on(done(), |_| true).is_none(), "none waits");
    assert!(second.has_ended());
    assert_eq!(
        (scene.counts(), scene.ahead.pool.slots.ended()),
        ((0, 0), 2)
    );
    assert!(seat.go_on(done(), |_| true).is_none(), "none has the seat");
}

#[test]
fn who_goes_on_learns_whether_that_woke_a_task() {
    let scene = Scene::new(1);
    scene.add(["1", "2", "3", "4", "5"]);
    let seat = scene.started().seat;
    let has_woken = || seat.go_on(done(), |_| true).unwrap().has_woken;
    assert!(!has_woken(), "nobody waits");
    let mut few = Box::pin(scene.ahead.pool.slots.fewer_than(3));
    assert!(few.as_mut().now_or_never().is_none());
    assert!(!has_woken(), "the fetcher waits for fewer");
    assert!(has_woken(), "it waits for this");
    assert!(few.now_or_never().is_some());
    assert!(!has_woken(), "it waits no more");
}

#[tokio::test]
async fn who_goes_on_learns_whether_the_finisher_waited() {
    let scene = Scene::new(1);
    scene.add(["1", "2"]);
    let seat = scene.started().seat;
    let _committing = scene.finisher.start(scene.ahead.pool.clone());
    // Told of this, it waits for more.
    scene.finisher.flush().await;
    assert!(seat.go_on(done(), |_| true).unwrap().has_woken);
}

#[test]
fn a_job_that_may_not_follow_is_handed_out() {
    let scene = Scene::new(1);
    scene.add(["first", "second"]);
    let seat = scene.started().seat;
    let next = seat.go_on(done(), |envelope| envelope.id != "second");
    assert!(next.is_none());
    assert_eq!(scene.counts(), (0, 1));
    assert_eq!(&*scene.started().lease.id, "second");
    // Put back by one that did not know that nothing is handed out any more.
    scene.ahead.close();
    let late = scene.waiting("late", "test");
    let notes = late.ticket.notes.clone();
    scene.ahead.put_back(late);
    assert!(notes.has_ended() && scene.ahead.is_empty(), "given back");
}

#[test]
fn what_is_put_back_into_a_quiet_pool_is_given_back() {
    let scene = Scene::new(1);
    let late = scene.waiting("late", "test");
    let notes = late.ticket.notes.clone();
    scene.ahead.pool.slots.set_quiet(true);
    scene.ahead.put_back(late);
    assert!(notes.has_ended() && scene.ahead.is_empty());
}

/// Says whether the worker is held back, and waits until it is not.
async fn lingers(linger: &mut Linger, scene: &Scene) -> bool {
    let slots = &scene.ahead.pool.slots;
    let mut poll = |cx: &mut Context<'_>| linger.poll(&scene.ahead, slots, cx);
    let is_held_back = poll(&mut Context::from_waker(Waker::noop())).is_pending();
    std::future::poll_fn(poll).await;
    linger.begin_again();
    is_held_back
}

#[tokio::test]
async fn the_worker_waits_a_moment_where_jobs_follow_each_other() {
    let scene = Scene::new(8);
    let ids: Vec<_> = (0..20).map(|n| n.to_string()).collect();
    scene
        .ahead
        .add(ids.iter().map(|id| scene.waiting(id, "test")));
    let mut linger = Linger::default();
    let mut seats = Vec::new();
    for _ in 0..4 {
        assert!(!lingers(&mut linger, &scene).await, "few run");
        seats.push(scene.started().seat);
    }
    assert!(lingers(&mut linger, &scene).await);
    assert!(!lingers(&mut linger, &scene).await, "it was in vain");
    assert!(seats[0].go_on(done(), |_| true).is_some());
    assert!(lingers(&mut linger, &scene).await);
    assert!(seats[1].go_on(done(), |_| true).is_some());
    assert!(lingers(&mut linger, &scene).await, "it was not in vain");
    assert!(seats[0].go_on(done(), |_| false).is_none());
    assert!(
        !lingers(&mut linger, &scene).await,
        "the first may not follow"
    );
}

#[test]
fn none_follows_in_a_pool_that_is_quiet_or_smaller_now() {
    for quieten in [true, false] {
        let scene = Scene::new(2);
        scene.add(["1", "2", "3"]);
        let (one, other) = (scene.started().seat, scene.started().seat);
        let slots = &scene.ahead.pool.slots;
        if quieten {
            slots.set_quiet(true);
        } else {
            slots.resize(1);
        }
        assert!(one.go_on(done(), |_| true).is_none());
        let follows = other.go_on(done(), |_| true).is_some();
        assert_eq!(follows, !quieten, "one of two may, where one slot is left");
    }
}

#[test]
fn none_follows_a_job_that_was_called_off() {
    let scene = Scene::new(1);
    let [first, _] = scene.add(["first", "second"]);
    let seat = scene.started().seat;
    first.call_off();
    assert!(seat.cancelled().is_cancelled());
    assert!(seat.go_on(done(), |_| true).is_none());
    let next = scene.started();
    assert_eq!(&*next.lease.id, "second");
    first.call_off();
    assert!(!next.cancelled().is_cancelled(), "it is another seat");
}

#[test]
fn jobs_that_cannot_run_here_are_passed_over() {
    let scene = Scene::new(1);
    let mut broken = scene.waiting("broken", "test");
    broken.job.envelope = b"{".to_vec();
    let unknown = scene.waiting("unknown", "unheard of");
    let notes = [&broken, &unknown].map(|job| job.ticket.notes.clone());
    let first = scene.waiting("first", "test");
    let last = scene.waiting("last", "test");
    scene.ahead.add([first, broken, unknown, last]);
    let seat = scene.started().seat;
    let next = seat.go_on(done(), |_| true).expect("the last one");
    assert_eq!(&*next.taken.lease.id, "last");
    assert!(notes.iter().all(Notes::has_ended), "both are settled");
    assert!(next.has_woken, "that may have woken somebody");
    assert_eq!(scene.counts(), (1, 1));
}

#[test]
fn the_oldest_job_says_whether_jobs_are_stuck() {
    let scene = Scene::new(0);
    let ahead = &scene.ahead;
    assert!(!ahead.is_stuck());
    scene.add(["new"]);
    assert!(!ahead.is_stuck());
    let mut old = scene.waiting("old", "test");
    old.since = Instant::now().checked_sub(2 * LONGEST_AHEAD).unwrap();
    ahead.lock().push_front(old);
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
