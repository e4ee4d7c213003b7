//! A pause outlives Redis: nothing of a paused queue runs because Redis forgot the pause.
use std::time::Duration;

use quayhand_model::pause;
use quayhand_queue::Target;

use super::PATIENCE;
use crate::{
    testd::kinds::{A, Once},
    world::World,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_queue_stays_so_when_redis_loses_everything() {
    let world = World::new().await;
    let mut settings = world.settings();
    settings.relay_interval = Duration::from_secs(1);
    let db = world.db();
    let put = db.scope(async |conn| pause::put(conn, "a", "queue", "ada", "a new disk").await);
    assert!(put.await.unwrap());
    world.commit_only([Once { id: 1, ms: 0 }]).await;
    // Nobody told Redis: the daemon does, before it takes a job.
    let daemon = world.daemon(&settings).await;
    for relays in 1..=2 {
        let relayed = format!("quayhand_outbox where relays = {relays}");
        world.rows(&relayed, 1).await;
        let pauses = world.store().pauses(&A).await.unwrap();
        assert_eq!((pauses.len(), &pauses[0].target), (1, &Target::Queue));
        assert_eq!(
            (&*pauses[0].note.by, &*pauses[0].note.why),
            ("ada", "a new disk")
        );
        assert_eq!(world.marks().await.len(), 0, "nothing ran");
        if relays == 1 {
            world.flush_all().await;
        }
    }
    daemon.says("is paused again").await;
    let lift = db.scope(async |conn| pause::lift(conn, "a", "queue").await);
    assert!(lift.await.unwrap());
    assert!(world.store().resume(&A, &Target::Queue).await.unwrap());
    world.marked(1, PATIENCE).await;
    world.rows("quayhand_outbox", 0).await;
    daemon.stop().await;
    assert!(world.store().pauses(&A).await.unwrap().is_empty());
}
