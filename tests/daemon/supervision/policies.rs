//! What a configuration says about kinds, instead of the kinds themselves.
use std::time::Duration;

use quayhand_testkit::wait_for;
use rustix::process::Signal;

use crate::{
    testd::kinds::{A, Hang},
    world::World,
};

const PATIENCE: Duration = Duration::from_secs(20);

async fn enqueue(world: &World, jobs: i64) {
    let jobs: Vec<_> = (0..jobs).map(|id| Hang { id }).collect();
    world.client.enqueue_all(&jobs).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_of_the_configuration_holds_back_what_a_kind_would_run() {
    let world = World::new().await;
    let mut settings = world.settings().slots("a", 4);
    settings.limits.insert("hang".to_owned(), 1);
    enqueue(&world, 4).await;
    let daemon = world.daemon(&settings).await;
    wait_for("three that are held back", PATIENCE, async || {
        let counts = world.client.store().counts(&A).await.unwrap();
        ((counts.leased, counts.blocked) == (1, 3)).then_some(())
    })
    .await;
    daemon.runs("hang", 1).await;
    daemon.signal(Signal::TERM);
    daemon.says("stopping: 1 jobs run").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_it_all_of_them_run() {
    let world = World::new().await;
    enqueue(&world, 4).await;
    let daemon = world.daemon(&world.settings().slots("a", 4)).await;
    daemon.runs("hang", 4).await;
    daemon.signal(Signal::TERM);
    daemon.says("stopping: 4 jobs run").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hup_changes_the_time_limit_of_attempts_that_start_later() {
    let world = World::new().await;
    let mut settings = world.settings().slots("a", 4);
    let daemon = world.daemon(&settings).await;
    enqueue(&world, 1).await;
    daemon.runs("hang", 1).await;
    let short = Duration::from_millis(200);
    settings.timeouts.insert("hang".to_owned(), short);
    settings.write(&world.settings_file());
    daemon.signal(Signal::HUP);
    daemon.says("the configuration was reloaded").await;
    let later = world.client.enqueue(&Hang { id: 9 }).await.unwrap().id;
    let failed = daemon.says("`hang` failed").await;
    assert_eq!(*failed.span("job.id"), later);
    let error = failed.field("error").as_str().unwrap().to_owned();
    assert!(error.contains("timed out after 200ms"), "{error}");
    world.marked(1, PATIENCE).await;
    daemon.runs("hang", 1).await;
    daemon.signal(Signal::TERM);
    daemon.says("stopping: 1 jobs run").await;
}
