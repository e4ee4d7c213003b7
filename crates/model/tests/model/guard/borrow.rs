//! How a borrow ends, and what of it is left.
use std::{
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures::FutureExt as _;
use quayhand_model::{Conn, DbConfig, DbError, clock, schedule};
use tokio::task::JoinSet;

use super::{DEADLINE, Failure, Lab, claim, ping};

/// Leaves a cancelled statement nothing but its cancellation to end it.
fn one_connection_without_limits(config: &mut DbConfig) {
    config.pool_size = 1;
    config.lock_timeout = Duration::ZERO;
    config.statement_timeout = Duration::ZERO;
}

#[tokio::test]
async fn refuses_a_scope_inside_a_scope_and_allows_one_after_another() {
    let lab = Lab::new().await;
    let db = lab.db(|_| {});
    let inner = db
        .scope(async |_| Ok::<_, DbError>(ping(&db).await))
        .await
        .unwrap();
    assert!(matches!(inner, Err(DbError::Nested)), "{inner:?}");
    let inner = db.transaction(async |_| ping(&db).await).await;
    assert!(matches!(inner, Err(DbError::Nested)), "{inner:?}");
    ping(&db).await.unwrap();
    ping(&db).await.unwrap();
    let beside = tokio::join!(ping(&db), ping(&db));
    assert!(matches!(beside, (Ok(()), Ok(()))), "{beside:?}");
}

#[tokio::test]
async fn commits_on_ok_and_counts_statements() {
    let lab = Lab::new().await;
    let db = lab.db(|_| {});
    let of_scope = db
        .transaction(async |tx| {
            claim(tx, "a").await?;
            claim(tx, "b").await?;
            Ok::<_, DbError>(tx.statements())
        })
        .await;
    assert_eq!(of_scope.unwrap(), 3, "begin and two claims");
    assert_eq!(db.statements(), 4, "and a commit");
    assert_eq!(lab.entries().await, ["a", "b"]);
}

#[tokio::test]
async fn rolls_back_on_error_and_uses_the_connection_again() {
    let lab = Lab::new().await;
    let db = lab.db(|_| {});
    let failed = db
        .transaction(async |tx| {
            claim(tx, "a").await?;
            Err::<(), _>(Failure::Own)
        })
        .await;
    assert!(matches!(failed, Err(Failure::Own)), "{failed:?}");
    assert!(lab.entries().await.is_empty());
    let pid = lab.pid().await;
    ping(&db).await.unwrap();
    assert_eq!(lab.pid().await, pid);
}

#[tokio::test]
async fn keeps_the_jobs_error_when_the_rollback_fails() {
    let lab = Lab::new().await;
    let db = lab.db(|_| {});
    let failed = db
        .transaction(async |tx| {
            claim(tx, "a").await?;
            let pid = lab.pid().await;
            lab.terminate(pid).await;
            lab.until_gone(pid).await;
            Err::<(), _>(Failure::Own)
        })
        .await;
    assert!(matches!(failed, Err(Failure::Own)), "{failed:?}");
    ping(&db).await.unwrap();
    assert!(lab.entries().await.is_empty());
}

#[tokio::test]
async fn a_panic_rolls_back_and_closes_the_connection() {
    let lab = Lab::new().await;
    let db = lab.db(|config| config.pool_size = 1);
    let mut pid = 0;
    let job = db.transaction(async |tx| {
        claim(tx, "a").await?;
        pid = lab.pid().await;
        assert_eq!(tx.statements(), 0, "this is the panic");
        Ok::<_, DbError>(())
    });
    let panicked = AssertUnwindSafe(job).catch_unwind().await;
    assert!(panicked.is_err());
    ping(&db).await.unwrap();
    assert_ne!(lab.pid().await, pid);
    assert!(lab.entries().await.is_empty());
}

#[tokio::test]
async fn a_cancelled_transaction_stops_on_the_server_and_frees_its_locks() {
    let lab = Lab::new().await;
    let db = lab.db(one_connection_without_limits);
    let holder = lab.hold("b").await;
    let worker = db.clone();
    let job = tokio::spawn(async move {
        let job = worker.transaction(async |tx| {
            claim(tx, "a").await?;
            claim(tx, "b").await
        });
        job.await
    });
    let pid = lab.until_blocked().await;
    job.abort();
    assert!(job.await.unwrap_err().is_cancelled());
    // The holder still holds: only the cancellation can have ended the wait.
    lab.until_gone(pid).await;
    lab.run(
        "set lock_timeout = '1s'; insert into quayhand_schedule values ('a', 'epoch', 'claimed')",
    )
    .await;
    holder.batch_execute("rollback").await.unwrap();
    ping(&db).await.unwrap();
    assert_ne!(lab.pid().await, pid);
    assert_eq!(lab.entries().await, ["a"], "ours alone");
}

#[tokio::test]
async fn a_cancelled_scope_takes_its_connection_out_of_the_pool_at_once() {
    let lab = Lab::new().await;
    let db = lab.db(one_connection_without_limits);
    let holder = lab.hold("a").await;
    for _ in 0..3 {
        let worker = db.clone();
        let job =
            tokio::spawn(async move { worker.scope(async |conn| claim(conn, "a").await).await });
        let pid = lab.until_blocked().await;
        job.abort();
        // The only place in the pool is free again when the server has stopped.
        ping(&db).await.unwrap();
        assert_ne!(lab.pid().await, pid);
    }
    holder.batch_execute("rollback").await.unwrap();
    assert!(lab.entries().await.is_empty());
}

#[tokio::test]
async fn closing_waits_for_cancelled_statements() {
    let lab = Lab::new().await;
    let db = lab.db(one_connection_without_limits);
    let _holder = lab.hold("a").await;
    let worker = db.clone();
    let job = tokio::spawn(async move { worker.scope(async |conn| claim(conn, "a").await).await });
    lab.until_blocked().await;
    job.abort();
    assert!(job.await.unwrap_err().is_cancelled());
    db.close().await;
    assert_eq!(db.connections(), 0);
    lab.until_sessions(0).await;
    let refused = ping(&db).await.unwrap_err();
    assert!(refused.is_connect(), "{refused}");
}

#[tokio::test]
async fn a_failed_statement_cannot_be_swallowed() {
    let lab = Lab::new().await;
    let db = lab.db(|config| config.lock_timeout = Duration::from_millis(50));
    let _holder = lab.hold("b").await;
    let committed = db
        .transaction(async |tx| {
            claim(tx, "a").await?;
            let swallowed = claim(tx, "b").await;
            assert!(swallowed.is_err_and(|error| error.is_contention()));
            Ok::<_, DbError>(())
        })
        .await;
    let error = committed.unwrap_err();
    assert_eq!(error.code(), Some("25P02"), "{error}");
    assert!(error.to_string().contains("`db.commit`"), "{error}");
    assert!(lab.entries().await.is_empty());
    ping(&db).await.unwrap();
}

#[tokio::test]
async fn nothing_follows_a_statement_whose_answer_nobody_read() {
    let lab = Lab::new().await;
    let db = lab.db(one_connection_without_limits);
    let _holder = lab.hold("b").await;
    let mut pid = 0;
    let outcome = db
        .transaction(async |tx| {
            claim(tx, "a").await?;
            tokio::select! {
                blocked = lab.until_blocked() => pid = blocked,
                claimed = claim(tx, "b") => panic!("{claimed:?}"),
            }
            let next = tokio::time::timeout(DEADLINE, claim(tx, "c")).await;
            assert!(matches!(next, Ok(Err(DbError::Refused(_)))), "{next:?}");
            Ok::<_, DbError>(())
        })
        .await;
    let error = outcome.unwrap_err();
    assert!(matches!(error, DbError::Refused(_)), "{error}");
    assert!(error.to_string().contains("`schedule.claim`"), "{error}");
    lab.until_gone(pid).await;
    assert!(lab.entries().await.is_empty());
}

#[tokio::test]
async fn a_read_only_transaction_sees_one_state_and_writes_nothing() {
    let lab = Lab::new().await;
    let db = lab.db(|_| {});
    let last = async |conn: &mut Conn| schedule::last_tick(conn, "a").await;
    let seen = db
        .read_only_transaction(async |tx| {
            let before = last(tx).await?;
            lab.run("insert into quayhand_schedule values ('a', 'epoch', 'claimed')")
                .await;
            Ok::<_, DbError>((before, last(tx).await?))
        })
        .await;
    assert_eq!(seen.unwrap(), (None, None));
    assert_eq!(db.scope(last).await.unwrap(), Some(0));
    let refused = db
        .read_only_transaction(async |tx| claim(tx, "b").await)
        .await;
    assert_eq!(refused.unwrap_err().code(), Some("25006"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_tasks_share_four_connections() {
    let lab = Lab::new().await;
    let db = lab.db(|config| config.pool_size = 4);
    let inside = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    for task in 0..100 {
        let (db, inside, most) = (db.clone(), Arc::clone(&inside), Arc::clone(&most));
        tasks.spawn(async move {
            let job = db.transaction(async |tx| {
                let now = inside.fetch_add(1, Ordering::SeqCst) + 1;
                most.fetch_max(now, Ordering::SeqCst);
                claim(tx, &format!("task {task}")).await?;
                clock::now_ms(tx).await?;
                inside.fetch_sub(1, Ordering::SeqCst);
                Ok::<_, DbError>(())
            });
            job.await
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap().unwrap();
    }
    println!(
        "100 transactions over 4 connections took {:?}",
        started.elapsed()
    );
    assert_eq!(lab.entries().await.len(), 100);
    assert_eq!(most.load(Ordering::SeqCst), 4);
    assert_eq!(lab.sessions().await.len(), 4);
    assert_eq!(db.statements(), 400);
}
