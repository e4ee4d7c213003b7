//! Digests, uuids and uploads that lead elsewhere.

use std::{collections::BTreeSet, fs, path::PathBuf};

use crate::{scene::Scene, tombs::BLOB_GC};

use super::{ANY_REPOSITORY, COLLECT, registry};

/// Checksums under which no object may be removed. PostgreSQL has no NUL in a text; what a
/// careless client writes in its place is here.
const BAD: [&str; 12] = [
    "sha256:../../victim",
    "sha256:../../../../../../../../tmp/victim",
    "../victim",
    "/etc/passwd",
    "sha256:",
    "sha256:\\000",
    "sha256:%00victim",
    "sha256:ABCDEF0000000000000000000000000000000000000000000000000000000001",
    "sha512:ab00000000000000000000000000000000000000000000000000000000000002",
    "md5:d41d8cd98f00b204e9800998ecf8427e",
    "sha256:ab000000000000000000000000000000000000000000000000000000000000030",
    "sha256:ab0000000000000000000000000000000000000000000000000000000000\n0004",
];
/// One that is as it should be.
const GOOD: &str = "sha256:ab00000000000000000000000000000000000000000000000000000000000005";

/// Writes a blob that an expired upload is the last to hold.
async fn doomed(scene: &Scene, uuid: &str, content_addressed: bool, checksum: &str) {
    let repository = scene.texts(ANY_REPOSITORY).await.remove(0);
    let statements = format!(
        "insert into imagestorage (uuid, cas_path, content_checksum) \
         values ('{uuid}', {content_addressed}, '{checksum}'); \
         insert into imagestorageplacement (storage_id, location_id) \
         select s.id, l.id from imagestorage s, imagestoragelocation l \
          where s.uuid = '{uuid}' and l.name = 'local'; \
         insert into uploadedblob (repository_id, blob_id, uploaded_at, expires_at) \
         select {repository}, id, 'epoch', 'epoch' from imagestorage where uuid = '{uuid}'"
    );
    scene.execute(&statements).await;
}

/// Makes files wherever a path that was put together from such names could lead to.
fn victims(scene: &Scene) -> BTreeSet<PathBuf> {
    let local = scene.file("local");
    let mut files = vec![
        scene.file("victim"),
        local.join("victim"),
        local.join("layer"),
    ];
    for checksum in BAD {
        let (algorithm, hex) = checksum.split_once(':').unwrap_or(("sha256", checksum));
        // What climbs out of the test's own folder has no file.
        if !hex.contains('/') && !hex.is_empty() {
            let folder = local.join(algorithm).join(hex.get(..2).unwrap_or("00"));
            files.push(folder.join(hex));
            files.push(folder.join(hex.to_lowercase()));
        }
    }
    for file in &files {
        fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        fs::write(file, "not ours to remove").expect("a file");
    }
    files.into_iter().collect()
}

#[tokio::test]
async fn an_object_under_another_kind_of_name_is_kept() {
    let scene = registry().await;
    for (n, checksum) in BAD.iter().enumerate() {
        doomed(&scene, &format!("bad-{n}"), true, checksum).await;
    }
    doomed(&scene, "good", true, GOOD).await;
    let good = scene.file("local").join(crate::oracle::cas_path(GOOD));
    fs::create_dir_all(good.parent().expect("a folder")).expect("a folder");
    fs::write(&good, "ours").expect("a file");
    let victims = victims(&scene);

    let program = scene.program().await;
    program.run(&COLLECT).await.expect(0);
    let rows = "select count(*) from imagestorage where uuid like 'bad-%'";
    assert_eq!(scene.number(rows).await, 0, "rows go as with Quay");
    let ended = program.run(&BLOB_GC).await.expect(0);
    let stuck = format!("\"stuck\":{}", BAD.len());
    let said = &ended.stderr;
    let plain = format!("stuck={}", BAD.len());
    assert!(said.contains(&stuck) || said.contains(&plain), "{said}");
    ended.says(&["without a usable digest"]);
    assert!(!good.exists(), "the good one goes");
    let gone: Vec<_> = victims.iter().filter(|file| !file.exists()).collect();
    assert!(gone.is_empty(), "{gone:?}");
    let tombstones = "select count(*) from quayhand_tombstone";
    assert_eq!(
        scene.number(tombstones).await,
        i64::try_from(BAD.len()).expect("a few")
    );
}

#[tokio::test]
async fn an_object_of_old_under_a_name_that_is_no_uuid_is_kept_and_reported() {
    let scene = registry().await;
    let digest = |n| format!("sha256:{n:0>64}");
    let upper = "0B9F3A5E-7C1D-4E2F-8A6B-1C2D3E4F5A6B";
    for (n, uuid) in ["../../victim", "..", "a/b", "", upper].iter().enumerate() {
        doomed(&scene, uuid, false, &digest(n + 1)).await;
    }
    let uuid = upper.to_lowercase();
    doomed(&scene, &uuid, false, GOOD).await;
    let good = scene
        .file("local")
        .join("sharedimages")
        .join(&uuid)
        .join("layer");
    fs::create_dir_all(good.parent().expect("a folder")).expect("a folder");
    fs::write(&good, "ours").expect("a file");
    let victims = victims(&scene);
    let program = scene.program().await;
    let dry = [&COLLECT[..], &["--dry-run"]].concat();
    let shown = program.run(&dry).await.expect(0).stdout;
    let of_old = shown
        .lines()
        .filter_map(|line| line.split_once("sharedimages/"));
    let of_old: Vec<_> = of_old.map(|(_, path)| path).collect();
    let odd = |path: &&&str| path.len() != "/layer".len() + 36 || **path != path.to_lowercase();
    assert!(of_old.contains(&format!("{uuid}/layer").as_str()));
    assert_eq!(of_old.iter().filter(odd).count(), 0, "{of_old:?}");
    program.run(&COLLECT).await.expect(0);
    let ended = program.run(&BLOB_GC).await.expect(0);
    let ended = ended.says(&["without a usable digest, uuid or location"]);
    let said = &ended.stderr;
    assert!(
        said.contains("\"stuck\":5") || said.contains("stuck=5"),
        "{said}"
    );
    assert!(!good.exists(), "one that is a uuid goes");
    let gone: Vec<_> = victims.iter().filter(|file| !file.exists()).collect();
    assert!(gone.is_empty(), "{gone:?}");
    let left = "select count(*) from quayhand_tombstone";
    assert_eq!(scene.number(left).await, 5, "the others are done");
}

#[tokio::test]
async fn an_upload_under_a_name_that_is_no_uuid_is_kept_and_reported() {
    let scene = registry().await;
    let repository = scene.texts(ANY_REPOSITORY).await.remove(0);
    let good = "0b9f3a5e-7c1d-4e2f-8a6b-1c2d3e4f5a6b";
    for uuid in ["../victim", "../../victim", ".", good] {
        let upload = format!(
            "insert into blobupload (repository_id, uuid, byte_count, location_id, created) \
             select {repository}, '{uuid}', 0, id, now() - interval '9 days' \
               from imagestoragelocation where name = 'local'"
        );
        scene.execute(&upload).await;
    }
    let chunk = scene.file("local").join("uploads").join(good);
    fs::create_dir_all(chunk.parent().expect("a folder")).expect("a folder");
    fs::write(&chunk, "ours").expect("a file");
    let victims = victims(&scene);
    let program = scene.program().await;
    let ended = program
        .run(&["job", "run", "upload_cleanup", "--all"])
        .await;
    let ended = ended.expect(9);
    let said = "its uuid is none: kept";
    assert_eq!(ended.stderr.matches(said).count(), 3, "{}", ended.stderr);
    assert!(!chunk.exists(), "the good one goes");
    let left = "select count(*) from blobupload";
    assert_eq!(
        scene.number(left).await,
        3,
        "without its row nobody finds it"
    );
    assert!(victims.iter().all(|file| file.exists()));
}
