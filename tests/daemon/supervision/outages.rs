//! A server that goes away and comes back: no daemon ends, work goes on.
use std::{
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use quayhand_testkit::{Fault, PostgresServer, Proxy, wait_for};

use crate::{testd::kinds::MarkA, world::World};

#[tokio::test(flavor = "multi_thread")]
async fn redis_stopped_and_restarted_ends_no_daemon() {
    let mut world = World::new().await;
    let settings = world.settings();
    let mut daemons = [world.daemon(&settings).await, world.daemon(&settings).await];
    let before: Vec<_> = (0..100).map(|id| MarkA { id, ms: 20 }).collect();
    world.client.enqueue_all(&before).await.unwrap();
    world.marked(10, Duration::from_secs(10)).await;
    world.redis.kill().unwrap();
    for daemon in &daemons {
        daemon.says("failed and is tried again").await;
    }
    world.redis.restart().await.unwrap();
    let back = Instant::now();
    for daemon in &daemons {
        daemon.says("answers again").await;
    }
    let answered = back.elapsed();
    world
        .client
        .enqueue(&MarkA { id: 100, ms: 0 })
        .await
        .unwrap();
    world.marked(101, Duration::from_mins(1)).await;
    println!(
        "F5 Redis killed under two daemons: target daemons ended 0, again at work within 5 s; seen 0, \
         {answered:.1?} (all 101 jobs done after {:.1?})",
        back.elapsed()
    );
    for daemon in &mut daemons {
        assert!(daemon.is_running());
        let warnings = daemon
            .events()
            .iter()
            .filter(|event| event.message().contains("is tried again:"))
            .count();
        assert!(
            warnings <= 6,
            "one warning an outage and queue, not {warnings}"
        );
    }
    assert!(answered < Duration::from_secs(5), "{answered:?}");
    for daemon in daemons {
        daemon.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_hangs_ends_no_daemon() {
    let world = World::new().await;
    let mut daemon = world.daemon(&world.settings()).await;
    world.redis.pause().await.unwrap();
    daemon.says("is tried again").await;
    world.redis.resume().unwrap();
    let back = Instant::now();
    world.client.enqueue(&MarkA { id: 1, ms: 0 }).await.unwrap();
    world.marked(1, Duration::from_secs(10)).await;
    println!(
        "F9 Redis hung under a daemon: target a job within 10 s of its return, seen {:.1?}",
        back.elapsed()
    );
    assert!(daemon.is_running());
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_goes_away_stops_schedules_only_while_it_is_gone() {
    let world = World::new().await;
    let postgres = PostgresServer::shared().await.unwrap();
    let target = SocketAddr::from((Ipv4Addr::LOCALHOST, postgres.port()));
    let mut proxy = Proxy::start(target).await.unwrap();
    let mut settings = world.settings();
    let (direct, through) = (
        format!(":{}/", postgres.port()),
        format!(":{}/", proxy.port()),
    );
    settings.database_url = settings.database_url.replace(&direct, &through);
    settings.tick = Duration::from_secs(1);
    let daemon = world.daemon(&settings).await;
    daemon.says("ran `ticked`").await;
    proxy.set(Fault::Refuse).await;
    daemon.says("schedules wait").await;
    world.client.enqueue(&MarkA { id: 1, ms: 0 }).await.unwrap();
    world.marked(1, Duration::from_secs(10)).await;
    proxy.set(Fault::None).await;
    let back = Instant::now();
    daemon.says("schedules go on").await;
    println!(
        "database back: schedules go on after {:.1?}",
        back.elapsed()
    );
    let ran = || {
        daemon
            .events()
            .iter()
            .filter(|event| event.message().starts_with("ran `ticked`"))
            .count()
    };
    let earlier = ran();
    wait_for("a later tick", Duration::from_secs(10), async || {
        (ran() > earlier).then_some(())
    })
    .await;
    daemon.stop().await;
}
