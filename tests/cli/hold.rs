//! What happens between `blob_gc`'s locks and its deletes: the run is held there, something
//! goes wrong, and it goes on.

use std::time::Duration;

use quayhand_testkit::shared_or_skip;

use crate::{
    blob_gc::row_of,
    program::Quayhand,
    tombs::{BLOB_GC, Held, Tombs, connect, own_redis},
};

/// Gives the hold all the time it may have, so that a busy machine does not end it.
const LONG_HOLD: &str = "[gc]\nblob_hold = \"4s\"\n";

/// A program with locks in `redis_url` and settings of its own.
async fn program(tombs: &Tombs, redis_url: &str, settings: &str) -> Quayhand {
    let own = tombs.scene.write("own.toml", settings);
    tombs.program_with(redis_url).await.file("--config", &own)
}

#[tokio::test]
async fn the_twin_goes_on_and_removes_everything() {
    let _shared = shared_or_skip!();
    let (tombs, redis) = (Tombs::new().await, own_redis().await);
    let first = tombs.single(0).await;
    let program = program(&tombs, &redis.url(), LONG_HOLD).await;
    let held = Held::start(&tombs.scene, &program, &BLOB_GC).await;
    let ttl_ms: i64 = redis::cmd("PTTL")
        .arg(first.lock_key())
        .query_async(&mut connect(&redis.url()).await)
        .await
        .expect("a lock");
    assert!(
        (20_000..=30_000).contains(&ttl_ms),
        "its lock is held: {ttl_ms}"
    );
    held.go_on().await.ended().await.expect(0);
    tombs.only_left(&[]).await;
}

#[tokio::test]
async fn a_redis_that_dies_inside_the_hold_saves_everything() {
    let _shared = shared_or_skip!();
    let (tombs, mut redis) = (Tombs::new().await, own_redis().await);
    let whole = tombs.scene.whole().await;
    let program = program(&tombs, &redis.url(), LONG_HOLD).await;
    let held = Held::start(&tombs.scene, &program, &BLOB_GC).await;
    redis.kill().expect("killed");
    held.go_on().await.ended().await.expect(5).says(&["Redis"]);
    tombs.scene.is_unchanged(&whole).await;
}

#[tokio::test]
async fn a_redis_that_hangs_inside_the_hold_saves_everything() {
    let _shared = shared_or_skip!();
    let (tombs, redis) = (Tombs::new().await, own_redis().await);
    let whole = tombs.scene.whole().await;
    let program = program(&tombs, &redis.url(), LONG_HOLD).await;
    let held = Held::start(&tombs.scene, &program, &BLOB_GC).await;
    redis.pause().await.expect("paused");
    held.go_on().await.ended().await.expect(5).says(&["Redis"]);
    redis.resume().expect("resumed");
    tombs.scene.is_unchanged(&whole).await;
}

#[tokio::test]
async fn a_redis_that_forgot_the_locks_saves_everything() {
    let _shared = shared_or_skip!();
    let (tombs, mut redis) = (Tombs::new().await, own_redis().await);
    let whole = tombs.scene.whole().await;
    let program = program(&tombs, &redis.url(), LONG_HOLD).await;
    let held = Held::start(&tombs.scene, &program, &BLOB_GC).await;
    redis.restart().await.expect("restarted, and empty");
    let ended = held.go_on().await.ended().await;
    assert!(matches!(ended.code, Some(5 | 9)), "{ended:?}");
    tombs.scene.is_unchanged(&whole).await;
}

#[tokio::test]
async fn a_lock_that_somebody_else_took_inside_the_hold_saves_its_object() {
    let _shared = shared_or_skip!();
    let (tombs, redis) = (Tombs::new().await, own_redis().await);
    let taken = tombs.single(0).await;
    let program = program(&tombs, &redis.url(), LONG_HOLD).await;
    let held = Held::start(&tombs.scene, &program, &BLOB_GC).await;
    let mut locks = connect(&redis.url()).await;
    let mut set = redis::cmd("SET");
    set.arg(taken.lock_key())
        .arg("another token")
        .arg("EX")
        .arg(120);
    set.exec_async(&mut locks).await.expect("taken");
    held.go_on()
        .await
        .ended()
        .await
        .expect(9)
        .says(&["another process holds"]);
    tombs.only_left(&[&taken]).await;
}

#[tokio::test]
async fn a_row_that_appears_inside_the_hold_saves_its_object() {
    let _shared = shared_or_skip!();
    let (tombs, redis) = (Tombs::new().await, own_redis().await);
    let again = tombs.single(0).await;
    let program = program(&tombs, &redis.url(), LONG_HOLD).await;
    let held = Held::start(&tombs.scene, &program, &BLOB_GC).await;
    held.execute(&row_of(&again.digest)).await;
    held.go_on().await.ended().await.expect(0);
    tombs.only_left(&[]).await;
    assert!(
        tombs.scene.files().contains(&again.object),
        "its object stays"
    );
}

#[tokio::test]
async fn a_hold_that_is_over_sends_nothing() {
    let _shared = shared_or_skip!();
    let (tombs, redis) = (Tombs::new().await, own_redis().await);
    let (files, free) = (tombs.scene.files(), tombs.free().await);
    let settings = "[gc]\nblob_hold = \"1s\"\n";
    let program = program(&tombs, &redis.url(), settings).await;
    let held = Held::start(&tombs.scene, &program, &BLOB_GC).await;
    held.last(Duration::from_secs(1)).await;
    held.go_on()
        .await
        .ended()
        .await
        .expect(9)
        .says(&["time under the lock"]);
    assert_eq!(tombs.scene.files().len(), files.len(), "0 deletes");
    tombs.only_left(&free.iter().collect::<Vec<_>>()).await;
}

#[tokio::test]
async fn stopping_inside_the_hold_ends_with_what_is_left() {
    let _shared = shared_or_skip!();
    let (tombs, redis) = (Tombs::new().await, own_redis().await);
    copy_tombstones(&tombs).await;
    let program = program(&tombs, &redis.url(), LONG_HOLD).await;
    let held = Held::start(&tombs.scene, &program, &BLOB_GC).await;
    held.run.signal("TERM");
    let ended = held
        .go_on()
        .await
        .ended()
        .await
        .expect(9)
        .says(&["stopped"]);
    assert!(tombs.count().await > 0, "{}", ended.stderr);
    program.run(&BLOB_GC).await.expect(0);
    tombs.only_left(&[]).await;
}

/// Makes more tombstones than one hold takes; their objects are gone already.
async fn copy_tombstones(tombs: &Tombs) {
    let more = "insert into quayhand_tombstone (location_id, digest) \
                select (select min(location_id) from quayhand_tombstone), \
                       sha256(n::text::bytea) from generate_series(1, 600) n";
    tombs.scene.execute(more).await;
}
