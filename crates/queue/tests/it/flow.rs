//! Who goes first, and what must wait: lanes, limits, rates, pauses, uniqueness.
use std::time::{Duration, Instant};

use quayhand_queue::{KeyBy, NewJob, Outcome, Policy, QueueError, Rule, State, Target, UniqueMode};
use quayhand_testkit::wait_for;

use crate::{
    on_every_store,
    support::{Desk, LONG_LEASE, SOON, done, job, job_for, leases, retry},
};

on_every_store!(
    a_suspect_that_is_held_up_gives_its_place_away,
    tenants_take_turns_the_oldest_first,
    priorities_stand_above_tenants,
    a_tenant_that_comes_late_or_one_by_one_gets_its_turn,
    jobs_go_back_to_their_own_lane,
    no_more_than_the_limit_run_and_others_pass,
    a_limit_is_shared_by_what_it_says,
    places_of_a_lost_worker_are_freed,
    a_limit_that_changes_holds_at_once,
    tenants_take_turns_behind_a_limit,
    a_rate_lets_a_burst_start_and_then_one_after_the_other,
    a_job_held_back_twice_runs_when_both_let_it,
    a_paused_queue_gives_nothing_out,
    a_paused_kind_or_tenant_waits_and_others_do_not,
    pauses_are_kept_and_bounded,
    a_job_that_runs_keeps_none_out_that_is_unique_while_queued,
    a_new_payload_replaces_that_of_a_job_that_waits,
    many_causes_in_a_row_make_one_job,
);

async fn tenants_take_turns_the_oldest_first(desk: Desk) {
    for n in 0..4 {
        desk.put_jobs(&[job_for(&format!("big{n}"), "big", 0)])
            .await;
    }
    desk.put(["plain0", "plain1"]).await;
    desk.put_jobs(&[job_for("small", "small", 0)]).await;
    let order = desk.take_ids(4).await;
    assert_eq!(order, ["plain0", "big0", "small", "plain1"]);
    let listed = desk
        .store
        .list(&desk.queue, State::Ready, 0, 9)
        .await
        .unwrap();
    let listed: Vec<_> = listed.into_iter().map(|job| job.id).collect();
    assert_eq!(listed, ["big1", "big2", "big3"]);
    assert_eq!(desk.take_ids(9).await, listed);
}

async fn priorities_stand_above_tenants(desk: Desk) {
    desk.put(["plain"]).await;
    let jobs = [
        job_for("low", "a", -128),
        job_for("a", "a", 0),
        job_for("high", "b", 127),
        job_for("nobody", "", 1),
    ];
    desk.put_jobs(&jobs).await;
    let order = desk.take_ids(9).await;
    assert_eq!(order, ["high", "nobody", "plain", "a", "low"]);
}

/// One that enqueues its next job as soon as the last is taken must neither starve a tenant with
/// many nor be starved by it.
async fn a_tenant_that_comes_late_or_one_by_one_gets_its_turn(desk: Desk) {
    let many: Vec<_> = (0..50)
        .map(|n| job_for(&format!("m{n:02}"), "many", 0))
        .collect();
    desk.put_jobs(&many).await;
    desk.take(10).await;
    let mut order = Vec::new();
    for n in 0..10 {
        desk.put_jobs(&[job_for(&format!("one{n}"), "one", 0)])
            .await;
        order.extend(desk.take_ids(2).await);
    }
    let ones = order.iter().filter(|id| id.starts_with("one")).count();
    assert!((9..=10).contains(&ones), "{order:?}");
    let taken: Vec<_> = order.iter().filter(|id| id.starts_with('m')).collect();
    assert!(taken.is_sorted(), "the oldest first: {taken:?}");
}

async fn jobs_go_back_to_their_own_lane(desk: Desk) {
    let late = NewJob {
        delay: Duration::from_millis(1),
        ..job_for("late", "t", 5)
    };
    desk.put_jobs(&[job_for("1", "t", 5), job_for("2", "t", 5), late])
        .await;
    desk.put(["plain"]).await;
    let taken = desk.take(2).await;
    desk.finish(&leases(&taken[..1]), Outcome::GiveBack).await;
    desk.finish(&leases(&taken[1..]), retry(Duration::ZERO))
        .await;
    wait_for("the late one", SOON, async || {
        let taken = desk.take_ids(1).await;
        match taken[0].as_str() {
            "plain" => panic!("`plain` came before a higher priority"),
            "late" => Some(()),
            _ => None,
        }
    })
    .await;
}

fn limited(most: u32, by: KeyBy) -> Rule {
    Rule::of("test", &Policy::DEFAULT.limit(most, by)).unwrap()
}

/// Finishes every job that is leased to the desk.
async fn finish_all(desk: &Desk) {
    let held = desk
        .store
        .adopt(&desk.queue, &desk.worker, LONG_LEASE)
        .await;
    desk.finish(&leases(&held.unwrap()), done()).await;
}

async fn no_more_than_the_limit_run_and_others_pass(desk: Desk) {
    let desk = Desk {
        rules: vec![limited(2, KeyBy::Kind)],
        ..desk
    };
    desk.put(0..5).await;
    let other = r#"{"id":"other","kind":"other","payload":{}}"#.to_owned();
    desk.put_jobs(&[NewJob {
        envelope: other,
        ..job("other")
    }])
    .await;
    let fetched = desk.fetch(9, LONG_LEASE).await;
    let ids: Vec<_> = fetched.jobs.iter().map(|job| &*job.lease.id).collect();
    assert_eq!(ids, ["0", "1", "other"]);
    assert!(
        fetched.wait > Duration::from_secs(1),
        "no hot loop: {:?}",
        fetched.wait
    );
    let counts = desk.store.counts(&desk.queue).await.unwrap();
    assert_eq!((counts.ready, counts.blocked, counts.leased), (0, 3, 3));
    let blocked = desk
        .store
        .list(&desk.queue, State::Blocked, 0, 2)
        .await
        .unwrap();
    assert_eq!((blocked[0].id.as_str(), blocked.len()), ("2", 2));
    // Retry, snooze and giving back free a place as well as done does.
    desk.finish(&leases(&fetched.jobs[..1]), retry(LONG_LEASE))
        .await;
    assert_eq!(desk.take_ids(9).await, ["2"]);
    desk.finish(&leases(&fetched.jobs[1..2]), done()).await;
    assert_eq!(desk.take_ids(9).await, ["3"]);
    finish_all(&desk).await;
    assert_eq!(desk.take_ids(9).await, ["4"]);
    assert_eq!(desk.counts().await, [0, 1, 1, 0]);
}

async fn a_limit_is_shared_by_what_it_says(desk: Desk) {
    let with = |id: &str, repository: u32| NewJob {
        envelope: format!(
            r#"{{"id":"{id}","kind":"test","payload":{{"repository":{repository}}}}}"#
        ),
        ..job(id)
    };
    let desk = Desk {
        rules: vec![limited(1, KeyBy::Argument("repository"))],
        ..desk
    };
    desk.put_jobs(&[with("a", 1), with("b", 1), with("c", 2)])
        .await;
    assert_eq!(desk.take_ids(9).await, ["a", "c"]);
    let by_name = Desk {
        rules: vec![limited(3, KeyBy::Name("disk"))],
        ..desk
    };
    by_name.put(0..9).await;
    assert_eq!(by_name.take(9).await.len(), 3);
}

async fn places_of_a_lost_worker_are_freed(desk: Desk) {
    let desk = Desk {
        rules: vec![limited(1, KeyBy::Kind)],
        ..desk
    };
    desk.put(["1", "2"]).await;
    let lease = Duration::from_millis(80);
    let lost = desk.fetch(9, lease).await.jobs;
    assert_eq!(lost.len(), 1);
    let next = desk.next(lease).await;
    assert_eq!(next.crashes, 1, "the lost one is first again");
    desk.finish(&[next.lease], done()).await;
    assert_eq!(&*desk.next(LONG_LEASE).await.lease.id, "2");
}

async fn a_limit_that_changes_holds_at_once(desk: Desk) {
    let desk = Desk {
        rules: vec![limited(2, KeyBy::Kind)],
        ..desk
    };
    desk.put(0..9).await;
    let first = desk.take(9).await;
    let narrow = Desk {
        rules: vec![limited(1, KeyBy::Kind)],
        ..desk.clone()
    };
    desk.finish(&leases(&first[..1]), done()).await;
    assert!(narrow.take(9).await.is_empty(), "one still runs");
    let wide = Desk {
        rules: vec![limited(4, KeyBy::Kind)],
        ..desk.clone()
    };
    desk.finish(&leases(&first[1..]), done()).await;
    assert_eq!(wide.take_ids(9).await, ["3"], "one was let out");
    // A wider limit is known with the next job that asks, and those who wait go first.
    wide.put(["new"]).await;
    assert_eq!(wide.take_ids(9).await, ["4", "5", "6"]);
}

async fn tenants_take_turns_behind_a_limit(desk: Desk) {
    let desk = Desk {
        rules: vec![limited(1, KeyBy::Kind)],
        ..desk
    };
    let big: Vec<_> = (0..20)
        .map(|n| job_for(&format!("b{n:02}"), "big", 0))
        .collect();
    desk.put_jobs(&big).await;
    assert_eq!(desk.take_ids(9).await, ["b00"]);
    desk.put_jobs(&[job_for("small", "small", 0)]).await;
    assert!(desk.take_ids(9).await.is_empty());
    let mut order = Vec::new();
    for _ in 0..3 {
        finish_all(&desk).await;
        order.extend(desk.take_ids(9).await);
    }
    assert!(order.contains(&"small".to_owned()), "{order:?}");
}

async fn a_rate_lets_a_burst_start_and_then_one_after_the_other(desk: Desk) {
    let policy = Policy::DEFAULT.rate(3, Duration::from_millis(600), KeyBy::Kind);
    let desk = Desk {
        rules: vec![Rule::of("test", &policy).unwrap()],
        ..desk
    };
    desk.put(0..6).await;
    let started = Instant::now();
    let burst = desk.fetch(9, LONG_LEASE).await;
    assert_eq!(burst.jobs.len(), 3);
    assert!(
        burst.wait <= Duration::from_millis(201) && !burst.wait.is_zero(),
        "{:?}",
        burst.wait
    );
    for n in 3..6 {
        assert_eq!(&*desk.next(LONG_LEASE).await.lease.id, n.to_string());
        // One each 200 ms; times are kept in whole milliseconds.
        let least = Duration::from_millis(200 * (n - 2) - 5);
        assert!(
            started.elapsed() >= least,
            "{n} after {:?}",
            started.elapsed()
        );
    }
    println!("6 starts at 3 in 600 ms took {:?}", started.elapsed());
}

async fn a_job_held_back_twice_runs_when_both_let_it(desk: Desk) {
    let policy =
        Policy::DEFAULT
            .limit(1, KeyBy::Kind)
            .rate(1, Duration::from_millis(100), KeyBy::Kind);
    let desk = Desk {
        rules: vec![Rule::of("test", &policy).unwrap()],
        ..desk
    };
    desk.put(0..4).await;
    let started = Instant::now();
    for n in 0..4 {
        let next = desk.next(LONG_LEASE).await;
        assert_eq!(&*next.lease.id, n.to_string());
        assert!(desk.take(9).await.is_empty(), "one at a time");
        desk.finish(&[next.lease], done()).await;
    }
    assert!(
        started.elapsed() >= Duration::from_millis(295),
        "{:?}",
        started.elapsed()
    );
    assert_eq!(desk.counts().await, [0; 4]);
}

async fn pause(desk: &Desk, target: &str) -> bool {
    let target: Target = target.parse().unwrap();
    let paused = desk
        .store
        .pause(&desk.queue, &target, "ada", "repairs")
        .await;
    paused.unwrap()
}

async fn resume(desk: &Desk, target: &str) -> bool {
    let target: Target = target.parse().unwrap();
    desk.store.resume(&desk.queue, &target).await.unwrap()
}

async fn a_paused_queue_gives_nothing_out(desk: Desk) {
    desk.put(["1"]).await;
    assert!(pause(&desk, "queue").await);
    assert!(!pause(&desk, "queue").await, "it was paused already");
    let fetched = desk.fetch(9, LONG_LEASE).await;
    assert!(fetched.jobs.is_empty() && fetched.wait <= Duration::from_secs(1));
    assert!(resume(&desk, "queue").await && !resume(&desk, "queue").await);
    assert_eq!(desk.take_ids(9).await, ["1"]);
}

async fn a_paused_kind_or_tenant_waits_and_others_do_not(desk: Desk) {
    let other = r#"{"id":"other","kind":"other","payload":{}}"#.to_owned();
    desk.put(["1"]).await;
    desk.put_jobs(&[
        job_for("2", "t", 0),
        NewJob {
            envelope: other,
            ..job("other")
        },
    ])
    .await;
    pause(&desk, "kind:other").await;
    pause(&desk, "tenant:t").await;
    assert_eq!(desk.take_ids(9).await, ["1"]);
    let counts = desk.store.counts(&desk.queue).await.unwrap();
    assert_eq!((counts.ready, counts.blocked), (0, 2));
    resume(&desk, "tenant:t").await;
    assert_eq!(desk.take_ids(9).await, ["2"]);
    resume(&desk, "kind:other").await;
    assert_eq!(desk.take_ids(9).await, ["other"]);
}

async fn pauses_are_kept_and_bounded(desk: Desk) {
    for n in 0..1000 {
        assert!(pause(&desk, &format!("tenant:{n:03}")).await);
    }
    let queue = desk.queue.clone();
    let more = desk.store.pause(&queue, &Target::Queue, "ada", "").await;
    assert!(matches!(more, Err(QueueError::TooMany { .. })));
    let pauses = desk.store.pauses(&queue).await.unwrap();
    assert_eq!(pauses.len(), 1000);
    assert_eq!(pauses[7].target.to_string(), "tenant:007");
    assert_eq!(
        (pauses[7].note.by.as_str(), pauses[7].note.why.as_str()),
        ("ada", "repairs")
    );
    assert!(pauses[7].note.at_ms > 1_700_000_000_000);
}

fn unique(id: &str, unique_mode: UniqueMode) -> NewJob {
    NewJob {
        unique: "key".to_owned(),
        unique_for: LONG_LEASE,
        unique_mode,
        ..job(id)
    }
}

async fn a_job_that_runs_keeps_none_out_that_is_unique_while_queued(desk: Desk) {
    let queued = |id| unique(id, UniqueMode::WhileQueued);
    assert_eq!(
        desk.put_jobs(&[queued("a"), queued("b")]).await,
        [true, false]
    );
    let a = desk.take(1).await;
    assert_eq!(
        desk.put_jobs(&[queued("b"), queued("c")]).await,
        [true, false]
    );
    desk.finish(&leases(&a), retry(Duration::ZERO)).await;
    assert_eq!(desk.take_ids(1).await, ["b"]);
    assert_eq!(
        desk.put_jobs(&[queued("d")]).await,
        [true],
        "`a` did not take its key back"
    );
    finish_all(&desk).await;
    let left = desk.take(9).await;
    desk.finish(&leases(&left[..1]), retry(LONG_LEASE)).await;
    assert_eq!(
        desk.put_jobs(&[queued("e")]).await,
        [false],
        "it waits again"
    );
}

async fn a_new_payload_replaces_that_of_a_job_that_waits(desk: Desk) {
    let with = |id: &str, n: u32| NewJob {
        envelope: format!(r#"{{"id":"{id}","kind":"test","payload":{{"n":{n}}}}}"#),
        ..unique(id, UniqueMode::Replace)
    };
    assert_eq!(
        desk.put_jobs(&[with("a", 1), with("b", 2)]).await,
        [true, false]
    );
    let taken = desk.take(9).await;
    let envelope = taken[0].read().unwrap();
    assert_eq!(
        (envelope.id.as_str(), envelope.payload.get()),
        ("a", r#"{"n":2}"#)
    );
    assert_eq!(
        desk.put_jobs(&[with("c", 3)]).await,
        [true],
        "`a` runs, so `c` waits"
    );
    assert_eq!(desk.counts().await, [1, 0, 1, 0]);
}

async fn many_causes_in_a_row_make_one_job(desk: Desk) {
    let after = |id: &str, delay_ms, unique_for| NewJob {
        delay: Duration::from_millis(delay_ms),
        unique_for,
        ..unique(id, UniqueMode::Debounce)
    };
    let put = async |id, delay_ms| desk.put_jobs(&[after(id, delay_ms, LONG_LEASE)]).await[0];
    let due_ms = async || {
        let jobs = desk
            .store
            .list(&desk.queue, State::Delayed, 0, 9)
            .await
            .unwrap();
        assert_eq!(jobs.len(), 1);
        jobs[0].at_ms
    };
    assert!(put("a", 1000).await);
    let first_ms = due_ms().await;
    assert!(!put("b", 30_000).await);
    let later_ms = due_ms().await;
    assert!(later_ms >= first_ms + 29_000, "put off by the second");
    assert!(!put("c", 90_000).await);
    let last_ms = due_ms().await;
    assert!(
        last_ms <= first_ms + 59_100,
        "never beyond the end of the mark"
    );
    assert!(!put("d", 10).await);
    assert!(due_ms().await < first_ms, "the last word counts");
    assert_eq!(&*desk.next(LONG_LEASE).await.lease.id, "a");
}

async fn a_suspect_that_is_held_up_gives_its_place_away(desk: Desk) {
    desk.put_jobs(&[job_for("a", "held", 0), job_for("b", "free", 0)])
        .await;
    for _ in 0..2 {
        wait_for("both", SOON, async || {
            let jobs = desk.fetch(2, Duration::from_millis(1)).await.jobs;
            (jobs.len() == 2).then_some(())
        })
        .await;
    }
    assert!(pause(&desk, "tenant:held").await);
    let fetched = wait_for("both leases to end", SOON, async || {
        let fetched = desk.fetch_with(2, LONG_LEASE, 1).await;
        (fetched.recovered > 0).then_some(fetched)
    })
    .await;
    let ids: Vec<_> = fetched.jobs.iter().map(|job| &*job.lease.id).collect();
    assert_eq!(ids, ["b"], "at once, and not a second later");
}
