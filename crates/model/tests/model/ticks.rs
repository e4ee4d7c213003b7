//! One tick of a schedule, one host that enqueues its job.
use std::time::Duration;

use quayhand_model::{
    Db, DbError, clock,
    schedule::{self, Claim, End, RETAKE_AFTER, Tick},
};
use tokio::task::JoinSet;

use crate::guard::Lab;

const TICK_MS: i64 = 1_700_000_000_123;

async fn claim(db: &Db, entry: &str, tick_ms: i64) -> Claim {
    let claim = db.scope(async |conn| schedule::claim(conn, entry, tick_ms).await);
    claim.await.unwrap()
}

async fn mark(db: &Db, entry: &str, tick_ms: i64) -> bool {
    let mark = db.scope(async |conn| schedule::mark_enqueued(conn, entry, tick_ms).await);
    mark.await.unwrap()
}

async fn end(db: &Db, entry: &str, tick_ms: i64, end: End) -> u64 {
    let ticks = [tick(entry, tick_ms)];
    let ended = db.scope(async |conn| schedule::end(conn, &ticks, end).await);
    ended.await.unwrap()
}

async fn open(db: &Db) -> Vec<Tick> {
    let open = db.scope(async |conn| schedule::open(conn, &["gc", "sweep"], 100).await);
    open.await.unwrap()
}

fn tick(entry: &str, tick_ms: i64) -> Tick {
    let entry = entry.to_owned();
    Tick { entry, tick_ms }
}

async fn last(db: &Db, entry: &str) -> Option<i64> {
    let last = db.scope(async |conn| schedule::last_tick(conn, entry).await);
    last.await.unwrap()
}

async fn prune(db: &Db, keep: u32, at_most: u32) -> u64 {
    let prune = db.scope(async |conn| schedule::prune(conn, keep, at_most).await);
    prune.await.unwrap()
}

/// Makes every claim older by this much.
async fn pass(lab: &Lab, time: Duration) {
    let seconds = time.as_secs_f64();
    let later =
        format!("update quayhand_schedule set claimed_at = claimed_at - interval '{seconds} s'");
    lab.run(&later).await;
}

#[tokio::test]
async fn one_of_many_hosts_gets_a_tick() {
    let lab = Lab::new().await;
    let mut hosts = JoinSet::new();
    for _ in 0..8 {
        let host = lab.db(|config| config.pool_size = 1);
        hosts.spawn(async move { claim(&host, "gc", TICK_MS).await });
    }
    let claims = hosts.join_all().await;
    let ours = claims.iter().filter(|claim| **claim == Claim::Ours).count();
    let theirs = claims
        .iter()
        .filter(|claim| **claim == Claim::Theirs)
        .count();
    assert_eq!((ours, theirs), (1, 7), "{claims:?}");
}

#[tokio::test]
async fn a_second_claimer_that_waits_for_the_first_one_loses() {
    let lab = Lab::new().await;
    let (first, second) = (lab.db(|_| {}), lab.db(|_| {}));
    let won = first
        .transaction(async |tx| {
            let won = schedule::claim(tx, "gc", TICK_MS).await?;
            let waiter = tokio::spawn(async move { claim(&second, "gc", TICK_MS).await });
            lab.until_blocked().await;
            Ok::<_, DbError>((won, waiter))
        })
        .await;
    let (won, waiter) = won.unwrap();
    assert_eq!((won, waiter.await.unwrap()), (Claim::Ours, Claim::Theirs));
}

#[tokio::test]
async fn an_enqueued_tick_is_done_for_ever() {
    let lab = Lab::new().await;
    let db = lab.db(|_| {});
    assert_eq!(claim(&db, "gc", TICK_MS).await, Claim::Ours);
    assert!(mark(&db, "gc", TICK_MS).await);
    assert_eq!(claim(&db, "gc", TICK_MS).await, Claim::Done);
    assert!(mark(&db, "gc", TICK_MS).await, "twice is harmless");
    pass(&lab, 10 * RETAKE_AFTER).await;
    assert_eq!(claim(&db, "gc", TICK_MS).await, Claim::Done);
    assert_eq!(end(&db, "gc", TICK_MS, End::Done).await, 1);
    assert!(mark(&db, "gc", TICK_MS).await, "late, and it stays done");
    assert_eq!(
        claim(&db, "gc", TICK_MS + 1).await,
        Claim::Ours,
        "another tick"
    );
    assert_eq!(
        claim(&db, "sweep", TICK_MS).await,
        Claim::Ours,
        "another entry"
    );
}

#[tokio::test]
async fn a_claim_of_a_host_that_died_is_taken_over_once() {
    let lab = Lab::new().await;
    let db = lab.db(|_| {});
    assert_eq!(claim(&db, "gc", TICK_MS).await, Claim::Ours);
    pass(&lab, RETAKE_AFTER / 2).await;
    assert_eq!(claim(&db, "gc", TICK_MS).await, Claim::Theirs);
    pass(&lab, RETAKE_AFTER / 2).await;
    let mut hosts = JoinSet::new();
    for _ in 0..4 {
        let host = lab.db(|config| config.pool_size = 1);
        hosts.spawn(async move { claim(&host, "gc", TICK_MS).await });
    }
    let claims = hosts.join_all().await;
    let ours = claims.iter().filter(|claim| **claim == Claim::Ours).count();
    assert_eq!(ours, 1, "{claims:?}");
    assert!(mark(&db, "gc", TICK_MS).await);
    assert_eq!(claim(&db, "gc", TICK_MS).await, Claim::Done);
}

#[tokio::test]
async fn a_tick_ahead_of_the_databases_clock_is_not_had() {
    let lab = Lab::new().await;
    let db = lab.db(|_| {});
    let now_ms = db
        .scope(async |conn| clock::now_ms(conn).await)
        .await
        .unwrap();
    assert_eq!(claim(&db, "gc", now_ms + 60_000).await, Claim::Early);
    assert_eq!(last(&db, "gc").await, None, "nothing was written");
    assert!(!mark(&db, "gc", now_ms + 60_000).await);
    assert_eq!(claim(&db, "gc", now_ms).await, Claim::Ours);
}

#[tokio::test]
async fn the_last_tick_is_exact_to_the_millisecond() {
    let lab = Lab::new().await;
    let db = lab.db(|_| {});
    assert_eq!(last(&db, "gc").await, None);
    for tick_ms in [TICK_MS, TICK_MS + 1, TICK_MS - 1, -1, 0, 1] {
        assert_eq!(claim(&db, "gc", tick_ms).await, Claim::Ours);
    }
    assert_eq!(last(&db, "gc").await, Some(TICK_MS + 1));
    assert_eq!(claim(&db, "old", -1).await, Claim::Ours);
    assert_eq!(last(&db, "old").await, Some(-1));
}

#[tokio::test]
async fn old_ticks_go_in_bounded_steps_and_the_latest_stays() {
    let lab = Lab::new().await;
    let db = lab.db(|_| {});
    for tick_ms in 0..10 {
        claim(&db, "gc", tick_ms).await;
    }
    claim(&db, "sweep", 0).await;
    assert_eq!(prune(&db, 3, 5).await, 5);
    assert_eq!(prune(&db, 3, 5).await, 2);
    assert_eq!(prune(&db, 3, 5).await, 0);
    assert_eq!(prune(&db, 0, 100).await, 2, "the latest one always stays");
    assert_eq!(
        (last(&db, "gc").await, last(&db, "sweep").await),
        (Some(9), Some(0))
    );
}

#[tokio::test]
async fn a_tick_is_left_out_while_the_job_of_the_one_before_has_not_ended() {
    let lab = Lab::new().await;
    let db = lab.db(|_| {});
    for (at, ended) in [(0, End::Done), (10, End::Dead)] {
        assert_eq!(claim(&db, "gc", TICK_MS + at).await, Claim::Ours);
        assert_eq!(open(&db).await, [], "claimed is not enqueued");
        mark(&db, "gc", TICK_MS + at).await;
        assert_eq!(open(&db).await, [tick("gc", TICK_MS + at)]);
        assert_eq!(claim(&db, "gc", TICK_MS + at + 1).await, Claim::Skipped);
        assert_eq!(claim(&db, "gc", TICK_MS + at + 1).await, Claim::Done);
        assert_eq!(claim(&db, "sweep", TICK_MS + at).await, Claim::Ours);
        assert_eq!(end(&db, "gc", TICK_MS + at, ended).await, 1);
        assert_eq!(open(&db).await, []);
        assert_eq!(claim(&db, "gc", TICK_MS + at + 1).await, Claim::Done);
    }
    let asked = [tick("gc", TICK_MS), tick("gc", TICK_MS + 10), tick("gc", 1)];
    let done = db.scope(async |conn| schedule::done(conn, &asked).await);
    assert_eq!(
        done.await.unwrap(),
        [tick("gc", TICK_MS)],
        "dead is not done"
    );
    assert_eq!(
        end(&db, "gc", TICK_MS, End::Dead).await,
        0,
        "done stays done"
    );
}

#[tokio::test]
async fn an_open_tick_is_never_pruned() {
    let lab = Lab::new().await;
    let db = lab.db(|_| {});
    claim(&db, "gc", 0).await;
    mark(&db, "gc", 0).await;
    for tick_ms in 1..10 {
        assert_eq!(claim(&db, "gc", tick_ms).await, Claim::Skipped);
    }
    assert_eq!(prune(&db, 1, 100).await, 8);
    assert_eq!(open(&db).await, [tick("gc", 0)]);
}

#[tokio::test]
async fn a_paused_entry_has_no_tick_and_catches_up_with_none() {
    let lab = Lab::new().await;
    let db = lab.db(|_| {});
    let now_ms = || db.scope(async |conn| clock::now_ms(conn).await);
    let pause = || db.scope(async |conn| schedule::pause(conn, "gc", "ada", "repairs").await);
    let resume = || db.scope(async |conn| schedule::resume(conn, "gc").await);
    assert!(!resume().await.unwrap(), "it never was paused");
    assert_eq!(
        claim(&db, "gc", TICK_MS).await,
        Claim::Ours,
        "so none is swallowed"
    );
    assert!(pause().await.unwrap());
    assert!(!pause().await.unwrap(), "twice is harmless");
    let while_paused = now_ms().await.unwrap();
    assert_eq!(claim(&db, "gc", while_paused).await, Claim::Paused);
    assert_eq!(claim(&db, "sweep", while_paused).await, Claim::Ours);
    let seen = db.scope(async |conn| schedule::list(conn).await);
    let seen = seen.await.unwrap();
    assert_eq!((&*seen[0].by, &*seen[0].why), ("ada", "repairs"));
    assert!(seen[0].changed_ms.is_some_and(|ms| ms <= while_paused));
    let seen: Vec<_> = seen
        .into_iter()
        .map(|seen| {
            (
                seen.entry,
                seen.is_paused,
                seen.last_tick_ms,
                seen.last_state,
            )
        })
        .collect();
    let claimed = || Some("claimed".to_owned());
    let expected = [
        ("gc".to_owned(), true, Some(TICK_MS), claimed()),
        ("sweep".to_owned(), false, Some(while_paused), claimed()),
    ];
    assert_eq!(seen, expected);
    assert!(resume().await.unwrap());
    assert_eq!(claim(&db, "gc", while_paused).await, Claim::Paused);
    // The database's clock has a fraction; the next millisecond is surely later.
    let next = now_ms().await.unwrap() + 1;
    assert_eq!(claim(&db, "gc", next).await, Claim::Ours);
}
