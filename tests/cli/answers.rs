//! Answers that fit a terminal and leave nothing out.

use std::time::Duration;

use quayhand_queue::{Ending, Kept, Outcome, Record};

use crate::desk::{Desk, GC};

#[tokio::test]
async fn a_cell_of_any_length_fits_a_terminal() {
    let desk = Desk::new().await;
    let kind = "i".repeat(70_000);
    let job = quayhand_queue::NewJob {
        envelope: format!("{{\"id\":\"1\",\"kind\":\"{kind}\",\"payload\":{{}}}}"),
        id: "1".to_owned(),
        delay: Duration::ZERO,
        unique: String::new(),
        unique_for: Duration::ZERO,
        unique_mode: quayhand_queue::UniqueMode::default(),
        priority: 0,
        tenant: String::new(),
    };
    desk.store.enqueue(&GC, &[job]).await.expect("enqueued");
    for verb in [&["queue", "show", "gc"][..], &["job", "find"]] {
        let said = desk.says(verb).await;
        assert!(said.contains("iii…") && said.len() < 5_000, "{said}");
    }
    let reason = "r".repeat(2_000);
    desk.take(Some(Outcome::Dead { reason })).await;
    let said = desk.says(&["dead", "list"]).await;
    assert!(said.contains("rrr…"), "{said}");
}

#[tokio::test]
async fn a_list_says_how_many_it_leaves_out() {
    let desk = Desk::new().await;
    desk.kill(5).await;
    let list = desk.program.run(&["dead", "list", "--limit", "2"]).await;
    let list = list.expect(0).says(&["2 of 5 jobs are shown"]);
    assert_eq!(list.stdout.lines().count(), 3);
    let found = desk.program.run(&["job", "find", "--limit", "2"]).await;
    found.expect(0).says(&["2 jobs are shown, and more fit"]);
    let all = desk.program.run(&["job", "find"]).await.expect(0);
    assert_eq!(all.stderr, "");
}

#[tokio::test]
async fn a_job_that_ended_says_when_and_how_long_it_took() {
    let desk = Desk::new().await;
    let id = desk.put(1).await;
    desk.take(None).await;
    let shown = desk.json(&["job", "show", &id]).await;
    assert_eq!(shown[0]["worker"], desk.worker.as_str());
    let cancelled = desk.put(2).await;
    desk.says(&["job", "cancel", &cancelled, "--why", "a mistake"])
        .await;
    let shown = desk.says(&["job", "show", &cancelled]).await;
    assert!(
        shown.starts_with("cancelled ") && shown.contains("a mistake"),
        "{shown}"
    );

    let record = Record {
        at_ms: 0,
        outcome: Ending::Done,
        attempt: 3,
        worker: desk.worker.to_string(),
        text: "7 tags".to_owned(),
        lines: vec!["+1.0s WARN paced".to_owned()],
    };
    let (took, keep_for) = (Duration::from_millis(4_200), Duration::from_hours(1));
    let kept = Kept {
        record,
        took,
        keep_for,
    };
    let done = desk.put(3).await;
    let outcome = Some(Outcome::Done(quayhand_queue::Done::default()));
    assert_eq!(
        desk.take_and_keep(outcome, Some(kept)).await,
        std::slice::from_ref(&done)
    );
    let shown = desk.says(&["job", "show", &done]).await;
    assert!(
        shown.contains("ended") && shown.contains("after 4 s: done 7 tags\n    +1.0s WARN paced"),
        "{shown}"
    );
    let past = &desk.json(&["job", "show", &done]).await[0]["history"][0];
    assert_eq!(past["took_ms"], 4_200);
    assert!(
        past["at_ms"]
            .as_u64()
            .is_some_and(|ms| ms > 1_700_000_000_000),
        "{past}"
    );
    let why = desk.says(&["job", "why", &done]).await;
    assert!(why.contains("in no queue any more: attempt 3"), "{why}");
}

#[tokio::test]
async fn a_kind_is_shown_as_the_configuration_has_it() {
    let (desk, scene) = Desk::with_database().await;
    let config = scene.write("quayhand.toml", "[jobs.tag_expiry]\nmax_attempts = 77\n");
    let config = config.to_str().expect("a path in UTF-8");
    let show = ["--config", config, "job", "show", "tag_expiry"];
    let shown = desk.says(&show).await;
    assert!(shown.contains("attempts      77"), "{shown}");
    assert!(shown.contains("records       kept for 1d"), "{shown}");
}

#[tokio::test]
async fn doctor_warns_of_what_is_no_problem_yet() {
    let (desk, _scene) = Desk::with_database().await;
    let doctor = desk.program.run(&["doctor"]).await;
    let code = doctor.code;
    let says = |text: &str, line: &str| {
        let found = text.lines().any(|said| said.starts_with(line));
        assert!(found, "`{line}`: {text}");
    };
    says(
        &doctor.stdout,
        "WARN     workers      default: 0 with 0 slots; gc: 0",
    );
    says(&doctor.stdout, "ok       pauses       nothing is paused");
    says(&doctor.stdout, "ok       dead jobs    default: 0; gc: 0");
    says(
        &doctor.stdout,
        "WARN     durability   Redis keeps no append-only file",
    );
    desk.kill(2).await;
    desk.says(&["queue", "pause", "gc", "--why", "a new disk"])
        .await;
    let doctor = desk.program.run(&["doctor"]).await;
    says(&doctor.stdout, "WARN     pauses       `queue` of `gc` by ");
    says(&doctor.stdout, "WARN     dead jobs    default: 0; gc: 2");
    assert_eq!(doctor.code, code, "a warning is no problem");
    let json = desk.program.run(&["doctor", "--format", "json"]).await;
    let pauses = json.json::<serde_json::Value>();
    let pauses = pauses
        .iter()
        .find(|line| line["check"] == "pauses")
        .expect("pauses");
    assert_eq!(
        (&pauses["ok"], &pauses["warning"]),
        (&true.into(), &true.into())
    );
}

#[tokio::test]
async fn a_missing_table_names_the_command_that_makes_it() {
    let (mut desk, scene) = Desk::with_database().await;
    desk.server.kill().expect("Redis ends");
    scene
        .execute("drop table quayhand_outbox, quayhand_schedule_entry, quayhand_schedule")
        .await;
    for verb in [
        &["schedule", "list"][..],
        &["schedule", "pause", "blob_gc"],
        &["enqueue", "blob_gc"],
        &["job", "why", "outbox:1"],
    ] {
        let ended = desk.program.run(verb).await;
        ended.expect(7).says(&["quayhand migrate up"]);
    }
    let doctor = desk.program.run(&["doctor"]).await;
    let outbox = doctor.stdout.lines().find(|line| line.contains(" outbox "));
    let outbox = outbox.expect("its line");
    assert!(outbox.contains("quayhand migrate up"), "{outbox}");
}
