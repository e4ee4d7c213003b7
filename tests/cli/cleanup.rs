//! Tokens, uploads and leaks, through the program: by Quay's own settings, and as Quay leaves
//! them.

use std::collections::BTreeSet;

use quayhand_testkit::{
    golden::{Golden, RowKey},
    shared_or_skip,
};

use crate::{program::Quayhand, quay_config::QuayConfig, scene::Scene};

/// The rows of Quay's own tables.
async fn quays_rows(scene: &Scene) -> BTreeSet<RowKey> {
    let rows = scene.rows().await;
    let quays = |row: &RowKey| !row.0.starts_with("quayhand_");
    rows.into_iter().filter(quays).collect()
}

/// Insists that a job leaves what Quay left of a state, and that each key keeps everything.
async fn agrees_and_obeys(state: &str, job: &str, keeping: &[(&str, &str)]) {
    let scene = Scene::golden(state).await;
    let config = QuayConfig::of(&scene).await;
    let all = ["job", "run", job, "--all"];
    let whole = scene.whole().await;
    for (key, value) in keeping {
        let program = config.clone().with(key, value).program(&scene);
        program.run(&all).await.expect(8).says(&[key]);
        scene.is_unchanged(&whole).await;
    }
    let program = config.program(&scene);
    let dry = [&all[..], &["--dry-run"]].concat();
    assert_ne!(program.run(&dry).await.expect(0).stdout, "");
    scene.is_unchanged(&whole).await;
    program.run(&all).await.expect(0);
    let quay = Golden::open(state).expect("a state").rows_after();
    assert_eq!(quays_rows(&scene).await, quay.expect("rows"));
}

#[tokio::test]
async fn expired_tokens_go_as_with_quay() {
    let _shared = shared_or_skip!();
    let keeping = [
        ("FEATURE_APP_SPECIFIC_TOKENS", "false"),
        ("EXPIRED_APP_SPECIFIC_TOKEN_GC", "null"),
        ("REGISTRY_STATE", "readonly"),
    ];
    agrees_and_obeys("tokens", "expired_tokens", &keeping).await;
}

#[tokio::test]
async fn stale_uploads_go_as_with_quay() {
    let _shared = shared_or_skip!();
    let keeping = [
        ("ACCOUNT_RECOVERY_MODE", "true"),
        ("SETUP_COMPLETE", "false"),
    ];
    agrees_and_obeys("uploads", "upload_cleanup", &keeping).await;
}

#[tokio::test]
async fn a_leak_goes_at_the_second_sweep() {
    let _shared = shared_or_skip!();
    let scene = Scene::golden("boundary").await;
    let grace = scene.write("quayhand.toml", "[gc]\nleak_grace = \"0s\"\n");
    let program: Quayhand = scene.program().await.file("--config", &grace);
    program
        .run(&["job", "run", "tag_expiry", "--all"])
        .await
        .expect(0);
    let untagged = "select count(*) from manifest m join repository r on r.id = m.repository_id
                     where r.state <> 3 and m.subject is null
                       and not exists (select 1 from tag t where t.manifest_id = m.id)
                       and not exists (select 1 from manifestchild c where c.child_manifest_id = m.id)
                       and not exists (select 1 from manifest f where f.subject = m.digest
                                          and f.repository_id = m.repository_id)";
    let (before, left) = (scene.number(untagged).await, quays_rows(&scene).await);
    assert!(before > 0, "the state has manifests that nothing leads to");
    let sweep = ["job", "run", "leak_sweep", "--all"];
    program.run(&sweep).await.expect(0);
    assert_eq!(quays_rows(&scene).await, left, "seen once only");
    program.run(&sweep).await.expect(0);
    assert_eq!(scene.number(untagged).await, 0);
    let refused = QuayConfig::of(&scene).await.with("DISABLE_PUSHES", "true");
    refused.program(&scene).run(&sweep).await.expect(8);
}
