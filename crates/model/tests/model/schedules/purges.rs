//! A purge, and those who meet it.
use futures::FutureExt;
use quayhand_model::{
    DbError,
    gc::{self, Lock},
    purge::{self, Ending},
};

use super::{
    actors::{COLLECTOR, Collector, Writer, halting},
    clients::Pusher,
    halts::Actor,
    pushes::Push,
    registry::{Garbage, Registry},
    rows::manifest_row,
    schedule::schedules,
    told,
    verdict::Row,
};

/// Tags, uploads and manifests that a batch of a purge takes.
const AT_MOST: u32 = 1;

/// Starts to purge a repository: batch after batch, then the row itself, once.
fn purge(
    registry: &Registry,
    repository: i64,
    without: Option<Lock>,
    places: &'static [&'static str],
) -> Collector<Ending> {
    let db = registry.db.clone();
    Actor::start(COLLECTOR.to_owned(), places, move |halts| async move {
        let rules = halting(without, halts);
        loop {
            let batch = db
                .transaction(async |tx| gc::purge_batch(tx, repository, AT_MOST, &rules).await)
                .await?;
            if batch.is_none_or(|batch| batch.is_empty()) {
                break;
            }
        }
        db.transaction(async |tx| purge::finish_repository(tx, repository, &rules).await)
            .await
    })
}

/// Marks a repository for deletion, as Quay does.
async fn mark(registry: &Registry, repository: i64) {
    let mark = format!(
        "insert into deletedrepository (repository_id, marked, original_name)
         select id, now(), name from repository where id = {repository};
         update repository set name = gen_random_uuid(), state = 3 where id = {repository}"
    );
    registry.changes(&mark).await;
}

/// Says how a purge ended.
fn ending(ended: &Result<Ending, DbError>) -> String {
    match ended {
        Ok(Ending::Left(tables)) => format!("left {}", tables.join(" and ")),
        Ok(ending) => format!("was {ending:?}"),
        Err(error) => format!("failed with {}", error.code().unwrap_or("no code")),
    }
}

/// Purges until nothing is in the way.
async fn purge_again(registry: &Registry, repository: i64) -> String {
    ending(&purge(registry, repository, None, &[]).ends().await)
}

/// Somebody who looked the repository up before the mark pushes a manifest.
async fn pushes(registry: &Registry, repository: i64) -> Pusher {
    let push = vec![Push::Manifest {
        repository,
        digest: format!("sha256:{}", "2".repeat(64)),
        blobs: vec![],
        children: vec![],
    }];
    let places = &["references found", "manifest written"];
    let mut pusher = Pusher::sends(registry, push.clone(), push, places).await;
    pusher.reaches("references found").await;
    mark(registry, repository).await;
    pusher.goes_on();
    pusher
}

/// A push that began before the mark has written, and commits under the purge.
async fn push_first(registry: &Registry, without: Option<Lock>) -> String {
    let blob = registry.blob().await;
    let one = registry.garbage(&[blob]).await;
    let mut pusher = pushes(registry, one.repository).await;
    pusher.reaches("manifest written").await;
    let mut purging = purge(registry, one.repository, without, &[]);
    let waits = purging.is_kept_from("its end", registry).await;
    let answers = pusher.ends().await;
    let first = ending(&purging.ends().await);
    let waited = if waits { "waited and " } else { "" };
    let second = purge_again(registry, one.repository).await;
    format!("purge {waited}{first}, client got {answers}, then the purge {second}")
}

/// The purge has locked the empty repository; a push that began before the mark comes.
async fn purge_first(registry: &Registry, without: Option<Lock>) -> String {
    let blob = registry.blob().await;
    let one = registry.garbage(&[blob]).await;
    let writer = Writer::begin(registry).await;
    mark(registry, one.repository).await;
    let mut purging = purge(registry, one.repository, without, &["repository locked"]);
    purging.reaches("repository locked").await;
    let push = writer.tries(registry, manifest_row(one.repository)).await;
    if push.waits {
        let ended = ending(&purging.ends().await);
        let pushed = push.ends().await;
        return format!("purge {ended}, client waited and {}", told(&pushed));
    }
    let pushed = push.ends().await;
    purging.goes_on();
    registry.until_a_collector_waits().await;
    writer.ends(&pushed).await;
    let first = ending(&purging.ends().await);
    let second = purge_again(registry, one.repository).await;
    format!(
        "purge waited and {first}, client {}, then the purge {second}",
        told(&pushed)
    )
}

/// A second purge of the repository comes while a batch of the first one is on its way.
async fn two_purges(registry: &Registry, without: Option<Lock>) -> String {
    let one = registry.garbage(&[]).await;
    registry.dead_tag(one.repository, one.manifest).await;
    mark(registry, one.repository).await;
    let mut first = purge(registry, one.repository, without, &["tags locked"]);
    first.reaches("tags locked").await;
    let second = ending(&purge(registry, one.repository, without, &[]).ends().await);
    let tags = registry.number("select count(*) from tag").await;
    let first = ending(&first.ends().await);
    format!("second {second} and saw {tags} tags, first {first}")
}

/// Two last references to a blob: a batch drops one, a purge the other.
async fn last_two(registry: &Registry, without: Option<Lock>, purge_leads: bool) -> String {
    const HALTS: &[&str] = &["manifests deleted", "orphans deleted"];
    let [own, blob, other] = registry.blobs().await;
    let mine = registry.garbage(&[own, blob]).await;
    let marked = registry.garbage(&[other, blob]).await;
    mark(registry, marked.repository).await;
    let batch = Collector::batch(registry, &[mine.repository], without, HALTS);
    let purge = purge(registry, marked.repository, without, HALTS);
    let waits = if purge_leads {
        one_judges_first(registry, purge, batch).await
    } else {
        one_judges_first(registry, batch, purge).await
    };
    registry.sweep().await;
    let fate = registry.fate(Row::Blob(blob)).await;
    let second = if waits { "waited" } else { "did not wait" };
    format!("the second {second}, blob {fate}")
}

/// Lets both drop their reference, then one judge what is left, then the other; tells whether
/// the other had to wait.
async fn one_judges_first<A: Send + 'static, B: Send + 'static>(
    registry: &Registry,
    mut first: Actor<Result<A, DbError>>,
    mut second: Actor<Result<B, DbError>>,
) -> bool {
    first.reaches("manifests deleted").await;
    second.reaches("manifests deleted").await;
    first.goes_on();
    first.reaches("orphans deleted").await;
    second.goes_on();
    let waits = second.is_kept_from("orphans deleted", registry).await;
    assert!(first.ends().await.is_ok());
    assert!(second.ends().await.is_ok());
    waits
}

/// The name of a deleted repository has a new owner already, who has pushed.
async fn name_taken(registry: &Registry) -> (Garbage, Garbage) {
    let old = registry.garbage(&[]).await;
    let name = format!("select name from repository where id = {}", old.repository);
    let name = registry.text(&name).await;
    mark(registry, old.repository).await;
    let new = registry.garbage(&[]).await;
    let take = format!(
        "update repository set name = '{name}' where id = {}",
        new.repository
    );
    registry.changes(&take).await;
    let alive = format!(
        "update tag set lifetime_end_ms = null where id = {}",
        new.tag
    );
    registry.changes(&alive).await;
    (old, new)
}

/// The new repository is there before the purge, which is asked for both of the name.
async fn new_repository_first(registry: &Registry, without: Option<Lock>) -> String {
    let (old, new) = name_taken(registry).await;
    let old = ending(&purge(registry, old.repository, without, &[]).ends().await);
    let asked = ending(&purge(registry, new.repository, without, &[]).ends().await);
    let fate = registry.fate(Row::Manifest(new.manifest)).await;
    format!("old one {old}, new one {asked}, its manifest {fate}")
}

/// The purge is on its way when the name is taken and pushed to.
async fn purge_before_new_repository(registry: &Registry) -> String {
    let old = registry.garbage(&[]).await;
    let name = format!("select name from repository where id = {}", old.repository);
    let name = registry.text(&name).await;
    mark(registry, old.repository).await;
    let mut purging = purge(registry, old.repository, None, &["tags locked"]);
    purging.reaches("tags locked").await;
    let new = registry.garbage(&[]).await;
    registry
        .changes(&format!(
            "update repository set name = '{name}' where id = {};
             update tag set lifetime_end_ms = null where id = {}",
            new.repository, new.tag
        ))
        .await;
    let ended = ending(&purging.ends().await);
    let fate = registry.fate(Row::Manifest(new.manifest)).await;
    format!("old one {ended}, manifest of the new one {fate}")
}

schedules! {
    a_purge_waits_for_no_push_and_comes_again {
        races: &["R14"],
        first: "pusher",
        play: |registry, without| push_first(registry, without).boxed_local(),
        good: "purge was Busy, client got 201, then the purge was Purged",
        bad: &[(Lock::PurgedLast, "purge waited and failed with 23503, client got 201, then the purge was Purged")],
    }

    a_push_into_a_purged_repository_is_refused {
        races: &["R14"],
        first: "collector",
        play: |registry, without| purge_first(registry, without).boxed_local(),
        good: "purge was Purged, client waited and was told what is gone",
        bad: &[(Lock::PurgedLast, "purge waited and failed with 23503, client went through, then the purge was Purged")],
    }

    two_purges_never_share_a_repository {
        races: &["R11"],
        first: "purge",
        play: |registry, without| two_purges(registry, without).boxed_local(),
        good: "second was Busy and saw 2 tags, first was Purged",
        bad: &[(Lock::PurgedRepository, "second left tag and manifest and saw 1 tags, first was Purged")],
    }

    a_batch_and_a_purge_collect_one_blob_once {
        races: &["R11"],
        first: "collector",
        play: |registry, without| last_two(registry, without, false).boxed_local(),
        good: "the second waited, blob collected",
        bad: &[(Lock::Candidates, "the second did not wait, blob leaked")],
    }

    a_purge_and_a_batch_collect_one_blob_once {
        races: &["R11"],
        first: "purge",
        play: |registry, without| last_two(registry, without, true).boxed_local(),
        good: "the second waited, blob collected",
        bad: &[(Lock::Candidates, "the second did not wait, blob leaked")],
    }

    a_repository_that_took_the_name_is_not_purged {
        races: &["R15"],
        first: "pusher",
        play: |registry, without| new_repository_first(registry, without).boxed_local(),
        good: "old one was Purged, new one was NotMarked, its manifest alive",
        bad: &[(Lock::PurgedMark, "old one was Purged, new one was NotMarked, its manifest collected")],
    }

    a_name_may_be_taken_under_a_purge {
        races: &["R15"],
        first: "purge",
        play: |registry, _| purge_before_new_repository(registry).boxed_local(),
        good: "old one was Purged, manifest of the new one alive",
        bad: &[],
    }
}
