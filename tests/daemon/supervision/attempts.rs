//! A job that panics, hangs or blocks harms nobody but itself.
use std::time::Duration;

use quayhand_queue::State;
use quayhand_testkit::wait_for;

use crate::{
    testd::kinds::{A, Blocks, MarkA, Panics, Steps, Stubborn},
    world::World,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_becomes_a_failed_attempt() {
    let world = World::new().await;
    let mut daemon = world.daemon(&world.settings()).await;
    let id = world.client.enqueue(&Panics { id: 7 }).await.unwrap().id;
    let failed = daemon.says("`panics` failed").await;
    let error = failed.field("error").as_str().unwrap();
    assert_eq!(error, "the job panicked: a panic on purpose");
    assert_eq!(
        (failed.span("job.id"), failed.span("job.attempt")),
        (&id.as_str().into(), &1.into())
    );
    assert_eq!(
        (failed.span("job.kind"), failed.span("job.queue")),
        (&"panics".into(), &"a".into())
    );
    daemon.says("ran `panics`").await;
    let attempts: Vec<_> = world
        .marks()
        .await
        .iter()
        .map(|mark| mark.attempt)
        .collect();
    assert_eq!(attempts, [1, 2]);
    assert!(daemon.is_running());
    let reports = daemon.events();
    let errors = reports.iter().filter(|event| event.level() == "ERROR");
    assert_eq!(errors.count(), 1, "the panic itself, once");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_does_not_stop_when_its_time_is_over_is_dropped() {
    let world = World::new().await;
    let daemon = world.daemon(&world.settings().slots("a", 1)).await;
    let id = world.client.enqueue(&Stubborn {}).await.unwrap().id;
    let dead = daemon.says("`stubborn` is dead").await;
    assert!(
        dead.field("error")
            .as_str()
            .unwrap()
            .contains("timed out after 100ms")
    );
    let dropped_after_ms = dead.field("duration_ms").as_u64().unwrap();
    assert!(
        (5_100..7_000).contains(&dropped_after_ms),
        "{dropped_after_ms}"
    );
    let gone = world.store().list(&A, State::Dead, 0, 10).await.unwrap();
    assert_eq!(gone[0].id, id);
    world.client.enqueue(&MarkA { id: 1, ms: 0 }).await.unwrap();
    world.marked(1, Duration::from_secs(5)).await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_advances_and_stops_in_time_goes_on_in_the_same_attempt() {
    let world = World::new().await;
    let daemon = world.daemon(&world.settings()).await;
    world.client.enqueue(&Steps { id: 3 }).await.unwrap();
    daemon.says("ran `steps`").await;
    daemon.says("`steps` goes on").await;
    let marks = world.marks().await;
    assert_eq!(marks.len(), usize::try_from(Steps::ALL).unwrap());
    assert!(marks.iter().all(|mark| mark.attempt == 1));
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_block_every_thread_keep_their_leases() {
    let world = World::new().await;
    let mut settings = world.settings().slots("a", 8);
    settings.lease = Duration::from_secs(1);
    let daemon = world.daemon(&settings).await;
    let jobs: Vec<_> = (0..8).map(|id| Blocks { id, ms: 3_000 }).collect();
    world.client.enqueue_all(&jobs).await.unwrap();
    world.marked(8, Duration::from_mins(1)).await;
    wait_for("the end of all jobs", Duration::from_secs(10), async || {
        (world.unfinished().await == 0).then_some(())
    })
    .await;
    let marks = world.marks().await;
    assert_eq!(
        (marks.len(), marks.iter().all(|mark| mark.attempt == 1)),
        (8, true)
    );
    daemon.stop().await;
}
