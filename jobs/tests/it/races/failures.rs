//! A run and storage that fails, two runs, and a copy that nobody knows of.
use std::fs;

use futures::FutureExt;
use quayhand_jobs::{blob_gc::Guard, leak_sweep::LeakSweep};
use quayhand_queue::Job;

use super::{
    run::Run,
    schedule::schedules,
    store::{HOLD, Store},
};

/// A folder lies where the object should: storage says that it removed nothing.
async fn part_fails(store: &Store, without: Option<Guard>) -> String {
    let path = store.scene.object("local", &store.path());
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    let ended = Run::whole(&store.scene.ctx, without).await;
    fs::remove_dir(&path).unwrap();
    store.put("local");
    format!("run {ended}, {}", store.verdict().await)
}

/// The hold ends while the removal is on its way: nobody knows what storage did.
async fn no_answer(store: &Store, without: Option<Guard>) -> String {
    let run = Run::until(&store.scene.ctx, without, "sending").await;
    // Not to wait for anything: that the hold ends is what happens.
    tokio::time::sleep(HOLD).await;
    let ended = run.ends().await;
    format!("run {ended}, {}", store.verdict().await)
}

/// A second run comes inside the hold of the first; a client pushes as soon as the object is
/// gone.
async fn two_runs(store: &Store, without: Option<Guard>) -> String {
    let first = Run::until(&store.scene.ctx, without, "asked").await;
    let second = Run::whole(&store.scene.ctx, without).await;
    let mut pusher = store.pusher().await;
    let early = !store.is_there();
    if early {
        pusher.looks();
        pusher.goes_on().await;
    }
    let first = first.ends().await;
    if !early {
        pusher.looks();
        pusher.goes_on().await;
    }
    let verdict = store.verdict().await;
    format!("second run {second}, first {first}, {verdict}")
}

/// A run that woke up late meets a second one that has done everything, and a client.
async fn wakes_up_late(store: &Store, without: Option<Guard>) -> String {
    let late = Run::until(&store.scene.ctx, without, "taken").await;
    let second = Run::whole(&store.scene.ctx, None).await;
    let mut pusher = store.pusher().await;
    pusher.looks();
    pusher.goes_on().await;
    let late = late.ends().await;
    let verdict = store.verdict().await;
    format!("second run {second}, late one {late}, {verdict}")
}

/// Replication has copied the object to a second location, and was told that its row is gone.
async fn lost_copy(store: &Store) -> String {
    let ctx = &store.scene.ctx;
    let storage = ctx.storage.clone().unwrap();
    let other = storage.locations().find(|name| *name != "local").unwrap();
    store.put(other);
    let copy = store.scene.object(other, &store.path());
    let first = Run::whole(ctx, None).await;
    assert!(LeakSweep {}.run(ctx).await.is_ok());
    let seen = if copy.is_file() { "there" } else { "gone" };
    store.is_swept().await;
    let now = if copy.is_file() { "there" } else { "gone" };
    format!("run {first}, copy {seen} after one sweep and {now} after two")
}

schedules! {
    what_storage_kept_keeps_its_tombstone {
        races: &["R17"],
        first: "collector",
        play: |store, without| part_fails(store, without).boxed_local(),
        good: "run did nothing, object waits",
        bad: &[(Guard::Confirmed, "run did nothing, object leaked")],
    }

    what_storage_did_not_answer_keeps_its_tombstone {
        races: &["R17"],
        first: "collector",
        play: |store, without| no_answer(store, without).boxed_local(),
        good: "run did nothing, object waits",
        bad: &[(Guard::Confirmed, "run did nothing, object leaked")],
    }

    two_runs_remove_one_object_once {
        races: &["R16"],
        first: "collector",
        play: |store, without| two_runs(store, without).boxed_local(),
        good: "second run noted 1 locked elsewhere, first noted 1 objects, blob alive",
        bad: &[(Guard::DigestLock, "second run noted 1 objects, first noted 1 objects, blob lost")],
    }

    a_run_that_wakes_up_late_removes_nothing {
        races: &["R16"],
        first: "second run",
        play: |store, without| wakes_up_late(store, without).boxed_local(),
        good: "second run noted 1 objects, late one noted 1 in use again, blob alive",
        bad: &[(Guard::RowsAgain, "second run noted 1 objects, late one noted 1 objects, blob lost")],
    }

    a_copy_without_a_row_goes_when_it_was_seen_twice {
        races: &["R13"],
        first: "collector",
        play: |store, _| lost_copy(store).boxed_local(),
        good: "run noted 1 objects, copy there after one sweep and gone after two",
        bad: &[],
    }
}
