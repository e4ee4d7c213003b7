//! What `enqueue`, `queue` and `config` answer.

use quayhand_testkit::shared_or_skip;
use serde_json::Value;

use crate::{program::Quayhand, scene::Scene, tombs::own_redis};

async fn json(program: &Quayhand, arguments: &[&str]) -> Vec<Value> {
    let arguments = [arguments, &["--format", "json"]].concat();
    program.run(&arguments).await.expect(0).json()
}

/// Finds the entry of a list by one of its fields.
fn entry<'a>(list: &'a [Value], field: &str, value: &str) -> &'a Value {
    let found = list.iter().find(|entry| entry[field] == value);
    found.unwrap_or_else(|| panic!("no {field} is {value}: {list:?}"))
}

#[tokio::test]
async fn a_job_that_is_enqueued_waits_in_its_queue() {
    let redis = own_redis().await;
    let program = Quayhand::default().env("QUAYHAND_REDIS_URL", redis.url());
    let id = program.run(&["enqueue", "blob_gc"]).await.expect(0).stdout;
    let again = program.run(&["enqueue", "blob_gc"]).await.expect(0).stdout;
    assert_eq!(again, format!("an equal job waits or runs already: {id}"));
    let later = json(
        &program,
        &[
            "enqueue",
            "tag_expiry",
            "{\"repository_ids\": [17]}",
            "--in",
            "600",
        ],
    )
    .await;
    assert_eq!(later[0]["new"], true);

    let queues = json(&program, &["queue", "list"]).await;
    let gc = entry(&queues, "queue", "gc");
    assert_eq!(
        (&gc["ready"], &gc["delayed"], &gc["dead"]),
        (&1.into(), &1.into(), &0.into())
    );
    let jobs = json(&program, &["queue", "show", "gc"]).await;
    let waiting = entry(&jobs, "kind", "blob_gc");
    assert_eq!(waiting["id"], id.trim_end());
    assert_eq!(waiting["state"], "ready");
    let delayed = entry(&jobs, "kind", "tag_expiry");
    assert_eq!(delayed["payload"]["repository_ids"], Value::from(vec![17]));
    let human = program.run(&["queue", "show", "gc"]).await.expect(0).stdout;
    assert!(
        human.starts_with("STATE") && human.contains(id.trim_end()),
        "{human}"
    );
    program
        .run(&["enqueue", "tag_expiry"])
        .await
        .expect(2)
        .says(&["needs a payload"]);
}

#[tokio::test]
async fn a_repository_is_enqueued_by_its_name() {
    let _shared = shared_or_skip!();
    let (scene, redis) = (Scene::golden("boundary").await, own_redis().await);
    let program = scene.program().await.env("QUAYHAND_REDIS_URL", redis.url());
    let name = "select u.username || '/' || r.name || ' ' || r.id from repository r \
                join \"user\" u on u.id = r.namespace_user_id where r.state = 0 order by r.id limit 1";
    let name = scene.texts(name).await.remove(0);
    let (name, id) = name.split_once(' ').expect("a name and an id");
    program
        .run(&["enqueue", "tag_expiry", "--repository", name])
        .await
        .expect(0);
    let jobs = json(&program, &["queue", "show", "gc"]).await;
    assert_eq!(
        jobs[0]["payload"]["repository_ids"].to_string(),
        format!("[{id}]")
    );
    let none = ["enqueue", "tag_expiry", "--repository", "nobody/nothing"];
    program
        .run(&none)
        .await
        .expect(2)
        .says(&["no repository `nobody/nothing`"]);
    assert_eq!(json(&program, &["queue", "show", "gc"]).await.len(), 1);
}

#[tokio::test]
async fn a_configuration_is_shown_with_its_origins_and_without_secrets() {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), "[gc]\ntombstone_grace = \"2h\"\n").expect("written");
    let program = Quayhand::default()
        .env(
            "QUAYHAND_DATABASE_URL",
            "postgresql://quay:hidden@db:5432/registry",
        )
        .env("QUAYHAND_REDIS_URL", "redis://:hidden@redis/3")
        .file("--config", file.path());
    let checked = program.run(&["config", "check"]).await.expect(0);
    assert_eq!(checked.stdout, "the configuration can be used\n");
    let show = ["config", "show"];
    program.run(&show).await.expect(0).hides("hidden");
    let settings = json(&program, &show).await;
    assert!(
        settings
            .iter()
            .all(|setting| !setting.to_string().contains("hidden"))
    );
    let url = entry(&settings, "setting", "database.url");
    assert!(
        url["value"]
            .as_str()
            .is_some_and(|value| value.contains("db:5432")),
        "{url}"
    );
    assert!(
        url["from"]
            .as_str()
            .is_some_and(|from| from.contains("QUAYHAND_DATABASE_URL")),
        "{url}"
    );
    let grace = entry(&settings, "setting", "gc.tombstone_grace");
    assert!(
        grace["value"]
            .as_str()
            .is_some_and(|value| value.contains("2h")),
        "{grace}"
    );
    assert!(
        grace["from"]
            .as_str()
            .is_some_and(|from| from.ends_with(":2")),
        "{grace}"
    );
    let hold = entry(&settings, "setting", "gc.blob_hold");
    assert_eq!(hold["from"], "default");
}
