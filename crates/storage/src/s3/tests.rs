//! What has no argument of Quay's to lead it to a test's server: Google, and the exchange of keys
//! for a role.

use std::{fs, time::Duration};

use quayhand_testkit::s3::{Call, Failure, S3Server};
use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::{Digest, engine::Engine};

/// An engine as Google's, with another address.
fn google() -> (TempDir, S3Server, S3Engine) {
    let root = tempfile::tempdir().expect("a folder");
    fs::create_dir(root.path().join("bucket")).expect("a bucket");
    let server = S3Server::start(root.path()).expect("a server");
    let arguments = server.arguments(server.address(), "bucket", "/x");
    let config = json!(["GoogleCloudStorage", {
        "storage_path": "/x",
        "bucket_name": "bucket",
        "access_key": arguments["s3_access_key"],
        "secret_key": arguments["s3_secret_key"],
    }]);
    let engine = Engine::from_config("here", &config, &Http::new(None)).expect("an engine");
    let Engine::S3(mut engine) = engine else {
        panic!("{engine:?}")
    };
    engine.settings.endpoint = format!("http://{}", server.address());
    (root, server, *engine)
}

fn put(server: &S3Server, count: u8) -> Vec<ObjectPath> {
    let paths = (0..count).map(|n| ObjectPath::cas(&Digest::of(&[n])));
    let paths: Vec<_> = paths.collect();
    for path in &paths {
        let file = server.file("bucket", &format!("x/{path}"));
        fs::create_dir_all(file.parent().expect("a folder")).expect("its folder");
        fs::write(file, "x").expect("an object");
    }
    paths
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

#[tokio::test]
async fn google_deletes_each_key_by_itself() {
    let (_root, server, engine) = google();
    let paths = put(&server, 40);
    let mut expected = vec![Deleted::Removed; 40];
    assert_eq!(
        engine.delete(&paths, soon()).await.expect("answers"),
        expected
    );
    let requests = server.requests();
    assert_eq!(requests.len(), 40);
    assert!(
        requests
            .iter()
            .all(|line| line.starts_with("DELETE /bucket/x/sha256/"))
    );
    put(&server, 1);
    expected.fill(Deleted::NotFound);
    expected[0] = Deleted::Removed;
    assert_eq!(
        engine.delete(&paths, soon()).await.expect("answers"),
        expected
    );
    engine.check().await.expect("reachable");
}

#[tokio::test]
async fn one_that_fails_among_many_is_its_own_affair() {
    let (_root, server, engine) = google();
    let paths = put(&server, 20);
    server.fail(Call::Delete, Failure::Refuse(403, "AccessDenied"), 2);
    server.fail(Call::Delete, Failure::Refuse(503, "SlowDown"), 2);
    server.fail(Call::Delete, Failure::Reset, 2);
    server.fail(Call::Delete, Failure::Swallow, 2);
    let deadline = Instant::now() + Duration::from_secs(2);
    let answers = engine.delete(&paths, deadline).await.expect("answers");
    let count = |is: fn(&Deleted) -> bool| answers.iter().filter(|answer| is(answer)).count();
    assert_eq!(count(|answer| matches!(answer, Deleted::Failed(_))), 2);
    assert_eq!(count(|answer| matches!(answer, Deleted::Unknown(_))), 6);
    assert_eq!(count(|answer| *answer == Deleted::Removed), 12);
    assert_eq!(server.requests().len(), 20, "nothing is asked twice");
}

#[tokio::test]
async fn a_refusal_of_all_is_an_error() {
    let (root, server, engine) = google();
    let paths = put(&server, 20);
    server.fail(Call::Delete, Failure::Refuse(403, "AccessDenied"), 0);
    let error = engine.delete(&paths, soon()).await.expect_err("refused");
    assert!(
        error.in_full().contains("AccessDenied"),
        "{}",
        error.in_full()
    );
    server.heal();
    fs::rename(root.path().join("bucket"), root.path().join("aside")).expect("renamed");
    let error = engine.delete(&paths, soon()).await.expect_err("no bucket");
    assert!(
        matches!(error, StorageError::BucketMissing { .. }),
        "{error}"
    );
    assert!(engine.check().await.is_err());
}

mod role;
