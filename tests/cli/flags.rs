//! Quay's flags: each stops or spares what it stops or spares in Quay, from either file.

use std::collections::BTreeSet;

use quayhand_testkit::{
    golden::{Golden, RowKey, quota_rows},
    shared_or_skip,
};

use crate::{program::Quayhand, quay_config::QuayConfig, scene::Scene};

const TAG_EXPIRY: [&str; 4] = ["job", "run", "tag_expiry", "--all"];
const BLOB_GC: [&str; 4] = ["job", "run", "blob_gc", "--all"];

/// Names the rows of the situations with expired immutable tags.
fn immutable_cases() -> BTreeSet<RowKey> {
    let cases = Golden::open("boundary")
        .expect("boundary")
        .cases()
        .expect("cases");
    let tags = cases
        .into_iter()
        .filter(|case| case.name.starts_with("expired immutable tag"));
    tags.map(|case| case.row).collect()
}

/// Collects with these keys in `config.yaml`; returns the expired immutable tags that stayed.
async fn immutable_left(keys: &[(&str, &str)]) -> BTreeSet<RowKey> {
    let scene = Scene::golden("boundary").await;
    let mut config = QuayConfig::of(&scene).await;
    for (key, value) in keys {
        config = config.with(key, value);
    }
    left_of(&scene, &config.program(&scene)).await
}

async fn left_of(scene: &Scene, program: &Quayhand) -> BTreeSet<RowKey> {
    let before = scene.rows().await;
    program.run(&TAG_EXPIRY).await.expect(0);
    let rows = scene.rows().await;
    assert!(rows.len() < before.len() - 100, "other garbage went");
    rows.intersection(&immutable_cases()).cloned().collect()
}

#[tokio::test]
async fn keeps_immutable_tags_when_the_feature_is_on() {
    let _shared = shared_or_skip!();
    let on = ("FEATURE_IMMUTABLE_TAGS", "yes");
    assert_eq!(immutable_cases().len(), 2);
    assert_eq!(immutable_left(&[on]).await, immutable_cases());
    assert_eq!(
        immutable_left(&[]).await,
        BTreeSet::new(),
        "the twin: absent, they go"
    );
    let can_expire = ("FEATURE_IMMUTABLE_TAGS_CAN_EXPIRE", "true");
    assert_eq!(
        immutable_left(&[on, can_expire]).await,
        BTreeSet::new(),
        "they may expire"
    );
    let no = ("FEATURE_IMMUTABLE_TAGS_CAN_EXPIRE", "no");
    assert_eq!(immutable_left(&[on, no]).await, immutable_cases());
}

#[tokio::test]
async fn keeps_immutable_tags_when_our_own_file_says_so() {
    let _shared = shared_or_skip!();
    let scene = Scene::golden("boundary").await;
    let text = "[registry]\nfeature_immutable_tags = true\n";
    let program = scene
        .program()
        .await
        .file("--config", &scene.write("own.toml", text));
    assert_eq!(left_of(&scene, &program).await, immutable_cases());
}

/// Runs both jobs with a configuration that forbids them, each followed by its twin that may.
async fn refuses(scene: &Scene, forbidden: &Quayhand, allowed: &Quayhand, named: &str) {
    for arguments in [&TAG_EXPIRY, &BLOB_GC] {
        let whole = scene.whole().await;
        let ended = forbidden
            .run(arguments)
            .await
            .expect(8)
            .says(&["refused", named]);
        assert!(!ended.stderr.contains("panicked"));
        scene.is_unchanged(&whole).await;
        allowed.run(arguments).await.expect(0);
        assert!(scene.whole().await != whole, "{named}: its twin collects");
    }
}

macro_rules! refusing {
    ($($test:ident: $key:literal $value:expr, $twin:literal;)*) => {
        $(#[tokio::test]
        async fn $test() {
            let _shared = shared_or_skip!();
            let scene = Scene::golden("boundary").await;
            let config = QuayConfig::of(&scene).await;
            let value: Option<&str> = $value;
            let forbidden = match value {
                Some(value) => config.clone().with($key, value),
                None => config.clone().without($key),
            };
            let allowed = config.with($key, $twin);
            let (forbidden, allowed) = (forbidden.named("forbidden"), allowed.named("allowed"));
            refuses(&scene, &forbidden.program(&scene), &allowed.program(&scene), $key).await;
        })*
    };
}

refusing! {
    stops_without_garbage_collection: "FEATURE_GARBAGE_COLLECTION" Some("false"), "true";
    stops_while_pushes_are_disabled: "DISABLE_PUSHES" Some("on"), "off";
    stops_in_account_recovery: "ACCOUNT_RECOVERY_MODE" Some("true"), "false";
    stops_before_setup: "SETUP_COMPLETE" Some("false"), "true";
    stops_when_setup_is_not_mentioned: "SETUP_COMPLETE" None, "yes";
    stops_when_read_only: "REGISTRY_STATE" Some("readonly"), "normal";
}

#[tokio::test]
async fn stops_when_our_own_file_says_so() {
    let _shared = shared_or_skip!();
    let scene = Scene::golden("boundary").await;
    let program = scene.program().await;
    let whole = scene.whole().await;
    for (setting, named) in [
        (
            "feature_garbage_collection = false",
            "FEATURE_GARBAGE_COLLECTION",
        ),
        ("disable_pushes = true", "DISABLE_PUSHES"),
        ("account_recovery_mode = true", "ACCOUNT_RECOVERY_MODE"),
        ("setup_complete = false", "SETUP_COMPLETE"),
        ("registry_state = \"readonly\"", "REGISTRY_STATE"),
    ] {
        let file = scene.file("own.toml");
        std::fs::write(&file, format!("[registry]\n{setting}\n")).expect("a file");
        let program = program.clone().file("--config", &file);
        program
            .run(&TAG_EXPIRY)
            .await
            .expect(8)
            .says(&["refused", named]);
    }
    scene.is_unchanged(&whole).await;
    program.run(&TAG_EXPIRY).await.expect(0);
    assert!(scene.whole().await != whole, "the twin collects");
}

#[tokio::test]
async fn leaves_totals_alone() {
    let _shared = shared_or_skip!();
    for (value, changes) in [("false", false), ("true", true)] {
        let scene = Scene::golden("boundary").await;
        let totals = async || {
            quota_rows(scene.server, &scene.database)
                .await
                .expect("totals")
        };
        let before = totals().await;
        let config = QuayConfig::of(&scene)
            .await
            .with("QUOTA_INVALIDATE_TOTALS", value);
        config.program(&scene).run(&TAG_EXPIRY).await.expect(0);
        assert_eq!(
            totals().await != before,
            changes,
            "QUOTA_INVALIDATE_TOTALS: {value}"
        );
    }
}

#[tokio::test]
async fn a_flag_that_cannot_be_interpreted_is_an_error() {
    let _shared = shared_or_skip!();
    let scene = Scene::golden("boundary").await;
    let (config, whole) = (QuayConfig::of(&scene).await, scene.whole().await);
    for (key, value) in [
        ("FEATURE_GARBAGE_COLLECTION", "maybe"),
        ("FEATURE_IMMUTABLE_TAGS", "[yes]"),
        ("FEATURE_IMMUTABLE_TAGS_CAN_EXPIRE", "0.5"),
        ("FEATURE_QUOTA_MANAGEMENT", "sometimes"),
        ("QUOTA_INVALIDATE_TOTALS", "{}"),
        ("FEATURE_QUOTA_SUPPRESS_FAILURES", "perhaps"),
        ("DISABLE_PUSHES", "\"false\""),
        ("ACCOUNT_RECOVERY_MODE", "~"),
        ("SETUP_COMPLETE", "\"false\""),
        ("REGISTRY_STATE", "locked"),
    ] {
        let program = config.clone().with(key, value).program(&scene);
        let ended = program.run(&TAG_EXPIRY).await.expect(3);
        ended.says(&[key, "config.yaml"]);
    }
    scene.is_unchanged(&whole).await;
}
