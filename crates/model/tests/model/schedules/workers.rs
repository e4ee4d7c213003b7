//! A batch and writers of rows that hang beside what it deletes: Quay's scanner, its
//! flush of pull statistics, and the totals that every push of a manifest resets.
use futures::FutureExt;
use quayhand_model::gc::Lock;

use super::{
    actors::{Collector, Writer},
    batch,
    registry::{Garbage, Registry},
    schedule::schedules,
    told,
    verdict::Row,
};

/// The statement by which a scanner writes its result.
fn scan_of(one: Garbage) -> String {
    let Garbage {
        repository,
        manifest,
        ..
    } = one;
    format!(
        "insert into manifestsecuritystatus (manifest_id, repository_id, index_status, error_json,
             last_indexed, indexer_hash, indexer_version, metadata_json)
         values ({manifest}, {repository}, 1, '{{}}', now(), 'hash', 4, '{{}}')"
    )
}

/// Quay's scanner replaces its result in one transaction: deletes the old, inserts the new.
async fn scan(registry: &Registry, without: Option<Lock>) -> String {
    let one = registry.garbage(&[]).await;
    registry.changes(&scan_of(one)).await;
    let scanner = Writer::begin(registry).await;
    let delete = format!(
        "delete from manifestsecuritystatus where manifest_id = {}",
        one.manifest
    );
    scanner.does(&delete).await;
    let mut collector =
        Collector::batch(registry, &[one.repository], without, &["manifests deleted"]);
    let waits = collector.is_kept_from("manifests deleted", registry).await;
    let scanned = scanner.tries(registry, scan_of(one)).await.ends().await;
    scanner.ends(&scanned).await;
    let ended = batch(&collector.ends().await);
    registry.sweep().await;
    let fate = registry.fate(Row::Manifest(one.manifest)).await;
    let waited = if waits { "waited and " } else { "" };
    format!(
        "batch {waited}{ended}, scanner {}, manifest {fate}",
        told(&scanned)
    )
}

/// Quay flushes its counters in one transaction, in any order.
async fn flush(registry: &Registry, without: Option<Lock>) -> String {
    let one = registry.garbage(&[]).await;
    for end in [2, 3, 4] {
        registry
            .changes(&format!(
                "insert into tag (name, repository_id, manifest_id, lifetime_start_ms,
                                  lifetime_end_ms, tag_kind_id)
                 values ('{end}', {0}, {1}, 0, {end}, 1);
                 insert into tagpullstatistics (repository_id, tag_name, tag_pull_count,
                                                last_tag_pull_date)
                 values ({0}, '{end}', 1, now())",
                one.repository, one.manifest
            ))
            .await;
    }
    let counted = |name: &str| {
        format!("update tagpullstatistics set tag_pull_count = 2 where tag_name = '{name}'")
    };
    let flusher = Writer::begin(registry).await;
    flusher.does(&counted("3")).await;
    let repositories = [one.repository; 4];
    let mut collector = Collector::batch(registry, &repositories, without, &["manifests reached"]);
    let waits = collector.is_kept_from("manifests reached", registry).await;
    let mut flushed = Ok(());
    for name in ["2", "4"] {
        let attempt = flusher.tries(registry, counted(name)).await;
        if !waits && attempt.waits {
            collector.goes_on();
        }
        flushed = flushed.and(attempt.ends().await);
    }
    flusher.ends(&flushed).await;
    let ended = batch(&collector.ends().await);
    registry.sweep().await;
    let tags = registry.number("select count(*) from tag").await;
    let waited = if waits { "waited and " } else { "" };
    format!(
        "batch {waited}{ended}, flush {}, {tags} tags",
        told(&flushed)
    )
}

schedules! {
    a_scanner_is_no_victim {
        races: &[],
        first: "scanner",
        play: |registry, without| scan(registry, without).boxed_local(),
        good: "batch went through, scanner went through, manifest collected",
        bad: &[(
            Lock::Scans,
            "batch waited and went through, scanner was ended as the victim of a deadlock, \
             manifest collected",
        )],
    }

    a_flush_of_counters_is_no_victim {
        races: &[],
        first: "flush",
        play: |registry, without| flush(registry, without).boxed_local(),
        good: "batch went through, flush went through, 0 tags",
        bad: &[(
            Lock::Statistics,
            "batch waited and went through, flush was ended as the victim of a deadlock, 0 tags",
        )],
    }
}
