//! What goes wrong: a key counts as deleted only when the server names it, and nothing is asked
//! twice.

use std::time::Duration;

use futures::TryStreamExt;
use quayhand_storage::{Deleted, ObjectPath, Storage, StorageError, StoredObject};
use quayhand_testkit::{
    Fault, Proxy,
    s3::{Call, Failure},
};
use serde_json::json;
use tokio::time::Instant;

use crate::world::{World, blob, soon, storage};

/// Insists that nothing is known of any key, for a reason with these words.
#[track_caller]
fn assert_unknown(answers: &[Deleted], count: usize, words: &str) {
    assert_eq!(answers.len(), count);
    for answer in answers {
        match answer {
            Deleted::Unknown(why) => assert!(why.contains(words), "{why}"),
            other => panic!("expected unknown with `{words}`, got {other:?}"),
        }
    }
}

/// Deletes three objects while the server fails once, and insists that one request was sent.
async fn delete_three(world: &World, failure: Failure) -> Result<Vec<Deleted>, StorageError> {
    let paths = world.put_many(3);
    world.server.fail(Call::Delete, failure, 1);
    let deadline = Instant::now() + Duration::from_secs(2);
    let answers = world.storage.delete("east", &paths, deadline).await;
    let deletes = world.server.requests();
    let deletes = deletes
        .iter()
        .filter(|line| line.contains("delete"))
        .count();
    assert_eq!(deletes, 1, "nothing is asked twice");
    answers
}

#[tokio::test]
async fn only_named_keys_count() {
    let world = World::new();
    let paths = world.put_many(10);
    world
        .server
        .fail(Call::Delete, Failure::Keys(4, "AccessDenied"), 1);
    let answers = world.delete(&paths).await;
    for answer in &answers[..4] {
        assert!(matches!(answer, Deleted::Failed(why) if why.contains("AccessDenied")));
    }
    assert_eq!(answers[4..], vec![Deleted::Removed; 6]);
    assert_eq!(world.left(&paths), paths[..4].iter().copied().collect());

    world.server.fail(Call::Delete, Failure::Forget(2), 1);
    let answers = world.delete(&paths[..4]).await;
    assert_eq!(answers[..2], vec![Deleted::Removed; 2]);
    assert_unknown(&answers[2..], 2, "does not name it");
    // The next run finds them done.
    assert_eq!(world.delete(&paths).await, vec![Deleted::Removed; 10]);
}

#[tokio::test]
async fn a_key_that_is_not_there_is_done_and_one_that_broke_is_not() {
    let world = World::new();
    let paths = world.put_many(2);
    world
        .server
        .fail(Call::Delete, Failure::Keys(1, "NoSuchKey"), 1);
    let answers = world.delete(&paths).await;
    assert_eq!(answers, [Deleted::NotFound, Deleted::Removed]);
    world
        .server
        .fail(Call::Delete, Failure::Keys(1, "InternalError"), 1);
    assert_unknown(&world.delete(&paths[..1]).await, 1, "InternalError");
}

#[tokio::test]
async fn a_lost_answer_is_an_unknown_outcome() {
    for (failure, words) in [
        (Failure::Cut, "breaks off"),
        (Failure::Break, "lost"),
        (Failure::Reset, "lost"),
        (Failure::Hang, "deadline"),
        (Failure::Swallow, "deadline"),
        (
            Failure::Answer("<Error><Code>SlowDown</Code></Error>"),
            "no DeleteResult",
        ),
        (
            Failure::Answer("<html>captive portal</html>"),
            "no DeleteResult",
        ),
        (Failure::Answer(""), "no DeleteResult"),
        (Failure::Refuse(500, "InternalError"), "InternalError"),
        (Failure::Refuse(503, "SlowDown"), "SlowDown"),
        (Failure::Refuse(429, "TooManyRequests"), "429"),
    ] {
        let world = World::new();
        let answers = delete_three(&world, failure.clone()).await;
        let answers = answers.unwrap_or_else(|error| panic!("{failure:?}: {error}"));
        if words == "lost" {
            assert_unknown(&answers, 3, "");
        } else {
            assert_unknown(&answers, 3, words);
        }
    }
}

#[tokio::test]
async fn a_refusal_is_an_error_and_deletes_nothing() {
    for (status, code) in [
        (403, "AccessDenied"),
        (403, "InvalidAccessKeyId"),
        (400, "MalformedXML"),
        (301, "PermanentRedirect"),
        (404, "NoSuchBucket"),
    ] {
        let world = World::new();
        let error = delete_three(&world, Failure::Refuse(status, code)).await;
        let error = error.expect_err("refused");
        let text = in_full(&error);
        assert!(text.contains("`east`"), "{text}");
        if code == "NoSuchBucket" {
            assert!(
                matches!(error, StorageError::BucketMissing { .. }),
                "{text}"
            );
        } else {
            assert!(text.contains(code), "{text}");
        }
        assert_eq!(world.left(&world.put_many(3)).len(), 3);
    }
}

#[tokio::test]
async fn a_missing_bucket_is_no_missing_object() {
    let world = World::new();
    let paths = world.put_many(3);
    world.hide_bucket(true);
    assert_all_fail(&world.storage, "`east` does not exist", paths[0]).await;
    world.hide_bucket(false);
    assert_eq!(world.delete(&paths).await, vec![Deleted::Removed; 3]);
}

#[tokio::test]
async fn wrong_keys_are_an_error_for_every_call() {
    let world = World::new();
    let mut arguments = world.server.arguments(world.server.address(), "east", "");
    arguments["s3_secret_key"] = json!("another");
    let config = json!({"east": ["S3Storage", arguments]});
    let storage = Storage::from_config(&config, &[]).expect("a configuration");
    assert_all_fail(&storage, "SignatureDoesNotMatch", blob("x")).await;
}

/// Insists that every call is an error that says so, and none "not found".
async fn assert_all_fail(storage: &Storage, words: &str, path: ObjectPath) {
    let listing = async {
        let listing = storage.list("east").await?;
        listing.try_collect::<Vec<StoredObject>>().await.map(drop)
    };
    let uploads = async {
        let listing = storage.list_multipart_uploads("east")?;
        listing.try_collect::<Vec<_>>().await.map(drop)
    };
    let results = [
        (
            "delete",
            storage.delete("east", &[path], soon()).await.map(drop),
        ),
        ("size", storage.size_bytes("east", &path).await.map(drop)),
        ("hash", storage.hash("east", &path).await.map(drop)),
        ("check", storage.check("east").await),
        ("list", listing.await),
        ("uploads", uploads.await),
        ("put", storage.put("east", &path, "x".into()).await),
    ];
    for (call, result) in results {
        let error = result.expect_err(call);
        let text = in_full(&error);
        assert!(text.contains("`east`"), "{call}: {text}");
        // What has no body, or is `object_store`'s, tells less.
        let is_ours = ["delete", "check", "uploads"].contains(&call);
        assert!(!is_ours || text.contains(words), "{call}: {text}");
    }
}

#[tokio::test]
async fn a_server_out_of_reach_is_an_error() {
    let world = World::new();
    let path = world.put_many(1)[0];
    let mut proxy = Proxy::start(world.server.address()).await.expect("a proxy");
    let storage = storage(&world.server, proxy.address());
    proxy.set(Fault::Refuse).await;
    let error = storage.delete("east", &[path], soon()).await;
    let text = in_full(&error.expect_err("out of reach"));
    assert!(text.contains("nothing was sent"), "{text}");
    assert!(storage.size_bytes("east", &path).await.is_err());

    proxy.set(Fault::BlackHole).await;
    let begun = Instant::now();
    let deadline = begun + Duration::from_millis(500);
    let answers = storage.delete("east", &[path], deadline).await;
    assert_unknown(&answers.expect("an answer"), 1, "deadline");
    println!(
        "F9 black hole to S3: target given up at the deadline of 500 ms, seen {:.0?}",
        begun.elapsed()
    );
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "{:?}",
        begun.elapsed()
    );
    proxy.set(Fault::None).await;
}

#[tokio::test]
async fn a_passed_deadline_sends_nothing() {
    let world = World::new();
    let paths = world.put_many(3);
    let answers = world.storage.delete("east", &paths, Instant::now()).await;
    assert_unknown(&answers.expect("answers"), 3, "deadline");
    assert!(world.server.requests().is_empty());
    assert_eq!(world.left(&paths).len(), 3);
}

#[tokio::test]
async fn reads_are_tried_again_and_deletes_are_not() {
    let world = World::new();
    let path = world.put_many(1)[0];
    world
        .server
        .fail(Call::Look, Failure::Refuse(503, "SlowDown"), 2);
    let size = world.storage.size_bytes("east", &path).await;
    assert_eq!(size.expect("a size"), Some(1));
    world
        .server
        .fail(Call::List, Failure::Refuse(500, "InternalError"), 1);
    let listing = world.storage.list("east").await.expect("a listing");
    let found: Vec<StoredObject> = listing.try_collect().await.expect("objects");
    assert_eq!(found.len(), 1);
}

fn in_full(error: &StorageError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
