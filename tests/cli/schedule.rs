//! What `schedule` answers, and what `enqueue` and `schedule run-now` do when Redis is away.

use quayhand_testkit::registry::RegistrySpec;
use serde_json::Value;

use crate::{program::Quayhand, scene::Scene, tombs::own_redis};

async fn entry(program: &Quayhand, kind: &str) -> Value {
    let list = program.run(&["schedule", "list", "--format", "json"]);
    let list: Vec<Value> = list.await.expect(0).json();
    let found = list.into_iter().find(|entry| entry["kind"] == kind);
    found.unwrap_or_else(|| panic!("`{kind}` is not listed"))
}

#[tokio::test]
async fn a_schedule_is_listed_paused_and_resumed() {
    let scene = Scene::generated("cli_schedule", &RegistrySpec::small(17)).await;
    let program = scene.program().await;
    let said = async |verb: &str| {
        let ended = program.run(&["schedule", verb, "leak_sweep"]).await;
        ended.expect(0).stdout
    };
    assert_eq!(said("resume").await, "it was not paused\n");
    assert!(said("pause").await.starts_with("paused on all hosts"));
    assert_eq!(said("pause").await, "it was paused already\n");
    let paused = entry(&program, "leak_sweep").await;
    assert_eq!(
        (&paused["paused"], &paused["next"]),
        (&true.into(), &Value::Null)
    );
    let by = paused["paused_by"].as_str().unwrap_or_default();
    assert!(
        by.starts_with("somebody@") && paused["paused_at"].is_string(),
        "{paused}"
    );
    assert_eq!(entry(&program, "blob_gc").await["paused"], false);
    assert_eq!(said("resume").await, "resumed with its next tick\n");
    assert!(entry(&program, "leak_sweep").await["next"].is_string());
    let human = program.run(&["schedule", "list"]).await.expect(0).stdout;
    assert!(
        human.starts_with("KIND") && human.contains("every 1d"),
        "{human}"
    );
    for (kind, said) in [("tag_expiry", "has no schedule"), ("leak", "did you mean")] {
        let ended = program.run(&["schedule", "pause", kind]).await;
        ended.expect(2).says(&[said]);
    }
}

#[tokio::test]
async fn a_schedule_follows_its_configuration() {
    let scene = Scene::generated("cli_schedule", &RegistrySpec::small(17)).await;
    let config = "[schedules.leak_sweep]\nwhen = \"cron 30 2 * * *\"\n\
                  time_zone = \"Asia/Kathmandu\"\n";
    let config = scene.write("quayhand.toml", config);
    let config = config.to_str().expect("a path in UTF-8");
    let list = ["--config", config, "schedule", "list"];
    let human = scene.program().await.run(&list).await.expect(0).stdout;
    let line = human.lines().find(|line| line.starts_with("leak_sweep"));
    let line = line.expect("its line");
    assert!(line.contains("cron 30 2 * * * Asia/Kathmandu"), "{line}");
    // 02:30 there is 20:45 in UTC.
    assert!(line.ends_with("T20:45:00Z"), "{line}");
    for (wrong, said) in [
        ("when = \"cron 61 * * * *\"", "61"),
        ("time_zone = \"Mars\"", "Mars"),
        ("jitter = \"2d\"", "jitter"),
    ] {
        let wrong = format!("[schedules.leak_sweep]\n{wrong}\n");
        let config = scene.write("wrong.toml", &wrong);
        let config = config.to_str().expect("a path in UTF-8");
        let list = ["--config", config, "schedule", "list"];
        scene
            .program()
            .await
            .run(&list)
            .await
            .expect(3)
            .says(&[said]);
    }
}

#[tokio::test]
async fn run_now_goes_through_redis_and_waits_in_the_outbox_without_it() {
    let scene = Scene::generated("cli_schedule", &RegistrySpec::small(17)).await;
    let mut redis = own_redis().await;
    let program = scene.program().await.env("QUAYHAND_REDIS_URL", redis.url());
    let run_now = ["schedule", "run-now", "leak_sweep"];
    let id = program.run(&run_now).await.expect(0).stdout;
    let queued = program.run(&["queue", "show", "gc"]).await.expect(0).stdout;
    let queued = queued
        + &program
            .run(&["queue", "show", "default"])
            .await
            .expect(0)
            .stdout;
    assert!(queued.contains(id.trim_end()), "{queued}");
    redis.kill().expect("Redis ends");
    for arguments in [&run_now[..], &["enqueue", "leak_sweep"]] {
        let said = program.run(arguments).await.expect(0).stdout;
        assert!(
            said.contains("waits in the outbox until Redis takes it"),
            "{said}"
        );
    }
    let kept = "select kind || ' ' || payload::text from quayhand_outbox";
    assert_eq!(scene.texts(kept).await, ["leak_sweep {}", "leak_sweep {}"]);
    let doctor = program.run(&["doctor"]).await;
    assert!(
        doctor.stdout.contains("2 wait, 0 are enqueued, 0 are dead"),
        "{}",
        doctor.stdout
    );
}

#[tokio::test]
async fn without_a_database_redis_is_the_only_place() {
    let program = Quayhand::default().env("QUAYHAND_REDIS_URL", "redis://127.0.0.1:1/0");
    let ended = program.run(&["enqueue", "blob_gc"]).await;
    ended
        .expect(5)
        .says(&["Redis at `127.0.0.1:1`", "does not answer", "URL"]);
}
