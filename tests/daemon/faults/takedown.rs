//! F3: a job whose process is killed for want of memory, among others that do their work.
use std::time::Duration;

use quayhand_queue::State;
use quayhand_testkit::wait_for;

use super::PATIENCE;
use crate::{
    testd::{
        faulty::OutOfMemory,
        kinds::{A, MarkA, MarkB, QUEUES},
    },
    world::World,
};

/// Other jobs in each of two queues; more than run at once.
const OTHERS: i64 = 20;

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_gets_its_process_killed_dies_alone() {
    let world = World::new().await;
    let mut settings = world.settings();
    settings.lease = Duration::from_secs(1);
    // The others take longer than the process lives: they are at work whenever it is killed.
    let others: Vec<_> = (0..OTHERS).map(|id| MarkA { id, ms: 300 }).collect();
    let beside: Vec<_> = (100..100 + OTHERS)
        .map(|id| MarkB { id, ms: 300 })
        .collect();
    world.client.enqueue_all(&others[..1]).await.unwrap();
    world.client.enqueue(&OutOfMemory { id: -1 }).await.unwrap();
    world.client.enqueue_all(&others[1..]).await.unwrap();
    world.client.enqueue_all(&beside).await.unwrap();
    let mut deaths = 0;
    let mut daemon = world.launch(&settings);
    wait_for("an end of all other work", PATIENCE, async || {
        if !daemon.is_running() {
            deaths += 1;
            daemon = world.launch(&settings);
        }
        let mut left = 0;
        for queue in QUEUES {
            let counts = world.store().counts(&queue).await.unwrap();
            left += counts.ready + counts.delayed + counts.leased;
        }
        (left == 0).then_some(())
    })
    .await;
    daemon.says("ready").await;
    daemon.stop().await;
    let mut dead = Vec::new();
    for queue in QUEUES {
        dead.extend(
            world
                .store()
                .list(&queue, State::Dead, 0, 100)
                .await
                .unwrap(),
        );
    }
    let lost = 2 * OTHERS - count_of_others(&world).await;
    println!(
        "F3 killed for want of memory: target processes ended 3, dead 1, others lost 0; \
         seen {deaths}, {}, {lost}",
        dead.len()
    );
    assert_eq!((deaths, dead.len(), lost), (3, 1, 0));
    assert_eq!(dead[0].envelope.as_ref().unwrap().kind, "out_of_memory");
    assert_eq!(world.store().counts(&A).await.unwrap().dead, 1);
}

async fn count_of_others(world: &World) -> i64 {
    let count = "select count(distinct id) from ledger where id >= 0";
    world.ledger.query_one(count, &[]).await.unwrap().get(0)
}
