//! What works: writing, reading, listing, deleting.

use std::{fs, time::Instant};

use futures::TryStreamExt;
use quayhand_storage::{Deleted, EMPTY_LAYER, ObjectPath, StoredObject};

use crate::world::{World, blob};

#[tokio::test]
async fn writes_reads_hashes_lists_and_deletes() {
    let world = World::new();
    let (storage, path) = (&world.storage, blob("hello"));
    storage
        .put("east", &path, "hello".into())
        .await
        .expect("written");
    assert_eq!(fs::read(world.file(&path)).expect("a file"), b"hello");
    assert_eq!(
        storage.size_bytes("east", &path).await.expect("a size"),
        Some(5)
    );
    assert_eq!(
        storage.size_bytes("west", &path).await.expect("an answer"),
        None
    );
    let hashed = storage.hash("east", &path).await.expect("hashed");
    assert_eq!(hashed.as_ref(), path.digest());
    assert_eq!(storage.hash("west", &path).await.expect("an answer"), None);

    fs::write(world.server.file("east", "beside"), "not ours").expect("written");
    let found = list(&world).await;
    let found: Vec<_> = found.iter().map(|o| (o.path, o.size_bytes)).collect();
    assert_eq!(found, [(Some(path), 5)], "only what is below the prefix");

    assert_eq!(world.delete(&[path]).await, [Deleted::Removed]);
    assert!(!world.file(&path).exists());
    assert!(world.server.file("east", "beside").exists());
    assert_eq!(
        storage.size_bytes("east", &path).await.expect("an answer"),
        None
    );
    // S3 confirms what was not there as well.
    assert_eq!(world.delete(&[path]).await, [Deleted::Removed]);
}

async fn list(world: &World) -> Vec<StoredObject> {
    let listing = world.storage.list("east").await.expect("a listing");
    listing.try_collect().await.expect("objects")
}

#[tokio::test]
async fn an_empty_object_is_there() {
    let world = World::new();
    let path = blob("");
    world
        .storage
        .put("east", &path, "".into())
        .await
        .expect("written");
    let size = world.storage.size_bytes("east", &path).await;
    assert_eq!(size.expect("a size"), Some(0));
}

#[tokio::test]
async fn deletes_a_thousand_keys_with_one_request() {
    let world = World::new();
    let paths = world.put_many(2_500);
    let begun = Instant::now();
    assert_eq!(world.delete(&paths).await, vec![Deleted::Removed; 2_500]);
    println!("2,500 objects deleted in {:?}", begun.elapsed());
    assert!(world.left(&paths).is_empty());
    assert_eq!(world.server.requests(), ["POST /east?delete="; 3]);
}

#[tokio::test]
async fn keeps_the_empty_layer_without_asking() {
    let world = World::new();
    let empty = ObjectPath::cas(&EMPTY_LAYER);
    world
        .storage
        .put("east", &empty, "x".into())
        .await
        .expect("written");
    drop(world.server.requests());
    let answers = world.delete(&[empty]).await;
    assert!(matches!(&answers[..], [Deleted::Failed(why)] if why.contains("empty layer")));
    assert!(world.server.requests().is_empty(), "nothing is sent");
    let other = blob("other");
    let answers = world.delete(&[empty, other]).await;
    assert!(matches!(
        &answers[..],
        [Deleted::Failed(_), Deleted::Removed]
    ));
    assert!(world.file(&empty).exists());
}

#[tokio::test]
async fn lists_uploads_alone() {
    const UPLOAD: &str = "0b9f3a5e-7c1d-4e2f-8a6b-1c2d3e4f5a6b";
    let world = World::new();
    world.put_many(3);
    let upload = ObjectPath::upload(&UPLOAD.parse().expect("a uuid"));
    world
        .storage
        .put("east", &upload, "chunk".into())
        .await
        .expect("written");
    let listing = world.storage.list_uploads("east").await.expect("a listing");
    let listed: Vec<StoredObject> = listing.try_collect().await.expect("objects");
    let keys: Vec<_> = listed.into_iter().map(|object| object.key).collect();
    assert_eq!(keys, [upload.to_string()]);
    let listing = world.storage.list_uploads("west").await.expect("a listing");
    let none: Vec<StoredObject> = listing.try_collect().await.expect("objects");
    assert!(none.is_empty());
}

#[tokio::test]
async fn turns_the_pages_of_a_listing() {
    let world = World::new();
    let paths = world.put_many(2_100);
    let found = list(&world).await;
    assert_eq!(found.len(), paths.len());
}
