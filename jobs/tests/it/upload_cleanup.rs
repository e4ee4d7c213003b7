//! `upload_cleanup`: what Quay gives up, in storage and in the database, and nothing else.
use std::{collections::BTreeSet, time::Duration};

use quayhand_jobs::{Locking, Settings, upload_cleanup::UploadCleanup};
use quayhand_queue::{Done, Job, JobError, Locks};
use quayhand_testkit::{RedisServer, golden::Golden, registry::RegistrySpec, shared_or_skip};

use crate::scene::Scene;

const JOB: UploadCleanup = UploadCleanup {};
const DAY_S: u64 = 86_400;

/// The path of the `n`th upload's chunks.
fn chunk(n: u32) -> String {
    format!("uploads/0000000{n}-0000-0000-0000-000000000000")
}

/// Makes an upload that was begun so many days ago, with its chunks.
async fn begin(scene: &Scene, n: u32, days: u32) {
    let insert = format!(
        "insert into blobupload (repository_id, uuid, byte_count, location_id, storage_metadata,
                                 created)
         select (select min(id) from repository), '0000000{n}-0000-0000-0000-000000000000', 5,
                id, 'null', (now() at time zone 'utc') - interval '{days} days'
           from imagestoragelocation where name = 'local'"
    );
    scene.execute(&insert).await;
    scene.put("local", &chunk(n), b"chunk", u64::from(days) * DAY_S);
}

async fn scene() -> Scene {
    Scene::generated(&RegistrySpec::small(1)).await
}

fn uploads(scene: &Scene) -> BTreeSet<String> {
    let below = |(_, path): (String, String)| path.starts_with("uploads/").then_some(path);
    scene.files().into_iter().filter_map(below).collect()
}

#[tokio::test]
async fn leaves_what_quay_left() {
    let _shared = shared_or_skip!();
    let scene = Scene::golden("uploads").await;
    let golden = Golden::open("uploads").unwrap();
    let cancelled = golden.uploads_cancelled().unwrap();
    for (location, uuid) in &cancelled {
        scene.put(location, &format!("uploads/{uuid}"), b"chunk", 0);
    }
    let (before, files) = (scene.rows().await, scene.files());
    let (dry, shown) = scene.dry();
    assert_eq!(JOB.run(&dry).await.unwrap().of("uploads"), 1);
    assert_eq!(scene.rows().await, before, "a dry run changes nothing");
    assert_eq!(scene.files(), files);

    let done = JOB.run(&scene.ctx).await.unwrap();
    assert_eq!(
        done,
        Done::default().count("objects", 1).count("uploads", 1)
    );
    let after = scene.rows().await;
    assert_eq!(after, golden.rows_after().unwrap());
    let removed: BTreeSet<_> = files.difference(&scene.files()).cloned().collect();
    let path = |(location, uuid): (String, String)| (location, format!("uploads/{uuid}"));
    assert_eq!(removed, cancelled.into_iter().map(path).collect());
    assert_eq!(shown.objects(), removed);
    assert_eq!(shown.rows(), before.difference(&after).cloned().collect());
    assert_eq!(
        JOB.run(&scene.ctx).await.unwrap(),
        Done::default().count("objects", 0)
    );
}

#[tokio::test]
async fn one_that_storage_refuses_stays_and_the_others_go() {
    let scene = scene().await;
    for n in 1..=3 {
        begin(&scene, n, 3).await;
    }
    begin(&scene, 4, 1).await;
    // A folder where the file should be is never removed.
    std::fs::remove_file(scene.object("local", &chunk(2))).unwrap();
    std::fs::create_dir(scene.object("local", &chunk(2))).unwrap();
    let strange = "update blobupload set uuid = '../x' where uuid like '00000003%'";
    scene.execute(strange).await;
    let Err(JobError::Partial { done, left }) = JOB.run(&scene.ctx).await else {
        panic!("two uploads cannot go");
    };
    assert_eq!(left.len(), 2, "{left:?}");
    assert_eq!(done.of("uploads"), 1);
    let rows = "select count(*) from blobupload";
    assert_eq!(
        scene.number(rows).await,
        3,
        "the young one and the two refused"
    );
    assert!(
        uploads(&scene).contains(&chunk(4)),
        "a young upload keeps its chunks"
    );
}

#[tokio::test]
async fn chunks_that_no_upload_knows_go_when_they_are_old() {
    let mut scene = scene().await;
    begin(&scene, 1, 1).await;
    let known = format!(
        r#"update blobupload set storage_metadata = '{{"chunks": [["{}", 0, 5]]}}'"#,
        chunk(2)
    );
    scene.execute(&known).await;
    for n in 2..=3 {
        scene.put("local", &chunk(n), b"chunk", 3 * DAY_S);
    }
    scene.put("local", &chunk(4), b"chunk", DAY_S);
    scene.put("local", "uploads/of-somebody-else", b"?", 9 * DAY_S);
    let all = uploads(&scene);
    scene.set(|settings| settings.clean_upload_folder = false);
    assert_eq!(JOB.run(&scene.ctx).await.unwrap().of("objects"), 0);
    scene.set(|settings| settings.clean_upload_folder = true);
    let (dry, shown) = scene.dry();
    assert_eq!(JOB.run(&dry).await.unwrap().of("objects"), 1);
    assert_eq!(JOB.run(&scene.ctx).await.unwrap().of("objects"), 1);
    let mut left = all;
    left.remove(&chunk(3));
    assert_eq!(uploads(&scene), left);
    assert_eq!(shown.objects(), [("local".to_owned(), chunk(3))].into());
}

#[tokio::test]
async fn keeps_out_of_the_way_of_quays_own_worker() {
    let redis = RedisServer::start().await.unwrap();
    let mut scene = scene().await;
    begin(&scene, 1, 3).await;
    let locks = Locks::connect(&redis.url()).await.unwrap();
    scene.ctx.locks = Locking::Redis(locks.clone());
    let hold = locks
        .try_acquire("BLOB_CLEANUP", Duration::from_mins(1))
        .await;
    let hold = hold.unwrap().unwrap();
    let waits = JOB.run(&scene.ctx).await;
    assert!(matches!(waits, Err(JobError::Snooze(_))), "{waits:?}");
    assert_eq!(uploads(&scene).len(), 1);
    assert!(locks.release(hold).await.unwrap());
    assert_eq!(JOB.run(&scene.ctx).await.unwrap().of("uploads"), 1);
    let free = locks
        .try_acquire("BLOB_CLEANUP", Duration::from_mins(1))
        .await;
    assert!(free.unwrap().is_some(), "the lock was released");
    drop(redis);
    let unreachable = JOB.run(&scene.ctx).await;
    assert!(
        matches!(unreachable, Err(JobError::Unavailable { .. })),
        "{unreachable:?}"
    );
}

#[tokio::test]
async fn a_missing_root_is_no_thousand_missing_chunks() {
    let scene = scene().await;
    begin(&scene, 1, 3).await;
    let root = scene.object("local", "");
    std::fs::rename(&root, root.with_extension("gone")).unwrap();
    let left = JOB.run(&scene.ctx).await;
    assert!(matches!(left, Err(JobError::Partial { .. })), "{left:?}");
    assert_eq!(scene.number("select count(*) from blobupload").await, 1);
}

#[tokio::test]
async fn stops_at_the_cap_and_when_told_and_where_a_setting_says_so() {
    let mut scene = scene().await;
    begin(&scene, 1, 3).await;
    scene.set(|settings| settings.max_objects_per_run = 0);
    assert!(matches!(
        JOB.run(&scene.ctx).await,
        Err(JobError::Partial { .. })
    ));
    scene.set(|settings| *settings = Settings::default());
    scene.ctx.stop.cancel();
    assert!(matches!(
        JOB.run(&scene.ctx).await,
        Err(JobError::Partial { .. })
    ));
    scene.ctx.stop = tokio_util::sync::CancellationToken::new();
    scene.set(|settings| settings.read_only = true);
    assert!(matches!(
        JOB.run(&scene.ctx).await,
        Err(JobError::Refused { .. })
    ));
    scene.set(|settings| *settings = Settings::default());
    scene.ctx.gate.close("an unknown column");
    assert!(matches!(
        JOB.run(&scene.ctx).await,
        Err(JobError::Refused { .. })
    ));
    scene.ctx.gate.open();
    assert_eq!(uploads(&scene).len(), 1, "nothing went so far");
    assert_eq!(JOB.run(&scene.ctx).await.unwrap().of("uploads"), 1);
}
