//! What can be paused, who sees it, and that it outlives Redis.

use quayhand_queue::{Redis, Target};

use crate::desk::{Desk, GC};

#[tokio::test]
async fn what_is_no_name_cannot_be_paused_and_nothing_is_hidden() {
    let desk = Desk::new().await;
    let longest = "t".repeat(512);
    for (option, name) in [
        ("--tenant", ""),
        ("--kind", ""),
        ("--tenant", &format!("{longest}t")),
    ] {
        let refused = desk
            .program
            .run(&["queue", "pause", "gc", option, name])
            .await;
        refused.expect(2).says(&["cannot be paused"]);
    }
    assert!(desk.store.pauses(&GC).await.expect("pauses").is_empty());
    desk.says(&["queue", "pause", "gc", "--tenant", &longest])
        .await;
    let pauses = desk.store.pauses(&GC).await.expect("pauses");
    assert_eq!(pauses[0].target, Target::Tenant(longest.clone()));
    let shown = desk.says(&["queue", "show", "gc"]).await;
    assert!(shown.contains(&longest), "{shown}");
    desk.says(&["queue", "resume", "gc", "--tenant", &longest])
        .await;
    assert!(desk.store.pauses(&GC).await.expect("pauses").is_empty());
}

#[tokio::test]
async fn a_pause_of_somebody_else_is_shown_and_lifted() {
    let desk = Desk::new().await;
    let redis = Redis::connect(&desk.server.url()).await.expect("Redis");
    for field in ["tenant:", "what else"] {
        let mut pause = redis::cmd("HSET");
        pause
            .arg("qh:{gc}:pauses")
            .arg(field)
            .arg("{\"by\":\"eve\"}");
        redis.command::<i64>("HSET", &pause).await.expect("a pause");
    }
    let list = desk.json(&["queue", "list"]).await;
    let gc = list.iter().find(|row| row["queue"] == "gc").expect("gc");
    assert_eq!(gc["paused"], serde_json::json!(["tenant:", "what else"]));
    assert_eq!(gc["pauses"][0]["by"], "eve");
    for what in [["--tenant", ""], ["--listed", "what else"]] {
        let said = desk
            .says(&[&["queue", "resume", "gc"], &what[..]].concat())
            .await;
        assert!(said.contains("goes on"), "{said}");
    }
    assert!(desk.store.pauses(&GC).await.expect("pauses").is_empty());
}

#[tokio::test]
async fn a_kind_that_nobody_knows_here_is_paused_with_a_word() {
    let desk = Desk::new().await;
    let paused = desk
        .program
        .run(&["queue", "pause", "gc", "--kind", "tag_expire"])
        .await;
    let paused = paused
        .expect(0)
        .says(&["knows no job `tag_expire`", "`tag_expiry`"]);
    assert!(
        paused
            .stdout
            .contains("`kind:tag_expire` of queue `gc` paused")
    );
    let known = desk
        .program
        .run(&["queue", "pause", "gc", "--kind", "tag_expiry"])
        .await;
    assert!(!known.expect(0).stderr.contains("knows no"));
}

#[tokio::test]
async fn a_pause_is_noted_in_the_database_first() {
    const NOTED: &str = "select queue || ' ' || target || ' ' || why from quayhand_pause";
    let (mut desk, scene) = Desk::with_database().await;
    let paused = desk
        .says(&["queue", "pause", "gc", "--why", "a new disk"])
        .await;
    assert_eq!(paused, "queue `gc` paused\n");
    assert_eq!(scene.texts(NOTED).await, ["gc queue a new disk"]);
    desk.flush_all().await;
    let shown = desk.says(&["queue", "show", "gc"]).await;
    assert!(shown.contains("Redis has to be told yet"), "{shown}");
    desk.says(&["queue", "resume", "gc"]).await;
    assert!(scene.texts(NOTED).await.is_empty());
    desk.server.kill().expect("Redis ends");
    let away = desk
        .program
        .run(&["queue", "pause", "gc", "--why", "b"])
        .await;
    away.expect(5)
        .says(&["noted in the database", "does not answer"]);
    assert_eq!(scene.texts(NOTED).await, ["gc queue b"]);
}
