//! What operators do with a queue: cancel, search, clear, put back, ask why.
use std::{sync::Arc, time::Duration};

use quayhand_queue::{
    About, Cancelled, Client, Ending, Filter, Kept, KeyBy, NewJob, Outcome, Policy, Progress,
    Record, Rule, State, Target, Why,
};
use quayhand_testkit::wait_for;
use tokio::sync::Notify;

use crate::{
    on_every_store,
    support::{Desk, LONG_LEASE, SOON, done, job, job_for, leases, retry},
};

on_every_store!(
    a_job_that_waits_is_cancelled_wherever_it_is,
    a_cancelled_job_that_runs_is_not_run_again,
    a_cancelled_job_of_a_lost_worker_is_not_run_again,
    dead_jobs_go_back_or_away,
    clearing_leaves_what_runs_and_what_is_dead,
    jobs_are_found_by_what_they_are,
    why_says_what_holds_a_job_back,
    records_of_attempts_are_kept_and_shown,
    progress_is_shown_while_the_lease_is_held,
    workers_tell_what_they_are,
);

async fn cancel(desk: &Desk, id: &str) -> Cancelled {
    let cancelled = desk
        .store
        .cancel(&desk.queue, &[id], "ada", "not needed")
        .await;
    cancelled.unwrap()[0]
}

async fn a_job_that_waits_is_cancelled_wherever_it_is(desk: Desk) {
    let desk = Desk {
        rules: vec![Rule::of("other", &Policy::DEFAULT.limit(1, KeyBy::Kind)).unwrap()],
        ..desk
    };
    let other = |id: &str| NewJob {
        envelope: format!(r#"{{"id":"{id}","kind":"other","payload":{{}}}}"#),
        ..job(id)
    };
    desk.put_jobs(&[other("runs"), other("blocked")]).await;
    assert_eq!(desk.take_ids(9).await, ["runs"]);
    let late = NewJob {
        delay: LONG_LEASE,
        ..job("late")
    };
    let marked = NewJob {
        unique: "k".into(),
        unique_for: LONG_LEASE,
        ..job("marked")
    };
    desk.put_jobs(&[job("plain"), job_for("tenant", "t", 3), late, marked])
        .await;
    for id in ["plain", "tenant", "late", "blocked", "marked"] {
        assert_eq!(cancel(&desk, id).await, Cancelled::Gone, "{id}");
        assert_eq!(cancel(&desk, id).await, Cancelled::Unknown, "{id} again");
        let history = desk.store.history(&desk.queue, id).await.unwrap();
        assert_eq!(history[0].outcome, Ending::Cancelled);
        assert_eq!(history[0].text, "ada: not needed");
    }
    assert_eq!(desk.counts().await, [0, 0, 1, 0]);
    let counts = desk.store.counts(&desk.queue).await.unwrap();
    assert_eq!((counts.cancelled_total, counts.blocked), (5, 0));
    let again = NewJob {
        unique: "k".into(),
        unique_for: LONG_LEASE,
        ..job("2")
    };
    assert_eq!(desk.put_jobs(&[again]).await, [true], "its key is free");
}

async fn a_cancelled_job_that_runs_is_not_run_again(desk: Desk) {
    let dead = Outcome::Dead { reason: "x".into() };
    for outcome in [retry(Duration::ZERO), Outcome::GiveBack, dead, done()] {
        desk.put(["1"]).await;
        let held = leases(&desk.take(1).await);
        assert_eq!(cancel(&desk, "1").await, Cancelled::Stopping);
        assert_eq!(cancel(&desk, "1").await, Cancelled::Stopping, "twice");
        let renewed = desk
            .store
            .renew(&desk.queue, &held, LONG_LEASE)
            .await
            .unwrap();
        assert_eq!(renewed, [quayhand_queue::Renewed::Stop]);
        assert_eq!(desk.finish(&held, outcome).await, [true]);
        assert_eq!(desk.counts().await, [0; 4]);
    }
    let counts = desk.store.counts(&desk.queue).await.unwrap();
    assert_eq!((counts.cancelled_total, counts.done_total), (3, 1));
    desk.put(["1"]).await;
    let held = leases(&desk.take(1).await);
    let renewed = desk
        .store
        .renew(&desk.queue, &held, LONG_LEASE)
        .await
        .unwrap();
    assert_eq!(
        renewed,
        [quayhand_queue::Renewed::Held],
        "the wish went with its job"
    );
}

async fn a_cancelled_job_of_a_lost_worker_is_not_run_again(desk: Desk) {
    desk.put(["1"]).await;
    desk.fetch(1, Duration::from_millis(30)).await;
    cancel(&desk, "1").await;
    wait_for("its end", SOON, async || {
        assert!(
            desk.fetch(1, Duration::from_millis(30))
                .await
                .jobs
                .is_empty()
        );
        (desk.counts().await == [0; 4]).then_some(())
    })
    .await;
    let history = desk.store.history(&desk.queue, "1").await.unwrap();
    assert_eq!(history[0].outcome, Ending::Cancelled);
}

/// Makes dead jobs, each for a reason.
async fn kill(desk: &Desk, jobs: &[NewJob], reason: &str) {
    desk.put_jobs(jobs).await;
    let reason = reason.to_owned();
    let held = leases(&desk.take(jobs.len()).await);
    desk.finish(&held, Outcome::Dead { reason }).await;
}

async fn dead_jobs_go_back_or_away(desk: Desk) {
    kill(
        &desk,
        &[job_for("a1", "a", 0), job_for("a2", "a", 0)],
        "disk full",
    )
    .await;
    kill(&desk, &[job_for("b1", "b", 0)], "disk full").await;
    kill(&desk, &[job_for("a3", "a", 0)], "no such repository").await;
    let client = Client::new(desk.store.clone());
    let filter = Filter {
        tenant: Some("a".to_owned()),
        error: "disk".to_owned(),
        ..Filter::default()
    };
    let told = client.count_dead(&desk.queue, &filter).await.unwrap();
    assert_eq!((told.fitting, told.settled), (2, 0), "a dry run");
    assert_eq!(desk.counts().await, [0, 0, 0, 4]);
    let told = client.revive(&desk.queue, &filter, 1000).await.unwrap();
    assert_eq!((told.fitting, told.settled), (2, 2));
    let again = desk.take(9).await;
    assert_eq!(again.len(), 2);
    assert!(again.iter().all(|job| job.attempt == 1 && job.crashes == 0));
    let old = Filter {
        older_than: Some(LONG_LEASE),
        ..Filter::default()
    };
    assert_eq!(
        client
            .bury_for_good(&desk.queue, &old, 1000)
            .await
            .unwrap()
            .fitting,
        0
    );
    let all = Filter::default();
    assert_eq!(
        client
            .bury_for_good(&desk.queue, &all, 1000)
            .await
            .unwrap()
            .settled,
        2
    );
    assert_eq!(desk.counts().await, [0, 0, 2, 0]);
    let twice = desk.store.retry_dead(&desk.queue, &["b1"]).await.unwrap();
    assert_eq!(twice, [false]);
}

async fn clearing_leaves_what_runs_and_what_is_dead(desk: Desk) {
    kill(&desk, &[job("dead")], "x").await;
    desk.put(["runs"]).await;
    desk.take(1).await;
    let late = NewJob {
        delay: LONG_LEASE,
        ..job("late")
    };
    desk.put_jobs(&[late, job_for("t", "t", 1)]).await;
    let target = Target::Kind("test".to_owned());
    desk.store
        .pause(&desk.queue, &target, "", "")
        .await
        .unwrap();
    desk.put(0..20).await;
    assert!(desk.take(5).await.is_empty(), "all are parked");
    desk.put(100..110).await;
    assert_eq!(desk.store.clear(&desk.queue, 5).await.unwrap(), 5);
    assert_eq!(desk.store.clear(&desk.queue, 1000).await.unwrap(), 27);
    assert_eq!(desk.store.clear(&desk.queue, 1000).await.unwrap(), 0);
    assert_eq!(desk.counts().await, [0, 0, 1, 1]);
    let counts = desk.store.counts(&desk.queue).await.unwrap();
    assert_eq!(counts.blocked, 0);
    assert_eq!(desk.put([5]).await, [true], "forgotten");
}

/// All ids that fit, sorted.
async fn found(desk: &Desk, filter: &Filter) -> Vec<String> {
    let (mut ids, mut cursor) = (Vec::new(), None);
    loop {
        let page = desk
            .store
            .find(&desk.queue, filter, cursor.as_deref())
            .await
            .unwrap();
        ids.extend(page.jobs.into_iter().map(|job| job.id));
        let Some(next) = page.next else { break };
        cursor = Some(next);
    }
    ids.sort();
    ids.dedup();
    ids
}

async fn jobs_are_found_by_what_they_are(desk: Desk) {
    desk.put(0..1500).await;
    let with = |id: &str, payload: &str| NewJob {
        envelope: format!(r#"{{"id":"{id}","kind":"t_e","tenant":"t","payload":{payload}}}"#),
        ..job(id)
    };
    desk.put_jobs(&[
        with("x1", r#"{"ids":[17,21]}"#),
        with("x2", r#"{"ids":[170]}"#),
        NewJob {
            delay: LONG_LEASE,
            ..with("x3", r#"{"ids":[17]}"#)
        },
    ])
    .await;
    let kind = Filter {
        kind: Some("t_e".into()),
        ..Filter::default()
    };
    assert_eq!(found(&desk, &kind).await, ["x1", "x2", "x3"]);
    let argument = Filter {
        arguments: vec![("ids".into(), "17".into())],
        ..Filter::default()
    };
    assert_eq!(found(&desk, &argument).await, ["x1", "x3"]);
    let ready = Filter {
        state: Some(State::Ready),
        ..argument.clone()
    };
    assert_eq!(found(&desk, &ready).await, ["x1"]);
    let delayed = Filter {
        state: Some(State::Delayed),
        ..argument
    };
    assert_eq!(found(&desk, &delayed).await, ["x3"]);
    let tenant = Filter {
        tenant: Some("t".into()),
        ..Filter::default()
    };
    assert_eq!(found(&desk, &tenant).await.len(), 3);
    let leased = Filter {
        state: Some(State::Leased),
        ..Filter::default()
    };
    assert!(found(&desk, &leased).await.is_empty());
    assert_eq!(found(&desk, &Filter::default()).await.len(), 1503);
    let old = Filter {
        older_than: Some(LONG_LEASE),
        ..Filter::default()
    };
    assert!(found(&desk, &old).await.is_empty());
}

async fn register(desk: &Desk, kinds: &[&str]) {
    let about = About {
        worker: desk.worker.to_string(),
        kinds: kinds.iter().map(ToString::to_string).collect(),
        ..About::default()
    };
    desk.store
        .register(&desk.queue, &desk.worker, &about)
        .await
        .unwrap();
}

async fn why_says_what_holds_a_job_back(desk: Desk) {
    let desk = Desk {
        rules: vec![Rule::of("test", &Policy::DEFAULT.limit(1, KeyBy::Tenant)).unwrap()],
        ..desk
    };
    let why = async |id: &str| desk.store.why(&desk.queue, id).await.unwrap();
    assert_eq!(why("1").await, Why::Gone);
    desk.put_jobs(&[job_for("1", "t", 0), job_for("2", "t", 0)])
        .await;
    assert_eq!(why("1").await, Why::NoWorker);
    register(&desk, &[]).await;
    assert!(matches!(why("1").await, Why::UnknownKind { kind, ago_ms: None } if kind == "test"));
    register(&desk, &["test"]).await;
    assert_eq!(why("2").await, Why::Turn { ahead: Some(1) });
    desk.take(9).await;
    assert!(matches!(why("1").await, Why::Running { worker, lease_ms }
            if worker == desk.worker.as_str() && lease_ms > 50_000));
    let limit = why("2").await;
    assert!(
        matches!(&limit, Why::Limit { gate, most: 1, held: 1, holders, ahead: 0 }
            if gate == "limit:test:t" && holders == &["1"]),
        "{limit:?}"
    );
    println!("why: {limit}");
    let late = NewJob {
        delay: LONG_LEASE,
        ..job("late")
    };
    desk.put_jobs(&[late]).await;
    assert!(matches!(why("late").await, Why::Due { in_ms, .. } if in_ms > 50_000));
    cancel(&desk, "1").await;
    assert!(matches!(why("1").await, Why::Stopping { note, .. } if note.by == "ada"));
    for target in [
        Target::Tenant("t".into()),
        Target::Kind("test".into()),
        Target::Queue,
    ] {
        desk.store
            .pause(&desk.queue, &target, "bob", "repairs")
            .await
            .unwrap();
        let paused = why("2").await;
        assert!(
            matches!(&paused, Why::Paused { what, note }
                if *what == target.to_string() && note.by == "bob"),
            "{paused:?}"
        );
        desk.store.resume(&desk.queue, &target).await.unwrap();
    }
    kill(&desk, &[job("dead")], "disk full").await;
    assert!(matches!(why("dead").await, Why::Dead { error, .. } if error == "disk full"));
}

async fn records_of_attempts_are_kept_and_shown(desk: Desk) {
    desk.put(["1"]).await;
    for attempt in 1..=12 {
        let taken = desk.next(LONG_LEASE).await;
        let record = Record {
            at_ms: 0,
            outcome: Ending::Retry,
            attempt,
            worker: desk.worker.to_string(),
            text: "no luck".to_owned(),
            lines: vec!["trying".to_owned()],
        };
        let finish = quayhand_queue::Finish {
            lease: taken.lease,
            outcome: if attempt == 12 {
                done()
            } else {
                retry(Duration::ZERO)
            },
            kept: Some(Box::new(Kept {
                record,
                took: Duration::from_millis(1500),
                keep_for: LONG_LEASE,
            })),
        };
        desk.store.finish(&desk.queue, &[finish]).await.unwrap();
    }
    let history = desk.store.history(&desk.queue, "1").await.unwrap();
    let attempts: Vec<_> = history.iter().map(|record| record.attempt).collect();
    assert_eq!(attempts, (3..=12).collect::<Vec<_>>(), "the last ten");
    assert_eq!(history[0].lines, ["trying"]);
    assert!(history[0].at_ms > 1_700_000_000_000);
    assert!(
        desk.store
            .history(&desk.queue, "2")
            .await
            .unwrap()
            .is_empty()
    );
}

async fn progress_is_shown_while_the_lease_is_held(desk: Desk) {
    desk.put(["1"]).await;
    let held = leases(&desk.take(1).await);
    let mut notes = [Progress {
        lease: held[0].clone(),
        text: "half".to_owned(),
    }];
    assert_eq!(desk.store.note(&desk.queue, &notes).await.unwrap(), [true]);
    notes[0].lease.token = "another".into();
    "all".clone_into(&mut notes[0].text);
    assert_eq!(desk.store.note(&desk.queue, &notes).await.unwrap(), [false]);
    let shown = desk.store.get(&desk.queue, "1").await.unwrap().unwrap();
    assert_eq!(shown.progress, "half");
}

async fn workers_tell_what_they_are(desk: Desk) {
    assert!(desk.store.workers(&desk.queue).await.unwrap().is_empty());
    register(&desk, &["a", "b"]).await;
    let workers = desk.store.workers(&desk.queue).await.unwrap();
    assert_eq!(workers[0].about.kinds, ["a", "b"]);
    assert!(workers[0].seen_ms > 1_700_000_000_000);
    desk.store
        .leave(&desk.queue, &desk.worker, true)
        .await
        .unwrap();
    assert!(desk.store.workers(&desk.queue).await.unwrap().is_empty());
}

/// A worker learns within a second that its job was cancelled, though it renews far later.
#[tokio::test]
async fn a_running_job_is_told_to_stop_within_a_second() {
    for desk in [Desk::in_redis().await, Desk::in_memory().await] {
        desk.put(["1"]).await;
        let told = Arc::new(Notify::new());
        let note = told.clone();
        let policy = Policy::DEFAULT.keep_for(LONG_LEASE);
        let worker = desk.work_by(policy, 1, LONG_LEASE, move |taken| {
            let note = note.clone();
            async move {
                taken.notes.line("waiting");
                taken.notes.progress("1 of 2");
                taken.cancelled().cancelled().await;
                assert!(taken.notes.is_cancelled(), "not for a lost lease");
                note.notify_one();
                Outcome::GiveBack
            }
        });
        desk.wait_for_counts([0, 0, 1, 0]).await;
        wait_for("its progress", SOON, async || {
            let shown = desk.store.get(&desk.queue, "1").await.unwrap().unwrap();
            (shown.progress == "1 of 2").then_some(())
        })
        .await;
        let asked = std::time::Instant::now();
        assert_eq!(cancel(&desk, "1").await, Cancelled::Stopping);
        tokio::time::timeout(SOON, told.notified()).await.unwrap();
        println!("told to stop after {:?}, target 1 s", asked.elapsed());
        assert!(
            asked.elapsed() < Duration::from_secs(1),
            "{:?}",
            asked.elapsed()
        );
        desk.wait_for_counts([0; 4]).await;
        let workers = desk.store.workers(&desk.queue).await.unwrap();
        assert_eq!((workers.len(), workers[0].about.kinds.len()), (1, 1));
        worker.stop().await;
        let history = desk.store.history(&desk.queue, "1").await.unwrap();
        let endings: Vec<_> = history.iter().map(|record| record.outcome).collect();
        assert_eq!(endings, [Ending::GiveBack, Ending::Cancelled]);
        assert_eq!(history[0].lines, ["waiting"]);
    }
}
