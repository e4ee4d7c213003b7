//! Golden states: what Quay's own collector removed goes, and nothing else does.

use std::collections::BTreeSet;

use quayhand_testkit::{
    golden::{Golden, RowKey},
    shared_or_skip,
};
use serde::Deserialize;

use crate::{
    oracle::Before,
    program::Quayhand,
    quay_config::QuayConfig,
    scene::{Object, Scene},
};

/// A line of a dry run.
#[derive(Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub(crate) enum Doomed {
    Row { table: String, id: i64 },
    Object { location: String, path: String },
}

impl Doomed {
    /// Returns the row, if it is one.
    pub(crate) fn row(self) -> Option<RowKey> {
        match self {
            Self::Row { table, id } => Some((table, id)),
            Self::Object { .. } => None,
        }
    }

    /// Writes the line that people are shown.
    pub(crate) fn line(&self) -> String {
        match self {
            Self::Row { table, id } => format!("{table}\t{id}"),
            Self::Object { location, path } => format!("{location}\t{path}"),
        }
    }
}

/// A line of the audit.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Audited {
    pub(crate) location: String,
    pub(crate) path: String,
    pub(crate) digest: String,
}

/// Reads an audit file.
pub(crate) fn audit_of(file: &std::path::Path) -> Vec<Audited> {
    let text = std::fs::read_to_string(file).expect("an audit file");
    let read = |line| serde_json::from_str(line).expect("a line of the audit");
    text.lines().map(read).collect()
}

macro_rules! golden_tests {
    ($($name:ident,)*) => {
        /// Database and storage come from the environment, and nothing else does.
        mod by_environment {
            use super::*;
            $(#[tokio::test]
            async fn $name() {
                let _shared = shared_or_skip!();
                let scene = Scene::golden(stringify!($name)).await;
                let program = scene.program().await;
                agrees_with_quay(&scene, &program, stringify!($name)).await;
            })*
        }

        /// Everything comes from a Quay's own `config.yaml`, the locks' Redis too.
        mod by_quay_config {
            use super::*;
            $(#[tokio::test]
            async fn $name() {
                let _shared = shared_or_skip!();
                let scene = Scene::golden(stringify!($name)).await;
                let program = QuayConfig::of(&scene).await.program(&scene);
                agrees_with_quay(&scene, &program, stringify!($name)).await;
            })*
        }
    };
}

golden_tests! { seed1, seed2, seed3, boundary, }

/// Runs the collection of one state, dry and then for real, and again.
pub(crate) async fn agrees_with_quay(scene: &Scene, program: &Quayhand, name: &str) {
    let golden = Golden::open(name).expect("a golden folder");
    let before = Before::of(scene).await;
    let arguments = collect_arguments(&golden);
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let (rows, objects) = announced(scene, program, &arguments).await;

    program.run(&arguments).await.expect(0);
    assert_eq!(scene.files(), before.files, "tag_expiry removes no object");
    let gone: BTreeSet<_> = before
        .rows
        .difference(&scene.rows().await)
        .cloned()
        .collect();
    assert_eq!(
        gone, rows,
        "the dry run announced exactly the rows that went"
    );

    let audit = scene.file("audit.jsonl");
    let audit_name = audit.display().to_string();
    let blob_gc = ["job", "run", "blob_gc", "--all", "--audit", &audit_name];
    let again = announced(scene, program, &blob_gc[..4]).await;
    assert_eq!(again, (BTreeSet::new(), objects.clone()));
    program.run(&blob_gc).await.expect(0);
    let removed = before.agrees_with_quay(scene, &golden).await;
    assert_eq!(
        objects, removed,
        "the dry run announced exactly the objects that went"
    );
    audit_is_exact(&audit, &removed);
    is_done(scene, program, &arguments, &blob_gc).await;
}

/// Asks what would go, and makes sure that asking changed nothing.
async fn announced(
    scene: &Scene,
    program: &Quayhand,
    arguments: &[&str],
) -> (BTreeSet<RowKey>, BTreeSet<Object>) {
    let arguments = [arguments, &["--dry-run", "--format=json"]].concat();
    let whole = scene.whole().await;
    let dry = program.run(&arguments).await.expect(0);
    scene.is_unchanged(&whole).await;
    let (mut rows, mut objects) = (BTreeSet::new(), BTreeSet::new());
    for line in dry.json::<Doomed>() {
        let is_new = match line {
            Doomed::Row { table, id } => rows.insert((table, id)),
            Doomed::Object { location, path } => objects.insert((location, path)),
        };
        assert!(is_new, "everything is announced once");
    }
    (rows, objects)
}

/// The arguments that collect all garbage as of the state's clock.
pub(crate) fn collect_arguments(golden: &Golden) -> Vec<String> {
    let mut arguments = ["job", "run", "tag_expiry", "--all"]
        .map(str::to_owned)
        .to_vec();
    if let Some(now_ms) = golden.frozen_now_ms().expect("a clock") {
        let now = chrono::DateTime::from_timestamp_millis(now_ms).expect("a time");
        arguments.extend(["--as-of".to_owned(), now.to_rfc3339()]);
    }
    arguments
}

/// Compares the audit with the files that went, line by line, digests included.
fn audit_is_exact(audit: &std::path::Path, removed: &BTreeSet<Object>) {
    let lines = audit_of(audit);
    assert_eq!(lines.len(), removed.len(), "one line an object");
    for Audited {
        location,
        path,
        digest,
    } in lines
    {
        let hex = digest.strip_prefix("sha256:").expect("a sha256");
        assert!(
            path.ends_with(hex) || path.starts_with("sharedimages/"),
            "{path}"
        );
        assert!(removed.contains(&(location, path)));
    }
}

/// Runs both jobs again: nothing is left to do for them.
async fn is_done(scene: &Scene, program: &Quayhand, tag_expiry: &[&str], blob_gc: &[&str]) {
    assert_eq!(
        scene
            .number("select count(*) from quayhand_tombstone where digest is not null")
            .await,
        0
    );
    let (whole, audit) = (
        scene.whole().await,
        audit_of(&scene.file("audit.jsonl")).len(),
    );
    for arguments in [tag_expiry, blob_gc] {
        let again = program.run(arguments).await.expect(0);
        assert!(again.stdout.contains("nothing to do"), "{}", again.stdout);
    }
    scene.is_unchanged_but_for_notes(&whole).await;
    assert_eq!(audit_of(&scene.file("audit.jsonl")).len(), audit);
}
