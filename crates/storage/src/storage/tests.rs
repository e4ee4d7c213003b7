//! What the engine `LocalStorage` promises, on real folders.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::json;
use tempfile::TempDir;

use super::*;

mod kept;

/// A storage with the locations `a` and `b` below one temporary folder, which also has room outside
/// of both.
struct Fixture {
    folder: TempDir,
    storage: Storage,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for location in ["a", "b"] {
            fs::create_dir(folder.path().join(location)).unwrap();
        }
        let storage = Storage::from_config(&config(folder.path()), &[]).unwrap();
        Self { folder, storage }
    }

    fn file(&self, location: &str, path: &ObjectPath) -> PathBuf {
        self.folder.path().join(location).join(path.to_string())
    }

    async fn put(&self, location: &str, content: &'static str) -> ObjectPath {
        let path = blob(content);
        self.storage
            .put(location, &path, content.into())
            .await
            .unwrap();
        path
    }

    async fn delete(&self, paths: &[ObjectPath]) -> Vec<Deleted> {
        self.storage.delete("a", paths, soon()).await.unwrap()
    }
}

fn config(folder: &Path) -> Value {
    json!({
        "a": ["LocalStorage", {"storage_path": folder.join("a")}],
        "b": ["LocalStorage", {"storage_path": folder.join("b")}],
    })
}

fn blob(content: &str) -> ObjectPath {
    ObjectPath::cas(&Digest::of(content.as_bytes()))
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

#[tokio::test]
async fn writes_reads_hashes_lists_and_deletes() {
    let fixture = Fixture::new();
    let (storage, path) = (&fixture.storage, fixture.put("a", "hello").await);
    assert_eq!(fs::read(fixture.file("a", &path)).unwrap(), b"hello");
    assert!(storage.exists("a", &path).await.unwrap());
    assert!(!storage.exists("b", &path).await.unwrap());
    assert_eq!(
        storage.hash("a", &path).await.unwrap().as_ref(),
        path.digest()
    );
    assert_eq!(storage.hash("b", &path).await.unwrap(), None);
    fs::write(fixture.folder.path().join("a/notes.txt"), "not ours").unwrap();
    let mut listed: Vec<_> = storage
        .list("a")
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    listed.sort_by(|one, other| one.key.cmp(&other.key));
    let keys: Vec<_> = listed
        .iter()
        .map(|found| (found.path, found.size_bytes))
        .collect();
    assert_eq!(keys, [(None, 8), (Some(path), 5)]);

    assert_eq!(
        fixture.delete(&[blob("other"), path]).await,
        [Deleted::NotFound, Deleted::Removed]
    );
    assert_eq!(fixture.delete(&[path]).await, [Deleted::NotFound]);
    assert!(!fixture.file("a", &path).exists());
    assert!(fixture.folder.path().join("a/notes.txt").exists());
    assert!(
        fixture.file("a", &path).parent().unwrap().is_dir(),
        "a pusher may be writing there"
    );
}

#[tokio::test]
async fn deletes_from_the_named_location_only() {
    let fixture = Fixture::new();
    let path = fixture.put("a", "shared").await;
    assert_eq!(fixture.put("b", "shared").await, path);
    assert_eq!(fixture.delete(&[path]).await, [Deleted::Removed]);
    assert!(fixture.file("b", &path).exists());
    let unknown = fixture
        .storage
        .delete("c", &[path], soon())
        .await
        .unwrap_err();
    assert_eq!(
        unknown.to_string(),
        "storage location `c` is not configured; configured are: a, b"
    );
}

#[tokio::test]
async fn deletes_many_and_old_shapes() {
    let fixture = Fixture::new();
    let uuid = "0b9f3a5e-7c1d-4e2f-8a6b-1c2d3e4f5a6b";
    let mut paths: Vec<_> = (0..500)
        .map(|number| blob(&format!("blob {number}")))
        .collect();
    paths.push(ObjectPath::legacy(&uuid.parse().unwrap()));
    paths.push(ObjectPath::upload(&uuid.parse().unwrap()));
    for path in &paths {
        fixture
            .storage
            .put("a", path, Bytes::from_static(b"x"))
            .await
            .unwrap();
    }
    assert_eq!(fixture.delete(&paths).await, vec![Deleted::Removed; 502]);
    assert_eq!(fixture.delete(&paths).await, vec![Deleted::NotFound; 502]);
}

#[track_caller]
fn assert_refused(config: &Value, preference: &[&str], expected: &str) {
    let preference: Vec<_> = preference.iter().map(ToString::to_string).collect();
    let error = Storage::from_config(config, &preference).unwrap_err();
    assert!(error.to_string().contains(expected), "{error}");
}

#[test]
fn refuses_configurations_it_cannot_honour() {
    let local = |arguments: Value| json!({"here": ["LocalStorage", arguments]});
    assert_refused(&json!({}), &[], "no storage location");
    assert_refused(&json!([]), &[], "found a list");
    assert_refused(&json!({"here": ["LocalStorage"]}), &[], "`here`");
    assert_refused(
        &local(json!({})),
        &[],
        "`storage_path` of LocalStorage is missing or empty",
    );
    assert_refused(&local(json!({"storage_path": 1})), &[], "is not text");
    assert_refused(&local(json!({"storage_path": ""})), &[], "missing or empty");
    assert_refused(
        &local(json!({"storage_path": "/x", "path": 1})),
        &[],
        "`path` of LocalStorage is not known",
    );
    assert_refused(
        &local(json!({"storage_path": "/x"})),
        &["there"],
        "`there` is not configured",
    );
    let swift = json!({"east": ["SwiftStorage", {"swift_password": "hush"}]});
    assert_refused(
        &swift,
        &[],
        "location `east`: engine `SwiftStorage` is not supported",
    );
    let fake = json!({"here": ["FakeStorage", {}]});
    assert_refused(&fake, &[], "there is no engine `FakeStorage`");
}

#[test]
fn keeps_the_order_of_preference() {
    let config = config(Path::new("relative"));
    let storage = Storage::from_config(&config, &["b".to_owned(), "a".to_owned()]).unwrap();
    assert_eq!(storage.preference(), ["b", "a"]);
    assert_eq!(storage.locations().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(
        Storage::from_config(&config, &[]).unwrap().preference(),
        ["a", "b"]
    );
}

#[tokio::test]
async fn lists_uploads_alone_and_tells_sizes() {
    const UPLOAD: &str = "0b9f3a5e-7c1d-4e2f-8a6b-1c2d3e4f5a6b";
    let fixture = Fixture::new();
    let keys = async || {
        let listing = fixture.storage.list_uploads("a").await.unwrap();
        let objects: Vec<StoredObject> = listing.try_collect().await.unwrap();
        let keys = objects.into_iter().map(|object| object.key);
        keys.collect::<Vec<_>>()
    };
    assert!(keys().await.is_empty(), "no such folder is an empty list");
    let blob = fixture.put("a", "a blob").await;
    let upload = ObjectPath::upload(&UPLOAD.parse().unwrap());
    let written = fixture.storage.put("a", &upload, "chunks!".into()).await;
    written.unwrap();
    assert_eq!(keys().await, [upload.to_string()]);
    let size = async |path| fixture.storage.size_bytes("a", path).await.unwrap();
    assert_eq!(size(&blob).await, Some(6));
    assert_eq!(size(&upload).await, Some(7));
    assert_eq!(size(&self::blob("another")).await, None);
}
