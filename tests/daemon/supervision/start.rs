//! A daemon that cannot start says what, where and what to do, each with its own exit code.
use std::time::Duration;

use quayhand_testkit::{PostgresServer, RedisOptions, RedisServer, unique_name};

use crate::{testd::settings::Settings, world::World};

/// Expects a daemon to end by itself; returns what it said.
async fn refused(world: &World, settings: &Settings, code: i32) -> String {
    let mut daemon = world.launch(settings);
    let status = daemon.ended(Duration::from_secs(30)).await;
    let said = daemon
        .event("its reason", |event| {
            event.message().starts_with("did not start")
        })
        .await;
    println!("exit code {code}: {}", said.message());
    assert_eq!(status.code(), Some(code), "{}", daemon.text());
    said.message().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_out_of_reach_or_refusing_is_5() {
    let world = World::new().await;
    let mut settings = world.settings();
    settings.redis_url = "redis://127.0.0.1:9/0".to_owned();
    assert!(refused(&world, &settings, 5).await.contains("127.0.0.1:9"));
    let password = Some("secret".to_owned());
    let options = RedisOptions {
        password,
        ..RedisOptions::default()
    };
    let locked = RedisServer::start_with(&options).await.unwrap();
    settings.redis_url = locked.url().replace("secret", "canary");
    let said = refused(&world, &settings, 5).await;
    assert!(
        said.contains("password") && !said.contains("canary"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_out_of_reach_or_refusing_is_4() {
    let world = World::new().await;
    let mut settings = world.settings();
    settings.database_url = "postgresql://nobody:canary@127.0.0.1:9/none".to_owned();
    let said = refused(&world, &settings, 4).await;
    assert!(
        said.contains("127.0.0.1:9") && !said.contains("canary"),
        "{said}"
    );
    settings.database_url.clone_from(&world.database_url);
    let login = format!(
        "{}:{}@",
        quayhand_testkit::POSTGRES_USER,
        quayhand_testkit::POSTGRES_PASSWORD
    );
    let wrong = format!("{}:canary@", quayhand_testkit::POSTGRES_USER);
    settings.database_url = settings.database_url.replace(&login, &wrong);
    let said = refused(&world, &settings, 4).await;
    assert!(
        said.contains("password") && !said.contains("canary"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_no_registrys_is_7() {
    let world = World::new().await;
    let postgres = PostgresServer::shared().await.unwrap();
    let empty = unique_name("daemon_empty");
    postgres.create_database(&empty).await.unwrap();
    let mut settings = world.settings();
    settings.database_url = postgres.url(&empty);
    assert!(
        refused(&world, &settings, 7)
            .await
            .contains("quayhand migrate up")
    );
    postgres
        .execute(&empty, "create table orders (id int)")
        .await
        .unwrap();
    assert!(
        refused(&world, &settings, 7)
            .await
            .contains("neither Quay's database nor ours")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_schema_starts_with_the_gate_shut() {
    let world = World::new().await;
    let foreign = "create table audit (tag_id bigint references tag (id))";
    world.ledger.batch_execute(foreign).await.unwrap();
    let daemon = world.daemon(&world.settings()).await;
    let said = daemon.says("jobs that delete stay off").await;
    let reason = said.field("reason").as_str().unwrap();
    assert!(
        reason.contains("audit.tag_id") || reason.contains("audit"),
        "{reason}"
    );
    daemon.stop().await;
}
