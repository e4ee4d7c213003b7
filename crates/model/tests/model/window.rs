//! A recovery window that nobody can have meant keeps everything, and stops nobody else.
use quayhand_model::{
    Db, DbConfig, configure,
    gc::{self, Rules},
};
use quayhand_testkit::{
    PostgresServer,
    registry::{self, RegistrySpec},
};

use crate::{
    scratch::standalone,
    sweep::{candidates, everything},
};

/// Sets the window of every namespace, or of one.
async fn set_window(server: &PostgresServer, database: &str, seconds: i64, whose: &str) {
    let set = format!("update \"user\" set removed_tag_expiration_s = {seconds} where {whose}");
    server.execute(database, &set).await.unwrap();
}

async fn registry(server: &PostgresServer) -> (String, Db) {
    let database = standalone(server, "window").await;
    let spec = RegistrySpec::small(5);
    registry::load(server, &database, &spec, None)
        .await
        .unwrap();
    let no_uploads = "delete from uploadedblob";
    server.execute(&database, no_uploads).await.unwrap();
    let db = configure(DbConfig::new(server.url(&database))).unwrap();
    (database, db)
}

#[tokio::test]
async fn a_window_that_is_none_keeps_every_tag() {
    let server = PostgresServer::shared().await.unwrap();
    let (database, db) = registry(server).await;
    let rules = Rules::default();
    let before_anything_ended = Rules {
        as_of_ms: Some(1),
        ..Rules::default()
    };
    let all = candidates(&db, &rules).await;
    assert!(!all.is_empty(), "the twin: there is garbage");
    for seconds in [-1, -2_147_483_648, i64::MIN, i64::MAX, 9_000_000_001] {
        set_window(server, &database, seconds, "true").await;
        for rules in [&rules, &before_anything_ended] {
            assert!(candidates(&db, rules).await.is_empty(), "{seconds}");
            let work = gc::Work {
                repositories: &all,
                carried: &[],
                at_most: 1_000,
            };
            let batch = db.transaction(async |tx| gc::collect_batch(tx, work, rules).await);
            assert!(batch.await.unwrap().is_empty(), "{seconds}");
            let shown = db
                .read_only_transaction(async |tx| gc::preview(tx, None, rules).await)
                .await
                .unwrap();
            assert!(shown.0.is_empty(), "{seconds}");
        }
    }
    set_window(server, &database, 0, "true").await;
    assert!(
        everything(&db, &rules, 500).await.tags > 0,
        "the twin: they go"
    );
}

#[tokio::test]
async fn one_absurd_window_stops_nobody_else() {
    let server = PostgresServer::shared().await.unwrap();
    let (database, db) = registry(server).await;
    set_window(server, &database, 0, "true").await;
    let all = candidates(&db, &Rules::default()).await;
    let whose = format!(
        "id = (select namespace_user_id from repository where id = {})",
        all[0]
    );
    set_window(server, &database, i64::MAX, &whose).await;
    let others = candidates(&db, &Rules::default()).await;
    assert!(!others.is_empty() && others.len() < all.len());
    let swept = everything(&db, &Rules::default(), 500).await;
    assert!(swept.tags > 0);
}
