//! What a sweep hands to the queue, and when it hands out nothing.
use quayhand_jobs::{queues::GC, tag_expiry_sweep::TagExpirySweep};
use quayhand_queue::{Client, Job, MemoryStore, Store, Target};
use quayhand_testkit::PostgresServer;

use crate::scene::Scene;

async fn waiting(store: &Store) -> u64 {
    let counts = store.counts(&GC).await.unwrap();
    counts.ready + counts.blocked
}

#[tokio::test]
async fn a_sweep_adds_nothing_to_what_is_paused() {
    let mut scene = Scene::clean_on(PostgresServer::shared().await.unwrap()).await;
    let store = Store::from(MemoryStore::default());
    scene.ctx.client = Some(Client::new(store.clone()));
    scene.litter("first", 3, 1, 1_000).await;
    for target in [Target::Queue, Target::Kind("tag_expiry".to_owned())] {
        store.pause(&GC, &target, "test", "").await.unwrap();
        let done = TagExpirySweep {}.run(&scene.ctx).await.unwrap();
        assert_eq!((done.of("repositories"), done.of("jobs")), (3, 0));
        assert_eq!(waiting(&store).await, 0, "{target}");
        store.resume(&GC, &target).await.unwrap();
    }
    let other = Target::Kind("blob_gc".to_owned());
    store.pause(&GC, &other, "test", "").await.unwrap();
    let done = TagExpirySweep {}.run(&scene.ctx).await.unwrap();
    assert_eq!((done.of("repositories"), done.of("jobs")), (3, 1));
    assert_eq!(waiting(&store).await, 1);
}
