//! A batch that collects two blobs while a pusher makes a manifest of them, in the other
//! order.
use futures::FutureExt;
use quayhand_model::gc::Lock;

use super::{
    actors::{Collector, Writer},
    batch,
    gate::Gate,
    registry::{Garbage, Registry},
    rows::{blob_of, manifest_row},
    schedule::schedules,
    told,
    verdict::Row,
};

/// Two blobs that only garbage holds, and a pusher in the middle of a push of both.
struct Scene {
    garbage: Garbage,
    low: i64,
    high: i64,
    pusher: Writer,
    /// Where the pusher pushes to, and what.
    target: (i64, i64),
}

impl Scene {
    async fn new(registry: &Registry) -> Self {
        let (low, high) = (registry.blob().await, registry.blob().await);
        let garbage = registry.garbage(&[low, high]).await;
        let repository = registry.repository().await;
        let pusher = Writer::begin(registry).await;
        let manifest = pusher.inserts(&manifest_row(repository)).await;
        Self {
            garbage,
            low,
            high,
            pusher,
            target: (repository, manifest),
        }
    }

    /// The pusher's reference to one of the blobs.
    fn reference(&self, blob: i64) -> String {
        blob_of(self.target.0, self.target.1, blob)
    }

    /// Collects what is left and says what became of the blobs.
    async fn fates(self, registry: &Registry) -> String {
        registry.sweep().await;
        assert_eq!(registry.rechecks().await, 0, "something is left to look at");
        let low = registry.fate(Row::Blob(self.low)).await;
        let high = registry.fate(Row::Blob(self.high)).await;
        format!("blobs {low} and {high}")
    }
}

/// The pusher refers to the second blob before the batch, and to the first one after it.
async fn pusher_first(registry: &Registry, without: Option<Lock>) -> String {
    let scene = Scene::new(registry).await;
    scene.pusher.does(&scene.reference(scene.high)).await;
    let repository = [scene.garbage.repository];
    let mut collector = Collector::batch(registry, &repository, without, &["orphans deleted"]);
    let waits = collector.is_kept_from("orphans deleted", registry).await;
    let second = scene.reference(scene.low);
    let second = scene.pusher.tries(registry, second).await;
    if waits {
        let pushed = second.ends().await;
        scene.pusher.ends(&pushed).await;
        let ended = batch(&collector.ends().await);
        let fates = scene.fates(registry).await;
        return format!(
            "batch waited and {ended}, pusher {}, {fates}",
            told(&pushed)
        );
    }
    assert!(second.waits, "the batch has not touched the first blob");
    let collected = collector.ends().await.unwrap();
    let pushed = second.ends().await;
    scene.pusher.ends(&pushed).await;
    let fates = scene.fates(registry).await;
    format!(
        "batch took {} and postponed {}, pusher {}, {fates}",
        collected.blobs,
        collected.postponed,
        told(&pushed)
    )
}

/// The batch has decided; the pusher comes for the second blob, then for the first.
async fn collector_first(registry: &Registry, without: Option<Lock>) -> String {
    let scene = Scene::new(registry).await;
    let repository = [scene.garbage.repository];
    let mut collector = Collector::batch(registry, &repository, without, &["orphans locked"]);
    collector.reaches("orphans locked").await;
    let first = scene.reference(scene.high);
    let first = scene.pusher.tries(registry, first).await;
    if first.waits {
        let collected = collector.ends().await.unwrap();
        let pushed = first.ends().await;
        scene.pusher.ends(&pushed).await;
        let fates = scene.fates(registry).await;
        let blobs = collected.blobs;
        return format!(
            "batch took {blobs}, pusher waited for it and {}, {fates}",
            told(&pushed)
        );
    }
    first.ends().await.unwrap();
    collector.goes_on();
    registry.until_a_collector_waits().await;
    let second = scene.reference(scene.low);
    let second = scene.pusher.tries(registry, second).await;
    let pushed = second.ends().await;
    scene.pusher.ends(&pushed).await;
    let ended = batch(&collector.ends().await);
    let fates = scene.fates(registry).await;
    format!(
        "batch waited and {ended}, pusher {}, {fates}",
        told(&pushed)
    )
}

/// The batch has locked its candidates and judged none; the pusher commits both.
async fn candidates_only(registry: &Registry) -> String {
    let scene = Scene::new(registry).await;
    let repository = [scene.garbage.repository];
    let mut collector = Collector::batch(registry, &repository, None, &["candidates locked"]);
    collector.reaches("candidates locked").await;
    for blob in [scene.high, scene.low] {
        let reference = scene.reference(blob);
        let attempt = scene.pusher.tries(registry, reference).await;
        assert!(!attempt.waits, "a pusher waits for a lock among collectors");
        attempt.ends().await.unwrap();
    }
    scene.pusher.ends(&Ok(())).await;
    let collected = collector.ends().await.unwrap();
    let fates = scene.fates(registry).await;
    format!("batch took {}, {fates}", collected.blobs)
}

/// The pusher commits after the batch's statement looked, and before it locks.
async fn committed_in_between(registry: &Registry, without: Option<Lock>) -> String {
    let scene = Scene::new(registry).await;
    let gate = Gate::before(registry, "uploadedblob").await;
    let repository = [scene.garbage.repository];
    let mut collector = Collector::batch(registry, &repository, without, &["candidates locked"]);
    collector.reaches("candidates locked").await;
    let keeper = Gate::closes(registry).await;
    collector.goes_on();
    registry.until_a_collector_waits().await;
    for blob in [scene.high, scene.low] {
        scene.pusher.does(&scene.reference(blob)).await;
    }
    scene.pusher.ends(&Ok(())).await;
    keeper.rolls_back().await;
    let ended = batch(&collector.ends().await);
    gate.removed(registry).await;
    let fates = scene.fates(registry).await;
    format!("batch {ended}, {fates}")
}

schedules! {
    a_collector_passes_by_what_a_pusher_holds {
        races: &["R5"],
        first: "pusher",
        play: |registry, without| pusher_first(registry, without).boxed_local(),
        good: "batch took 1 and postponed 1, pusher was told what is gone, \
               blobs collected and collected",
        bad: &[(Lock::SkipLocked, DEADLOCK), (Lock::Orphans, DEADLOCK)],
    }

    a_pusher_waits_for_one_batch_at_most {
        races: &["R5"],
        first: "collector",
        play: |registry, without| collector_first(registry, without).boxed_local(),
        good: "batch took 2, pusher waited for it and was told what is gone, \
               blobs collected and collected",
        bad: &[(Lock::Orphans, DEADLOCK)],
    }

    a_candidate_is_free_for_pushers {
        races: &["R5"],
        first: "collector",
        play: |registry, _| candidates_only(registry).boxed_local(),
        good: "batch took 0, blobs alive and alive",
        bad: &[],
    }

    orphans_are_judged_again_after_their_lock {
        races: &["R5"],
        first: "collector",
        play: |registry, without| committed_in_between(registry, without).boxed_local(),
        good: "batch went through, blobs alive and alive",
        bad: &[(Lock::OrphansAgain, "batch failed with 23503, blobs alive and alive")],
    }
}

const DEADLOCK: &str = "batch waited and went through, pusher was ended as the victim of a \
                        deadlock, blobs collected and collected";
