//! Leases on every store: jobs that one fetch took share one.
use std::time::Duration;

use quayhand_queue::{Filter, KeyBy, Lease, Outcome, Policy, Renewed, Rule, State, WorkerId};
use quayhand_testkit::wait_for;

use crate::{
    on_every_store,
    support::{Desk, LONG_LEASE, SOON, done, kept, leases, now_ms, retry},
};

/// A lease that ends while a test waits.
const SHORT_LEASE: Duration = Duration::from_millis(80);

on_every_store!(
    a_lease_that_ends_gives_the_job_to_another_worker,
    a_renewed_lease_does_not_end,
    nobody_loses_jobs_because_the_store_was_away,
    adopt_finds_the_workers_own_leases,
    a_stale_lease_is_refused_alone,
    a_lease_is_renewed_for_all_that_it_holds,
    jobs_of_a_large_lease_come_back_a_hundred_at_a_time,
    a_lease_goes_with_the_last_job_under_it,
    leased_jobs_are_listed_lease_by_lease,
    a_refused_finish_leaves_no_record,
    leased_jobs_are_found_and_adopted_page_by_page,
    a_renewed_lease_keeps_its_place_under_a_limit,
    finishes_of_several_leases_are_told_in_any_order,
    ids_with_blanks_keep_their_own_jobs,
);

/// Jobs of calls that were under way together end in no order.
async fn finishes_of_several_leases_are_told_in_any_order(desk: Desk) {
    desk.put((0..6).map(|n| n.to_string())).await;
    let (one, other) = (desk.take(3).await, desk.take(3).await);
    let mixed: Vec<_> = one.iter().zip(&other).flat_map(|(a, b)| [a, b]).collect();
    let mut mixed: Vec<_> = mixed.into_iter().map(|job| job.lease.clone()).collect();
    assert_eq!(desk.finish(&[mixed[3].clone()], done()).await, [true]);
    mixed.push(Lease {
        id: "never".into(),
        token: one[0].lease.token.clone(),
    });
    let settled = desk.finish(&mixed, done()).await;
    assert_eq!(settled, [true, true, true, false, true, true, false]);
    assert_eq!(desk.counts().await, [0, 0, 0, 0]);
}

/// A blank is part of an id, wherever it is, and no other job is taken for its own.
async fn ids_with_blanks_keep_their_own_jobs(desk: Desk) {
    let ids = [" ", " x", "abc", "x ", "a b", "x"];
    for most in [1, 6] {
        desk.put(ids).await;
        let mut seen = Vec::new();
        while seen.len() < ids.len() {
            let taken = desk.take(most).await;
            for job in &taken {
                let envelope: serde_json::Value = serde_json::from_slice(&job.envelope).unwrap();
                assert_eq!(envelope["id"], *job.lease.id);
                seen.push(job.lease.id.to_string());
            }
            let settled = desk.finish(&leases(&taken), done()).await;
            assert!(!settled.is_empty() && settled.iter().all(|settled| *settled));
        }
        assert_eq!(seen, ids);
    }
}

async fn a_lease_that_ends_gives_the_job_to_another_worker(desk: Desk) {
    desk.put(["1", "2"]).await;
    let zombie = desk.fetch(1, SHORT_LEASE).await.jobs;
    let other = Desk {
        worker: WorkerId::new("other"),
        ..desk.clone()
    };
    other.take(1).await;
    let again = other.next(SHORT_LEASE).await;
    assert_eq!(
        (&*again.lease.id, again.attempt, again.crashes),
        ("1", 2, 1)
    );
    assert_eq!(desk.finish(&leases(&zombie), done()).await, [false]);
    assert_eq!(other.finish(&[again.lease], done()).await, [true]);
}

async fn a_renewed_lease_does_not_end(desk: Desk) {
    desk.put(["1"]).await;
    let held = leases(&desk.fetch(1, SHORT_LEASE).await.jobs);
    let lost = Lease {
        id: "gone".into(),
        token: "x".into(),
    };
    let both = [held[0].clone(), lost];
    let until = std::time::Instant::now() + SHORT_LEASE * 4;
    wait_for("four leases to pass", SOON, async || {
        let renewed = desk.store.renew(&desk.queue, &both, SHORT_LEASE).await;
        assert_eq!(renewed.unwrap(), [Renewed::Held, Renewed::Lost]);
        assert!(desk.fetch(1, SHORT_LEASE).await.jobs.is_empty());
        (std::time::Instant::now() > until).then_some(())
    })
    .await;
    assert_eq!(desk.finish(&held, done()).await, [true]);
}

/// When no worker called for half a lease, Redis or every host was away: the first to come back
/// must not take the others' jobs before they can renew.
async fn nobody_loses_jobs_because_the_store_was_away(desk: Desk) {
    desk.put(["1"]).await;
    let lease = Duration::from_millis(200);
    let held = leases(&desk.fetch(1, lease).await.jobs);
    wait_for("the lease to pass in silence", SOON, async || {
        let jobs = desk.store.list(&desk.queue, State::Leased, 0, 1).await;
        let ends_ms = jobs.unwrap()[0].at_ms;
        (now_ms() > ends_ms).then_some(())
    })
    .await;
    let back = desk.fetch(1, lease).await;
    assert!(back.jobs.is_empty() && back.recovered == 0);
    let renewed = desk.store.renew(&desk.queue, &held, lease).await;
    assert_eq!(renewed.unwrap(), [Renewed::Held]);
}

async fn adopt_finds_the_workers_own_leases(desk: Desk) {
    desk.put(1..=3).await;
    let own = desk.take(2).await;
    let other = Desk {
        worker: WorkerId::new("other"),
        ..desk.clone()
    };
    other.take(1).await;
    let adopted = desk
        .store
        .adopt(&desk.queue, &desk.worker, LONG_LEASE)
        .await;
    let mut adopted = adopted.unwrap();
    adopted.sort_by(|a, b| a.lease.id.cmp(&b.lease.id));
    assert_eq!(leases(&adopted), leases(&own));
    assert_eq!(adopted[0].envelope, own[0].envelope);
    assert_eq!((adopted[0].attempt, adopted[0].crashes), (1, 0));
    assert_eq!(desk.finish(&leases(&adopted), done()).await, [true, true]);
}

async fn a_stale_lease_is_refused_alone(desk: Desk) {
    desk.put(1..=3).await;
    let mut held = leases(&desk.take(3).await);
    held[1].token = "another".into();
    assert_eq!(desk.finish(&held, done()).await, [true, false, true]);
    assert_eq!(desk.counts().await, [0, 0, 1, 0]);
    assert_eq!(desk.finish(&held, done()).await, [false; 3], "repeated");
}

async fn a_lease_is_renewed_for_all_that_it_holds(desk: Desk) {
    desk.put(1..=3).await;
    let held = leases(&desk.fetch(3, SHORT_LEASE).await.jobs);
    desk.finish(&held[..1], done()).await;
    let renewed = desk.store.renew(&desk.queue, &held[..2], LONG_LEASE).await;
    assert_eq!(renewed.unwrap(), [Renewed::Lost, Renewed::Held]);
    for id in ["2", "3"] {
        let shown = desk.store.get(&desk.queue, id).await.unwrap().unwrap();
        let left_ms = shown.at_ms.saturating_sub(now_ms());
        assert!(left_ms > 50_000, "`{id}` has {left_ms} ms");
    }
    let none = desk.store.renew(&desk.queue, &held[..1], SHORT_LEASE).await;
    assert_eq!(none.unwrap(), [Renewed::Lost], "and changes nothing");
    let shown = desk.store.get(&desk.queue, "3").await.unwrap().unwrap();
    assert!(shown.at_ms > now_ms() + 50_000);
}

async fn jobs_of_a_large_lease_come_back_a_hundred_at_a_time(desk: Desk) {
    desk.put(1000..1150).await;
    assert_eq!(desk.fetch(150, SHORT_LEASE).await.jobs.len(), 150);
    let first = wait_for("the lease to end", SOON, async || {
        let fetched = desk.fetch(1, SHORT_LEASE * 100).await;
        (fetched.recovered > 0).then_some(fetched)
    })
    .await;
    assert_eq!((first.recovered, first.jobs.len()), (100, 1));
    assert_eq!(
        &*first.jobs[0].lease.id, "1000",
        "in the order of their ids"
    );
    let second = desk.fetch(1_000, LONG_LEASE).await;
    assert_eq!((second.recovered, second.jobs.len()), (50, 149));
    assert!(second.jobs.iter().all(|job| job.crashes == 1));
    assert_eq!(desk.counts().await, [0, 0, 150, 0]);
}

async fn a_lease_goes_with_the_last_job_under_it(desk: Desk) {
    desk.put(1..=3).await;
    let held = leases(&desk.fetch(3, SHORT_LEASE).await.jobs);
    desk.finish(&held[..1], done()).await;
    desk.finish(&held[1..2], retry(LONG_LEASE)).await;
    assert_eq!(desk.counts().await, [0, 1, 1, 0]);
    desk.finish(&held[2..], Outcome::GiveBack).await;
    assert_eq!(desk.counts().await, [1, 1, 0, 0]);
    // Nothing is left that could end and give a job away.
    let until = std::time::Instant::now() + SHORT_LEASE * 2;
    let fetched = wait_for("the lease's time to pass", SOON, async || {
        if std::time::Instant::now() < until {
            return None;
        }
        Some(desk.fetch(9, LONG_LEASE).await)
    })
    .await;
    assert_eq!((fetched.recovered, fetched.jobs.len()), (0, 1));
    assert_eq!(fetched.jobs[0].attempt, 1);
}

async fn leased_jobs_are_listed_lease_by_lease(desk: Desk) {
    desk.put(1..=5).await;
    desk.fetch(2, LONG_LEASE * 2).await;
    desk.fetch(3, LONG_LEASE).await;
    let page = async |offset, limit| {
        let listed = desk.store.list(&desk.queue, State::Leased, offset, limit);
        let listed = listed.await.unwrap().into_iter();
        listed.map(|job| job.id).collect::<Vec<_>>()
    };
    assert_eq!(page(0, 9).await, ["3", "4", "5", "1", "2"]);
    assert_eq!(page(1, 3).await, ["4", "5", "1"]);
    assert_eq!(page(4, 3).await, ["2"]);
    assert!(page(5, 3).await.is_empty());
}

async fn a_refused_finish_leaves_no_record(desk: Desk) {
    desk.put(1..=3).await;
    let held = leases(&desk.take(3).await);
    desk.finish(&held[1..2], done()).await;
    let record = |lease: &Lease| kept(lease.clone(), done(), LONG_LEASE);
    let batch: Vec<_> = held.iter().map(record).collect();
    let settled = desk.store.finish(&desk.queue, &batch).await.unwrap();
    assert_eq!(settled, [true, false, true]);
    for (id, records) in [("1", 1), ("2", 0), ("3", 1)] {
        let history = desk.store.history(&desk.queue, id).await.unwrap();
        assert_eq!(history.len(), records, "`{id}`");
    }
    assert_eq!(desk.counts().await, [0; 4]);
}

async fn leased_jobs_are_found_and_adopted_page_by_page(desk: Desk) {
    desk.put(1000..3500).await;
    for _ in 0..5 {
        assert_eq!(desk.take(500).await.len(), 500);
    }
    let filter = Filter {
        state: Some(State::Leased),
        ..Filter::default()
    };
    let (mut ids, mut cursor) = (Vec::new(), None);
    loop {
        let page = desk
            .store
            .find(&desk.queue, &filter, cursor.as_deref())
            .await
            .unwrap();
        assert!(page.scanned <= 1_000, "{} in one page", page.scanned);
        ids.extend(page.jobs.into_iter().map(|job| job.id));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    ids.sort_unstable();
    let all: Vec<_> = (1000..3500).map(|n| n.to_string()).collect();
    assert_eq!(ids, all);
    let adopted = desk
        .store
        .adopt(&desk.queue, &desk.worker, LONG_LEASE)
        .await;
    assert_eq!(adopted.unwrap().len(), 2_500);
}

async fn a_renewed_lease_keeps_its_place_under_a_limit(desk: Desk) {
    let policy = Policy::DEFAULT.limit(2, KeyBy::Kind);
    let rules = vec![Rule::of("test", &policy).unwrap()];
    let desk = Desk { rules, ..desk };
    desk.put(1..=4).await;
    let held = leases(&desk.fetch(2, SHORT_LEASE).await.jobs);
    let renewed = desk.store.renew(&desk.queue, &held, LONG_LEASE).await;
    assert_eq!(renewed.unwrap(), [Renewed::Held, Renewed::Held]);
    let until = std::time::Instant::now() + SHORT_LEASE * 2;
    wait_for("the first lease to pass", SOON, async || {
        (std::time::Instant::now() > until).then_some(())
    })
    .await;
    assert!(desk.take(9).await.is_empty(), "both still run");
    desk.finish(&held[..1], done()).await;
    assert_eq!(desk.take_ids(9).await, ["3"]);
}
