//! Multipart uploads.

use std::time::{Duration, SystemTime};

use futures::TryStreamExt;
use quayhand_storage::{MultipartUpload, StorageError};
use quayhand_testkit::s3::{Call, Failure};

use crate::world::{World, blob};

const DAY: Duration = Duration::from_hours(24);

async fn list(world: &World) -> Result<Vec<MultipartUpload>, StorageError> {
    world
        .storage
        .list_multipart_uploads("east")?
        .try_collect()
        .await
}

#[tokio::test]
async fn lists_page_by_page_and_aborts() {
    let world = World::new();
    let paths: Vec<_> = (0..8).map(|n| blob(&n.to_string())).collect();
    for path in &paths {
        let key = format!("data/registry one/{path}");
        world.server.begin_upload("east", &key, 2 * DAY);
        world.server.begin_upload("east", &key, DAY);
    }
    world
        .server
        .begin_upload("east", "data/registry one/logs/today", DAY);
    world.server.begin_upload("east", "elsewhere/thing", DAY);
    world.server.begin_upload("west", "thing", DAY);
    let uploads = list(&world).await.expect("uploads");
    assert_eq!(uploads.len(), 17, "those below the prefix");
    let ours = uploads.iter().filter_map(|upload| upload.path);
    let mut ours: Vec<_> = ours.collect();
    ours.sort_unstable();
    ours.dedup();
    let mut expected = paths.clone();
    expected.sort_unstable();
    assert_eq!(ours, expected);
    let ages = uploads.iter().map(|upload| {
        let age = SystemTime::now().duration_since(upload.begun);
        age.expect("begun in the past").as_secs() / DAY.as_secs()
    });
    let (one, two): (Vec<_>, Vec<_>) = ages.partition(|days| *days == 1);
    assert_eq!((one.len(), two.len()), (9, 8));

    let abort = async |upload| world.storage.abort_multipart_upload("east", upload).await;
    assert!(abort(&uploads[0]).await.expect("aborted"), "it was there");
    assert!(!abort(&uploads[0]).await.expect("an answer"), "it is gone");
    assert_eq!(list(&world).await.expect("uploads").len(), 16);
    assert_eq!(world.server.uploads("west").len(), 1);
}

#[tokio::test]
async fn what_cannot_be_read_is_an_error() {
    let world = World::new();
    world
        .server
        .begin_upload("east", "data/registry one/a", DAY);
    for failure in [
        Failure::Cut,
        Failure::Reset,
        Failure::Refuse(403, "AccessDenied"),
        Failure::Answer("<Error><Code>SlowDown</Code></Error>"),
    ] {
        world.server.fail(Call::ListUploads, failure.clone(), 1);
        assert!(list(&world).await.is_err(), "{failure:?}");
    }
    let uploads = list(&world).await.expect("uploads");
    world
        .server
        .fail(Call::Abort, Failure::Refuse(500, "InternalError"), 1);
    let aborted = world
        .storage
        .abort_multipart_upload("east", &uploads[0])
        .await;
    assert!(aborted.is_err());
    assert_eq!(world.server.uploads("east").len(), 1);
}
