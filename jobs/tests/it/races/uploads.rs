//! A run, and a client who pushes what it would remove.
use futures::FutureExt;
use quayhand_jobs::{Locking, blob_gc::Guard};

use super::{run::Run, schedule::schedules, store::Store};

/// The client has the lock and has written; the run comes before it commits.
async fn under_its_lock(store: &Store, without: Option<Guard>) -> String {
    let mut pusher = store.pusher().await;
    pusher.looks();
    let how = pusher.locks().await;
    pusher.writes().await;
    let first = Run::whole(&store.scene.ctx, without).await;
    pusher.commits().await;
    let verdict = store.verdict().await;
    format!("run {first}, client wrote {how}, {verdict}")
}

/// The run has removed the object and has the lock still; the client comes.
async fn after_the_removal(store: &Store, _: Option<Guard>) -> String {
    let run = Run::until(&store.scene.ctx, None, "sent").await;
    let mut pusher = store.pusher().await;
    pusher.looks();
    let (how, ended) = tokio::join!(pusher.goes_on(), run.ends());
    let verdict = store.verdict().await;
    format!("run {ended}, client wrote {how}, {verdict}")
}

/// The run has read its tombstones; the client comes and goes before it takes the locks.
async fn before_the_locks(store: &Store, without: Option<Guard>) -> String {
    let run = Run::until(&store.scene.ctx, without, "taken").await;
    let mut pusher = store.pusher().await;
    pusher.looks();
    let how = pusher.goes_on().await;
    let ended = run.ends().await;
    let verdict = store.verdict().await;
    format!("client wrote {how}, run {ended}, {verdict}")
}

/// Redis forgets the run's locks after the run has asked for rows; the client gets the lock.
async fn forgotten(store: &Store, without: Option<Guard>) -> String {
    let run = Run::until(&store.scene.ctx, without, "asked").await;
    store.redis_forgets().await;
    let mut pusher = store.pusher().await;
    pusher.looks();
    let how = pusher.goes_on().await;
    run.ends().await;
    let verdict = store.verdict().await;
    format!("client wrote {how}, {verdict}")
}

/// The run is stopped at a place until the client has waited for the lock in vain.
async fn stopped(store: &Store, without: Option<Guard>, place: &'static str) -> String {
    let run = Run::until(&store.scene.ctx, without, place).await;
    let mut pusher = store.pusher().await;
    pusher.looks();
    let how = pusher.goes_on().await;
    let ended = run.ends().await;
    let verdict = store.verdict().await;
    format!("client wrote {how}, run {ended}, {verdict}")
}

/// The last row went a moment ago, after the client had asked storage for the object.
async fn fresh(store: &Store, without: Option<Guard>) -> String {
    store.scene.execute("delete from quayhand_tombstone").await;
    let mut pusher = store.pusher().await;
    pusher.looks();
    store.bury("0 seconds").await;
    let ended = Run::whole(&store.scene.ctx, without).await;
    let how = pusher.goes_on().await;
    let verdict = store.verdict().await;
    format!("run {ended}, client wrote {how}, {verdict}")
}

/// Without Redis: the client has the fence and has written.
async fn under_its_fence(store: &Store, without: Option<Guard>) -> String {
    let mut ctx = store.scene.ctx.clone();
    ctx.locks = Locking::Standalone;
    let mut pusher = store.pusher().await;
    pusher.fences().await;
    pusher.looks();
    pusher.writes().await;
    let ended = Run::whole(&ctx, without).await;
    pusher.commits().await;
    format!("run {ended}, {}", store.verdict().await)
}

/// Without Redis: the run is about to remove; the client comes for the fence, and looks under
/// it.
async fn behind_the_fence(store: &Store, without: Option<Guard>) -> String {
    let mut ctx = store.scene.ctx.clone();
    ctx.locks = Locking::Standalone;
    let run = Run::until(&ctx, without, "sending").await;
    let mut pusher = store.pusher().await;
    let client = async {
        pusher.fences().await;
        pusher.looks();
        pusher.writes().await;
        pusher.commits().await;
    };
    // Without the fence nothing keeps the client, who is then done before the run goes on.
    let ended = if without.is_none() {
        tokio::join!(client, run.ends()).1
    } else {
        client.await;
        run.ends().await
    };
    format!("run {ended}, {}", store.verdict().await)
}

schedules! {
    an_upload_under_its_lock_keeps_the_object {
        races: &["R2"],
        first: "pusher",
        play: |store, without| under_its_lock(store, without).boxed_local(),
        good: "run noted 1 locked elsewhere, client wrote with the lock, blob alive",
        bad: &[(Guard::DigestLock, "run noted 1 objects, client wrote with the lock, blob lost")],
    }

    an_upload_after_the_removal_puts_the_object_again {
        races: &["R2", "R5"],
        first: "collector",
        play: |store, without| after_the_removal(store, without).boxed_local(),
        good: "run noted 1 objects, client wrote with the lock, blob alive",
        bad: &[],
    }

    a_row_from_before_the_locks_keeps_the_object {
        races: &["R2"],
        first: "collector",
        play: |store, without| before_the_locks(store, without).boxed_local(),
        good: "client wrote with the lock, run noted 1 in use again, blob alive",
        bad: &[(Guard::RowsAgain, "client wrote with the lock, run noted 1 objects, blob lost")],
    }

    a_lock_that_redis_forgot_removes_nothing {
        races: &["R2", "R16"],
        first: "collector",
        play: |store, without| forgotten(store, without).boxed_local(),
        good: "client wrote with the lock, blob alive",
        bad: &[(Guard::LocksAgain, "client wrote with the lock, blob lost")],
    }

    a_run_that_was_stopped_in_its_hold_sends_nothing {
        races: &["R2", "R16"],
        first: "collector",
        play: |store, without| stopped(store, without, "asked").boxed_local(),
        good: "client wrote without the lock, run did nothing, blob alive",
        bad: &[(Guard::HoldEnd, "client wrote without the lock, run noted 1 objects, blob lost")],
    }

    a_run_that_was_stopped_at_the_last_moment_begins_nothing {
        races: &["R2", "R16", "R17"],
        first: "collector",
        play: |store, without| stopped(store, without, "sending").boxed_local(),
        good: "client wrote without the lock, run did nothing, blob alive",
        bad: &[(Guard::HoldEnd, "client wrote without the lock, run noted 1 objects, blob lost")],
    }

    a_fresh_tombstone_waits_for_who_has_looked {
        races: &["R5"],
        first: "pusher",
        play: |store, without| fresh(store, without).boxed_local(),
        good: "run did nothing, client wrote with the lock, blob alive",
        bad: &[(Guard::Grace, "run noted 1 objects, client wrote with the lock, blob lost")],
    }

    an_upload_under_its_fence_keeps_the_object {
        races: &["R2"],
        first: "pusher",
        play: |store, without| under_its_fence(store, without).boxed_local(),
        good: "run noted 1 locked elsewhere, blob alive",
        bad: &[(Guard::Fence, "run noted 1 objects, blob lost")],
    }

    an_upload_behind_the_fence_puts_the_object_again {
        races: &["R2"],
        first: "collector",
        play: |store, without| behind_the_fence(store, without).boxed_local(),
        good: "run noted 1 objects, blob alive",
        bad: &[(Guard::Fence, "run noted 1 objects, blob lost")],
    }
}
