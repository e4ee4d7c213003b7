//! A schema that Quay has changed since: what deletes is refused and `doctor` says why, what
//! does not delete goes on.

use quayhand_testkit::shared_or_skip;

use crate::{
    program::{Ended, Quayhand},
    scene::Scene,
};

const TAG_EXPIRY: [&str; 4] = ["job", "run", "tag_expiry", "--all"];
const BLOB_GC: [&str; 4] = ["job", "run", "blob_gc", "--all"];
const PERMISSIONS: [&str; 4] = ["job", "run", "permission_recompute", "--all"];

/// Changes the schema, expects the refusals that name it, changes it back, and collects.
async fn refuses_after(change: &str, named: &[&str], back: &str) {
    let scene = Scene::golden("boundary").await;
    let program = scene.program().await;
    scene.execute(change).await;
    let whole = scene.whole().await;
    for arguments in [
        &TAG_EXPIRY,
        &BLOB_GC,
        &["job", "run", "tag_expiry_sweep", "--dry-run"],
    ] {
        let ended = program.run(arguments).await.expect(7).says(named);
        ended.says(&["nothing is deleted", "newer quayhand"]);
    }
    scene.is_unchanged(&whole).await;
    let ended = doctor(&program).await.expect(7);
    for word in named {
        assert!(
            ended.stdout.contains(word),
            "doctor names `{word}`: {}",
            ended.stdout
        );
    }
    program.run(&PERMISSIONS).await.expect(0);
    assert!(
        scene
            .number("select count(*) from quayhand_permission")
            .await
            > 10
    );

    scene.execute(back).await;
    let rows = scene.rows().await.len();
    program.run(&TAG_EXPIRY).await.expect(0);
    assert!(scene.rows().await.len() < rows - 100, "the twin collects");
}

async fn doctor(program: &Quayhand) -> Ended {
    program.run(&["doctor"]).await
}

#[tokio::test]
async fn an_unknown_foreign_key() {
    let _shared = shared_or_skip!();
    let change = "create table tagsignature (id serial primary key, \
                  tag_id integer not null constraint fk_tagsignature_tag references tag (id))";
    let named = ["`fk_tagsignature_tag`", "`tagsignature.tag_id`", "`tag`"];
    refuses_after(change, &named, "drop table tagsignature").await;
}

#[tokio::test]
async fn an_unknown_foreign_key_that_cascades() {
    let _shared = shared_or_skip!();
    let change = "create table scan (id serial primary key, blob_id integer \
                  constraint fk_scan_blob references imagestorage (id) on delete cascade)";
    let named = ["`fk_scan_blob`", "`scan.blob_id`", "`imagestorage`"];
    refuses_after(change, &named, "drop table scan").await;
}

#[tokio::test]
async fn a_used_column_that_is_gone() {
    let _shared = shared_or_skip!();
    let change = "alter table tag rename column immutable to is_immutable";
    let back = "alter table tag rename column is_immutable to immutable";
    refuses_after(change, &["`tag.immutable`", "missing"], back).await;
}

#[tokio::test]
async fn a_used_table_that_is_gone() {
    let _shared = shared_or_skip!();
    let change = "alter table manifestchild rename to manifestpart";
    let back = "alter table manifestpart rename to manifestchild";
    refuses_after(change, &["`manifestchild`", "missing"], back).await;
}

#[tokio::test]
async fn what_does_not_concern_us_is_fine() {
    let _shared = shared_or_skip!();
    let scene = Scene::golden("boundary").await;
    let change = "create table news (id serial primary key, user_name text); \
                  alter table tag add column colour text; \
                  create index tag_colour on tag (colour)";
    scene.execute(change).await;
    scene.program().await.run(&TAG_EXPIRY).await.expect(0);
}

#[tokio::test]
async fn a_healthy_scene_has_nothing_to_complain_of() {
    let _shared = shared_or_skip!();
    let scene = Scene::golden("boundary").await;
    let redis = quayhand_testkit::RedisServer::shared()
        .await
        .expect("Redis");
    let program = scene.program().await.env("QUAYHAND_REDIS_URL", redis.url());
    let whole = scene.whole().await;
    let ended = doctor(&program).await.expect(0);
    assert!(!ended.stdout.contains("PROBLEM"), "{}", ended.stdout);
    for line in program
        .run(&["doctor", "--format=json"])
        .await
        .expect(0)
        .json::<serde_json::Value>()
    {
        assert_eq!(line["ok"], true, "{line}");
    }
    scene.is_unchanged(&whole).await;
}
