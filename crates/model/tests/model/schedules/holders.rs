//! A pusher who holds what a batch would collect: it is passed by, written down, and
//! looked at again when the pusher has committed or rolled back.
use std::collections::BTreeSet;

use futures::FutureExt;
use quayhand_model::gc::Lock;

use super::{
    actors::{Collector, Writer},
    batch,
    registry::{Garbage, Registry},
    rows::{blob_of, label_of, manifest_row, tag_row},
    schedule::schedules,
    verdict::Row,
};

/// What a pusher refers to, not yet committed.
#[derive(Clone, Copy, Debug)]
enum Held {
    Manifest,
    BlobOfManifest,
    BlobOfUpload,
    Label,
}

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
        let collected = Collector::batch(registry, &repository, without, &[]);
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

/// The pusher holds the manifest while the batch would delete it, and commits.
async fn manifest_in_use(registry: &Registry, without: Option<Lock>) -> String {
    let scene = Scene::new(registry, Held::Manifest).await;
    let repository = [scene.garbage.repository];
    let mut collector = Collector::batch(registry, &repository, without, &["manifests deleted"]);
    let waits = collector.is_kept_from("manifests deleted", registry).await;
    scene.pusher.commits().await;
    let ended = batch(&collector.ends().await);
    registry.sweep().await;
    let fate = registry.fate(scene.held).await;
    let waited = if waits { "waited and " } else { "" };
    format!("batch {waited}{ended}, manifest {fate}")
}

/// The pusher tags a manifest after the batch reached it, and commits before its lock.
async fn tagged_in_between(registry: &Registry, without: Option<Lock>) -> String {
    let one = registry.garbage(&[]).await;
    let repository = [one.repository];
    let mut collector = Collector::batch(registry, &repository, without, &["manifests reached"]);
    collector.reaches("manifests reached").await;
    registry
        .insert(&tag_row(one.repository, one.manifest, "null"))
        .await;
    let ended = batch(&collector.ends().await);
    registry.sweep().await;
    let fate = registry.fate(Row::Manifest(one.manifest)).await;
    format!("batch {ended}, manifest {fate}")
}

/// Plays a schedule with each thing that a pusher may hold; all must end alike.
async fn with_each(play: impl AsyncFn(Held) -> String) -> String {
    let mut ends = BTreeSet::new();
    for held in [
        Held::Manifest,
        Held::BlobOfManifest,
        Held::BlobOfUpload,
        Held::Label,
    ] {
        ends.insert(play(held).await);
    }
    ends.into_iter().collect::<Vec<_>>().join(" or ")
}

schedules! {
    what_a_pusher_held_and_rolled_back_is_found_again {
        races: &["R5", "R6"],
        first: "pusher",
        play: |registry, without| {
            with_each(async move |held| rolls_back(registry, held, without).await).boxed_local()
        },
        good: "postponed 1, then collected",
        bad: &[(Lock::Recheck, "postponed 0, then leaked")],
    }

    what_a_pusher_held_and_committed_lives {
        races: &["R5", "R6"],
        first: "pusher",
        play: |registry, _| {
            with_each(async move |held| commits(registry, held).await).boxed_local()
        },
        good: "postponed 1, then alive",
        bad: &[],
    }

    a_collector_never_waits_for_who_tags_a_manifest {
        races: &["R6"],
        first: "pusher",
        play: |registry, without| manifest_in_use(registry, without).boxed_local(),
        good: "batch went through, manifest alive",
        bad: &[
            (Lock::Manifests, "batch waited and failed with 23503, manifest alive"),
            (Lock::SkipLocked, "batch waited and went through, manifest alive"),
        ],
    }

    manifests_are_judged_after_their_lock {
        races: &["R6", "R8"],
        first: "collector",
        play: |registry, without| tagged_in_between(registry, without).boxed_local(),
        good: "batch went through, manifest alive",
        bad: &[(Lock::ManifestsAgain, "batch failed with 23503, manifest alive")],
    }
}
