//! A batch and a pusher who has changed the totals of its namespace and wants more.
use futures::FutureExt;
use quayhand_model::gc::{self, Lock};

use super::{
    actors::{Collector, Writer},
    batch,
    registry::{Garbage, Registry},
    rows::manifest_row,
    schedule::schedules,
    told,
    verdict::Row,
};

/// Makes the namespace's total, as the backfill leaves it.
async fn counted(registry: &Registry) {
    registry
        .changes(
            r#"insert into quotanamespacesize
                   (namespace_user_id, size_bytes, backfill_start_ms, backfill_complete)
               select id, 100, 1, true from "user""#,
        )
        .await;
}

/// Makes what was written down, and tells whether the total waits to be counted again.
async fn settled(registry: &Registry) -> String {
    let settle = registry
        .db
        .transaction(async |tx| gc::settle_totals(tx, 1_000).await);
    settle.await.unwrap();
    let left = registry
        .number("select count(*) from quayhand_total_change")
        .await;
    let reset = "select count(*) from quotanamespacesize
                  where not backfill_complete and backfill_start_ms is null and size_bytes = 0";
    let reset = registry.number(reset).await == 1;
    let total = if reset { "total reset" } else { "total wrong" };
    format!("{total}, {left} changes left")
}

/// A pusher in the middle of a list, whose namespace's total it has changed.
async fn pusher_of_a_list(registry: &Registry, one: Garbage) -> (Writer, String) {
    let pusher = Writer::begin(registry).await;
    let list = pusher.inserts(&manifest_row(one.repository)).await;
    pusher
        .does("update quotanamespacesize set size_bytes = size_bytes + 7")
        .await;
    let child = format!(
        "insert into manifestchild (repository_id, manifest_id, child_manifest_id)
         values ({}, {list}, {})",
        one.repository, one.manifest
    );
    (pusher, child)
}

/// The pusher wants a child that the batch has locked.
async fn wants_a_child(registry: &Registry, without: Option<Lock>) -> String {
    counted(registry).await;
    let one = registry.garbage(&[]).await;
    let (pusher, child) = pusher_of_a_list(registry, one).await;
    let halts = &["totals", "totals settled"];
    let mut collector = Collector::batch(registry, &[one.repository], without, halts);
    collector.reaches("totals").await;
    collector.goes_on();
    // A deadlock is found by whoever waits last: the pusher, who would be ended.
    let waits = collector.is_kept_from("totals settled", registry).await;
    let attempt = pusher.tries(registry, child).await;
    assert!(waits || attempt.waits, "the batch has the child");
    collector.goes_on();
    let pushed = attempt.ends().await;
    pusher.ends(&pushed).await;
    let ended = batch(&collector.ends().await);
    let (pushed, settled) = (told(&pushed), settled(registry).await);
    let fate = registry.fate(Row::Manifest(one.manifest)).await;
    format!("batch {ended}, pusher {pushed}, child {fate}, {settled}")
}

/// The pusher ends later than the batch; what it held is changed after it, once.
async fn ends_later(registry: &Registry, without: Option<Lock>) -> String {
    counted(registry).await;
    let one = registry.garbage(&[]).await;
    let (pusher, _) = pusher_of_a_list(registry, one).await;
    let mut collector = Collector::batch(registry, &[one.repository], without, &["never"]);
    let waits = collector.is_kept_from("never", registry).await;
    let early = if waits {
        "batch waited".to_owned()
    } else {
        settled(registry).await
    };
    pusher.commits().await;
    let ended = batch(&collector.ends().await);
    let late = settled(registry).await;
    format!("batch {ended}; {early}; then {late}")
}

schedules! {
    a_pusher_who_holds_a_total_is_no_victim {
        races: &[],
        first: "pusher",
        play: |registry, without| wants_a_child(registry, without).boxed_local(),
        good: "batch went through, pusher was told what is gone, child collected, total reset, \
               0 changes left",
        bad: &[(
            Lock::Totals,
            "batch went through, pusher was ended as the victim of a deadlock, child collected, \
             total reset, 0 changes left",
        )],
    }

    a_total_that_is_held_is_changed_later {
        races: &[],
        first: "pusher",
        play: |registry, without| ends_later(registry, without).boxed_local(),
        good: "batch went through; total wrong, 1 changes left; then total reset, 0 changes left",
        bad: &[(
            Lock::Totals,
            "batch went through; batch waited; then total reset, 0 changes left",
        )],
    }
}
