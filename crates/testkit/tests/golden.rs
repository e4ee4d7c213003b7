//! Golden states load whole, and their files say what their databases say.

#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::{collections::BTreeSet, path::Path};

use quayhand_testkit::{
    PostgresServer, create_objects,
    golden::{Golden, quay_database, quota_rows, snapshot},
    shared_or_skip,
};

#[tokio::test]
async fn loads_every_row() {
    let _shared = shared_or_skip!();
    let server = PostgresServer::shared().await.unwrap();
    for name in ["seed1", "boundary"] {
        let golden = Golden::open(name).unwrap();
        let database = golden.load(server).await.unwrap();
        let (before, after) = (
            snapshot(server, &database).await.unwrap(),
            golden.rows_after().unwrap(),
        );
        assert!(after.is_subset(&before), "{name}: Quay only deleted");
        assert!(before.len() > after.len());
        let expected = if name == "seed1" {
            (5107, 3134)
        } else {
            (1753, 1253)
        };
        assert_eq!((before.len(), after.len()), expected, "{name}");
    }
}

#[tokio::test]
async fn knows_the_clock_the_flags_and_the_cases() {
    let _shared = shared_or_skip!();
    let seed1 = Golden::open("seed1").unwrap();
    assert_eq!(seed1.name(), "seed1");
    assert_eq!(seed1.frozen_now_ms().unwrap(), None);
    assert!(seed1.flags().unwrap()["GARBAGE_COLLECTION"]);
    let boundary = Golden::open("boundary").unwrap();
    assert_eq!(boundary.frozen_now_ms().unwrap(), Some(1_767_225_600_000));

    let after = seed1.rows_after().unwrap();
    let cases = seed1.cases().unwrap();
    assert!(cases.len() > 20);
    for case in cases {
        assert_eq!(after.contains(&case.row), case.is_kept, "{}", case.name);
    }
    assert_eq!(Golden::open("autoprune").unwrap().cases().unwrap(), []);
    let uploads = Golden::open("uploads").unwrap();
    let (objects, cancelled) = (
        uploads.storage_deleted().unwrap(),
        uploads.uploads_cancelled().unwrap(),
    );
    assert!(objects.iter().all(|(location, _)| location != "cancel"));
    assert!(!cancelled.is_empty());
}

#[tokio::test]
async fn reads_the_quota_tables() {
    let _shared = shared_or_skip!();
    let server = PostgresServer::shared().await.unwrap();
    let golden = Golden::open("quota").unwrap();
    let database = golden.load(server).await.unwrap();
    let (before, after) = (
        quota_rows(server, &database).await.unwrap(),
        golden.quota_after().unwrap(),
    );
    assert!(!before.is_empty() && !after.is_empty());
    assert_ne!(before, after);
    let ids = |table: &str| -> BTreeSet<i64> {
        let rows = before.iter().filter(|row| row.table == table);
        rows.map(|row| row.id).collect()
    };
    assert!(!ids("quotanamespacesize").is_empty());
    assert!(!ids("quotarepositorysize").is_empty());
}

#[tokio::test]
async fn makes_a_file_for_every_object() {
    let _shared = shared_or_skip!();
    let server = PostgresServer::shared().await.unwrap();
    let golden = Golden::open("seed1").unwrap();
    let database = golden.load(server).await.unwrap();
    let root = tempfile::tempdir().unwrap();
    let count = create_objects(server, &database, root.path())
        .await
        .unwrap();
    assert_eq!(count_files(root.path()), count);
    let removed = golden.storage_deleted().unwrap();
    assert!(count > removed.len());
    for (location, path) in removed {
        let file = root.path().join(location).join(path);
        assert!(file.is_file(), "{}", file.display());
    }
}

#[tokio::test]
async fn makes_an_empty_quay_database() {
    let _shared = shared_or_skip!();
    let server = PostgresServer::shared().await.unwrap();
    let (first, second) = tokio::join!(quay_database(server), quay_database(server));
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_ne!(first, second);
    let client = server.connect(&first).await.unwrap();
    let query = "select (select count(*) from tag), (select max(id)::bigint from mediatype), \
                 nextval('mediatype_id_seq'), (select count(*) from alembic_version)";
    let row = client.query_one(query, &[]).await.unwrap();
    let numbers: [i64; 4] = [row.get(0), row.get(1), row.get(2), row.get(3)];
    assert_eq!(numbers, [0, 18, 19, 1]);
}

#[test]
fn names_a_folder_that_is_missing() {
    let _shared = shared_or_skip!();
    let error = Golden::open("seed0").unwrap_err().to_string();
    assert!(error.contains("seed0"), "{error}");
}

/// Counts the files below a folder.
fn count_files(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .map(|path| if path.is_dir() { count_files(&path) } else { 1 })
        .sum()
}
