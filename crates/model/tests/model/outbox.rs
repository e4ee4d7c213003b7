//! A job is in the outbox from the commit of its cause until it is done.
use std::time::Duration;

use quayhand_model::{
    Db, DbError,
    outbox::{self, Census, NewRow, OpenRow},
};

use crate::guard::Lab;

const KINDS: [&str; 1] = ["mail"];

fn row(number: u32) -> NewRow {
    NewRow {
        job_id: format!("outbox:{number}"),
        kind: "mail".to_owned(),
        version: 2,
        payload: format!("{{ \"b\":{number}, \"a\":0 }}"),
        tenant: "17".to_owned(),
        priority: -128,
        trace: "00-01".to_owned(),
        delay: Duration::ZERO,
    }
}

async fn write(db: &Db, rows: &[NewRow]) -> Result<u64, DbError> {
    db.scope(async |conn| outbox::write(conn, rows).await).await
}

async fn open(db: &Db, after: i64, at_most: u32) -> Vec<OpenRow> {
    let open = db.scope(async |conn| outbox::open_after(conn, &KINDS, after, at_most).await);
    open.await.unwrap()
}

async fn census(db: &Db) -> Census {
    let census = db.scope(async |conn| outbox::census(conn, &KINDS).await);
    let census = census.await.unwrap();
    assert!(census.oldest_open >= census.oldest_waiting);
    Census {
        oldest_waiting: Duration::ZERO,
        oldest_open: Duration::ZERO,
        ..census
    }
}

async fn bury(db: &Db, jobs: &[(&str, &str)]) -> u64 {
    let bury = db.scope(async |conn| outbox::bury(conn, jobs).await);
    bury.await.unwrap()
}

#[tokio::test]
async fn a_job_comes_and_goes_with_its_callers_transaction() {
    let lab = Lab::new().await;
    let db = lab.db(|_| {});
    let undone = db
        .transaction(async |tx| {
            outbox::write(tx, &[row(1)]).await?;
            Err::<(), _>(DbError::Config {
                setting: "none",
                problem: "the caller changed its mind".into(),
            })
        })
        .await;
    assert!(undone.is_err());
    assert_eq!(open(&db, 0, 10).await, []);
    let done = db.transaction(async |tx| outbox::write(tx, &[row(1), row(2)]).await);
    assert_eq!(done.await.unwrap(), 2);
    let jobs: Vec<_> = open(&db, 0, 10)
        .await
        .into_iter()
        .map(|open| open.job)
        .collect();
    assert_eq!(jobs, [row(1), row(2)], "to the byte");
    assert_eq!(
        write(&db, &[row(2), row(3)]).await.unwrap(),
        1,
        "one id, one job"
    );
}

#[tokio::test]
async fn pages_are_bounded_in_rows_and_bytes_and_leave_nothing_out() {
    let lab = Lab::new().await;
    let db = lab.db(|_| {});
    let large = |number| NewRow {
        payload: format!("\"{}\"", "x".repeat(262_142)),
        ..row(number)
    };
    let rows: Vec<_> = (0..40).map(large).collect();
    write(&db, &rows).await.unwrap();
    let (mut after, mut pages) = (0, Vec::new());
    loop {
        let page = open(&db, after, 1000).await;
        let Some(last) = page.last() else { break };
        after = last.seq;
        pages.push(page.len());
    }
    assert_eq!(pages, [16, 16, 8], "4 MiB a page");
    assert_eq!(open(&db, 0, 3).await.len(), 3);
}

#[tokio::test]
async fn what_a_queue_would_not_take_is_refused() {
    let lab = Lab::new().await;
    let db = lab.db(|_| {});
    let wrong = [
        NewRow {
            payload: "no json".to_owned(),
            ..row(1)
        },
        NewRow {
            payload: format!("\"{}\"", "x".repeat(262_143)),
            ..row(1)
        },
        NewRow {
            job_id: "01ABC".to_owned(),
            ..row(1)
        },
        NewRow {
            tenant: "t".repeat(513),
            ..row(1)
        },
    ];
    for row in wrong {
        assert!(write(&db, &[row]).await.is_err());
    }
    lab.run("insert into quayhand_outbox (kind, payload) values ('mail', '{}')")
        .await;
    let [foreign] = &open(&db, 0, 10).await[..] else {
        panic!("one row of a writer in another language")
    };
    assert!(foreign.job.job_id.starts_with(outbox::ID_PREFIX));
    assert_eq!((foreign.job.version, foreign.job.priority), (1, 0));
}

#[tokio::test]
async fn a_delay_is_counted_by_the_databases_clock() {
    let lab = Lab::new().await;
    let db = lab.db(|_| {});
    let delay = Duration::from_secs(100);
    write(&db, &[NewRow { delay, ..row(1) }]).await.unwrap();
    let left = open(&db, 0, 1).await[0].job.delay;
    assert!(left <= delay && left > delay / 2, "{left:?}");
    lab.run("update quayhand_outbox set due_at = due_at - interval '1 hour'")
        .await;
    assert_eq!(open(&db, 0, 1).await[0].job.delay, Duration::ZERO);
}

#[tokio::test]
async fn a_row_stays_until_its_job_is_done_and_the_dead_are_relayed_no_more() {
    let lab = Lab::new().await;
    let db = lab.db(|_| {});
    let foreign = NewRow {
        kind: "unknown here".to_owned(),
        ..row(9)
    };
    write(&db, &[row(1), row(2), row(3), foreign])
        .await
        .unwrap();
    let relayed = db.scope(async |conn| {
        let jobs = [("outbox:1", true), ("outbox:2", true), ("outbox:7", true)];
        outbox::mark_relayed(conn, &jobs).await
    });
    assert_eq!(relayed.await.unwrap(), 2);
    let counts = Census {
        waiting: 2,
        unknown: 1,
        relayed: 2,
        ..Census::default()
    };
    assert_eq!(census(&db).await, counts);
    let was_relayed: Vec<_> = open(&db, 0, 10)
        .await
        .iter()
        .map(|row| row.was_relayed)
        .collect();
    assert_eq!(
        was_relayed,
        [true, true, false],
        "all of known kinds are open"
    );

    assert_eq!(bury(&db, &[("outbox:2", "no use")]).await, 1);
    assert_eq!(
        bury(&db, &[("outbox:2", "again")]).await,
        0,
        "the first reason stays"
    );
    assert_eq!(open(&db, 0, 10).await.len(), 2);
    let ids = ["outbox:1", "outbox:2", "outbox:7"];
    let missing = || db.scope(async |conn| outbox::missing(conn, &ids).await);
    assert_eq!(
        missing().await.unwrap(),
        ["outbox:7"],
        "a dead one may be tried again"
    );
    let removed = db.scope(async |conn| outbox::remove(conn, &ids).await);
    assert_eq!(removed.await.unwrap(), 2);
    assert_eq!(missing().await.unwrap(), ids);
    let counts = Census {
        waiting: 2,
        unknown: 1,
        ..Census::default()
    };
    assert_eq!(census(&db).await, counts);
}

#[tokio::test]
async fn the_long_dead_go_in_bounded_steps_and_nothing_else() {
    let lab = Lab::new().await;
    let db = lab.db(|_| {});
    let rows: Vec<_> = (0..5).map(row).collect();
    write(&db, &rows).await.unwrap();
    bury(&db, &[("outbox:0", ""), ("outbox:1", ""), ("outbox:2", "")]).await;
    lab.run(
        "update quayhand_outbox set created_at = 'epoch', due_at = 'epoch', relayed_at = 'epoch';
         update quayhand_outbox set dead_at = clock_timestamp() - interval '1 h'
          where job_id in ('outbox:0', 'outbox:1')",
    )
    .await;
    let prune = |at_most| {
        let kept = Duration::from_mins(30);
        let db = db.clone();
        async move {
            let prune = db.scope(async |conn| outbox::prune_dead(conn, kept, at_most).await);
            prune.await.unwrap()
        }
    };
    assert_eq!((prune(1).await, prune(9).await, prune(9).await), (1, 1, 0));
    assert_eq!(
        census(&db).await,
        Census {
            relayed: 2,
            dead: 1,
            ..Census::default()
        }
    );
}

#[tokio::test]
async fn a_dead_row_is_seen_and_comes_back_when_it_is_tried_again() {
    let lab = Lab::new().await;
    let db = lab.db(|_| {});
    write(&db, &[row(1), row(2)]).await.unwrap();
    assert_eq!(bury(&db, &[("outbox:2", "no use")]).await, 1);
    let dead = || db.scope(async |conn| outbox::dead_after(conn, 0, 10).await);
    let [two] = &dead().await.unwrap()[..] else {
        panic!("one is dead")
    };
    assert_eq!((&two.job, &*two.reason), (&row(2), "no use"));
    assert!(two.dead_ms >= Some(two.created_ms) && !two.was_relayed);
    let after = db.scope(async |conn| outbox::dead_after(conn, two.seq, 10).await);
    assert_eq!(after.await.unwrap(), []);
    let get = async |id: &str| db.scope(async |conn| outbox::get(conn, id).await).await;
    assert_eq!(get("outbox:2").await.unwrap().as_ref(), Some(two));
    assert_eq!(get("outbox:1").await.unwrap().unwrap().dead_ms, None);
    assert_eq!(get("outbox:3").await.unwrap(), None);
    let ids = ["outbox:1", "outbox:2"];
    let revive = || db.scope(async |conn| outbox::revive(conn, &ids).await);
    assert_eq!((revive().await.unwrap(), revive().await.unwrap()), (1, 0));
    assert_eq!(
        (dead().await.unwrap().len(), open(&db, 0, 10).await.len()),
        (0, 2)
    );
}
