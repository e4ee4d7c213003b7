//! What must survive a deletion: everything that is not a plain file at its own place.

use std::os::unix::fs::symlink;

use proptest::prelude::*;

use super::*;
use crate::EMPTY_LAYER;

#[track_caller]
fn assert_kept(answers: &[Deleted], reason: &str) {
    match answers {
        [Deleted::Failed(said)] => assert!(said.contains(reason), "{said}"),
        other => panic!("expected one failure with `{reason}`, got {other:?}"),
    }
}

#[tokio::test]
async fn keeps_what_lies_behind_a_symbolic_link() {
    let fixture = Fixture::new();
    let (root, outside) = (
        fixture.folder.path().join("a"),
        fixture.folder.path().join("outside"),
    );
    let path = blob("treasure");
    let hex = path.digest().unwrap().hex();
    fs::create_dir_all(outside.join(&hex[..2])).unwrap();
    let treasure = outside.join(&hex[..2]).join(&hex);
    fs::write(&treasure, "treasure").unwrap();

    symlink(&outside, root.join("sha256")).unwrap();
    assert_kept(&fixture.delete(&[path]).await, "symbolic link");
    fs::remove_file(root.join("sha256")).unwrap();

    fs::create_dir(root.join("sha256")).unwrap();
    symlink(outside.join(&hex[..2]), root.join("sha256").join(&hex[..2])).unwrap();
    assert_kept(&fixture.delete(&[path]).await, "symbolic link");
    fs::remove_file(root.join("sha256").join(&hex[..2])).unwrap();

    fs::create_dir(root.join("sha256").join(&hex[..2])).unwrap();
    symlink(&treasure, fixture.file("a", &path)).unwrap();
    assert_kept(&fixture.delete(&[path]).await, "symbolic link");
    assert!(fixture.file("a", &path).is_symlink());
    assert_eq!(fs::read_to_string(&treasure).unwrap(), "treasure");
}

#[tokio::test]
async fn the_root_itself_may_be_a_symbolic_link() {
    let fixture = Fixture::new();
    let path = fixture.put("a", "moved").await;
    let link = fixture.folder.path().join("link");
    symlink(fixture.folder.path().join("a"), &link).unwrap();
    let config = json!({"moved": ["LocalStorage", {"storage_path": link}]});
    let storage = Storage::from_config(&config, &[]).unwrap();
    assert_eq!(
        storage.delete("moved", &[path], soon()).await.unwrap(),
        [Deleted::Removed]
    );
}

#[tokio::test]
async fn keeps_a_folder_at_the_key() {
    let fixture = Fixture::new();
    let path = blob("folder");
    fs::create_dir_all(fixture.file("a", &path)).unwrap();
    assert_kept(&fixture.delete(&[path]).await, "is a folder");
    assert!(fixture.file("a", &path).is_dir());
    assert!(!fixture.storage.exists("a", &path).await.unwrap());
}

#[tokio::test]
async fn never_removes_the_empty_layer() {
    let fixture = Fixture::new();
    let path = ObjectPath::cas(&EMPTY_LAYER);
    fixture
        .storage
        .put("a", &path, Bytes::from_static(b"empty"))
        .await
        .unwrap();
    assert_kept(&fixture.delete(&[path]).await, "empty layer");
    assert!(fixture.file("a", &path).exists());
}

#[tokio::test]
async fn a_missing_root_is_an_error_for_every_call() {
    let fixture = Fixture::new();
    let root = fixture.folder.path().join("a");
    fs::remove_dir(&root).unwrap();
    let path = blob("x");
    for round in ["missing", "a file"] {
        let storage = &fixture.storage;
        let errors = [
            storage
                .delete("a", &[path], soon())
                .await
                .map(drop)
                .unwrap_err(),
            storage.exists("a", &path).await.map(drop).unwrap_err(),
            storage.put("a", &path, Bytes::new()).await.unwrap_err(),
            storage.read("a", &path).await.map(drop).unwrap_err(),
            storage.list("a").await.map(drop).unwrap_err(),
        ];
        for error in errors {
            assert!(
                matches!(error, StorageError::RootMissing { .. }),
                "{round}: {error:?}"
            );
        }
        if round == "missing" {
            assert!(
                !root.exists(),
                "nothing may create the root of a volume that is not mounted"
            );
            fs::write(&root, "").unwrap();
        }
    }
    assert_eq!(
        fixture.storage.delete("b", &[path], soon()).await.unwrap(),
        [Deleted::NotFound]
    );
}

#[tokio::test]
async fn a_passed_deadline_deletes_nothing() {
    let fixture = Fixture::new();
    let path = fixture.put("a", "late").await;
    let answers = fixture
        .storage
        .delete("a", &[path], Instant::now())
        .await
        .unwrap();
    assert!(matches!(answers[..], [Deleted::Unknown(_)]), "{answers:?}");
    assert!(fixture.file("a", &path).exists());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever text reaches it as a path, a file outside the root survives.
    #[test]
    fn no_text_deletes_outside_the_root(
        text in prop_oneof![any::<String>(), "(\\.\\./|/|a/|outside/?){0,5}"],
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let fixture = Fixture::new();
            let outside = fixture.folder.path().join("outside");
            fs::write(&outside, "kept").unwrap();
            if let Ok(path) = text.parse::<ObjectPath>() {
                fixture.delete(&[path]).await;
            }
            assert!(outside.exists());
        });
    }
}
