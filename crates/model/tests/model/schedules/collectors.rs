//! Two batches that each drop one of the last two references to a thing.
use futures::FutureExt;
use quayhand_model::gc::{Collected, Lock};

use super::{
    actors::{Collector, Writer},
    batch,
    registry::{Garbage, Registry},
    rows::{blob_of, manifest_row},
    schedule::schedules,
    verdict::Row,
};

/// Lets two batches drop their references to a thing, then judge it before either commits,
/// if they can.
///
/// Each has a blob of its own as well, so that it comes to "orphans deleted" in any case.
async fn both_judge(
    registry: &Registry,
    of: [Garbage; 2],
    without: Option<Lock>,
) -> [Collected; 2] {
    const HALTS: &[&str] = &["manifests deleted", "orphans deleted"];
    let [one, two] = of.map(|one| [one.repository]);
    let mut one = Collector::batch(registry, &one, without, HALTS);
    let mut two = Collector::batch(registry, &two, without, HALTS);
    one.reaches("manifests deleted").await;
    two.reaches("manifests deleted").await;
    one.goes_on();
    one.reaches("orphans deleted").await;
    two.goes_on();
    let kept = two.is_kept_from("orphans deleted", registry).await;
    assert_eq!(kept, without.is_none(), "who waits for whom");
    let one = one.ends().await.unwrap();
    [one, two.ends().await.unwrap()]
}

async fn one_blob(registry: &Registry, without: Option<Lock>) -> String {
    let [own, blob, other] = registry.blobs().await;
    let of = [
        registry.garbage(&[own, blob]).await,
        registry.garbage(&[other, blob]).await,
    ];
    let taken = both_judge(registry, of, without).await.map(|one| one.blobs);
    registry.sweep().await;
    let tombstones = registry
        .number("select count(*) from quayhand_tombstone")
        .await;
    let fate = registry.fate(Row::Blob(blob)).await;
    format!("{fate}, batches took {taken:?} blobs, {tombstones} tombstones")
}

async fn one_label(registry: &Registry, without: Option<Lock>) -> String {
    let [own, _, other] = registry.blobs().await;
    let of = [
        registry.garbage(&[own]).await,
        registry.garbage(&[other]).await,
    ];
    let label = registry.label(&of).await;
    let taken = both_judge(registry, of, without)
        .await
        .map(|one| one.labels);
    registry.sweep().await;
    let fate = registry.fate(Row::Label(label)).await;
    format!("{fate}, batches took {taken:?} labels")
}

async fn two_tags(registry: &Registry, without: Option<Lock>) -> String {
    const HALTS: &[&str] = &["tags locked", "manifests reached"];
    let one = registry.garbage(&[]).await;
    registry.dead_tag(one.repository, one.manifest).await;
    let repository = [one.repository];
    let mut first = Collector::batch(registry, &repository, without, HALTS);
    first.reaches("tags locked").await;
    let mut second = Collector::batch(registry, &repository, without, HALTS);
    if without.is_some() {
        second.reaches("tags locked").await;
        second.goes_on();
        second.reaches("manifests reached").await;
    }
    first.goes_on();
    first.reaches("manifests reached").await;
    let second = second.ends().await.unwrap();
    let first = first.ends().await.unwrap();
    let tags = [first.tags, second.tags];
    registry.sweep().await;
    let fate = registry.fate(Row::Manifest(one.manifest)).await;
    format!("{fate}, tags taken {tags:?}")
}

/// Lets one batch postpone a blob that another is just settling.
async fn settle_meets_batch(registry: &Registry) -> String {
    let blob = registry.blob().await;
    let one = registry.garbage(&[blob]).await;
    let pusher = Writer::begin(registry).await;
    let manifest = pusher.inserts(&manifest_row(one.repository)).await;
    let row = blob_of(one.repository, manifest, blob);
    pusher.does(&row).await;
    // As an earlier batch left it.
    registry
        .number(&format!(
            "insert into quayhand_recheck values (2, {blob}, now()) returning object_id"
        ))
        .await;
    let mut first = Collector::batch(registry, &[one.repository], None, &["orphans locked"]);
    first.reaches("orphans locked").await;
    let settling = Collector::settle(registry, &[]);
    registry.until_a_collector_waits().await;
    let (first, settling) = tokio::join!(first.ends(), settling.ends());
    let (first, settling) = (batch(&first), batch(&settling));
    pusher.rolls_back().await;
    registry.sweep().await;
    assert_eq!(registry.rechecks().await, 0);
    let fate = registry.fate(Row::Blob(blob)).await;
    format!("batch {first}, settling {settling}, blob {fate}")
}

schedules! {
    two_collectors_on_one_blob_collect_it_once {
        races: &["R11"],
        first: "collector",
        play: |registry, without| one_blob(registry, without).boxed_local(),
        good: "collected, batches took [1, 2] blobs, 3 tombstones",
        bad: &[(Lock::Candidates, "leaked, batches took [1, 1] blobs, 2 tombstones")],
    }

    two_collectors_on_one_label_collect_it_once {
        races: &["R11"],
        first: "collector",
        play: |registry, without| one_label(registry, without).boxed_local(),
        good: "collected, batches took [0, 1] labels",
        bad: &[(Lock::Candidates, "leaked, batches took [0, 0] labels")],
    }

    two_collectors_never_share_a_repository {
        races: &["R11"],
        first: "collector",
        play: |registry, without| two_tags(registry, without).boxed_local(),
        good: "collected, tags taken [1, 0]",
        bad: &[(Lock::Repositories, "leaked, tags taken [1, 1]")],
    }

    a_batch_may_postpone_what_another_settles {
        races: &[],
        first: "collector",
        play: |registry, _| settle_meets_batch(registry).boxed_local(),
        good: "batch went through, settling went through, blob collected",
        bad: &[],
    }
}
