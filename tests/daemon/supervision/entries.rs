//! A schedule's entry: left out while its job has not ended, paused on all hosts at once.
use std::time::Duration;

use quayhand_model::{Conn, DbConfig, DbError, configure, schedule};
use quayhand_testkit::wait_for;
use rustix::process::Signal;

use crate::{testd::kinds::TICKS, world::World};

const PATIENCE: Duration = Duration::from_mins(1);

async fn count(world: &World, of: &str) -> i64 {
    let count = format!("select count(*) from {of}");
    world.ledger.query_one(&count, &[]).await.unwrap().get(0)
}

async fn at_least(world: &World, of: &str, expected: i64) {
    wait_for(&format!("{expected} of {of}"), PATIENCE, async || {
        (count(world, of).await >= expected).then_some(())
    })
    .await;
}

async fn on<T>(world: &World, work: impl AsyncFn(&mut Conn) -> Result<T, DbError>) -> T {
    let db = configure(DbConfig::new(&world.database_url)).unwrap();
    db.scope(async |conn| work(conn).await).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn ticks_are_left_out_while_the_job_of_one_has_not_ended() {
    let world = World::new().await;
    let mut settings = world.settings().slots("ticks", 0);
    settings.tick = Duration::from_secs(1);
    let daemons = [world.daemon(&settings).await, world.daemon(&settings).await];
    at_least(
        &world,
        "quayhand_schedule where entry = 'ticked' and state = 'skipped'",
        3,
    )
    .await;
    let counts = world.store().counts(&TICKS).await.unwrap();
    assert_eq!(counts.ready, 2, "one job of each entry");
    settings = settings.slots("ticks", 2);
    settings.write(&world.settings_file());
    for daemon in &daemons {
        daemon.signal(Signal::HUP);
    }
    at_least(&world, "ticks", 3).await;
    for daemon in daemons {
        daemon.stop().await;
    }
    let (runs, jobs) = (
        count(&world, "ticks").await,
        count(&world, "(select distinct job from ticks) t").await,
    );
    let skipped = count(&world, "quayhand_schedule where state = 'skipped'").await;
    println!("2 daemons, a job that waits: {skipped} ticks left out, {runs} runs of {jobs} jobs");
    assert_eq!(runs, jobs);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_entry_ticks_on_no_host_and_goes_on_with_its_next_tick() {
    let world = World::new().await;
    let mut settings = world.settings();
    settings.tick = Duration::from_secs(1);
    let daemons = [world.daemon(&settings).await, world.daemon(&settings).await];
    at_least(&world, "ticks", 1).await;
    assert!(
        on(&world, async |conn| schedule::pause(
            conn, "ticked", "ada", ""
        )
        .await)
        .await
    );
    let seconds =
        "(select generate_series(1, extract(epoch from clock_timestamp() - changed_at)::int)
                      from quayhand_schedule_entry) passed";
    at_least(&world, seconds, 4).await;
    assert!(on(&world, async |conn| schedule::resume(conn, "ticked").await).await);
    let after = "quayhand_schedule s join quayhand_schedule_entry e using (entry)
                  where s.tick > e.changed_at and s.state = 'done'";
    at_least(&world, after, 2).await;
    for daemon in daemons {
        daemon.stop().await;
    }
    // The pause was longer than three seconds: a gap as long is between two ticks.
    let gap = "select max(gap)::float8 from (select extract(epoch from tick - lag(tick) over (order by tick))
                 as gap from quayhand_schedule where entry = 'ticked') gaps";
    let gap_s: f64 = world.ledger.query_one(gap, &[]).await.unwrap().get(0);
    println!("paused on 2 daemons: no tick for {gap_s} s, then on");
    assert!(gap_s >= 4.0, "{gap_s}");
}
