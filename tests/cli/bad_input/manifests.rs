//! Manifests that cannot be read, and lists in a circle.

use std::collections::BTreeSet;

use quayhand_testkit::golden::RowKey;

use super::{ANY_REPOSITORY, collect, make_files, registry};

/// More than a registry accepts.
const ENORMOUS: u32 = 6_000_000;

#[tokio::test]
async fn a_manifest_is_never_read_to_judge_it() {
    let (scene, twin) = (registry().await, registry().await);
    let spoil = format!(
        "update manifest set manifest_bytes = case id % 6 \
             when 0 then 'no json' when 1 then '' when 2 then '{{\"schemaVersion\":' \
             when 3 then repeat('[', 100000) when 4 then '{{\"layers\":[{{\"digest\":\"../..\"}}]}}' \
             else '\u{1}\u{feff}null' end, \
         media_type_id = (select id from mediatype order by (id * 7 + manifest.id) % 11 limit 1); \
         update manifest set manifest_bytes = repeat('x', {ENORMOUS}) \
          where id in (select min(id) from manifest union select max(id) from manifest)"
    );
    scene.execute(&spoil).await;
    let before = scene.rows().await;
    collect(&scene).await;
    collect(&twin).await;
    let (left, expected) = (scene.rows().await, twin.rows().await);
    assert!(before.len() - left.len() > 500, "there was garbage");
    assert!(
        left == expected,
        "{:?}",
        left.symmetric_difference(&expected)
    );
    assert!(scene.files() == twin.files(), "objects too");
}

/// Five manifests of one repository: lists of each other, `ids[0]` with a living tag and
/// `ids[1]` with an expired one; another such pair with an expired tag only; and a list of
/// itself. Each has a blob of its own.
const CIRCLES: &str = "
    insert into manifest (repository_id, digest, media_type_id, manifest_bytes)
    select $R, 'sha256:' || lpad('c' || n, 64, '0'), 1, 'circle ' || n from generate_series(0, 4) n;
    create view circle as
    select id, right(manifest_bytes, 1)::int as n from manifest where manifest_bytes like 'circle _';
    insert into manifestchild (repository_id, manifest_id, child_manifest_id)
    select $R, f.id, t.id from circle f join circle t
        on (f.n, t.n) in ((0, 1), (1, 0), (2, 3), (3, 2), (4, 4));
    insert into tag (name, repository_id, manifest_id, lifetime_start_ms, lifetime_end_ms,
                     tag_kind_id)
    select 'circle' || n, $R, id, 0, case when n in (1, 2, 4) then 1 end, 1
      from circle where n in (0, 1, 2, 4);
    insert into imagestorage (uuid, cas_path, content_checksum)
    select 'circle-' || n, true, 'sha256:' || lpad('d' || n, 64, '0') from circle;
    insert into imagestorageplacement (storage_id, location_id)
    select s.id, l.id from imagestorage s join imagestoragelocation l on l.name = 'local'
     where s.uuid like 'circle-%';
    insert into manifestblob (repository_id, manifest_id, blob_id)
    select $R, c.id, s.id from circle c join imagestorage s on s.uuid = 'circle-' || c.n;
    drop view circle";

#[tokio::test]
async fn lists_in_a_circle_stay_and_stop_nobody() {
    let (scene, twin) = (registry().await, registry().await);
    let repository = scene.texts(ANY_REPOSITORY).await.remove(0);
    let before = scene.rows().await;
    scene.execute(&CIRCLES.replace("$R", &repository)).await;
    make_files(&scene).await;
    let circles: BTreeSet<RowKey> = scene.rows().await.difference(&before).cloned().collect();
    let files: BTreeSet<_> = scene.files();
    collect(&scene).await;
    collect(&twin).await;

    let left = scene.rows().await;
    let gone: Vec<_> = circles.difference(&left).collect();
    assert!(
        gone.len() == 3 && gone.iter().all(|row| row.0 == "tag"),
        "{gone:?}"
    );
    let others: BTreeSet<_> = left.difference(&circles).cloned().collect();
    assert!(
        others == twin.rows().await,
        "everything else went as without them"
    );
    let of_circles = |path: &str| path.contains("/00/000000") && path.contains("00d");
    let kept = scene
        .files()
        .iter()
        .filter(|file| of_circles(&file.1))
        .count();
    assert_eq!(kept, 5, "their objects are among {} files", files.len());

    let mark = format!("update repository set state = 3 where id = {repository}");
    scene.execute(&mark).await;
    let program = scene.program().await;
    program
        .run(&["job", "run", "repository_purge", "--all"])
        .await
        .expect(0);
    let left = scene.rows().await;
    assert!(circles.is_disjoint(&left), "a purge takes them");
}
