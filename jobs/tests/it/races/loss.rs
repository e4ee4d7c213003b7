//! What no guard of ours closes: Quay asks storage for the object before it takes the lock, and
//! puts nothing when it is there. `docs/guards.md` says what is left of that; here the runs
//! after it say so, until the object is there again or nobody wants it.
use std::fs;

use quayhand_jobs::blob_gc::BlobGc;
use quayhand_queue::{Done, Job, JobError};
use quayhand_testkit::World as _;

use super::{run::Run, store::Store};

/// The object has just been removed, and a client who saw it before has written its row.
async fn lost() -> Store {
    let store = Store::new().await;
    let mut pusher = store.pusher().await;
    pusher.looks();
    let ended = Run::whole(&store.scene.ctx, None).await;
    pusher.goes_on().await;
    let ended = (ended.as_str(), store.verdict().await);
    assert_eq!(ended, ("noted 1 objects", "blob lost"));
    store
}

/// Runs once; returns what was counted, and what was left.
async fn runs(store: &Store) -> (Done, Vec<String>) {
    match (BlobGc {}).run(&store.scene.ctx).await {
        Ok(done) => (done, Vec::new()),
        Err(JobError::Partial { done, left }) => (done, left),
        Err(error) => panic!("{error}"),
    }
}

/// Counts the notes of what was removed.
async fn notes(store: &Store) -> i64 {
    let notes = "select count(*) from quayhand_removed";
    store.scene.number(notes).await
}

#[tokio::test]
async fn an_object_that_quay_saw_right_before_the_hold_is_lost() {
    let store = lost().await;
    let digest = store.digest.to_string();
    for _run in 0..2 {
        let (done, left) = runs(&store).await;
        assert_eq!(done, Done::default().count("missing", 1));
        let [line] = left.as_slice() else {
            panic!("{left:?}")
        };
        for said in [&digest, "`local`", "by org/app:", &store.path(), "versions"] {
            assert!(line.contains(said), "`{said}` is not in `{line}`");
        }
    }
    assert_eq!(
        store.verdict().await,
        "blob lost",
        "it is reported, no more"
    );
    store.put("local");
    let (done, left) = runs(&store).await;
    assert_eq!((done, left), (Done::default(), vec![]));
    assert_eq!(
        (notes(&store).await, store.verdict().await),
        (0, "blob alive")
    );
}

/// The object goes away with the rows that wanted it: nobody misses it.
#[tokio::test]
async fn a_lost_object_whose_row_is_gone_is_missed_no_more() {
    let store = lost().await;
    assert_eq!(runs(&store).await.0.of("missing"), 1);
    let collected = "delete from uploadedblob; delete from imagestorageplacement;
                     delete from imagestorage";
    store.scene.execute(collected).await;
    assert_eq!(runs(&store).await, (Done::default(), vec![]));
    assert_eq!(store.verdict().await, "object gone");
}

#[tokio::test]
async fn a_normal_push_is_not_reported() {
    let store = Store::new().await;
    assert_eq!(Run::whole(&store.scene.ctx, None).await, "noted 1 objects");
    assert_eq!(notes(&store).await, 1, "the twin: it is looked for");
    let mut pusher = store.pusher().await;
    pusher.looks();
    pusher.goes_on().await;
    assert_eq!(runs(&store).await, (Done::default(), vec![]));
    assert_eq!(
        (notes(&store).await, store.verdict().await),
        (0, "blob alive")
    );
}

/// The storage's volume is not mounted: the object is neither there nor missing.
#[tokio::test]
async fn what_storage_cannot_say_is_asked_again() {
    let store = lost().await;
    let root = store.scene.object("local", "");
    let aside = root.with_file_name("aside");
    fs::rename(&root, &aside).unwrap();
    for _run in 0..2 {
        assert_eq!(runs(&store).await, (Done::default(), vec![]));
        assert_eq!(notes(&store).await, 1);
    }
    fs::rename(&aside, &root).unwrap();
    assert_eq!(runs(&store).await.0.of("missing"), 1);
}

/// A delete whose answer was lost has removed the object, and its tombstone is still there when
/// the row comes.
#[tokio::test]
async fn a_removal_without_an_answer_is_looked_back_at_as_well() {
    let store = Store::new().await;
    let mut pusher = store.pusher().await;
    pusher.looks();
    fs::remove_file(store.scene.object("local", &store.path())).unwrap();
    pusher.goes_on().await;
    let ended = Run::whole(&store.scene.ctx, None).await;
    assert_eq!(ended, "noted 1 in use again");
    assert_eq!(runs(&store).await.0.of("missing"), 1);
}

#[tokio::test]
async fn a_dry_run_shows_nothing_of_it() {
    let store = lost().await;
    let (ctx, shown) = store.scene.dry();
    let whole = "select sum(hashtext(r::text)) from quayhand_removed r";
    let before = store.scene.number(whole).await;
    assert!(matches!(BlobGc {}.run(&ctx).await, Ok(done) if done == Done::default()));
    assert!(shown.objects().is_empty() && shown.rows().is_empty());
    assert_eq!(store.scene.number(whole).await, before);
}

/// Notes of what nobody wants again are looked at less and less often, and go after a day;
/// those of a missing object are reported once more and go as well.
#[tokio::test]
async fn notes_are_kept_for_a_day() {
    let store = lost().await;
    let others = "insert into quayhand_removed (location_id, digest, removed_at, look_at)
                  select location_id, sha256(n::text::bytea), now() - interval '1 hour' * n,
                         now() - interval '1 second'
                    from quayhand_removed, generate_series(1, 40) n";
    store.scene.execute(others).await;
    assert_eq!(runs(&store).await.0.of("missing"), 1);
    assert_eq!(
        notes(&store).await,
        24,
        "23 of less than a day, and the lost one"
    );
    let due = "select count(*) from quayhand_removed where look_at <= now()";
    assert_eq!(store.scene.number(due).await, 1, "the lost one alone");
    let postponed = "select count(*) from quayhand_removed
                      where look_at between now() + interval '58 minutes'
                                        and now() + interval '1 hour'";
    assert_eq!(store.scene.number(postponed).await, 23);

    let a_day_passes = "update quayhand_removed
                           set removed_at = removed_at - interval '1 day',
                               look_at = look_at - interval '1 day'";
    store.scene.execute(a_day_passes).await;
    assert_eq!(
        runs(&store).await.0.of("missing"),
        1,
        "looked at before it goes"
    );
    assert_eq!(notes(&store).await, 0);
}

/// A row that comes between two looks is found by an operator's run at once.
#[tokio::test]
async fn a_run_over_everything_looks_at_all_notes() {
    let store = lost().await;
    let later = "update quayhand_removed set look_at = now() + interval '1 hour'";
    store.scene.execute(later).await;
    assert_eq!(runs(&store).await, (Done::default(), vec![]));
    let all = BlobGc::all(&store.scene.ctx).unwrap().await;
    assert!(matches!(all, Err(JobError::Partial { done, .. }) if done.of("missing") == 1));
}
