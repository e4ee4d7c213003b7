//! TSTP, CONT, HUP and USR1.
use std::{fs, time::Duration};

use quayhand_testkit::wait_for;
use rustix::process::Signal;

use crate::{
    testd::kinds::{A, Hang, MarkA},
    world::World,
};

#[tokio::test(flavor = "multi_thread")]
async fn tstp_makes_it_quiet_and_cont_lets_it_go_on() {
    let world = World::new().await;
    let daemon = world.daemon(&world.settings()).await;
    world.client.enqueue(&MarkA { id: 1, ms: 0 }).await.unwrap();
    world.marked(1, Duration::from_secs(10)).await;
    daemon.signal(Signal::TSTP);
    daemon.says("quiet").await;
    world.client.enqueue(&MarkA { id: 2, ms: 0 }).await.unwrap();
    // A dump comes after everything that was in the way before it.
    daemon.signal(Signal::USR1);
    daemon.says("dump: ends").await;
    let quiet = daemon
        .event("the pool", |event| event.field("is_quiet") == true)
        .await;
    assert!(quiet.message().starts_with("dump: pool"));
    assert_eq!(world.store().counts(&A).await.unwrap().ready, 1);
    assert_eq!(world.marks().await.len(), 1);
    daemon.signal(Signal::CONT);
    world.marked(2, Duration::from_secs(10)).await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hup_changes_a_pools_concurrency() {
    let world = World::new().await;
    let settings = world.settings().slots("a", 1);
    let jobs: Vec<_> = (0..8).map(|id| Hang { id }).collect();
    world.client.enqueue_all(&jobs).await.unwrap();
    let daemon = world.daemon(&settings).await;
    world.leased(&A, 1).await;
    daemon.says("ran `ticked`").await;
    settings.clone().slots("a", 3).write(&world.settings_file());
    daemon.signal(Signal::HUP);
    let said = daemon
        .event("the new number", |event| event.field("slots") == 3)
        .await;
    assert_eq!(said.field("before"), 1);
    world.leased(&A, 3).await;
    daemon.says("only after a restart: redis_url").await;
    println!("HUP: {}", said.message());

    fs::write(world.settings_file(), "no settings").unwrap();
    daemon.signal(Signal::HUP);
    daemon.says("the old one stays").await;
    daemon.runs("hang", 3).await;
    daemon.signal(Signal::TERM);
    let stopping = daemon.says("stopping:").await;
    assert!(
        stopping.message().starts_with("stopping: 3 jobs run"),
        "{}",
        daemon.text()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn usr1_names_a_running_job() {
    let world = World::new().await;
    let id = world.client.enqueue(&Hang { id: 1 }).await.unwrap().id;
    let daemon = world.daemon(&world.settings()).await;
    world.leased(&A, 1).await;
    wait_for(
        "the running job in a dump",
        Duration::from_secs(10),
        async || {
            daemon.signal(Signal::USR1);
            let events = daemon.events();
            events.into_iter().find(|event| {
                event.field("job.id") == id.as_str() && !event.field("age_ms").is_null()
            })
        },
    )
    .await;
    daemon.says("dump: ends").await;
    let events = daemon.events();
    let job = events
        .iter()
        .find(|event| event.field("job.kind") == "hang")
        .unwrap();
    assert_eq!(
        (job.field("job.attempt"), job.field("job.queue")),
        (&1.into(), &"a".into())
    );
    assert!(
        events
            .iter()
            .any(|event| event.field("lock") == "TEST_LOCK")
    );
    let queue = daemon.says("dump: queue `a`").await;
    assert_eq!(queue.field("leased"), 1);
    println!("USR1: {}", job.message());
    daemon.signal(Signal::TERM);
    daemon.says("stopping").await;
}
