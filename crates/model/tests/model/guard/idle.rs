//! Nobody is connected without need.
use std::time::{Duration, Instant};

use quayhand_model::{DbError, clock};
use quayhand_testkit::wait_for;

use super::{DEADLINE, Lab, ping};

const SHORT: Duration = Duration::from_millis(300);
/// Longer than a busy machine keeps a hot loop waiting.
const LONGER: Duration = Duration::from_secs(2);
const NEVER: Duration = Duration::from_hours(1);

#[tokio::test]
async fn an_unused_connection_is_closed_and_made_again_when_needed() {
    let lab = Lab::new().await;
    let db = lab.db(|config| config.idle_disconnect = SHORT);
    for _ in 0..2 {
        let started = Instant::now();
        ping(&db).await.unwrap();
        assert_eq!(lab.sessions().await.len(), 1);
        lab.until_sessions(0).await;
        let open = started.elapsed();
        println!("closed after {open:?} with a limit of {SHORT:?}");
        assert!(open >= SHORT && db.connections() == 0);
    }
}

#[tokio::test]
async fn a_hot_loop_keeps_one_connection_and_the_others_go() {
    let lab = Lab::new().await;
    let db = lab.db(|config| config.idle_disconnect = LONGER);
    let held = async |all: &tokio::sync::Barrier| {
        let hold = db.scope(async |conn| {
            clock::now_ms(conn).await?;
            all.wait().await;
            Ok::<_, DbError>(())
        });
        hold.await
    };
    let all = tokio::sync::Barrier::new(3);
    let (a, b, c) = tokio::join!(held(&all), held(&all), held(&all));
    a.and(b).and(c).unwrap();
    assert_eq!(lab.sessions().await.len(), 3);
    ping(&db).await.unwrap();
    let hot = wait_for("one connection", DEADLINE, async || {
        ping(&db).await.unwrap();
        (db.connections() == 1).then_some(())
    });
    hot.await;
    // The server takes a moment to end the sessions that were closed.
    lab.until_sessions(1).await;
    let pid = lab.pid().await;
    let until = Instant::now() + LONGER + SHORT;
    while Instant::now() < until {
        ping(&db).await.unwrap();
    }
    assert_eq!(lab.pid().await, pid);
}

#[tokio::test]
async fn a_closing_scope_leaves_no_connection() {
    let lab = Lab::new().await;
    let db = lab.db(|config| config.idle_disconnect = NEVER);
    let closing = db.closing();
    ping(&closing).await.unwrap();
    assert_eq!(db.connections(), 0);
    lab.until_sessions(0).await;
    closing
        .transaction(async |tx| clock::now_ms(tx).await)
        .await
        .unwrap();
    lab.until_sessions(0).await;
    let at_once = lab.db(|config| config.idle_disconnect = Duration::ZERO);
    ping(&at_once).await.unwrap();
    lab.until_sessions(0).await;
}

#[tokio::test]
async fn the_reaper_ends_with_the_last_connection_and_with_the_database() {
    let lab = Lab::new().await;
    let tasks = || {
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
    };
    let before = tasks();
    let until_none = async || {
        wait_for("the end of all tasks", DEADLINE, async || {
            (tasks() <= before).then_some(())
        })
        .await;
    };
    let db = lab.db(|config| config.idle_disconnect = SHORT);
    assert_eq!(tasks(), before, "nothing runs before the first scope");
    ping(&db).await.unwrap();
    assert_eq!(tasks(), before + 2, "the connection and the reaper");
    until_none().await;
    let db = lab.db(|config| config.idle_disconnect = NEVER);
    ping(&db).await.unwrap();
    drop(db);
    until_none().await;
    lab.until_sessions(0).await;
}
