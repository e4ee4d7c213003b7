//! The collector on the golden states: it leaves what Quay's own collector left, whatever
//! the size of a batch and however many connections, and wherever it is stopped.
//!
//! Quay's run also purged the repositories that were marked for deletion. They are not
//! ours, and neither is what they hold.
mod expected;
mod subject;

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use futures::FutureExt;
use quayhand_model::gc::{self, Rules, Switches, Work};
use quayhand_testkit::{shared_or_skip, wait_for};
use tokio::sync::mpsc;

use crate::sweep::{self, Sweep};
use expected::{Expected, differences};
use subject::{Object, Subject};

const STATES: [&str; 5] = ["seed1", "seed2", "seed3", "seed7-quota", "boundary"];

#[expect(clippy::print_stdout, reason = "the figures are there to be read")]
fn show(run: &str, swept: &Sweep, took: Duration) {
    let Sweep {
        batches,
        tags,
        manifests,
        blobs,
        statements,
        ..
    } = swept;
    println!(
        "{run}: {tags} tags, {manifests} manifests, {blobs} blobs in {batches} batches, \
         {statements} statements, {} ms",
        took.as_millis()
    );
}

/// Collects one state as `run` does, and checks it against Quay and against the preview.
async fn collect(name: &str, run: &str, work: impl AsyncFn(&Subject, &Rules) -> Sweep) {
    let run = format!("{name}, {run}");
    let subject = Subject::load(name).await;
    let rules = subject.rules();
    let expected = Expected::of(&subject).await;
    let preview = subject
        .db
        .read_only_transaction(async |tx| gc::preview(tx, None, &rules).await);
    let (rows, objects) = preview.await.unwrap();
    let started = Instant::now();
    let swept = work(&subject, &rules).await;
    show(&run, &swept, started.elapsed());

    let doomed = expected.check(&subject, &run).await;
    let after = subject.rows().await;
    let gone: BTreeSet<_> = expected.before.difference(&after).cloned().collect();
    let previewed = rows.iter().map(|row| (row.table.to_owned(), row.id));
    assert_eq!(
        differences(&previewed.collect(), &gone),
        [],
        "{run}: preview"
    );
    let previewed = objects.iter().map(path_of).collect();
    assert_eq!(differences(&previewed, &doomed), [], "{run}: preview");
    assert_eq!(swept.postponed, 0, "{run}: nobody held anything");
    assert_eq!(subject.count("quayhand_recheck").await, 0);

    let again = sweep::everything(&subject.db, &rules, 1_000).await;
    assert_eq!(again.rows(), 0, "{run}: a second time");
    assert_eq!(subject.rows().await, after, "{run}: a second time");
}

fn path_of(object: &gc::DoomedObject) -> Object {
    let hex = object.digest.map(|byte| format!("{byte:02x}")).concat();
    let path = match &object.legacy_uuid {
        None => format!("sha256/{}/{hex}", &hex[..2]),
        Some(uuid) => format!("sharedimages/{uuid}/layer"),
    };
    (object.location.clone(), path)
}

#[tokio::test]
async fn leaves_what_quay_leaves() {
    let _shared = shared_or_skip!();
    for name in STATES {
        for lanes in [1, 2] {
            for at_most in [1_000, 50, 7] {
                let run = format!("batches of {at_most} on {lanes} connections");
                collect(name, &run, async |subject, rules| {
                    sweep::side_by_side(&subject.db, rules, at_most, lanes).await
                })
                .await;
            }
        }
    }
}

/// Runs one batch and forgets everything, again and again.
///
/// What a batch carries to the next is lost. A stop right between a subject's tag and its
/// referrer's leaves the subject; that is what Quay leaves when it reads them in that order
/// (golden `chunk-order`). Batches of 7 do not come apart there.
async fn stop_after_each_batch(subject: &Subject, rules: &Rules, at_most: u32) -> Sweep {
    let mut swept = Sweep::default();
    loop {
        let found = sweep::candidates(&subject.db, rules).await;
        if found.is_empty() {
            return swept;
        }
        let work = Work {
            repositories: &found,
            carried: &[],
            at_most,
        };
        let batch = subject
            .db
            .transaction(async |tx| gc::collect_batch(tx, work, rules).await)
            .await
            .unwrap();
        assert!(!batch.is_empty(), "{found:?} stay candidates");
        swept += &batch;
    }
}

#[tokio::test]
async fn leaves_what_quay_leaves_one_tag_at_a_time() {
    let _shared = shared_or_skip!();
    collect("boundary", "batches of 1", async |subject, rules| {
        sweep::everything(&subject.db, rules, 1).await
    })
    .await;
}

#[tokio::test]
async fn a_stop_after_any_batch_leaves_nothing_undone() {
    let _shared = shared_or_skip!();
    for name in STATES {
        collect(
            name,
            "stopped after each batch of 7",
            async |subject, rules| stop_after_each_batch(subject, rules, 7).await,
        )
        .await;
    }
}

/// Ends every batch the hard way when it comes to a place, then runs it again.
async fn break_off_at(subject: &Subject, rules: &Rules, place: &'static str) -> Sweep {
    let mut swept = Sweep::default();
    loop {
        let found = sweep::candidates(&subject.db, rules).await;
        if found.is_empty() {
            return swept;
        }
        let (arrived, mut arrivals) = mpsc::unbounded_channel();
        let doomed = Rules {
            switches: Switches::default().pausing(move |at| {
                let arrived = arrived.clone();
                async move {
                    if at == place {
                        arrived.send(()).ok();
                        std::future::pending::<()>().await;
                    }
                }
                .boxed()
            }),
            ..rules.clone()
        };
        let before = subject.rows().await;
        tokio::select! {
            done = sweep::exhaust(&subject.db, &doomed, &found, 50) => {
                swept += done.unwrap();
                continue;
            }
            _ = arrivals.recv() => {}
        }
        wait_for(
            "the end of a transaction",
            Duration::from_secs(10),
            async || subject.is_quiet().await.then_some(()),
        )
        .await;
        assert_eq!(subject.rows().await, before, "broken off at `{place}`");
        swept += sweep::exhaust(&subject.db, rules, &found, 50)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_batch_that_breaks_off_leaves_nothing_behind() {
    let _shared = shared_or_skip!();
    for place in [
        "repositories locked",
        "tags locked",
        "manifests reached",
        "manifests locked",
        "manifests deleted",
        "candidates locked",
        "orphans locked",
        "orphans deleted",
    ] {
        collect("seed1", place, async |subject, rules| {
            break_off_at(subject, rules, place).await
        })
        .await;
    }
}
