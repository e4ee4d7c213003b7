//! Nothing waits for ever.
use std::{
    process::Command,
    time::{Duration, Instant},
};

use quayhand_model::DbError;

use super::{Lab, claim, ping};

const SHORT: Duration = Duration::from_millis(100);

#[tokio::test]
async fn a_statement_ends_at_its_limit_in_scope_and_transaction() {
    let lab = Lab::new().await;
    let db = lab.db(|config| {
        config.statement_timeout = SHORT;
        config.lock_timeout = Duration::ZERO;
    });
    let _holder = lab.hold("a").await;
    let in_scope = db.scope(async |conn| claim(conn, "a").await).await;
    assert_eq!(in_scope.unwrap_err().code(), Some("57014"));
    let in_transaction = db.transaction(async |tx| claim(tx, "a").await).await;
    assert_eq!(in_transaction.unwrap_err().code(), Some("57014"));
    ping(&db).await.unwrap();
}

#[tokio::test]
async fn waiting_for_a_lock_ends_at_its_limit() {
    let lab = Lab::new().await;
    let db = lab.db(|config| config.lock_timeout = SHORT);
    let _holder = lab.hold("a").await;
    let in_scope = db
        .scope(async |conn| claim(conn, "a").await)
        .await
        .unwrap_err();
    assert!(
        in_scope.is_contention() && in_scope.code() == Some("55P03"),
        "{in_scope}"
    );
    let in_transaction = db.transaction(async |tx| claim(tx, "a").await).await;
    assert_eq!(in_transaction.unwrap_err().code(), Some("55P03"));
}

#[tokio::test]
async fn a_transaction_may_have_a_longer_limit() {
    let lab = Lab::new().await;
    let db = lab.db(|config| {
        config.statement_timeout = SHORT;
        config.lock_timeout = 4 * SHORT;
    });
    let _holder = lab.hold("a").await;
    let patient = db.with_statement_timeout(Duration::ZERO);
    let ended = patient.transaction(async |tx| claim(tx, "a").await).await;
    assert_eq!(
        ended.unwrap_err().code(),
        Some("55P03"),
        "the lock's limit, not the statement's"
    );
}

#[tokio::test]
async fn a_transaction_that_pauses_too_long_is_ended() {
    let lab = Lab::new().await;
    let db = lab.db(|config| config.idle_in_transaction_timeout = SHORT);
    let ended = db
        .transaction(async |tx| {
            claim(tx, "a").await?;
            lab.until_sessions(0).await;
            Ok::<_, DbError>(())
        })
        .await;
    let error = ended.unwrap_err();
    assert!(
        matches!(error, DbError::Lost { .. }),
        "nothing was committed: {error}"
    );
    assert!(error.is_connect() && lab.entries().await.is_empty());
    ping(&db).await.unwrap();
}

#[tokio::test]
async fn waiting_for_a_connection_ends_with_advice() {
    let lab = Lab::new().await;
    let db = lab.db(|config| {
        config.pool_size = 1;
        config.checkout_timeout = SHORT;
    });
    let waiter = db.clone();
    let waited = db.scope(async |_| {
        Ok::<_, DbError>(
            tokio::spawn(async move { ping(&waiter).await })
                .await
                .unwrap(),
        )
    });
    let error = waited.await.unwrap().unwrap_err();
    assert!(error.is_connect(), "{error}");
    let text = error.to_string();
    assert!(
        text.contains("all 1 connections") && text.contains("`pool_size`"),
        "{text}"
    );
}

#[tokio::test]
async fn a_silent_server_is_given_up() {
    let lab = Lab::new().await;
    let db = lab.db(|config| config.statement_timeout = SHORT);
    ping(&db).await.unwrap();
    let pid = lab.pid().await;
    signal("-STOP", pid);
    let started = Instant::now();
    let error = ping(&db).await.unwrap_err();
    let took = started.elapsed();
    signal("-CONT", pid);
    println!(
        "F9 PostgreSQL falls silent: target given up 1 s after a statement's limit of {SHORT:.1?}, \
         seen {took:.1?}"
    );
    assert!(matches!(error, DbError::Lost { .. }), "{error}");
    assert!(took < SHORT + Duration::from_millis(1500));
    lab.until_gone(pid).await;
    ping(&db).await.unwrap();
}

/// Sends a signal to a process of our own server.
fn signal(name: &str, pid: i32) {
    let sent = Command::new("kill").args([name, &pid.to_string()]).status();
    assert!(sent.unwrap().success());
}
