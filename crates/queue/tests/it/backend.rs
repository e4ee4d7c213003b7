//! A real apalis worker over our backend.
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use quayhand_queue::{NewJob, Outcome, Redis, RedisStore, Shown, State};
use quayhand_testkit::{RedisServer, wait_for};
use tokio::sync::{Barrier, Notify, Semaphore};

use crate::support::{Desk, LONG_LEASE, Ledger, SOON, done, job, leases, redis, retry};

#[tokio::test]
async fn runs_as_many_jobs_at_a_time_as_there_are_slots() {
    for desk in [Desk::in_redis().await, Desk::in_memory().await] {
        desk.put(0..200).await;
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (running, peak) = (now.clone(), most.clone());
        let worker = desk.work(7, LONG_LEASE, move |_| {
            let (running, peak) = (running.clone(), peak.clone());
            async move {
                peak.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                running.fetch_sub(1, Ordering::SeqCst);
                done()
            }
        });
        desk.wait_for_counts([0; 4]).await;
        worker.stop().await;
        assert_eq!(most.load(Ordering::SeqCst), 7);
        let counts = desk.store.counts(&desk.queue).await.unwrap();
        assert_eq!(counts.done_total, 200);
    }
}

#[tokio::test]
async fn an_idle_worker_is_woken_at_once() {
    let desk = Desk::in_redis().await;
    let ran = Arc::new(Notify::new());
    let note = ran.clone();
    let worker = desk.work(4, LONG_LEASE, move |_| {
        note.notify_one();
        async { done() }
    });
    let mut waits = Vec::new();
    for n in 0..100 {
        let asked = Instant::now();
        desk.put([n]).await;
        tokio::time::timeout(SOON, ran.notified()).await.unwrap();
        waits.push(asked.elapsed());
    }
    waits.sort();
    println!("enqueue to start: p50 {:?}, p99 {:?}", waits[50], waits[98]);
    assert!(waits[50] < Duration::from_millis(100), "{:?}", waits[50]);
    assert!(waits[98] < Duration::from_secs(2), "{:?}", waits[98]);
    worker.stop().await;
}

#[tokio::test]
async fn an_idle_worker_finds_a_delayed_job_when_it_is_due() {
    let desk = Desk::in_redis().await;
    let ledger = Ledger::default();
    let noted = ledger.clone();
    let worker = desk.work(1, LONG_LEASE, move |taken| {
        noted.note(&taken);
        async { done() }
    });
    desk.put(["now"]).await;
    ledger.wait_for_len(1).await;
    let asked = Instant::now();
    let delay = Duration::from_millis(300);
    desk.put_jobs(&[NewJob {
        delay,
        ..job("later")
    }])
    .await;
    ledger.wait_for_len(2).await;
    let waited = asked.elapsed();
    assert!(
        waited + Duration::from_millis(1) >= delay && waited < Duration::from_secs(2),
        "{waited:?}"
    );
    worker.stop().await;
}

#[tokio::test]
async fn stopping_gives_back_what_was_cancelled_without_spending_an_attempt() {
    let desk = Desk::in_redis().await;
    desk.put(0..10).await;
    let worker = desk.work(4, LONG_LEASE, |taken| async move {
        taken.cancelled().cancelled().await;
        Outcome::GiveBack
    });
    desk.wait_for_counts([6, 0, 4, 0]).await;
    worker.pool.quiet();
    worker.pool.cancel_running();
    worker.stop().await;
    assert_eq!(desk.counts().await, [10, 0, 0, 0]);
    let again = desk.take(10).await;
    assert!(again.iter().all(|job| job.attempt == 1 && job.crashes == 0));
    let first: Vec<_> = again[..4].iter().map(|job| &*job.lease.id).collect();
    assert!(
        first.iter().all(|id| ["0", "1", "2", "3"].contains(id)),
        "{first:?}"
    );
}

#[tokio::test]
async fn a_worker_that_is_dropped_gives_back_in_the_background() {
    let desk = Desk::in_redis().await;
    desk.put(0..10).await;
    let worker = desk.work(4, LONG_LEASE, |_| std::future::pending());
    desk.wait_for_counts([6, 0, 4, 0]).await;
    worker.task.abort();
    tokio::time::timeout(SOON, worker.pool.ended())
        .await
        .unwrap();
    assert_eq!(desk.counts().await, [10, 0, 0, 0]);
    assert!(desk.take(10).await.iter().all(|job| job.attempt == 1));
}

#[tokio::test]
async fn a_panic_of_a_worker_counts_for_its_own_job_and_gives_the_others_back() {
    let desk = Desk::in_redis().await;
    desk.put(["calm", "panics"]).await;
    let both_run = Arc::new(Barrier::new(2));
    let worker = desk.work(2, LONG_LEASE, move |taken| {
        let both_run = both_run.clone();
        async move {
            both_run.wait().await;
            assert_ne!(taken.envelope.id, "panics", "a worker dies on purpose");
            std::future::pending().await
        }
    });
    desk.wait_for_counts([1, 1, 0, 0]).await;
    assert!(worker.task.await.unwrap_err().is_panic());
    for (id, attempts) in [("calm", 0), ("panics", 1)] {
        let shown = desk.store.get(&desk.queue, id).await.unwrap().unwrap();
        assert_eq!(shown.envelope.unwrap().attempt, attempts, "{id}");
    }
}

#[tokio::test]
async fn quiet_takes_nothing_and_resume_goes_on() {
    let desk = Desk::in_redis().await;
    let worker = desk.work(4, LONG_LEASE, |_| async { done() });
    desk.put(["before"]).await;
    desk.wait_for_counts([0; 4]).await;
    worker.pool.quiet();
    wait_for("quiet", SOON, async || {
        worker.pool.status().unwrap().is_quiet.then_some(())
    })
    .await;
    // A fetch that was under way may still take one; what comes after it stays.
    wait_for("a job that stays", SOON, async || {
        desk.put([ulid::Ulid::generate()]).await;
        (desk.counts().await[0] > 0).then_some(())
    })
    .await;
    worker.pool.resume();
    desk.wait_for_counts([0; 4]).await;
    worker.stop().await;
}

#[tokio::test]
async fn a_pool_changes_its_size_while_it_runs() {
    let desk = Desk::in_redis().await;
    desk.put(0..9).await;
    let gate = Arc::new(Semaphore::new(0));
    let pass = gate.clone();
    let worker = desk.work(0, LONG_LEASE, move |_| {
        let pass = pass.clone();
        async move {
            pass.acquire().await.unwrap().forget();
            done()
        }
    });
    worker.pool.resize(5);
    desk.wait_for_counts([4, 0, 5, 0]).await;
    worker.pool.resize(2);
    gate.add_permits(4);
    desk.wait_for_counts([3, 0, 2, 0]).await;
    assert_eq!(worker.pool.status().unwrap().running, 2);
    gate.add_permits(9);
    desk.wait_for_counts([0; 4]).await;
    worker.stop().await;
}

#[tokio::test]
async fn what_this_host_cannot_run_stays_for_another() {
    let desk = Desk::in_redis().await;
    let unknown = r#"{"id":"1","kind":"tomorrow","payload":{}}"#.to_owned();
    let newer = r#"{"id":"2","kind":"test","version":2,"payload":{}}"#.to_owned();
    let with = |id, envelope| NewJob {
        envelope,
        ..job(id)
    };
    desk.put_jobs(&[with("1", unknown), with("2", newer)]).await;
    let worker = desk.work(2, LONG_LEASE, |_| async { panic!("not ours") });
    desk.wait_for_counts([0, 2, 0, 0]).await;
    worker.stop().await;
    let waiting = desk
        .store
        .list(&desk.queue, State::Delayed, 0, 9)
        .await
        .unwrap();
    let attempts = |shown: &Shown| shown.envelope.as_ref().unwrap().attempt;
    println!(
        "F19 an unknown kind and a newer version: target left for others 2, attempts spent 0; \
         seen {}, {}",
        waiting.len(),
        waiting.iter().map(attempts).sum::<u32>()
    );
    for shown in waiting {
        assert_eq!(attempts(&shown), 0, "no attempt is spent");
        assert!(
            shown.last_error.contains("no host knows"),
            "{}",
            shown.last_error
        );
    }
}

#[tokio::test]
async fn poison_payloads_die_alone() {
    let desk = Desk::in_redis().await;
    let redis = redis().await;
    let key = |name: &str| format!("qh:{{{}}}:{name}", desk.queue);
    let deep = format!(r#"{{"id":"3","kind":"test","payload":{}"#, "[".repeat(9999));
    let large = format!(
        r#"{{"id":"4","kind":"test","payload":"{}"}}"#,
        "x".repeat(10 << 20)
    );
    for (id, bytes) in [
        ("1", &b"\xff\xfe"[..]),
        ("2", b"\0{}"),
        ("3", deep.as_bytes()),
        ("4", large.as_bytes()),
        ("5", b"[]"),
    ] {
        let (mut set, mut push) = (::redis::cmd("HSET"), ::redis::cmd("RPUSH"));
        set.arg(key("jobs")).arg(id).arg(bytes);
        push.arg(key("ready")).arg(id);
        redis.command::<()>("set", &set).await.unwrap();
        redis.command::<()>("push", &push).await.unwrap();
    }
    desk.put(["good"]).await;
    let ledger = Ledger::default();
    let noted = ledger.clone();
    let began = Instant::now();
    let worker = desk.work(2, LONG_LEASE, move |taken| {
        noted.note(&taken);
        async { done() }
    });
    desk.wait_for_counts([0, 0, 0, 5]).await;
    println!(
        "F19 5 poison payloads: target dead with a reason within 1 s, others run; seen {:.1?}",
        began.elapsed()
    );
    assert!(began.elapsed() <= Duration::from_secs(1));
    assert_eq!(ledger.entries(), [("good".to_owned(), 1)]);
    worker.stop().await;
    let dead = desk
        .store
        .list(&desk.queue, State::Dead, 0, 9)
        .await
        .unwrap();
    assert!(dead.iter().all(|shown| !shown.last_error.is_empty()));
}

#[tokio::test]
async fn a_failed_job_runs_again_after_its_pause() {
    for desk in [Desk::in_redis().await, Desk::in_memory().await] {
        desk.put(["1"]).await;
        let ledger = Ledger::default();
        let noted = ledger.clone();
        let worker = desk.work(1, LONG_LEASE, move |taken| {
            noted.note(&taken);
            async move {
                match taken.envelope.attempt {
                    1 => retry(Duration::from_millis(50)),
                    _ => done(),
                }
            }
        });
        let runs = ledger.wait_for_len(2).await;
        assert_eq!(runs, [("1".to_owned(), 1), ("1".to_owned(), 2)]);
        desk.wait_for_counts([0; 4]).await;
        worker.stop().await;
    }
}

#[tokio::test]
async fn as_many_workers_wake_as_jobs_need() {
    let server = RedisServer::start().await.unwrap();
    let redis = Redis::connect(&server.url()).await.unwrap();
    let desk = Desk::at(RedisStore::new(redis.clone()));
    // The server knows the scripts before their runs are counted.
    desk.put(["0"]).await;
    desk.finish(&leases(&desk.take(1).await), done()).await;
    let workers: Vec<_> = (0..3)
        .map(|_| desk.work(1, LONG_LEASE, |_| std::future::pending()))
        .collect();
    wait_for("three waiting workers", SOON, async || {
        (figure(&redis, "clients", "blocked_clients:").await == 3).then_some(())
    })
    .await;
    // Jobs enqueued; workers that still wait afterwards.
    for (jobs, waiting) in [(vec!["1"], 2), (vec!["2", "3", "4"], 0)] {
        let before = figure(&redis, "clients", "blocked_clients:").await;
        let scripts = scripts_run(&redis).await;
        desk.put(&jobs).await;
        wait_for(&format!("{waiting} waiting workers"), SOON, async || {
            (figure(&redis, "clients", "blocked_clients:").await == waiting).then_some(())
        })
        .await;
        let woken = before - waiting;
        wait_for("the woken to fetch", SOON, async || {
            (scripts_run(&redis).await == scripts + 1 + woken).then_some(())
        })
        .await;
    }
    assert_eq!(desk.counts().await, [1, 0, 3, 0]);
    for worker in workers {
        worker.task.abort();
        worker.pool.ended().await;
    }
}

/// How many scripts the server has run: one for a verb.
async fn scripts_run(redis: &Redis) -> u64 {
    figure(redis, "commandstats", "cmdstat_evalsha:calls=").await
}

/// A figure of the server's own statistics.
async fn figure(redis: &Redis, section: &str, name: &str) -> u64 {
    let mut info = ::redis::cmd("INFO");
    info.arg(section);
    let text: String = redis.command("info", &info).await.unwrap();
    let found = text.lines().find_map(|line| line.strip_prefix(name));
    let digits = found.unwrap_or("0").split(|c: char| !c.is_ascii_digit());
    digits.into_iter().next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_job_whose_lease_cannot_be_renewed_is_cancelled_before_another_may_take_it() {
    let server = RedisServer::start().await.unwrap();
    let redis = Redis::connect(&server.url()).await.unwrap();
    let desk = Desk::at(RedisStore::new(redis));
    desk.put(["1"]).await;
    let cancelled = Arc::new(Notify::new());
    let note = cancelled.clone();
    let lease = Duration::from_millis(1500);
    let worker = desk.work(1, lease, move |taken| {
        let note = note.clone();
        async move {
            taken.cancelled().cancelled().await;
            note.notify_one();
            Outcome::GiveBack
        }
    });
    desk.wait_for_counts([0, 0, 1, 0]).await;
    server.pause().await.unwrap();
    let silent = Instant::now();
    tokio::time::timeout(SOON, cancelled.notified())
        .await
        .unwrap();
    let waited = silent.elapsed();
    server.resume().unwrap();
    println!(
        "F9 cut off from Redis: target a job stops before its lease of {lease:.1?} ends for others, \
         seen {waited:.1?}"
    );
    assert!(waited < lease + Duration::from_millis(200), "{waited:?}");
    worker.stop().await;
    assert_eq!(
        desk.counts().await,
        [1, 0, 0, 0],
        "given back, nothing lost"
    );
}
