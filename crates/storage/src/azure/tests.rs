//! Azure, by a twin that answers as its documentation says: the service itself cannot be run here.

use std::time::Duration;

use futures::TryStreamExt;
use serde_json::{Value, json};

use super::*;
use crate::{
    Digest, Storage,
    twin::{Reply, Twin},
};

const KEY: &str = "aHVzaCBodXNoIGh1c2ggaHVzaCBodXNo";

fn storage(twin: &Twin, credential: (&str, &str)) -> Storage {
    let mut arguments = json!({
        "azure_container": "quay",
        "azure_account_name": "account",
        "storage_path": "/registry",
        "endpoint_url": format!("{}/account", twin.url()),
    });
    arguments[credential.0] = credential.1.into();
    let config = json!({"here": ["AzureStorage", arguments]});
    Storage::from_config(&config, &[]).expect("a storage")
}

fn paths(count: u8) -> Vec<ObjectPath> {
    let path = |n: u8| ObjectPath::cas(&Digest::of(&[n]));
    (0..count).map(path).collect()
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

/// Answers a delete by the blob it is for: there, gone, busy, leased.
fn answer(request: &str) -> Reply {
    let is_for = |n: u8| request.contains(&paths(4)[usize::from(n)].to_string());
    match request {
        _ if is_for(0) => Reply::new(202),
        _ if is_for(1) => Reply::new(404).header(ERROR_CODE, "BlobNotFound"),
        _ if is_for(2) => Reply::new(503).header(ERROR_CODE, "ServerBusy"),
        _ => Reply::new(412).header(ERROR_CODE, "LeaseIdMissing"),
    }
}

#[tokio::test]
async fn believes_each_blobs_own_answer() {
    let twin = Twin::start(|_, request| answer(request)).await;
    let storage = storage(&twin, ("azure_account_key", KEY));
    let answers = storage
        .delete("here", &paths(4), soon())
        .await
        .expect("answers");
    assert_eq!(answers[..2], [Deleted::Removed, Deleted::NotFound]);
    assert!(matches!(&answers[2], Deleted::Unknown(why) if why.contains("ServerBusy")));
    assert!(matches!(&answers[3], Deleted::Failed(why) if why.contains("LeaseIdMissing")));
    let requests = twin.requests();
    assert_eq!(requests.len(), 4, "nothing is asked twice");
    for request in requests {
        assert!(
            request.starts_with("DELETE /account/quay/registry/sha256/"),
            "{request}"
        );
        assert!(
            request.contains("authorization: SharedKey account:"),
            "{request}"
        );
        assert!(request.contains("x-ms-version: "), "{request}");
    }
}

#[tokio::test]
async fn a_missing_container_is_no_missing_blob() {
    let missing = |_: usize, _: &str| Reply::new(404).header(ERROR_CODE, "ContainerNotFound");
    let twin = Twin::start(missing).await;
    let storage = storage(&twin, ("azure_account_key", KEY));
    let paths = paths(3);
    let errors = [
        storage.delete("here", &paths, soon()).await.map(drop),
        storage.size_bytes("here", &paths[0]).await.map(drop),
        storage.hash("here", &paths[0]).await.map(drop),
        storage.check("here").await,
    ];
    for error in errors {
        let error = error.expect_err("missing");
        assert!(
            matches!(error, StorageError::BucketMissing { .. }),
            "{error}"
        );
    }
    let unnamed = Twin::start(|_, _| Reply::new(404)).await;
    let storage = self::storage(&unnamed, ("azure_account_key", KEY));
    assert!(
        storage.size_bytes("here", &paths[0]).await.is_err(),
        "a 404 of whom?"
    );
    assert!(storage.delete("here", &paths, soon()).await.is_err());
}

#[tokio::test]
async fn a_refusal_shows_no_token() {
    let denied = |_: usize, _: &str| Reply::new(403).header(ERROR_CODE, "AuthenticationFailed");
    let twin = Twin::start(denied).await;
    let storage = storage(&twin, ("sas_token", "?sv=2022-11-02&sig=hush%3D"));
    let error = storage
        .delete("here", &paths(2), soon())
        .await
        .expect_err("denied");
    let told = error.in_full();
    assert!(
        told.contains("AuthenticationFailed") && !told.contains("hush"),
        "{told}"
    );
    assert!(
        twin.requests()
            .iter()
            .all(|request| request.contains("sig=hush"))
    );
    assert!(!format!("{storage:?}").contains("hush"));
    let listing = storage.list("here").await.expect("a listing");
    let listed: Result<Vec<_>, _> = listing.try_collect().await;
    assert!(!listed.expect_err("denied").in_full().contains("hush"));
}

#[tokio::test]
async fn lists_below_the_prefix_and_looks() {
    let name = paths(1)[0].to_string();
    let list = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?><EnumerationResults><Blobs><Blob>\
         <Name>registry/{name}</Name><Properties>\
         <Last-Modified>Sun, 01 Nov 2026 10:00:00 GMT</Last-Modified>\
         <Content-Length>5</Content-Length><Content-Type>x</Content-Type><Etag>e</Etag>\
         <BlobType>BlockBlob</BlobType></Properties></Blob></Blobs><NextMarker/>\
         </EnumerationResults>"
    );
    let twin = Twin::start(move |_, request: &str| match request {
        _ if request.starts_with("HEAD") && request.contains("/sha256/") => Reply::new(200)
            .header("content-length", "5")
            .header("last-modified", "Sun, 01 Nov 2026 10:00:00 GMT")
            .header("etag", "e"),
        _ => Reply::new(200).body(&list),
    })
    .await;
    let storage = storage(&twin, ("azure_account_key", KEY));
    let listing = storage.list("here").await.expect("a listing");
    let listed: Vec<crate::StoredObject> = listing.try_collect().await.expect("objects");
    assert_eq!(
        (listed[0].path, listed[0].size_bytes),
        (Some(paths(1)[0]), 5)
    );
    assert_eq!(listed.len(), 1);
    let size = storage.size_bytes("here", &paths(1)[0]).await;
    assert_eq!(size.expect("a size"), Some(5));
    storage.check("here").await.expect("reachable");
}

#[test]
fn refuses_what_it_could_not_honour() {
    let whole = json!({
        "azure_container": "quay", "azure_account_name": "account", "storage_path": "/registry",
        "azure_account_key": KEY,
    });
    let with = |key: &str, value: Value| {
        let mut arguments = whole.clone();
        arguments[key] = value;
        let config = json!({"here": ["AzureStorage", arguments]});
        Storage::from_config(&config, &[])
    };
    assert!(with("sas_token", json!(null)).is_ok());
    for (key, value) in [
        ("azure_container", json!("")),
        ("azure_container", json!("a/b")),
        ("azure_account_name", json!(null)),
        ("azure_account_key", json!("")),
        ("endpoint_url", json!("http://user@h")),
        ("endpoint_url", json!("h?x=1")),
        ("storage_path", json!(1)),
        ("azure_contaner", json!("x")),
    ] {
        let error = with(key, value.clone()).expect_err(key).to_string();
        assert!(error.contains(key), "{value}: {error}");
    }
}
