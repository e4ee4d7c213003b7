//! Every class of keys is bounded, in count and in age: each is filled beyond its bound.
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use quayhand_queue::{
    About, KeyBy, LONGEST_DEATH, MOST_DEAD, MOST_KEPT, MOST_RECORDS, MemoryStore, NewJob, Outcome,
    Policy, Redis, RedisStore, Rule, UniqueMode, WorkerId,
};
use quayhand_testkit::RedisServer;

use crate::support::{Desk, LONG_LEASE, done, job, job_for, kept, leases, retry};

/// A Redis of one's own, and a desk at it.
async fn alone() -> (RedisServer, Redis, Desk) {
    let server = RedisServer::start().await.unwrap();
    let redis = Redis::connect(&server.url()).await.unwrap();
    let desk = Desk::at(RedisStore::new(redis.clone()));
    (server, redis, desk)
}

/// Every key of the desk's queue, without its prefix, and how many entries it has.
async fn sizes(redis: &Redis, desk: &Desk) -> BTreeMap<String, u64> {
    let mut all = ::redis::cmd("KEYS");
    all.arg("*");
    let keys: Vec<String> = redis.command("keys", &all).await.unwrap();
    let mut sizes = BTreeMap::new();
    for key in keys {
        let mut kind = ::redis::cmd("TYPE");
        kind.arg(&key);
        let kind: String = redis.command("type", &kind).await.unwrap();
        let mut size = ::redis::cmd(match kind.as_str() {
            "hash" => "HLEN",
            "zset" => "ZCARD",
            _ => "LLEN",
        });
        size.arg(&key);
        let name = key.replace(&format!("qh:{{{}}}:", desk.queue), "");
        sizes.insert(name, redis.command("size", &size).await.unwrap());
    }
    sizes
}

/// Settles all jobs that wait, each with a record.
async fn settle_all(desk: &Desk, outcome: &Outcome) {
    loop {
        let taken = desk.take(1000).await;
        let batch: Vec<_> = leases(&taken)
            .into_iter()
            .map(|lease| kept(lease, outcome.clone(), LONG_LEASE))
            .collect();
        if batch.is_empty() {
            return;
        }
        desk.store.finish(&desk.queue, &batch).await.unwrap();
    }
}

#[tokio::test]
async fn ended_jobs_leave_bounded_records_and_nothing_else() {
    let (_server, redis, desk) = alone().await;
    let policy = Policy::DEFAULT.limit(5000, KeyBy::Tenant).rate(
        5000,
        Duration::from_millis(1),
        KeyBy::Tenant,
    );
    let desk = Desk {
        rules: vec![Rule::of("test", &policy).unwrap()],
        ..desk
    };
    let modes = [UniqueMode::WhileQueuedOrRunning, UniqueMode::Replace];
    let jobs: Vec<_> = (0..1500)
        .map(|n| NewJob {
            unique: format!("key{n}"),
            unique_for: LONG_LEASE,
            unique_mode: modes[n % 2],
            ..job_for(
                &format!("{n}"),
                &format!("t{}", n % 7),
                i8::from(n % 3 == 0),
            )
        })
        .collect();
    desk.put_jobs(&jobs).await;
    let failed = desk.take(300).await;
    desk.finish(&leases(&failed), retry(Duration::ZERO)).await;
    settle_all(&desk, &done()).await;
    let sizes = sizes(&redis, &desk).await;
    let histories = sizes["history"];
    println!("records of {histories} jobs, target {MOST_KEPT}");
    assert_eq!([histories, sizes["kept"]], [MOST_KEPT as u64; 2]);
    let names: Vec<_> = sizes.keys().map(String::as_str).collect();
    // Rates go when they are at rest and somebody registers; idle lapses.
    assert_eq!(
        names,
        ["history", "idle", "kept", "rates", "seen", "stats"],
        "{sizes:?}"
    );
    desk.store
        .register(&desk.queue, &desk.worker, &About::default())
        .await
        .unwrap();
    assert!(!self::sizes(&redis, &desk).await.contains_key("rates"));
}

#[tokio::test]
async fn one_job_leaves_ten_records_at_most() {
    let (_server, redis, desk) = alone().await;
    desk.put(["1"]).await;
    for attempt in 1..=21 {
        let lease = desk.next(LONG_LEASE).await.lease;
        let is_last = attempt == 21;
        let outcome = if is_last {
            done()
        } else {
            retry(Duration::ZERO)
        };
        let mut finish = kept(lease, outcome, LONG_LEASE);
        finish.kept.as_mut().unwrap().record.attempt = attempt;
        desk.store.finish(&desk.queue, &[finish]).await.unwrap();
    }
    let mut get = ::redis::cmd("HGET");
    get.arg(format!("qh:{{{}}}:history", desk.queue)).arg("1");
    let lines: String = redis.command("history", &get).await.unwrap();
    assert_eq!(lines.lines().count(), MOST_RECORDS);
    let records = desk.store.history(&desk.queue, "1").await.unwrap();
    let attempts: Vec<_> = records.iter().map(|record| record.attempt).collect();
    let last: Vec<_> = (12..=21).collect();
    assert_eq!(attempts, last, "the last ones are left");
}

#[tokio::test]
async fn the_dead_take_everything_along_when_they_go() {
    let (_server, redis, desk) = alone().await;
    let jobs: Vec<_> = (0..MOST_DEAD + 500)
        .map(|n| job_for(&n.to_string(), "t", 1))
        .collect();
    desk.put_jobs(&jobs).await;
    settle_all(&desk, &Outcome::Dead { reason: "x".into() }).await;
    let sizes = sizes(&redis, &desk).await;
    for name in ["dead", "jobs", "errors", "attempts", "lanes"] {
        assert_eq!(sizes[name], MOST_DEAD as u64, "{name}");
    }
}

#[tokio::test]
async fn workers_and_kinds_are_bounded() {
    let (_server, redis, desk) = alone().await;
    for n in 0..1100 {
        let about = About {
            kinds: vec![format!("kind{n}")],
            ..About::default()
        };
        let worker = WorkerId::new("host");
        desk.store
            .register(&desk.queue, &worker, &about)
            .await
            .unwrap();
    }
    let sizes = sizes(&redis, &desk).await;
    for name in ["workers", "abouts", "kinds"] {
        assert_eq!(sizes[name], 1000, "{name}");
    }
}

/// Old entries go when a worker registers. Redis's clock cannot be moved, so its entries are.
#[tokio::test]
async fn what_is_old_goes() {
    let (_server, redis, desk) = alone().await;
    desk.put(["dead", "kept"]).await;
    let taken = leases(&desk.take(2).await);
    let dead = Outcome::Dead { reason: "x".into() };
    desk.finish(&taken[..1], dead).await;
    let finish = kept(taken[1].clone(), done(), LONG_LEASE);
    desk.store.finish(&desk.queue, &[finish]).await.unwrap();
    let about = About {
        kinds: vec!["old".into()],
        ..About::default()
    };
    desk.store
        .register(&desk.queue, &desk.worker, &about)
        .await
        .unwrap();
    for (name, member) in [
        ("dead", "dead"),
        ("kept", "kept"),
        ("kinds", "old"),
        ("workers", desk.worker.as_str()),
        ("rates", "rate:x"),
    ] {
        let mut age = ::redis::cmd("ZADD");
        age.arg(format!("qh:{{{}}}:{name}", desk.queue))
            .arg(1)
            .arg(member);
        redis.command::<()>("age", &age).await.unwrap();
    }
    let (other, about) = (WorkerId::new("new"), About::default());
    desk.store
        .register(&desk.queue, &other, &about)
        .await
        .unwrap();
    let names: Vec<_> = sizes(&redis, &desk).await.into_keys().collect();
    assert_eq!(names, ["abouts", "seen", "stats", "workers"]);
    assert_eq!(desk.counts().await, [0; 4]);
}

#[tokio::test]
async fn what_is_old_goes_from_the_twin() {
    let clock = Arc::new(AtomicU64::new(1_000_000));
    let read = clock.clone();
    let store = MemoryStore::with_clock(move || read.load(Ordering::Relaxed));
    let desk = Desk::at(store);
    desk.put(["dead", "kept"]).await;
    let taken = leases(&desk.take(2).await);
    desk.finish(&taken[..1], Outcome::Dead { reason: "x".into() })
        .await;
    let finish = kept(taken[1].clone(), done(), LONG_LEASE);
    desk.store.finish(&desk.queue, &[finish]).await.unwrap();
    let (about, worker) = (About::default(), &desk.worker);
    let after_ms = u64::try_from(LONGEST_DEATH.as_millis()).unwrap();
    for (later_ms, records, dead) in [(1000, 1, 1), (60_000, 0, 1), (after_ms, 0, 0)] {
        clock.fetch_add(later_ms, Ordering::Relaxed);
        desk.store
            .register(&desk.queue, worker, &about)
            .await
            .unwrap();
        let history = desk.store.history(&desk.queue, "kept").await.unwrap();
        assert_eq!(history.len(), records, "after {later_ms} ms");
        assert_eq!(desk.counts().await, [0, 0, 0, dead], "after {later_ms} ms");
    }
}

/// Wake-ups are never more than workers, and lapse.
#[tokio::test]
async fn wake_ups_are_bounded() {
    let (_server, redis, desk) = alone().await;
    desk.fetch(1, LONG_LEASE).await;
    for n in 0..100 {
        desk.put_jobs(&[job(&n.to_string()), job_for(&format!("t{n}"), "t", 0)])
            .await;
    }
    let sizes = sizes(&redis, &desk).await;
    assert_eq!((sizes["wake"], sizes["idle"]), (1, 1));
}

/// A job that is due soon wakes one more; those in lanes are not forgotten for it.
#[tokio::test]
async fn jobs_in_lanes_wake_workers_beside_one_that_is_due_soon() {
    let (_server, redis, mut desk) = alone().await;
    for host in ["a", "b", "c", "d"] {
        desk.worker = WorkerId::new(host);
        desk.fetch(1, LONG_LEASE).await;
    }
    let soon = NewJob {
        delay: Duration::from_secs(1),
        ..job("soon")
    };
    desk.put_jobs(&[job_for("1", "t", 0), job_for("2", "t", 0), soon])
        .await;
    let sizes = sizes(&redis, &desk).await;
    assert_eq!((sizes["wake"], sizes["idle"]), (3, 4));
}
