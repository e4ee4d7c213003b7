//! What every store does. Each test runs over Redis, over a Redis Cluster of three nodes, and over
//! the twin in memory.
use std::time::Duration;

use quayhand_queue::{NewJob, Outcome, State};
use quayhand_testkit::wait_for;

use crate::{
    on_every_store,
    support::{Desk, LONG_LEASE, SOON, done, job, leases, retry},
};

/// A lease that ends while a test waits.
const SHORT_LEASE: Duration = Duration::from_millis(80);

on_every_store!(
    takes_jobs_in_order_and_says_what_they_are,
    large_jobs_come_a_hundred_at_a_time,
    leaves_out_an_id_it_holds,
    receipts_of_large_batches_are_in_order,
    a_unique_key_keeps_equal_jobs_out_until_the_job_ends,
    a_unique_key_lapses_after_its_time,
    a_mark_that_lapsed_and_was_taken_stays_with_its_new_holder,
    a_delayed_job_waits_for_its_time,
    only_failures_spend_attempts,
    jobs_given_back_go_to_the_front_in_order,
    the_same_job_twice_in_a_batch_is_settled_once,
    three_crashes_kill_a_job,
    jobs_that_may_crash_no_more_come_as_few_as_asked_for,
    the_dead_are_bounded,
    lists_and_shows_jobs_in_every_state,
    unreadable_envelopes_are_handed_out_to_be_buried,
);

async fn takes_jobs_in_order_and_says_what_they_are(desk: Desk) {
    assert_eq!(desk.put(1..=5).await, [true; 5]);
    let first = desk.fetch(3, LONG_LEASE).await;
    assert!(first.wait.is_zero(), "there may be more");
    let envelope = first.jobs[0].read().unwrap();
    assert_eq!((envelope.id.as_str(), envelope.attempt), ("1", 1));
    assert_eq!(envelope.payload.get(), r#"{"n":1}"#);
    assert!(envelope.enqueued_at_ms > 1_700_000_000_000);
    let rest = desk.fetch(3, LONG_LEASE).await;
    assert_eq!(rest.jobs.len(), 2);
    assert!(!rest.wait.is_zero(), "nothing more is there");
    assert_eq!(desk.counts().await, [0, 0, 5, 0]);
}

async fn large_jobs_come_a_hundred_at_a_time(desk: Desk) {
    let payload = "x".repeat(50_000);
    let large = |n: usize| NewJob {
        envelope: format!(r#"{{"id":"{n}","kind":"test","payload":"{payload}"}}"#),
        ..job(&n.to_string())
    };
    let jobs: Vec<_> = (0..150).map(large).collect();
    desk.put_jobs(&jobs).await;
    let first = desk.fetch(1_000, LONG_LEASE).await;
    assert_eq!(first.jobs.len(), 100);
    assert!(first.wait.is_zero(), "there are more");
    assert_eq!(desk.take(1_000).await.len(), 50);
    desk.put(200..1_000).await;
    assert_eq!(
        desk.take(1_000).await.len(),
        800,
        "small ones come together"
    );
}

async fn leaves_out_an_id_it_holds(desk: Desk) {
    assert_eq!(desk.put(["1", "1"]).await, [true, false]);
    let taken = desk.take(1).await;
    assert_eq!(desk.put(["1"]).await, [false], "running");
    desk.finish(&leases(&taken), retry(SOON)).await;
    assert_eq!(desk.put(["1"]).await, [false], "delayed");
    desk.put(["2"]).await;
    let dead = Outcome::Dead { reason: "x".into() };
    desk.finish(&leases(&desk.take(1).await), dead).await;
    assert_eq!(desk.put(["2"]).await, [false], "dead");
    desk.put(["3"]).await;
    desk.finish(&leases(&desk.take(1).await), done()).await;
    assert_eq!(desk.put(["3"]).await, [true], "done and forgotten");
}

async fn receipts_of_large_batches_are_in_order(desk: Desk) {
    desk.put([1234]).await;
    let jobs: Vec<_> = (0..2500).map(|n| job(&n.to_string())).collect();
    let receipts = desk.store.enqueue(&desk.queue, &jobs).await.unwrap();
    for (n, receipt) in receipts.iter().enumerate() {
        assert_eq!(
            (receipt.id.as_str(), receipt.is_new),
            (n.to_string().as_str(), n != 1234)
        );
    }
    assert_eq!(desk.counts().await, [2500, 0, 0, 0]);
}

fn unique(id: &str, unique_for: Duration) -> NewJob {
    NewJob {
        unique: "key".to_owned(),
        unique_for,
        ..job(id)
    }
}

async fn a_unique_key_keeps_equal_jobs_out_until_the_job_ends(desk: Desk) {
    let put = async |id| {
        let jobs = [unique(id, LONG_LEASE)];
        let receipts = desk.store.enqueue(&desk.queue, &jobs).await.unwrap();
        receipts.into_iter().next().unwrap()
    };
    assert!(put("a").await.is_new);
    let kept_out = put("b").await;
    assert_eq!((kept_out.id.as_str(), kept_out.is_new), ("a", false));
    let taken = desk.take(1).await;
    assert!(!put("b").await.is_new, "running");
    desk.finish(&leases(&taken), retry(Duration::ZERO)).await;
    assert!(!put("b").await.is_new, "waiting for its next attempt");
    desk.finish(&leases(&desk.take(1).await), done()).await;
    assert!(put("b").await.is_new, "done");
    let dead = Outcome::Dead { reason: "x".into() };
    desk.finish(&leases(&desk.take(1).await), dead).await;
    assert!(put("c").await.is_new, "dead");
}

async fn a_unique_key_lapses_after_its_time(desk: Desk) {
    let short = Duration::from_millis(30);
    assert_eq!(desk.put_jobs(&[unique("a", short)]).await, [true]);
    wait_for("the mark to lapse", SOON, async || {
        desk.put_jobs(&[unique("b", short)]).await[0].then_some(())
    })
    .await;
    assert_eq!(desk.take_ids(9).await, ["a", "b"]);
}

async fn a_mark_that_lapsed_and_was_taken_stays_with_its_new_holder(desk: Desk) {
    desk.put_jobs(&[unique("a", Duration::from_millis(20))])
        .await;
    wait_for("the mark to lapse", SOON, async || {
        desk.put_jobs(&[unique("b", LONG_LEASE)]).await[0].then_some(())
    })
    .await;
    desk.finish(&leases(&desk.take(1).await), done()).await;
    assert_eq!(desk.put_jobs(&[unique("c", LONG_LEASE)]).await, [false]);
}

async fn a_delayed_job_waits_for_its_time(desk: Desk) {
    let delay = Duration::from_millis(150);
    let asked = std::time::Instant::now();
    desk.put_jobs(&[NewJob { delay, ..job("1") }]).await;
    let early = desk.fetch(1, LONG_LEASE).await;
    assert!(early.jobs.is_empty() && early.wait <= delay && !early.wait.is_zero());
    assert_eq!(desk.counts().await, [0, 1, 0, 0]);
    desk.next(LONG_LEASE).await;
    // Times are kept in whole milliseconds.
    assert!(asked.elapsed() + Duration::from_millis(1) >= delay);
}

async fn only_failures_spend_attempts(desk: Desk) {
    desk.put(["1"]).await;
    let snooze = Outcome::Snooze {
        delay: Duration::ZERO,
        reason: String::new(),
    };
    for (outcome, attempt) in [
        (snooze.clone(), 1),
        (Outcome::GiveBack, 1),
        (retry(Duration::ZERO), 1),
        (retry(Duration::from_millis(1)), 2),
        (snooze, 3),
        (Outcome::GiveBack, 3),
    ] {
        let taken = desk.next(LONG_LEASE).await;
        assert_eq!(taken.attempt, attempt, "before {outcome:?}");
        assert_eq!(desk.finish(&[taken.lease], outcome).await, [true]);
    }
    let shown = desk.store.get(&desk.queue, "1").await.unwrap().unwrap();
    assert_eq!(shown.last_error, "no luck");
    let counts = desk.store.counts(&desk.queue).await.unwrap();
    assert_eq!(counts.retries_total, 2);
}

async fn jobs_given_back_go_to_the_front_in_order(desk: Desk) {
    desk.put(1..=4).await;
    let taken = desk.take(3).await;
    let released = desk.store.release(&desk.queue, &leases(&taken)).await;
    assert_eq!(released.unwrap(), [true; 3]);
    assert_eq!(desk.take_ids(9).await, ["1", "2", "3", "4"]);
}

async fn the_same_job_twice_in_a_batch_is_settled_once(desk: Desk) {
    desk.put(["1"]).await;
    let held = leases(&desk.take(1).await);
    let twice = [held[0].clone(), held[0].clone()];
    assert_eq!(
        desk.finish(&twice, retry(Duration::ZERO)).await,
        [true, false]
    );
    assert_eq!(desk.counts().await, [1, 0, 0, 0]);
}

async fn three_crashes_kill_a_job(desk: Desk) {
    desk.put(["poison", "good"]).await;
    for crashes in 0..3 {
        let taken = wait_for("the poison", SOON, async || {
            let taken = desk.fetch(1, SHORT_LEASE).await.jobs.pop()?;
            if &*taken.lease.id == "good" {
                desk.finish(&[taken.lease], done()).await;
                return None;
            }
            Some(taken)
        })
        .await;
        assert_eq!(taken.crashes, crashes);
    }
    wait_for("its death", SOON, async || {
        desk.fetch(1, SHORT_LEASE).await;
        (desk.counts().await == [0, 0, 0, 1]).then_some(())
    })
    .await;
    let shown = desk
        .store
        .get(&desk.queue, "poison")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(shown.state, State::Dead);
    assert!(
        shown.last_error.contains("ended 3 times"),
        "{}",
        shown.last_error
    );
}

async fn jobs_that_may_crash_no_more_come_as_few_as_asked_for(desk: Desk) {
    desk.put(["a", "b", "c"]).await;
    for crashes in 0..2 {
        let taken = wait_for("all three", SOON, async || {
            let jobs = desk.fetch(3, SHORT_LEASE).await.jobs;
            (jobs.len() == 3).then_some(jobs)
        })
        .await;
        assert!(
            taken
                .iter()
                .all(|job| job.crashes == crashes && !job.is_suspect())
        );
    }
    for left in [2, 1, 0] {
        let taken = wait_for("one of them", SOON, async || {
            let mut jobs = desk.fetch_with(3, LONG_LEASE, 1).await.jobs;
            assert!(jobs.len() <= 1, "they come one by one");
            jobs.pop()
        })
        .await;
        assert!(taken.is_suspect());
        desk.put(["good"]).await;
        let beside = desk.fetch_with(3, LONG_LEASE, 0).await.jobs;
        assert_eq!(beside.len(), 1);
        assert_eq!(&*beside[0].lease.id, "good", "others are not held up");
        assert_eq!(desk.counts().await, [0, left, 2, 0], "none is lost");
        let ended = [beside[0].lease.clone(), taken.lease];
        assert_eq!(desk.finish(&ended, done()).await, [true, true]);
    }
}

async fn the_dead_are_bounded(desk: Desk) {
    desk.put(0..10_100).await;
    let dead = Outcome::Dead { reason: "x".into() };
    loop {
        let taken = desk.take(1000).await;
        if taken.is_empty() {
            break;
        }
        desk.finish(&leases(&taken), dead.clone()).await;
    }
    assert_eq!(desk.counts().await, [0, 0, 0, 10_000]);
    let counts = desk.store.counts(&desk.queue).await.unwrap();
    assert_eq!(counts.dead_total, 10_100);
    assert!(
        desk.store
            .get(&desk.queue, "10099")
            .await
            .unwrap()
            .is_some()
    );
    let gone = desk
        .store
        .list(&desk.queue, State::Dead, 9_999, 9)
        .await
        .unwrap();
    assert_eq!(gone.len(), 1);
}

async fn lists_and_shows_jobs_in_every_state(desk: Desk) {
    let late = NewJob {
        delay: LONG_LEASE,
        ..job("delayed")
    };
    desk.put(["dead", "leased", "ready", "later"]).await;
    desk.put_jobs(&[late]).await;
    let dead = Outcome::Dead {
        reason: "broken".into(),
    };
    desk.finish(&leases(&desk.take(1).await), dead).await;
    desk.take(1).await;
    for (state, id) in [
        (State::Ready, "ready"),
        (State::Delayed, "delayed"),
        (State::Leased, "leased"),
        (State::Dead, "dead"),
    ] {
        let listed = desk.store.list(&desk.queue, state, 0, 1).await.unwrap();
        assert_eq!((listed[0].id.as_str(), listed.len()), (id, 1));
        let shown = desk.store.get(&desk.queue, id).await.unwrap().unwrap();
        assert_eq!((shown.state, shown.at_ms), (state, listed[0].at_ms));
        assert_eq!(shown.at_ms == 0, state == State::Ready);
        let envelope = shown.envelope.unwrap();
        assert_eq!(envelope.attempt, u32::from(state == State::Dead));
        assert_eq!(shown.last_error == "broken", state == State::Dead);
    }
    let second = desk
        .store
        .list(&desk.queue, State::Ready, 1, 9)
        .await
        .unwrap();
    assert_eq!(second[0].id, "later");
    let none = desk
        .store
        .list(&desk.queue, State::Ready, 0, 0)
        .await
        .unwrap();
    assert!(none.is_empty());
    assert!(
        desk.store
            .get(&desk.queue, "never")
            .await
            .unwrap()
            .is_none()
    );
}

async fn unreadable_envelopes_are_handed_out_to_be_buried(desk: Desk) {
    let envelope = "{\"broken".to_owned();
    desk.put_jobs(&[NewJob {
        envelope,
        ..job("1")
    }])
    .await;
    let taken = desk.take(1).await;
    let reason = taken[0].read().unwrap_err();
    assert!(reason.contains("not an envelope"), "{reason}");
    desk.finish(&leases(&taken), Outcome::Dead { reason }).await;
    let shown = desk.store.get(&desk.queue, "1").await.unwrap().unwrap();
    assert!(shown.envelope.is_err() && shown.last_error.contains("envelope"));
}
