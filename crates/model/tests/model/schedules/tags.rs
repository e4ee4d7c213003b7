//! A writer who changes a tag, or pushes, while a batch works on the same repository.
use futures::FutureExt;
use quayhand_model::gc::Lock;

use super::{
    actors::{Collector, Writer},
    batch,
    registry::Registry,
    rows::tag_row,
    schedule::schedules,
    verdict::Row,
};

/// Somebody restores a tag that is past recovery by now; the batch comes before the commit.
async fn restored(registry: &Registry, without: Option<Lock>) -> String {
    let one = registry.garbage(&[]).await;
    let writer = Writer::begin(registry).await;
    let restore = format!(
        "update tag set lifetime_end_ms = null where id = {}",
        one.tag
    );
    writer.does(&restore).await;
    let mut collector =
        Collector::batch(registry, &[one.repository], without, &["manifests reached"]);
    let waits = collector.is_kept_from("manifests reached", registry).await;
    writer.commits().await;
    let ended = batch(&collector.ends().await);
    registry.sweep().await;
    let alive = format!("select count(*) from tag where id = {}", one.tag);
    let alive = registry.number(&alive).await;
    let fate = registry.fate(Row::Manifest(one.manifest)).await;
    let waited = if waits { "waited and " } else { "" };
    format!("batch {waited}{ended}, {alive} tags, manifest {fate}")
}

/// Somebody restores a tag and thinks better of it.
async fn nearly_restored(registry: &Registry) -> String {
    let one = registry.garbage(&[]).await;
    let writer = Writer::begin(registry).await;
    let restore = format!(
        "update tag set lifetime_end_ms = null where id = {}",
        one.tag
    );
    writer.does(&restore).await;
    let first = Collector::batch(registry, &[one.repository], None, &[]);
    let first = first.ends().await.unwrap();
    writer.rolls_back().await;
    registry.sweep().await;
    let fate = registry.fate(Row::Manifest(one.manifest)).await;
    format!("batch took {}, manifest then {fate}", first.tags)
}

/// A push into the repository of a batch, at every halt of it.
async fn push_meanwhile(registry: &Registry) -> String {
    const HALTS: &[&str] = &[
        "repositories locked",
        "tags locked",
        "manifests locked",
        "manifests deleted",
        "candidates locked",
        "orphans locked",
        "orphans deleted",
    ];
    let blob = registry.blob().await;
    let one = registry.garbage(&[blob]).await;
    let other = registry.manifest(one.repository, &[]).await;
    let mut collector = Collector::batch(registry, &[one.repository], None, HALTS);
    for halt in HALTS {
        collector.reaches(halt).await;
        let writer = Writer::begin(registry).await;
        let row = tag_row(one.repository, other, "null");
        let attempt = writer.tries(registry, row).await;
        assert!(!attempt.waits, "a push waits at `{halt}`");
        attempt.ends().await.unwrap();
        writer.commits().await;
        collector.goes_on();
    }
    let ended = batch(&collector.ends().await);
    let fate = registry.fate(Row::Manifest(one.manifest)).await;
    format!("batch {ended}, manifest {fate}")
}

schedules! {
    a_restored_tag_stays {
        races: &["R8"],
        first: "pusher",
        play: |registry, without| restored(registry, without).boxed_local(),
        good: "batch went through, 1 tags, manifest alive",
        bad: &[(Lock::Tags, "batch waited and went through, 0 tags, manifest collected")],
    }

    a_tag_that_was_not_restored_goes_with_the_next_sweep {
        races: &["R8"],
        first: "pusher",
        play: |registry, _| nearly_restored(registry).boxed_local(),
        good: "batch took 0, manifest then collected",
        bad: &[],
    }

    a_push_into_the_same_repository_never_waits {
        races: &[],
        first: "collector",
        play: |registry, _| push_meanwhile(registry).boxed_local(),
        good: "batch went through, manifest collected",
        bad: &[],
    }
}
