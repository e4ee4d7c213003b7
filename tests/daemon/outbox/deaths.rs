//! A job that is dead stays dead: its row is kept for operators and relayed no more.
use std::time::Duration;

use quayhand_queue::State;

use super::PATIENCE;
use crate::{
    testd::kinds::{A, Hopeless, Killer, Once},
    world::World,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_job_of_the_outbox_is_not_replayed() {
    let world = World::new().await;
    let mut settings = world.settings();
    settings.relay_interval = Duration::from_secs(1);
    let daemon = world.daemon(&settings).await;
    world.commit_only([Hopeless { id: 1 }]).await;
    world
        .rows("quayhand_outbox where dead_at is not null", 1)
        .await;
    let reason: String = world
        .ledger
        .query_one("select reason from quayhand_outbox", &[])
        .await
        .unwrap()
        .get(0);
    assert_eq!(reason, "it has  hope");
    // The queue forgets that it ever was; a later job shows that the relay looked since.
    world.flush_all().await;
    world.commit_only([Once { id: 2, ms: 0 }]).await;
    world.marked(2, PATIENCE).await;
    daemon.stop().await;
    assert_eq!(world.marks().await.len(), 2, "the dead one ran once");
    assert_eq!(world.count("quayhand_outbox").await, 1, "and is kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_takes_its_processes_down_is_dead_in_the_outbox_too() {
    let world = World::new().await;
    let mut settings = world.settings();
    settings.lease = Duration::from_secs(1);
    settings.relay_interval = Duration::from_secs(1);
    world.commit_only([Killer { id: 1 }]).await;
    for _ in 0..3 {
        let mut daemon = world.launch(&settings);
        daemon.ended(PATIENCE).await;
    }
    let daemon = world.daemon(&settings).await;
    world
        .rows("quayhand_outbox where dead_at is not null", 1)
        .await;
    let dead = world.store().list(&A, State::Dead, 0, 10).await.unwrap();
    assert_eq!(dead.len(), 1);
    daemon.stop().await;
    let deaths = world.marks().await.len();
    println!(
        "F4 a job that aborts its process: target at most 3 processes, then dead in queue and \
         outbox; seen {deaths}, dead {}",
        dead.len()
    );
    assert_eq!(deaths, 3);
}
