//! A pusher who holds what a batch would collect: it is passed by, written down, and
//! looked at again when the pusher has committed or rolled back.
use quayhand_model::gc::Lock;

use super::{
    actors::{Collector, Writer},
    batch, compare,
    registry::{Garbage, Registry, Row},
    rows::{blob_of, label_of, manifest_row, tag_row},
    show,
};

/// What a pusher refers to, not yet committed.
#[derive(Clone, Copy, Debug)]
enum Held {
    Manifest,
    BlobOfManifest,
    BlobOfUpload,
    Label,
}

const ALL: [Held; 4] = [
    Held::Manifest,
    Held::BlobOfManifest,
    Held::BlobOfUpload,
    Held::Label,
];

/// Garbage with one of everything, and a pusher who holds one thing of it.
struct Scene {
    garbage: Garbage,
    held: Row,
    pusher: Writer,
}

impl Scene {
    async fn new(registry: &Registry, held: Held) -> Self {
        let blob = registry.blob().await;
        let garbage = registry.garbage(&[blob]).await;
        let label = registry.label(&[garbage]).await;
        let repository = registry.repository().await;
        let pusher = Writer::begin(registry).await;
        let manifest = pusher.inserts(&manifest_row(repository)).await;
        let (row, reference) = match held {
            Held::Manifest => (
                Row::Manifest(garbage.manifest),
                tag_row(garbage.repository, garbage.manifest, "null"),
            ),
            Held::BlobOfManifest => (Row::Blob(blob), blob_of(repository, manifest, blob)),
            Held::BlobOfUpload => (
                Row::Blob(blob),
                format!(
                    "insert into uploadedblob (repository_id, blob_id, uploaded_at, expires_at)
                     values ({repository}, {blob}, now(), now() + interval '1 day')"
                ),
            ),
            Held::Label => (Row::Label(label), label_of(repository, manifest, label)),
        };
        pusher.does(&reference).await;
        Self {
            garbage,
            held: row,
            pusher,
        }
    }

    /// Runs the batch that meets the pusher; it must not wait.
    async fn batch_passes(&self, registry: &Registry, without: Option<Lock>) -> u64 {
        let repository = [self.garbage.repository];
        let collected = Collector::start(registry, &repository, without, &[]);
        collected.ends().await.unwrap().postponed
    }
}

async fn rolls_back(registry: &Registry, held: Held, without: Option<Lock>) -> String {
    let scene = Scene::new(registry, held).await;
    let postponed = scene.batch_passes(registry, without).await;
    let early = registry.settle().await.postponed;
    assert_eq!(early, postponed, "what is held still is postponed again");
    scene.pusher.rolls_back().await;
    registry.sweep().await;
    assert_eq!(registry.rechecks().await, 0);
    let fate = registry.fate(scene.held).await;
    format!("postponed {postponed}, then {fate}")
}

#[tokio::test]
async fn what_a_pusher_held_and_rolled_back_is_found_again() {
    let outcomes = ["postponed 1, then collected", "postponed 0, then leaked"];
    for held in ALL {
        let name = format!("pusher holds {held:?} and rolls back");
        let schedule =
            async |registry: &Registry, without| rolls_back(registry, held, without).await;
        compare(&name, Lock::Recheck, schedule, outcomes).await;
    }
}

async fn commits(registry: &Registry, held: Held) -> String {
    let scene = Scene::new(registry, held).await;
    let postponed = scene.batch_passes(registry, None).await;
    scene.pusher.commits().await;
    let settled = registry.settle().await;
    assert_eq!(registry.rechecks().await, 0);
    registry.sweep().await;
    let fate = registry.fate(scene.held).await;
    assert!(settled.is_empty(), "{settled:?}");
    format!("postponed {postponed}, then {fate}")
}

#[tokio::test]
async fn what_a_pusher_held_and_committed_lives() {
    for held in ALL {
        let name = format!("pusher holds {held:?} and commits");
        let schedule = async |registry: &Registry| commits(registry, held).await;
        show(&name, schedule, "postponed 1, then alive").await;
    }
}

/// The pusher holds the manifest while the batch would delete it, and commits.
async fn manifest_in_use(registry: &Registry, without: Option<Lock>) -> String {
    let scene = Scene::new(registry, Held::Manifest).await;
    let repository = [scene.garbage.repository];
    let mut collector = Collector::start(registry, &repository, without, &["manifests deleted"]);
    let waits = collector.is_kept_from("manifests deleted", registry).await;
    scene.pusher.commits().await;
    let ended = batch(&collector.ends().await);
    registry.sweep().await;
    let fate = registry.fate(scene.held).await;
    let waited = if waits { "waited and " } else { "" };
    format!("batch {waited}{ended}, manifest {fate}")
}

#[tokio::test]
async fn a_collector_never_waits_for_who_tags_a_manifest() {
    let good = "batch went through, manifest alive";
    let name = "pusher tags a manifest of the batch";
    let bad = "batch waited and failed with 23503, manifest alive";
    compare(name, Lock::Manifests, manifest_in_use, [good, bad]).await;
    let bad = "batch waited and went through, manifest alive";
    compare(name, Lock::SkipLocked, manifest_in_use, [good, bad]).await;
}

/// The pusher tags a manifest after the batch reached it, and commits before its lock.
async fn tagged_in_between(registry: &Registry, without: Option<Lock>) -> String {
    let one = registry.garbage(&[]).await;
    let repository = [one.repository];
    let mut collector = Collector::start(registry, &repository, without, &["manifests reached"]);
    collector.reaches("manifests reached").await;
    registry
        .insert(&tag_row(one.repository, one.manifest, "null"))
        .await;
    let ended = batch(&collector.ends().await);
    registry.sweep().await;
    let fate = registry.fate(Row::Manifest(one.manifest)).await;
    format!("batch {ended}, manifest {fate}")
}

#[tokio::test]
async fn manifests_are_judged_after_their_lock() {
    let outcomes = [
        "batch went through, manifest alive",
        "batch failed with 23503, manifest alive",
    ];
    compare(
        "pusher tags a manifest before its lock",
        Lock::ManifestsAgain,
        tagged_in_between,
        outcomes,
    )
    .await;
}
