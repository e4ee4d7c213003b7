//! Jobs that have rows: retried, thrown away and cancelled with them, and seen without Redis.

use quayhand_queue::Outcome;

use crate::{
    desk::{Desk, GC},
    scene::Scene,
};

const PAYLOAD: &str = "{\"repository_ids\":[1]}";
const OPEN: &str = "select count(*) from quayhand_outbox where dead_at is null";
const DEAD: &str = "select count(*) from quayhand_outbox where dead_at is not null";

async fn write(scene: &Scene, id: &str) {
    scene
        .execute(&format!(
            "insert into quayhand_outbox (job_id, kind, payload)
             values ('{id}', 'tag_expiry', '{PAYLOAD}')"
        ))
        .await;
}

/// Marks every row as the daemon does when its job dies.
async fn bury(scene: &Scene) {
    let bury = "update quayhand_outbox set dead_at = now(), reason = 'no luck'";
    scene.execute(bury).await;
}

/// Makes a job of the outbox die in the queue.
async fn die(desk: &Desk, scene: &Scene, id: &str) {
    write(scene, id).await;
    desk.put_as("tag_expiry", id, PAYLOAD).await;
    let reason = "no luck".to_owned();
    assert_eq!(desk.take(Some(Outcome::Dead { reason })).await, [id]);
}

#[tokio::test]
async fn a_dead_job_that_is_retried_outlives_redis() {
    let (desk, scene) = Desk::with_database().await;
    die(&desk, &scene, "outbox:1").await;
    bury(&scene).await;
    let said = desk.says(&["dead", "retry", "outbox:1", "--yes"]).await;
    assert_eq!(said, "retried: 1 jobs\n");
    assert_eq!(scene.number(OPEN).await, 1, "the relay enqueues it again");
    desk.flush_all().await;
    let why = desk.says(&["job", "why", "outbox:1"]).await;
    assert!(why.contains("enqueues it within a minute"), "{why}");
}

#[tokio::test]
async fn a_retried_job_without_its_row_gets_one() {
    let (desk, scene) = Desk::with_database().await;
    die(&desk, &scene, "outbox:1").await;
    scene.execute("delete from quayhand_outbox").await;
    desk.says(&["dead", "retry", "outbox:1", "--yes"]).await;
    let kept = "select job_id || payload::text from quayhand_outbox where dead_at is null";
    assert_eq!(scene.texts(kept).await, [format!("outbox:1{PAYLOAD}")]);
}

#[tokio::test]
async fn a_job_that_died_of_crashes_goes_with_its_row() {
    let (desk, scene) = Desk::with_database().await;
    // Its row does not know of the death: the relay has not looked yet.
    die(&desk, &scene, "outbox:1").await;
    let said = desk.says(&["dead", "discard", "outbox:1", "--yes"]).await;
    assert_eq!(said, "discarded: 1 jobs\n");
    assert_eq!(scene.number(OPEN).await, 0, "no relay brings it back");
    assert_eq!(scene.number(DEAD).await, 0);
}

#[tokio::test]
async fn the_dead_that_redis_lost_are_listed_retried_and_thrown_away() {
    let (desk, scene) = Desk::with_database().await;
    for id in ["outbox:1", "outbox:2"] {
        write(&scene, id).await;
    }
    bury(&scene).await;
    let list = desk.json(&["dead", "list", "--error", "luck"]).await;
    assert_eq!(list.len(), 2, "{list:?}");
    assert_eq!(
        (&list[0]["queue"], &list[0]["state"]),
        (&"outbox".into(), &"dead".into())
    );
    assert!(
        desk.json(&["dead", "list", "--error", "else"])
            .await
            .is_empty()
    );
    assert!(
        desk.json(&["dead", "list", "--queue", "default"])
            .await
            .is_empty()
    );
    let shown = desk.says(&["dead", "show", "outbox:2"]).await;
    assert!(
        shown.contains("no luck") && shown.contains("repository_ids"),
        "{shown}"
    );
    let said = desk.says(&["dead", "retry", "outbox:1", "--yes"]).await;
    assert_eq!(said, "retried: 1 jobs\n");
    assert_eq!((scene.number(OPEN).await, scene.number(DEAD).await), (1, 1));
    assert_eq!(
        desk.says(&["dead", "discard", "--yes"]).await,
        "discarded: 1 jobs\n"
    );
    assert_eq!((scene.number(OPEN).await, scene.number(DEAD).await), (1, 0));
}

#[tokio::test]
async fn without_a_database_a_job_with_a_row_is_left_alone() {
    let desk = Desk::new().await;
    desk.put_as("tag_expiry", "outbox:1", PAYLOAD).await;
    desk.put_as("blob_gc", "blob_gc@60000", "{}").await;
    for id in ["outbox:1", "blob_gc@60000"] {
        let refused = desk.program.run(&["job", "cancel", id]).await;
        refused
            .expect(3)
            .says(&["database.url", id, "nothing was changed"]);
    }
    assert_eq!(desk.store.counts(&GC).await.expect("counts").ready, 2);
    let reason = "no luck".to_owned();
    desk.take(Some(Outcome::Dead { reason })).await;
    for verb in ["retry", "discard"] {
        let refused = desk.program.run(&["dead", verb, "--yes"]).await;
        refused.expect(3).says(&["database.url"]);
    }
    assert_eq!(desk.store.counts(&GC).await.expect("counts").dead, 2);
}

#[tokio::test]
async fn a_cancelled_job_goes_with_its_row() {
    let (desk, scene) = Desk::with_database().await;
    write(&scene, "outbox:1").await;
    desk.put_as("tag_expiry", "outbox:1", PAYLOAD).await;
    let said = desk.says(&["job", "cancel", "outbox:1"]).await;
    assert!(said.contains("cancelled before it ran"), "{said}");
    assert_eq!(scene.number(OPEN).await, 0);
    let why = desk.says(&["job", "why", "outbox:1"]).await;
    assert!(why.contains("in no queue any more: cancelled"), "{why}");
}

#[tokio::test]
async fn a_job_of_the_outbox_is_seen_explained_and_cancelled_without_redis() {
    let (mut desk, scene) = Desk::with_database().await;
    desk.server.kill().expect("Redis ends");
    write(&scene, "outbox:1").await;
    let shown = desk.json(&["job", "show", "outbox:1"]).await;
    assert_eq!(
        (&shown[0]["queue"], &shown[0]["kind"]),
        (&"outbox".into(), &"tag_expiry".into())
    );
    let why = desk.says(&["job", "why", "outbox:1"]).await;
    assert!(why.contains("in the outbox alone"), "{why}");
    let said = desk.says(&["job", "cancel", "outbox:1"]).await;
    assert!(said.contains("cancelled before it ran"), "{said}");
    assert_eq!(scene.number(OPEN).await, 0);
    let other = desk.program.run(&["job", "show", "outbox:2"]).await;
    other.expect(5).says(&["does not answer"]);
}
