//! What operators ask of the queues: finding, explaining, pausing, cancelling, replaying.

use quayhand_queue::Client;
use serde_json::Value;

use crate::desk::{Desk, GC};

#[tokio::test]
async fn a_paused_queue_says_so_everywhere_and_goes_on() {
    let desk = Desk::new().await;
    let id = desk.put(1).await;
    let paused = desk
        .says(&["queue", "pause", "gc", "--why", "a new disk"])
        .await;
    assert_eq!(paused, "queue `gc` paused\n");
    let again = desk.says(&["queue", "pause", "gc"]).await;
    assert!(again.contains("was paused already"), "{again}");
    assert!(desk.take(None).await.is_empty(), "nothing is given out");
    let why = desk.says(&["job", "why", &id]).await;
    assert!(
        why.contains("paused") && why.contains("a new disk"),
        "{why}"
    );
    let list = desk.json(&["queue", "list"]).await;
    let gc = list.iter().find(|row| row["queue"] == "gc").expect("gc");
    assert_eq!(gc["paused"], Value::from(vec!["queue"]));
    desk.says(&["queue", "resume", "gc"]).await;
    let again = desk.says(&["queue", "resume", "gc"]).await;
    assert!(again.contains("was not paused"), "{again}");
    assert_eq!(desk.take(None).await, [id]);
}

#[tokio::test]
async fn a_kind_is_paused_and_others_are_not() {
    let desk = Desk::new().await;
    let id = desk.put(1).await;
    let other = desk.says(&["enqueue", "blob_gc"]).await;
    desk.says(&["queue", "pause", "gc", "--kind", "tag_expiry"])
        .await;
    assert_eq!(desk.take(None).await, [other.trim_end()]);
    let why = desk.says(&["job", "why", &id]).await;
    assert!(why.contains("kind:tag_expiry"), "{why}");
}

#[tokio::test]
async fn why_names_every_reason() {
    let desk = Desk::new().await;
    let id = desk.put(1).await;
    let why = async |id: &str| desk.says(&["job", "why", id]).await;
    assert!(why(&id).await.contains("no worker"), "nobody works here");
    let later = "{\"repository_ids\": [9]}";
    let later = ["enqueue", "tag_expiry", later, "--in", "600"];
    let later = desk.says(&later).await;
    let said = why(later.trim_end()).await;
    assert!(said.contains("due in") && said.contains("min"), "{said}");
    desk.take(None).await;
    let said = why(&id).await;
    assert!(said.contains("runs on host"), "{said}");
    let none = desk.program.run(&["job", "why", "01NONE"]).await;
    none.expect(1).says(&["01NONE", "job find"]);
}

#[tokio::test]
async fn jobs_are_found_by_what_they_are_about() {
    let desk = Desk::new().await;
    let (one, _two) = (desk.put(17).await, desk.put(18).await);
    let found = desk
        .json(&["job", "find", "--argument", "repository_ids=17"])
        .await;
    assert_eq!((found.len(), &found[0]["id"]), (1, &one.clone().into()));
    for (filter, count) in [
        (vec!["--kind", "tag_expiry"], 2),
        (vec!["--kind", "blob_gc"], 0),
        (vec!["--state", "ready"], 2),
        (vec!["--state", "dead"], 0),
        (vec!["--older-than", "1h"], 0),
        (vec!["--queue", "default"], 0),
        (vec!["--limit", "1"], 1),
    ] {
        let found = desk.json(&[&["job", "find"], &*filter].concat()).await;
        assert_eq!(found.len(), count, "{filter:?}");
    }
    let shown = desk.says(&["job", "show", &one]).await;
    assert!(shown.contains(&one) && shown.contains("[17]"), "{shown}");
    for bad in [
        vec!["--state", "lost"],
        vec!["--argument", "x"],
        vec!["--older-than", "soon"],
        vec!["--queue", "none"],
    ] {
        let refused = desk.program.run(&[&["job", "find"], &*bad].concat()).await;
        refused.expect(2);
    }
}

#[tokio::test]
async fn a_job_that_waits_is_cancelled_once() {
    let desk = Desk::new().await;
    let (id, kept) = (desk.put(1).await, desk.put(2).await);
    let said = desk
        .says(&["job", "cancel", &id, "--why", "a mistake"])
        .await;
    assert!(said.contains("cancelled before it ran"), "{said}");
    assert_eq!(desk.take(None).await, [kept]);
    let again = desk.program.run(&["job", "cancel", &id]).await;
    again.expect(1).says(&[&id]);
}

#[tokio::test]
async fn the_dead_are_listed_replayed_and_thrown_away() {
    let desk = Desk::new().await;
    let ids = desk.kill(5).await;
    let list = desk.says(&["dead", "list"]).await;
    assert!(!list.contains('\u{1b}'), "no escape reaches a terminal");
    assert!(list.contains("luck") && list.contains(&ids[0]), "{list}");
    let shown = desk.says(&["dead", "show", &ids[0]]).await;
    assert!(shown.contains("dead") && shown.contains("luck"), "{shown}");

    let unsure = desk.program.run(&["dead", "retry"]).await;
    unsure
        .expect(2)
        .says(&["5 dead jobs", "--yes", "--dry-run"]);
    let looked = desk.says(&["dead", "retry", "--dry-run"]).await;
    assert!(looked.contains("would retry: 5 jobs"), "{looked}");
    assert_eq!(
        desk.json(&["dead", "list"]).await.len(),
        5,
        "it changed nothing"
    );

    let one = desk.says(&["dead", "retry", &ids[0], "--yes"]).await;
    assert_eq!(one, "retried: 1 jobs\n");
    assert_eq!(desk.take(None).await, [ids[0].clone()]);
    let argument = ["dead", "discard", "--argument", "repository_ids=1", "--yes"];
    assert_eq!(desk.says(&argument).await, "discarded: 1 jobs\n");
    assert_eq!(desk.says(&argument).await, "discarded: 0 jobs\n");
    let error = [
        "dead", "retry", "--error", "luck", "--yes", "--rate", "1000",
    ];
    assert_eq!(desk.says(&error).await, "retried: 3 jobs\n");
    assert!(desk.json(&["dead", "list"]).await.is_empty());
    let running = desk.program.run(&["dead", "retry", &ids[0], "--yes"]).await;
    running.expect(1).says(&["not dead"]);
}

#[tokio::test]
async fn a_queue_is_cleared_of_what_waits_alone() {
    let desk = Desk::new().await;
    let running = desk.put(1).await;
    desk.take(None).await;
    desk.put(2).await;
    desk.put(3).await;
    let unsure = desk.program.run(&["queue", "clear", "gc"]).await;
    unsure.expect(2).says(&["2 waiting jobs"]);
    let looked = desk.says(&["queue", "clear", "gc", "--dry-run"]).await;
    assert_eq!(looked, "would remove: 2 jobs\n");
    let cleared = desk.says(&["queue", "clear", "gc", "--yes"]).await;
    assert_eq!(cleared, "removed: 2 jobs\n");
    let left = desk.json(&["job", "find"]).await;
    assert_eq!((left.len(), &left[0]["id"]), (1, &running.into()));
}

#[tokio::test]
async fn without_a_worker_none_is_listed() {
    let desk = Desk::new().await;
    assert!(desk.json(&["worker", "list"]).await.is_empty());
    let client = Client::new(desk.store.clone());
    assert!(
        client
            .store()
            .workers(&GC)
            .await
            .expect("workers")
            .is_empty()
    );
    let about = quayhand_queue::About {
        worker: desk.worker.to_string(),
        host: "a".to_owned(),
        slots: 3,
        ..Default::default()
    };
    let told = desk.store.register(&GC, &desk.worker, &about).await;
    told.expect("a worker tells");
    let listed = desk.json(&["worker", "list"]).await;
    assert_eq!(
        (&listed[0]["host"], &listed[0]["slots"]),
        (&"a".into(), &3.into())
    );
    assert!(desk.says(&["worker", "list"]).await.contains("0/3"));
}
