//! The server goes away, and comes back.
use std::{
    process::Command,
    time::{Duration, Instant},
};

use quayhand_model::{DbConfig, DbError, clock, configure};
use quayhand_testkit::{PostgresServer, wait_for};

use super::{DEADLINE, Lab, claim, ping};

/// Makes the next commit wait for the advisory lock 42.
const SLOW_COMMIT: &str = "
    create function wait_at_commit() returns trigger language plpgsql as
      'begin perform pg_advisory_xact_lock(42); return null; end';
    create constraint trigger wait_at_commit after insert on quayhand_schedule
      deferrable initially deferred for each row execute function wait_at_commit();
    select pg_advisory_lock(42)";

#[tokio::test]
async fn a_lost_answer_to_a_commit_is_an_unknown_outcome() {
    let lab = Lab::new().await;
    let db = lab.db(|_| {});
    lab.run(SLOW_COMMIT).await;
    let job = db.transaction(async |tx| claim(tx, "a").await);
    let outage = async {
        let pid = lab.until_blocked().await;
        lab.terminate(pid).await;
    };
    let (outcome, ()) = tokio::join!(job, outage);
    let error = outcome.unwrap_err();
    assert!(matches!(error, DbError::OutcomeUnknown { .. }), "{error}");
    assert!(
        error.is_connect() && error.to_string().contains("unknown"),
        "{error}"
    );
    ping(&db).await.unwrap();
}

#[tokio::test]
async fn a_commit_that_the_server_refuses_changed_nothing() {
    let lab = Lab::new().await;
    let db = lab.db(|_| {});
    lab.run(
        "create function refuse() returns trigger language plpgsql as
           'begin raise foreign_key_violation; end';
         create constraint trigger refuse after insert on quayhand_schedule
           deferrable initially deferred for each row execute function refuse()",
    )
    .await;
    let error = db
        .transaction(async |tx| claim(tx, "a").await)
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            DbError::Statement {
                name: "db.commit",
                ..
            }
        ),
        "{error}"
    );
    assert!(error.is_contention(), "{error}");
    assert!(lab.entries().await.is_empty());
    ping(&db).await.unwrap();
}

#[tokio::test]
async fn a_connection_lost_in_a_transaction_names_the_statement() {
    let lab = Lab::new().await;
    let db = lab.db(|_| {});
    let _holder = lab.hold("a").await;
    let job = db.transaction(async |tx| claim(tx, "a").await);
    let outage = async {
        let pid = lab.until_blocked().await;
        lab.terminate(pid).await;
    };
    let (outcome, ()) = tokio::join!(job, outage);
    let error = outcome.unwrap_err();
    assert!(
        matches!(
            error,
            DbError::Lost {
                name: "schedule.claim",
                ..
            }
        ),
        "{error}"
    );
    assert!(error.to_string().contains(db.server()), "{error}");
    ping(&db).await.unwrap();
}

#[tokio::test]
async fn a_server_that_crashed_is_used_again_when_it_is_back() {
    let server = PostgresServer::fast().await.unwrap();
    let db = configure(DbConfig::new(server.url("postgres"))).unwrap();
    // Two connections, both broken by the crash.
    let (a, b) = tokio::join!(ping(&db), ping(&db));
    a.and(b).unwrap();
    let beside = server.connect("postgres").await.unwrap();
    let row = beside
        .query_one("select pg_backend_pid()", &[])
        .await
        .unwrap();
    let pid: i32 = row.get(0);
    let killed = Command::new("kill")
        .args(["-KILL", &pid.to_string()])
        .status();
    assert!(killed.unwrap().success());
    // One process that is killed takes all sessions of a server down with it.
    wait_for("the crash", DEADLINE, async || {
        beside.is_closed().then_some(())
    })
    .await;
    let crashed = Instant::now();
    wait_for("the server", DEADLINE, async || {
        server.connect("postgres").await.ok()
    })
    .await;
    let up = Instant::now();
    wait_for("a scope", DEADLINE, async || match ping(&db).await {
        Ok(()) => Some(()),
        Err(error) => {
            assert!(error.is_connect(), "{error}");
            None
        }
    })
    .await;
    println!(
        "the server was back after {:?}, we {:?} later",
        up - crashed,
        up.elapsed()
    );
    assert!(up.elapsed() < Duration::from_secs(5));
    db.transaction(async |tx| clock::now_ms(tx).await)
        .await
        .unwrap();
}
