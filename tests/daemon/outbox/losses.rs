//! Redis loses everything, or is away.
use std::time::{Duration, Instant};

use quayhand_jobs::outbox::Sent;
use quayhand_queue::Placement;
use quayhand_testkit::wait_for;

use super::PATIENCE;
use crate::{
    testd::{
        TestCtx,
        kinds::{MarkA, Once, TICKS},
    },
    world::{World, doubles},
};

/// Time between two sweeps of the relay and of the sweeping kind.
fn sweep() -> Duration {
    let seconds = std::env::var("QUAYHAND_OUTBOX_SWEEP_S");
    Duration::from_secs(seconds.ok().map_or(10, |seconds| seconds.parse().unwrap()))
}

#[tokio::test(flavor = "multi_thread")]
async fn after_flushall_everything_is_back_within_one_sweep() {
    const ALL: i64 = 300;
    let world = World::new().await;
    let mut settings = world
        .settings()
        .slots("a", 0)
        .slots("b", 0)
        .slots("ticks", 0);
    (settings.relay_interval, settings.sweep) = (sweep(), sweep());
    // Every queue holds work and takes none: all of it is in Redis when that is lost.
    let insert = "insert into work select generate_series(1000, 1000 + $1::bigint - 1)";
    world.ledger.execute(insert, &[&ALL]).await.unwrap();
    let daemon = world.daemon(&settings).await;
    wait_for("both ticks", PATIENCE, async || {
        let counts = world.store().counts(&TICKS).await.unwrap();
        (counts.ready == 2).then_some(())
    })
    .await;
    world
        .commit_only((0..ALL).map(|id| Once { id, ms: 0 }))
        .await;
    world
        .rows("quayhand_outbox where relayed_at is not null", ALL)
        .await;
    world.flush_all().await;
    let lost = Instant::now();
    settings = settings.slots("a", 16).slots("b", 16).slots("ticks", 2);
    settings.write(&world.settings_file());
    daemon.signal(rustix::process::Signal::HUP);
    world.marked(2 * ALL, sweep() + PATIENCE).await;
    let work = lost.elapsed();
    daemon.says("ran `ticked`").await;
    let took = lost.elapsed();
    world.rows("quayhand_outbox", 0).await;
    daemon.stop().await;
    let marks = world.marks().await;
    println!(
        "F6 FLUSHALL under a daemon: target all work back within a sweep of {:.0?} and 10 s, lost 0 of {}; seen \
         outbox and derivable {work:.1?}, a schedule's job {took:.1?}, 0 (twice {})",
        sweep(),
        2 * ALL + 1,
        doubles(&marks).len()
    );
    assert!(took < sweep() + Duration::from_secs(10), "{took:?}");
    let once = marks.iter().filter(|mark| mark.id < ALL).count();
    assert_eq!(
        once,
        usize::try_from(ALL).unwrap(),
        "each of the outbox once"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_enqueued_while_redis_is_away_runs_when_it_is_back() {
    let mut world = World::new().await;
    let mut settings = world.settings();
    settings.relay_interval = Duration::from_secs(1);
    let daemon = world.daemon(&settings).await;
    world.redis.kill().unwrap();
    daemon.says("jobs of the outbox wait").await;
    let outbox = world.outbox();
    for id in 0..20 {
        let (derivable, once) = (
            MarkA { id, ms: 0 },
            Once {
                id: 100 + id,
                ms: 0,
            },
        );
        let place = Placement::default;
        let sent = [
            outbox
                .enqueue::<TestCtx, _>(&derivable, place())
                .await
                .unwrap(),
            outbox.enqueue::<TestCtx, _>(&once, place()).await.unwrap(),
        ];
        for sent in sent {
            let Sent::Kept { why: Some(why), id } = sent else {
                panic!("Redis is away: {sent:?}")
            };
            assert!(why.is_unreachable() && id.starts_with("outbox:"));
        }
    }
    assert_eq!(world.count("quayhand_outbox").await, 40);
    world.redis.restart().await.unwrap();
    let back = Instant::now();
    world.marked(40, PATIENCE).await;
    let took = back.elapsed();
    world.rows("quayhand_outbox", 0).await;
    daemon.says("jobs of the outbox go on").await;
    daemon.stop().await;
    let marks = world.marks().await;
    println!(
        "Redis away at enqueue: 40 of 40 jobs of both sources ran {took:.1?} after it was back, twice 0"
    );
    assert_eq!(marks.len(), 40);
    assert!(took < Duration::from_secs(15), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_committed_job_is_handed_over_at_once_and_an_undone_one_never_was() {
    let world = World::new().await;
    let daemon = world.daemon(&world.settings()).await;
    let outbox = world.outbox();
    let sent = outbox
        .enqueue::<TestCtx, _>(&Once { id: 1, ms: 0 }, Placement::default())
        .await;
    let began = Instant::now();
    assert!(matches!(sent.unwrap(), Sent::Queued(receipt) if receipt.is_new));
    world.marked(1, PATIENCE).await;
    println!(
        "a job of the outbox ran {:.1?} after its enqueue",
        began.elapsed()
    );
    world.rows("quayhand_outbox", 0).await;
    let db = world.db();
    let undone = db.transaction(async |tx| {
        let jobs = [(Once { id: 2, ms: 0 }, Placement::default())];
        let written = quayhand_jobs::Outbox::write::<TestCtx, _>(tx, &jobs).await;
        drop(written.unwrap());
        Err::<(), _>(quayhand_model::DbError::Refused("undone".to_owned()))
    });
    undone.await.unwrap_err();
    assert_eq!(world.count("quayhand_outbox").await, 0);
    daemon.stop().await;
    assert_eq!(world.marks().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_enqueued_again_after_its_end_does_not_run_again() {
    let world = World::new().await;
    let daemon = world.daemon(&world.settings()).await;
    world.commit_only([Once { id: 1, ms: 0 }]).await;
    let id: String = world
        .ledger
        .query_one("select job_id from quayhand_outbox", &[])
        .await
        .unwrap()
        .get(0);
    // A relay has read the row and enqueues it; another one did the same a moment ago.
    let placement = || Placement {
        id: Some(id.clone()),
        ..Placement::default()
    };
    let job = Once { id: 1, ms: 0 };
    let relay = async || {
        world
            .client
            .enqueue_placed::<TestCtx, _>(&job, placement())
            .await
    };
    assert!(relay().await.unwrap().is_new);
    world.rows("quayhand_outbox", 0).await;
    wait_for("the queue to forget the job", PATIENCE, async || {
        relay().await.unwrap().is_new.then_some(())
    })
    .await;
    daemon.says("nothing is run").await;
    daemon.stop().await;
    assert_eq!(world.marks().await.len(), 1);
    assert_eq!(world.unfinished().await, 0);
}
