//! `leak_sweep`: takes what nothing leads to, at the second sighting and not before, and never
//! anything that is alive by a model written plainly.
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use quayhand_jobs::{Settings, blob_gc::BlobGc, leak_sweep::LeakSweep, tag_expiry::TagExpiry};
use quayhand_queue::{Done, Job, JobError};
use quayhand_testkit::{golden::RowKey, registry::RegistrySpec, shared_or_skip};

use crate::scene::Scene;

const JOB: LeakSweep = LeakSweep {};
/// The object of `sha256(b"a leaked object")`.
const OBJECT: &str = "sha256/b9/b9267db2114ad3f8b308c5f099654709beae1e1e22c854288c7d782de36b52d0";
const DAY_S: u64 = 86_400;

/// Lets the sightings so far age, as if the last sweeps had been a day earlier.
async fn a_day_passes(scene: &Scene) {
    let earlier = "update quayhand_sighting
                      set first_seen = first_seen - interval '24 hours',
                          last_seen = last_seen - interval '24 hours'";
    scene.execute(earlier).await;
}

/// A registry whose garbage is collected, the subjects too that a collection leaves.
async fn collected() -> Scene {
    let scene = Scene::generated(&RegistrySpec::small(5)).await;
    collect(&scene).await;
    for _sighting in 0..2 {
        assert!(JOB.run(&scene.ctx).await.is_ok());
        a_day_passes(&scene).await;
    }
    assert!(BlobGc::all(&scene.ctx).unwrap().await.is_ok());
    assert_eq!(
        scene.number("select count(*) from quayhand_sighting").await,
        0
    );
    scene
}

async fn collect(scene: &Scene) {
    for run in [TagExpiry::all(&scene.ctx), BlobGc::all(&scene.ctx)] {
        assert!(run.unwrap().await.is_ok());
    }
}

/// Reads rows of two or three ids.
async fn triples(scene: &Scene, text: &str) -> Vec<(i64, Option<i64>, Option<String>)> {
    let client = scene.server.connect(&scene.database).await.unwrap();
    let rows = client.query(text, &[]).await.unwrap();
    rows.iter()
        .map(|row| (row.get(0), row.get(1), row.get(2)))
        .collect()
}

/// What must be left of manifests, blobs and labels: a slow walk from everything that holds
/// something, with sets and loops only.
async fn alive(scene: &Scene) -> BTreeSet<RowKey> {
    let manifests = triples(
        scene,
        "select m.id::bigint, m.repository_id::bigint,
                case when r.state = 3 or not ns.enabled then 'spared' else 'ours' end
           from manifest m join repository r on r.id = m.repository_id
           join \"user\" ns on ns.id = r.namespace_user_id",
    )
    .await;
    let tagged = triples(
        scene,
        "select manifest_id::bigint, null::bigint, null from tag",
    )
    .await;
    let children = triples(
        scene,
        "select manifest_id::bigint, child_manifest_id::bigint, null from manifestchild",
    )
    .await;
    let subjects = triples(
        scene,
        "select r.id::bigint, s.id::bigint, null from manifest r join manifest s
             on s.repository_id = r.repository_id and s.digest = r.subject",
    )
    .await;
    let mut left: BTreeSet<i64> = manifests.iter().map(|row| row.0).collect();
    loop {
        let holds = |id: i64| {
            let spared = manifests
                .iter()
                .any(|m| m.0 == id && m.2.as_deref() == Some("spared"));
            spared
                || tagged.iter().any(|tag| tag.0 == id)
                || children
                    .iter()
                    .chain(&subjects)
                    .any(|(by, held, _)| *held == Some(id) && left.contains(by))
        };
        let gone: Vec<i64> = left.iter().copied().filter(|id| !holds(*id)).collect();
        if gone.is_empty() {
            break;
        }
        left.retain(|id| !gone.contains(id));
    }
    let mut alive: BTreeSet<RowKey> = left.iter().map(|id| ("manifest".to_owned(), *id)).collect();
    let blobs = triples(
        scene,
        "select blob_id::bigint, manifest_id::bigint, null from manifestblob
         union all select blob_id, null, null from uploadedblob
         union all select id, null, null from imagestorage s
           where not exists (select 1 from imagestorageplacement p where p.storage_id = s.id)",
    )
    .await;
    let labels = triples(
        scene,
        "select label_id::bigint, manifest_id::bigint, null from manifestlabel",
    )
    .await;
    for (table, holders) in [("imagestorage", blobs), ("label", labels)] {
        let held = holders
            .iter()
            .filter(|(_, by, _)| by.is_none_or(|by| left.contains(&by)));
        alive.extend(held.map(|(id, ..)| (table.to_owned(), *id)));
    }
    alive
}

/// The rows of the three tables that can leak.
fn of_interest(rows: &BTreeSet<RowKey>) -> BTreeSet<RowKey> {
    let tables = ["manifest", "imagestorage", "label"];
    let interesting = |row: &&RowKey| tables.contains(&row.0.as_str());
    rows.iter().filter(interesting).cloned().collect()
}

async fn twice_then_gone(scene: &Scene) {
    let (before, files) = (scene.rows().await, scene.files());
    let expected = alive(scene).await;
    let leaked = of_interest(&before).difference(&expected).count();
    assert!(leaked > 0, "there is something to find");
    let first = JOB.run(&scene.ctx).await.unwrap();
    assert!(first.of("leaks seen") > 0);
    assert_eq!(
        scene.rows().await,
        before,
        "nothing goes at the first sighting"
    );
    let early = JOB.run(&scene.ctx).await.unwrap();
    assert_eq!(early.of("batches"), 0, "nor at a second one too early");
    assert_eq!(scene.rows().await, before);

    a_day_passes(scene).await;
    let (dry, shown) = scene.dry();
    assert!(JOB.run(&dry).await.is_ok());
    assert_eq!(scene.rows().await, before, "a dry run changes nothing");
    assert!(JOB.run(&scene.ctx).await.is_ok());
    let after = scene.rows().await;
    assert_eq!(of_interest(&after), expected);
    let gone: BTreeSet<_> = before.difference(&after).cloned().collect();
    assert_eq!(shown.rows(), gone, "the dry run showed exactly what went");
    assert!(BlobGc::all(&scene.ctx).unwrap().await.is_ok());
    let removed: BTreeSet<_> = files.difference(&scene.files()).cloned().collect();
    assert_eq!(shown.objects(), removed);
    let again = JOB.run(&scene.ctx).await.unwrap();
    assert_eq!(
        again,
        Done::default().count("leaks seen", 0),
        "nothing is left to find"
    );
    assert_eq!(
        scene.number("select count(*) from quayhand_sighting").await,
        0
    );
}

macro_rules! golden_tests {
    ($($name:ident,)*) => {$(
        #[tokio::test]
        async fn $name() {
            let _shared = shared_or_skip!();
            let mut scene = Scene::golden(stringify!($name)).await;
            collect(&scene).await;
            // Files that never had a row in these states are not what this test is about.
            scene.ctx.options.by_hand = true;
            twice_then_gone(&scene).await;
        }
    )*};
}

golden_tests! { seed1, seed2, seed3, }

#[tokio::test]
async fn a_chain_of_referrers_and_everything_below_a_list_goes_at_once() {
    let scene = collected().await;
    // Untags a third of all manifests, as a crash of old would have.
    scene
        .execute(
            "delete from tagnotificationsuccess where tag_id in
                 (select id from tag where manifest_id % 3 = 0);
             update tag set linked_tag_id = null where linked_tag_id is not null;
             delete from tag where manifest_id % 3 = 0;
             insert into label (uuid, key, value, media_type_id, source_type_id)
             select 'left', 'k', 'v', m.id, s.id from mediatype m, labelsourcetype s limit 1",
        )
        .await;
    twice_then_gone(&scene).await;
}

#[tokio::test]
async fn what_was_rescued_between_two_sightings_stays() {
    let scene = collected().await;
    scene
        .execute(
            "delete from tagnotificationsuccess;
             update tag set linked_tag_id = null where linked_tag_id is not null;
             create table lost as select * from tag where manifest_id % 3 = 0;
             delete from tag where id in (select id from lost)",
        )
        .await;
    assert!(JOB.run(&scene.ctx).await.unwrap().of("leaks seen") > 0);
    a_day_passes(&scene).await;
    scene.execute("insert into tag select * from lost").await;
    let before = scene.rows().await;
    assert_eq!(JOB.run(&scene.ctx).await.unwrap().of("batches"), 0);
    assert_eq!(scene.rows().await, before);
    // Lost once more: the sighting from before the rescue does not count.
    scene
        .execute("delete from tag where id in (select id from lost)")
        .await;
    assert_eq!(JOB.run(&scene.ctx).await.unwrap().of("batches"), 0);
}

#[tokio::test]
async fn an_object_without_a_row_goes_at_the_second_sighting() {
    let scene = collected().await;
    scene.put("local", OBJECT, b"a leaked object", 3 * DAY_S);
    scene.put("local", "sha256/zz/of-somebody-else", b"?", 9 * DAY_S);
    let files = scene.files();
    let both = async |scene: &Scene| {
        let swept = JOB.run(&scene.ctx).await.unwrap();
        assert!(BlobGc::all(&scene.ctx).unwrap().await.is_ok());
        swept.of("objects buried")
    };
    assert_eq!(both(&scene).await, 0);
    assert_eq!(scene.files(), files);
    a_day_passes(&scene).await;
    let (dry, shown) = scene.dry();
    assert_eq!(JOB.run(&dry).await.unwrap().of("objects"), 1);
    assert_eq!(both(&scene).await, 1);
    let removed: BTreeSet<_> = files.difference(&scene.files()).cloned().collect();
    assert_eq!(removed, [("local".to_owned(), OBJECT.to_owned())].into());
    assert_eq!(shown.objects(), removed);
    assert_eq!(both(&scene).await, 0, "nothing twice");
}

#[tokio::test]
async fn an_object_that_was_written_again_begins_anew() {
    let scene = collected().await;
    scene.put("local", OBJECT, b"a leaked object", 3 * DAY_S);
    assert_eq!(JOB.run(&scene.ctx).await.unwrap().of("leaks seen"), 1);
    a_day_passes(&scene).await;
    scene.put("local", OBJECT, b"a leaked object", 60);
    let done = JOB.run(&scene.ctx).await.unwrap();
    assert_eq!((done.of("leaks seen"), done.of("objects buried")), (0, 0));
    assert_eq!(
        scene.number("select count(*) from quayhand_sighting").await,
        0
    );
}

#[tokio::test]
async fn an_object_whose_row_came_stays() {
    let scene = collected().await;
    scene.put("local", OBJECT, b"a leaked object", 3 * DAY_S);
    assert_eq!(JOB.run(&scene.ctx).await.unwrap().of("leaks seen"), 1);
    a_day_passes(&scene).await;
    let hex = &OBJECT[OBJECT.len() - 64..];
    let row = format!(
        "insert into imagestorage (uuid, cas_path, content_checksum, image_size)
         values ('new', true, 'sha256:{hex}', 15)"
    );
    scene.execute(&row).await;
    assert_eq!(JOB.run(&scene.ctx).await.unwrap().of("objects buried"), 0);
    assert!(BlobGc::all(&scene.ctx).unwrap().await.is_ok());
    assert!(scene.object("local", OBJECT).exists());
}

#[tokio::test]
async fn storage_that_looks_like_another_registrys_is_not_touched() {
    let mut scene = collected().await;
    let objects = scene.files().len();
    for n in 0..objects + 200 {
        let path = format!("sha256/{:02x}/{:02x}{n:062x}", n % 256, n % 256);
        scene.put("local", &path, b"x", 3 * DAY_S);
    }
    assert!(JOB.run(&scene.ctx).await.is_err());
    a_day_passes(&scene).await;
    let Err(JobError::Partial { done, left }) = JOB.run(&scene.ctx).await else {
        panic!("more than half of all objects look leaked");
    };
    assert_eq!(done.of("objects buried"), 0);
    assert!(left[0].contains("have no row"), "{left:?}");
    scene.ctx.options.by_hand = true;
    let buried = JOB.run(&scene.ctx).await.unwrap().of("objects buried");
    assert_eq!(buried, objects as u64 + 200, "an operator may insist");
}

#[tokio::test]
async fn a_missing_root_leaves_rows_and_sightings_alone() {
    let scene = collected().await;
    scene.put("local", OBJECT, b"a leaked object", 3 * DAY_S);
    assert!(JOB.run(&scene.ctx).await.is_ok());
    let root = scene.object("local", "");
    std::fs::rename(&root, root.with_extension("gone")).unwrap();
    assert!(matches!(
        JOB.run(&scene.ctx).await,
        Err(JobError::Partial { .. })
    ));
    assert_eq!(
        scene.number("select count(*) from quayhand_sighting").await,
        1
    );
}

#[tokio::test]
async fn takes_no_more_than_the_cap_and_the_rest_later() {
    let mut scene = collected().await;
    for n in 0..5 {
        let path = format!("sha256/{n:02x}/{n:02x}{n:062x}");
        scene.put("local", &path, b"x", 3 * DAY_S);
    }
    assert!(JOB.run(&scene.ctx).await.is_ok());
    a_day_passes(&scene).await;
    scene.set(|settings| settings.max_objects_per_run = 2);
    scene.ctx.options.by_hand = true;
    let Err(JobError::Partial { done, .. }) = JOB.run(&scene.ctx).await else {
        panic!("the cap was reached");
    };
    assert_eq!(done.of("objects buried"), 2);
    scene.set(|settings| settings.max_objects_per_run = 100);
    assert_eq!(JOB.run(&scene.ctx).await.unwrap().of("objects buried"), 3);
}

#[tokio::test]
async fn a_grace_of_zero_still_needs_two_sightings_and_an_early_clock_keeps() {
    let mut scene = collected().await;
    scene.execute("delete from tagnotificationsuccess").await;
    scene.put("local", OBJECT, b"a leaked object", 3 * DAY_S);
    scene.set(|settings| settings.leak_grace = Duration::ZERO);
    assert_eq!(JOB.run(&scene.ctx).await.unwrap().of("objects buried"), 0);
    scene.ctx.options.as_of_ms = Some(1_000_000_000_000);
    assert_eq!(JOB.run(&scene.ctx).await.unwrap().of("objects buried"), 0);
    scene.ctx.options.as_of_ms = None;
    assert!(
        JOB.run(&scene.ctx).await.is_ok(),
        "seen once: the early clock forgot it"
    );
    assert_eq!(JOB.run(&scene.ctx).await.unwrap().of("objects buried"), 1);
}

#[tokio::test]
async fn stops_when_told_and_refuses_where_a_setting_says_so() {
    let mut scene = collected().await;
    scene.put("local", OBJECT, b"a leaked object", 3 * DAY_S);
    scene.ctx.options.by_hand = true;
    scene.ctx.stop.cancel();
    assert!(matches!(
        JOB.run(&scene.ctx).await,
        Err(JobError::Partial { .. })
    ));
    scene.ctx.stop = tokio_util::sync::CancellationToken::new();
    let keeping: BTreeMap<&str, fn(&mut Settings)> = [
        (
            "pushes",
            (|s: &mut Settings| s.disable_pushes = true) as fn(&mut Settings),
        ),
        ("collection", |s| s.garbage_collection = false),
        ("read-only", |s| s.read_only = true),
    ]
    .into();
    for (name, keep) in keeping {
        scene.ctx.settings = Arc::new(Settings::default());
        scene.set(keep);
        let refused = JOB.run(&scene.ctx).await;
        assert!(matches!(refused, Err(JobError::Refused { .. })), "{name}");
    }
    scene.ctx.settings = Arc::new(Settings::default());
    scene.ctx.gate.close("an unknown foreign key");
    assert!(matches!(
        JOB.run(&scene.ctx).await,
        Err(JobError::Refused { .. })
    ));
    assert_eq!(
        scene.number("select count(*) from quayhand_sighting").await,
        0
    );
}

#[tokio::test]
async fn what_a_pusher_is_tagging_is_passed_by_and_looked_at_again() {
    let scene = collected().await;
    scene
        .execute(
            "delete from tagnotificationsuccess;
             update tag set linked_tag_id = null where linked_tag_id is not null;
             create table lost as select * from tag where manifest_id =
                 (select max(manifest_id) from tag where lifetime_end_ms is null);
             delete from tag where id in (select id from lost)",
        )
        .await;
    assert!(JOB.run(&scene.ctx).await.unwrap().of("leaks seen") > 0);
    a_day_passes(&scene).await;
    let pusher = scene.server.connect(&scene.database).await.unwrap();
    pusher
        .batch_execute("begin; insert into tag select * from lost")
        .await
        .unwrap();
    let done = JOB.run(&scene.ctx).await.unwrap();
    assert_eq!((done.of("manifests"), done.of("postponed")), (0, 1));
    pusher.batch_execute("rollback").await.unwrap();
    // The pusher gave up: the next look takes it, and what only it held.
    scene
        .execute("update quayhand_recheck set not_before = clock_timestamp()")
        .await;
    let settle = TagExpiry {
        rechecks: true,
        ..TagExpiry::default()
    };
    assert!(settle.run(&scene.ctx).await.unwrap().of("manifests") > 0);
    let lost = "select count(*) from manifest where id in (select manifest_id from lost)";
    assert_eq!(scene.number(lost).await, 0);
}
