//! One test for each defect that was found in apalis-redis 1.0.0's storage.
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use quayhand_queue::{Fetch, Outcome, Policy, Redis, RedisStore, State, WorkerId};
use quayhand_testkit::{RedisOptions, RedisServer, wait_for};
use tokio::sync::Notify;

use crate::support::{Desk, LONG_LEASE, Ledger, SOON, done, leases, redis, retry};

const SHORT_LEASE: Duration = Duration::from_millis(300);

/// There: one `unpack` of all due jobs; 8,000 of them stopped the queue for ever.
#[tokio::test]
async fn a_backlog_of_9000_due_jobs_drains() {
    let desk = Desk::in_redis().await;
    let jobs: Vec<_> = (0..9000)
        .map(|n| quayhand_queue::NewJob {
            delay: Duration::from_millis(1),
            ..crate::support::job(&n.to_string())
        })
        .collect();
    desk.put_jobs(&jobs).await;
    let started = Instant::now();
    let worker = desk.work(50, LONG_LEASE, |_| async { done() });
    desk.wait_for_counts([0; 4]).await;
    println!("9,000 due jobs in {:?}", started.elapsed());
    worker.stop().await;
    let counts = desk.store.counts(&desk.queue).await.unwrap();
    assert_eq!(counts.done_total, 9000);
}

/// There: any error of Redis ended the worker.
#[tokio::test]
async fn a_lost_connection_does_not_end_the_worker() {
    let mut server = RedisServer::start_with(&RedisOptions {
        appendonly: true,
        ..RedisOptions::default()
    })
    .await
    .unwrap();
    let redis = Redis::connect(&server.url()).await.unwrap();
    let desk = Desk::at(RedisStore::new(redis));
    let ledger = Ledger::default();
    let noted = ledger.clone();
    let worker = desk.work(4, LONG_LEASE, move |taken| {
        noted.note(&taken);
        async { done() }
    });
    desk.put(["before"]).await;
    ledger.wait_for_len(1).await;
    desk.wait_for_counts([0; 4]).await;
    server.kill().unwrap();
    wait_for("the failure to be seen", SOON, async || {
        worker.pool.status().unwrap().failing
    })
    .await;
    server.restart().await.unwrap();
    let back = Instant::now();
    desk.put(["after"]).await;
    ledger.wait_for_len(2).await;
    println!("working again {:?} after Redis was", back.elapsed());
    assert!(
        back.elapsed() < Duration::from_secs(5),
        "{:?}",
        back.elapsed()
    );
    assert!(!worker.task.is_finished());
    worker.stop().await;
}

/// There: a worker's name could not come back within 300 s.
#[tokio::test]
async fn a_worker_of_the_same_name_restarts_at_once() {
    let desk = Desk::in_redis().await;
    for n in 0..3 {
        let worker = desk.work(1, LONG_LEASE, |_| async { done() });
        desk.put([n]).await;
        desk.wait_for_counts([0; 4]).await;
        worker.task.abort();
    }
    assert_ne!(WorkerId::new("host"), WorkerId::new("host"));
}

/// There: times were the client's. Ours sends none: what it fetches with has durations only.
#[tokio::test]
async fn the_clients_clock_is_irrelevant() {
    let desk = Desk::in_redis().await;
    desk.put(["1"]).await;
    desk.fetch(1, LONG_LEASE).await;
    let redis = redis().await;
    let (s, us): (u64, u64) = redis.command("time", &::redis::cmd("TIME")).await.unwrap();
    let shown = desk.store.get(&desk.queue, "1").await.unwrap().unwrap();
    let redis_now_ms = s * 1000 + us / 1000;
    let ends_in_ms = shown.at_ms - redis_now_ms;
    assert!((50_000..=60_000).contains(&ends_in_ms), "{ends_in_ms}");
}

/// There: a process that was stopped for longer than its lease finished a job that had been
/// given to another.
#[tokio::test]
async fn the_finish_of_a_zombie_is_refused_and_its_job_cancelled() {
    let desk = Desk::in_redis().await;
    desk.put(["1"]).await;
    let cancelled = Arc::new(Notify::new());
    let note = cancelled.clone();
    let worker = desk.work(1, SHORT_LEASE, move |taken| {
        let note = note.clone();
        async move {
            taken.cancelled().cancelled().await;
            note.notify_one();
            done()
        }
    });
    desk.wait_for_counts([0, 0, 1, 0]).await;
    steal(&desk, "1").await;
    tokio::time::timeout(SOON, cancelled.notified())
        .await
        .unwrap();
    worker.stop().await;
    let counts = desk.store.counts(&desk.queue).await.unwrap();
    println!(
        "F25 the finish of a lost lease: target accepted 0, seen {}",
        counts.done_total
    );
    assert_eq!(
        (counts.leased, counts.done_total),
        (1, 0),
        "its `done` changed nothing"
    );
}

/// Lets another worker take a job over.
async fn steal(desk: &Desk, id: &str) {
    let redis = redis().await;
    let key = |name: &str| format!("qh:{{{}}}:{name}", desk.queue);
    let mut all = ::redis::cmd("ZRANGE");
    all.arg(key("leased")).arg(0).arg(-1).arg("WITHSCORES");
    let (token, ends_ms): (String, u64) = redis.command("steal", &all).await.unwrap();
    let mut take = ::redis::cmd("SMOVE");
    let theirs = |token: &str| key(&format!("leases:{token}"));
    take.arg(theirs(&token)).arg(theirs("thief#1")).arg(id);
    assert_eq!(redis.command::<u8>("steal", &take).await.unwrap(), 1);
    let mut lease = ::redis::cmd("ZADD");
    lease.arg(key("leased")).arg(ends_ms).arg("thief#1");
    redis.command::<()>("steal", &lease).await.unwrap();
}

/// There: one stolen job in a batch failed the rest, half applied.
#[tokio::test]
async fn one_stolen_job_does_not_fail_the_batch() {
    let desk = Desk::in_redis().await;
    desk.put(["a", "b", "c"]).await;
    let mut held = leases(&desk.take(3).await);
    held[1].token = "another".into();
    assert_eq!(desk.finish(&held, done()).await, [true, false, true]);
    let left = desk
        .store
        .list(&desk.queue, State::Leased, 0, 9)
        .await
        .unwrap();
    assert_eq!(
        left.iter().map(|job| job.id.as_str()).collect::<Vec<_>>(),
        ["b"]
    );
}

/// There: recovery did not count attempts, `max_attempts` was ignored.
#[tokio::test]
async fn attempts_are_counted_and_the_last_one_is_the_last() {
    let desk = Desk::in_redis().await;
    desk.put(["1"]).await;
    let ledger = Ledger::default();
    let noted = ledger.clone();
    let policy = Policy::DEFAULT.max_attempts(3);
    let worker = desk.work(1, LONG_LEASE, move |taken| {
        noted.note(&taken);
        async move {
            match Outcome::failed("no luck", &policy, taken.envelope.attempt) {
                Outcome::Retry { .. } => retry(Duration::ZERO),
                last => last,
            }
        }
    });
    desk.wait_for_counts([0, 0, 0, 1]).await;
    worker.stop().await;
    let attempts: Vec<_> = ledger
        .entries()
        .into_iter()
        .map(|(_, attempt)| attempt)
        .collect();
    assert_eq!(attempts, [1, 2, 3]);
    let shown = desk.store.get(&desk.queue, "1").await.unwrap().unwrap();
    assert_eq!(shown.last_error, "attempt 3 of 3: no luck");
}

/// A crash spends an attempt as well: a job that has none left is not started again.
#[tokio::test]
async fn a_recovered_job_without_attempts_left_is_not_run() {
    let desk = Desk::in_redis().await;
    desk.put(["1"]).await;
    for _ in 0..3 {
        let taken = desk.next(LONG_LEASE).await;
        desk.finish(&[taken.lease], retry(Duration::ZERO)).await;
    }
    let worker = desk.work(1, LONG_LEASE, |_| async {
        panic!("a fourth attempt of three")
    });
    desk.wait_for_counts([0, 0, 0, 1]).await;
    worker.stop().await;
}

/// There: finished jobs were kept for ever, and idempotency keys had no time to live.
#[tokio::test]
async fn nothing_is_kept_after_done() {
    let server = RedisServer::start().await.unwrap();
    let redis = Redis::connect(&server.url()).await.unwrap();
    let desk = Desk::at(RedisStore::new(redis.clone()));
    let jobs: Vec<_> = (0..100)
        .map(|n| quayhand_queue::NewJob {
            unique: format!("key{n}"),
            unique_for: LONG_LEASE,
            ..crate::support::job(&n.to_string())
        })
        .collect();
    desk.put_jobs(&jobs).await;
    for outcome in [retry(Duration::ZERO), Outcome::GiveBack, done()] {
        let taken = desk.take(100).await;
        assert_eq!(taken.len(), 100);
        desk.finish(&leases(&taken), outcome).await;
    }
    let mut keys = ::redis::cmd("KEYS");
    keys.arg("*");
    let mut left: Vec<String> = redis.command("keys", &keys).await.unwrap();
    left.sort();
    let bounded = ["seen", "stats"].map(|name| format!("qh:{{{}}}:{name}", desk.queue));
    assert_eq!(left, bounded);
    let mut size = ::redis::cmd("HLEN");
    size.arg(&bounded[1]);
    let counters: usize = redis.command("size", &size).await.unwrap();
    assert!(counters <= 7, "{counters}");
}

/// There, well: a killed worker's jobs are done again. Here within its lease and one wait.
#[tokio::test]
async fn jobs_of_a_killed_worker_are_done_again() {
    let desk = Desk::in_redis().await;
    desk.put(0..5).await;
    let killed = desk.fetch(5, SHORT_LEASE).await;
    assert_eq!(killed.jobs.len(), 5);
    let at = Instant::now();
    let ledger = Ledger::default();
    let noted = ledger.clone();
    let worker = desk.work(5, SHORT_LEASE, move |taken| {
        noted.note(&taken);
        async { done() }
    });
    let runs = ledger.wait_for_len(5).await;
    println!(
        "5 of 5 done again {:?} after the kill, lease {SHORT_LEASE:?}",
        at.elapsed()
    );
    assert!(at.elapsed() < SHORT_LEASE + Duration::from_secs(6));
    assert!(runs.iter().all(|(_, attempt)| *attempt == 2));
    worker.stop().await;
}

/// There: without hash tags of one's own, Redis Cluster refused the scripts.
#[tokio::test]
async fn every_key_carries_the_queues_hash_tag() {
    let server = RedisServer::start().await.unwrap();
    let redis = Redis::connect(&server.url()).await.unwrap();
    let desk = Desk::at(RedisStore::new(redis.clone()));
    desk.put(0..9).await;
    let taken = desk.take(3).await;
    desk.finish(&leases(&taken[..1]), retry(LONG_LEASE)).await;
    let dead = Outcome::Dead { reason: "x".into() };
    desk.finish(&leases(&taken[1..2]), dead).await;
    let mut keys = ::redis::cmd("KEYS");
    keys.arg("*");
    let keys: Vec<String> = redis.command("keys", &keys).await.unwrap();
    let tag = format!("qh:{{{}}}:", desk.queue);
    assert!(
        keys.len() > 6 && keys.iter().all(|key| key.starts_with(&tag)),
        "{keys:?}"
    );
}

/// The prototype's: a fetch whose answer is lost has leased jobs that nobody saw.
#[tokio::test]
async fn jobs_of_a_lost_answer_are_adopted() {
    let server = RedisServer::start().await.unwrap();
    let redis = Redis::connect(&server.url()).await.unwrap();
    let desk = Desk::at(RedisStore::new(redis.clone()));
    let ledger = Ledger::default();
    let noted = ledger.clone();
    let worker = desk.work(4, LONG_LEASE, move |taken| {
        noted.note(&taken);
        async { done() }
    });
    desk.put(["seen"]).await;
    ledger.wait_for_len(1).await;
    worker.pool.quiet();
    desk.put(["unseen"]).await;
    let lost = Fetch {
        worker: worker.pool.worker(),
        number: 1_000_000,
        most: 1,
        lease: LONG_LEASE,
        rules: &[],
        suspects: 1000,
    };
    let lost = desk.store.fetch(&desk.queue, &lost).await.unwrap();
    let mut kill = ::redis::cmd("CLIENT");
    kill.arg("KILL").arg("TYPE").arg("normal");
    let killer = redis.separate();
    killer.command::<usize>("kill", &kill).await.unwrap();
    worker.pool.resume();
    let runs = ledger.wait_for_len(2).await;
    if !lost.jobs.is_empty() {
        assert_eq!(runs[1], ("unseen".to_owned(), 1));
    }
    desk.wait_for_counts([0; 4]).await;
    worker.stop().await;
}

/// The prototype's: renewal shared the runtime with the jobs, so a job that blocked lost its
/// lease.
#[tokio::test]
async fn a_job_that_blocks_its_runtime_keeps_its_lease() {
    let desk = Desk::in_redis().await;
    desk.put(["1"]).await;
    let other = desk.clone();
    let blocked = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.unwrap().block_on(async {
            let ledger = Ledger::default();
            let noted = ledger.clone();
            let other = Desk {
                store: other.store.separate(),
                ..other
            };
            let worker = other.work(1, SHORT_LEASE, move |taken| {
                noted.note(&taken);
                // Blocks the only thread of this runtime for several leases.
                std::thread::sleep(SHORT_LEASE * 6);
                async { done() }
            });
            ledger.wait_for_len(1).await;
            other.wait_for_counts([0; 4]).await;
            worker.stop().await;
            ledger.entries()
        })
    });
    desk.wait_for_counts([0, 0, 1, 0]).await;
    while !blocked.is_finished() {
        let fetched = desk.fetch(1, SHORT_LEASE).await;
        assert!(
            fetched.jobs.is_empty() && fetched.recovered == 0,
            "the lease was lost"
        );
        tokio::task::yield_now().await;
    }
    assert_eq!(blocked.join().unwrap(), [("1".to_owned(), 1)]);
    let counts = desk.store.counts(&desk.queue).await.unwrap();
    assert_eq!((counts.done_total, counts.crashes_total), (1, 0));
}
