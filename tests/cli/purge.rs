//! Purging repositories and namespaces: all tables and objects as Quay leaves them, but for
//! what `docs/differences.md` lists.

use std::collections::BTreeSet;

use quayhand_testkit::{
    golden::{Golden, RowKey, quota_rows},
    shared_or_skip, wait_for,
};

use crate::{
    golden::{Doomed, collect_arguments},
    program::{Quayhand, Running},
    quay_config::QuayConfig,
    scene::{Object, Scene},
    tombs::{BLOB_GC, SOON, connect, own_redis},
};

const REPOSITORY_PURGE: [&str; 4] = ["job", "run", "repository_purge", "--all"];
const NAMESPACE_PURGE: [&str; 4] = ["job", "run", "namespace_purge", "--all"];

/// What only Quay left, and what only we left.
#[derive(Debug, Default, PartialEq, Eq)]
struct Difference {
    rows_of_quay: BTreeSet<RowKey>,
    rows_of_ours: BTreeSet<RowKey>,
    objects_of_quay: BTreeSet<Object>,
    objects_of_ours: BTreeSet<Object>,
}

impl Difference {
    async fn of(scene: &Scene, golden: &Golden, files_before: &BTreeSet<Object>) -> Self {
        let (ours, quays) = (scene.rows().await, golden.rows_after().expect("rows after"));
        assert!(ours.len() > 100, "there is something to compare");
        let removed: BTreeSet<_> = files_before.difference(&scene.files()).cloned().collect();
        let by_quay = golden.storage_deleted().expect("removed objects");
        assert!(removed.len() > 10, "objects go");
        Self {
            rows_of_quay: quays.difference(&ours).cloned().collect(),
            rows_of_ours: ours.difference(&quays).cloned().collect(),
            objects_of_quay: removed.difference(&by_quay).cloned().collect(),
            objects_of_ours: by_quay.difference(&removed).cloned().collect(),
        }
    }
}

/// Runs a purge dry and then for real: what was announced is what goes, objects included.
async fn purges_what_it_announces(scene: &Scene, program: &Quayhand, purge: &[&str]) {
    let whole = scene.whole().await;
    let mut dry = purge.to_vec();
    dry.extend(["--dry-run", "--format=json"]);
    let dry = program.run(&dry).await.expect(0);
    scene.is_unchanged(&whole).await;
    let (mut rows, mut objects) = (BTreeSet::new(), BTreeSet::new());
    for line in dry.json::<Doomed>() {
        let is_new = match line {
            Doomed::Row { table, id } => rows.insert((table, id)),
            Doomed::Object { location, path } => objects.insert((location, path)),
        };
        assert!(is_new, "everything is announced once");
    }
    let before = (
        scene.rows().await,
        removed(scene, program, &scene.files()).await,
    );
    program.run(purge).await.expect(0);
    let gone: BTreeSet<_> = before.0.difference(&scene.rows().await).cloned().collect();
    assert_eq!(
        gone, rows,
        "the dry run announced exactly the rows that went"
    );
    assert!(!gone.is_empty(), "something goes");
    let files = scene.files();
    assert_eq!(removed(scene, program, &files).await, objects, "objects");
}

/// Removes objects whose time has come; returns them.
async fn removed(scene: &Scene, program: &Quayhand, files: &BTreeSet<Object>) -> BTreeSet<Object> {
    program.run(&BLOB_GC).await.expect(0);
    files.difference(&scene.files()).cloned().collect()
}

/// A second run finds nothing and changes nothing.
async fn is_done(scene: &Scene, program: &Quayhand, purge: &[&str]) {
    let whole = scene.whole().await;
    let again = program.run(purge).await.expect(0);
    assert!(again.stdout.contains("nothing to do"), "{}", again.stdout);
    scene.is_unchanged(&whole).await;
}

/// Collects and purges everything of one state; returns how it differs from Quay's.
async fn collect_and_purge(name: &str) -> Difference {
    let (scene, golden) = (
        Scene::golden(name).await,
        Golden::open(name).expect("a folder"),
    );
    let has_quota = golden.flags().expect("flags")["QUOTA_MANAGEMENT"];
    let config = QuayConfig::of(&scene)
        .await
        .with("FEATURE_QUOTA_MANAGEMENT", &has_quota.to_string());
    let (program, files) = (config.program(&scene), scene.files());
    let arguments = collect_arguments(&golden);
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    program.run(&arguments).await.expect(0);
    purges_what_it_announces(&scene, &program, &REPOSITORY_PURGE).await;
    is_done(&scene, &program, &REPOSITORY_PURGE).await;
    let totals = quota_rows(scene.server, &scene.database).await;
    assert_eq!(
        totals.expect("totals"),
        golden.quota_after().expect("totals"),
        "{name}: totals"
    );
    Difference::of(&scene, &golden, &files).await
}

macro_rules! as_quay_does {
    ($($name:ident $folder:literal;)*) => {
        $(#[tokio::test]
        async fn $name() {
            let _shared = shared_or_skip!();
            assert_eq!(collect_and_purge($folder).await, Difference::default());
        })*
    };
}

as_quay_does! {
    seed1 "seed1";
    seed2 "seed2";
    seed3 "seed3";
    seed7 "seed7-quota";
    boundary "boundary";
}

fn rows(expected: &[(&str, i64)]) -> BTreeSet<RowKey> {
    let row = |(table, id): &(&str, i64)| ((*table).to_owned(), *id);
    expected.iter().map(row).collect()
}

#[tokio::test]
async fn chunk_order() {
    let _shared = shared_or_skip!();
    let subject = "sha256/dd/dd175e6d41e66dbaeec7597baa668be5505a570c91c7d07f3cc3f11d2a7785ed";
    let expected = Difference {
        // Quay leaves the subject for ever, because it met its referrer later.
        rows_of_quay: rows(&[
            ("imagestorage", 115),
            ("imagestorageplacement", 171),
            ("manifest", 42),
            ("manifestblob", 131),
        ]),
        objects_of_quay: [("local".to_owned(), subject.to_owned())].into(),
        ..Difference::default()
    };
    assert_eq!(collect_and_purge("chunk-order").await, expected);
}

#[tokio::test]
async fn namespace_delete() {
    let _shared = shared_or_skip!();
    let scene = Scene::golden("namespace-delete").await;
    let golden = Golden::open("namespace-delete").expect("a folder");
    let (program, files) = (QuayConfig::of(&scene).await.program(&scene), scene.files());
    purges_what_it_announces(&scene, &program, &NAMESPACE_PURGE).await;
    is_done(&scene, &program, &NAMESPACE_PURGE).await;
    let expected = Difference {
        // Quay never ends with a namespace whose quota still has a limit.
        rows_of_quay: rows(&[
            ("deletednamespace", 4),
            ("quotalimits", 1),
            ("user", 40),
            ("userorganizationquota", 3),
        ]),
        // Quay takes them from the namespace that has the name now.
        rows_of_ours: rows(&[
            ("federatedlogin", 16),
            ("quotalimits", 2),
            ("repositorypermission", 90),
            ("robotaccounttoken", 15),
            ("user", 43),
            ("userorganizationquota", 4),
        ]),
        ..Difference::default()
    };
    assert_eq!(Difference::of(&scene, &golden, &files).await, expected);
}

#[tokio::test]
async fn stops_without_the_features() {
    let _shared = shared_or_skip!();
    let scene = Scene::golden("namespace-delete").await;
    let (config, whole) = (QuayConfig::of(&scene).await, scene.whole().await);
    let refused = async |key: &str, purge: &[&str]| {
        let program = config.clone().with(key, "false").program(&scene);
        program.run(purge).await.expect(8).says(&["refused", key]);
        scene.is_unchanged(&whole).await;
    };
    for purge in [&REPOSITORY_PURGE, &NAMESPACE_PURGE] {
        refused("FEATURE_REPOSITORY_GARBAGE_COLLECTION", purge).await;
        refused("FEATURE_GARBAGE_COLLECTION", purge).await;
    }
    refused("FEATURE_NAMESPACE_GARBAGE_COLLECTION", &NAMESPACE_PURGE).await;
    let off = config
        .clone()
        .with("FEATURE_NAMESPACE_GARBAGE_COLLECTION", "false");
    off.program(&scene).run(&REPOSITORY_PURGE).await.expect(0);
    assert!(scene.whole().await != whole, "the twin purges repositories");
}

#[tokio::test]
async fn takes_ids_and_no_names() {
    let _shared = shared_or_skip!();
    let scene = Scene::golden("boundary").await;
    let (program, whole) = (scene.program().await, scene.whole().await);
    for purge in ["repository_purge", "namespace_purge"] {
        let named = program
            .run(&["job", "run", purge, "--repository", "org/app"])
            .await;
        named.expect(2).says(&["not about one repository"]);
        program
            .run(&["job", "run", purge])
            .await
            .expect(2)
            .says(&["payload"]);
    }
    scene.is_unchanged(&whole).await;
    let live = scene
        .number("select min(id) from repository where state = 0")
        .await;
    let payload = format!("{{\"repository_ids\": [{live}, 0, -1, 2147483648]}}");
    let ended = program
        .run(&["job", "run", "repository_purge", &payload])
        .await
        .expect(0);
    assert!(ended.stdout.contains("nothing to do"), "{}", ended.stdout);
    scene.is_unchanged(&whole).await;
    let marked = scene
        .number("select min(id) from repository where state = 3")
        .await;
    let payload = format!("{{\"repository_ids\": [{marked}]}}");
    program
        .run(&["job", "run", "repository_purge", &payload])
        .await
        .expect(0);
    let left = format!("select count(*) from repository where id = {marked}");
    assert_eq!(scene.number(&left).await, 0);
}

/// A purge that waits in the middle of the rows of a repository whose content is gone.
async fn held_in_the_middle(
    scene: &Scene,
    program: &Quayhand,
) -> (tokio_postgres::Client, Running) {
    let blocker = scene
        .server
        .connect(&scene.database)
        .await
        .expect("connects");
    let lock = "begin; lock table repositorysearchscore in access exclusive mode";
    blocker.batch_execute(lock).await.expect("the lock");
    let run = program.start(&REPOSITORY_PURGE);
    let waiting = "select count(*) from pg_locks where not granted \
                   and relation = 'repositorysearchscore'::regclass";
    wait_for("the purge to come to a table", SOON, async || {
        let row = blocker.query_one(waiting, &[]).await.expect("locks");
        (row.get::<_, i64>(0) > 0).then_some(())
    })
    .await;
    (blocker, run)
}

#[tokio::test]
async fn ends_what_was_killed_or_stopped() {
    let _shared = shared_or_skip!();
    let whole = Scene::golden("seed2").await;
    whole.program().await.run(&REPOSITORY_PURGE).await.expect(0);
    for signal in ["KILL", "TERM"] {
        let scene = Scene::golden("seed2").await;
        let program = scene.program().await;
        let (blocker, run) = held_in_the_middle(&scene, &program).await;
        run.signal(signal);
        if signal == "KILL" {
            assert_eq!(run.ended().await.signal, Some(9));
            blocker.batch_execute("commit").await.expect("commits");
        } else {
            blocker.batch_execute("commit").await.expect("commits");
            run.ended()
                .await
                .expect(9)
                .says(&["stopped before the end"]);
        }
        let left = "select count(*) from repository where state = 3";
        assert_eq!(scene.number(left).await, 5, "none is gone before its rows");
        assert_eq!(
            scene.number("select count(*) from deletedrepository").await,
            5
        );
        program.run(&REPOSITORY_PURGE).await.expect(0);
        assert_eq!(scene.rows().await, whole.rows().await, "{signal}");
        is_done(&scene, &program, &REPOSITORY_PURGE).await;
    }
}

#[tokio::test]
async fn leaves_the_field_to_another_purge() {
    let _shared = shared_or_skip!();
    let (scene, redis) = (Scene::golden("boundary").await, own_redis().await);
    let program = scene.program().await.env("QUAYHAND_REDIS_URL", redis.url());
    let (mut quay, whole) = (connect(&redis.url()).await, scene.whole().await);
    let mut set = redis::cmd("SET");
    set.arg("lock:LARGE_GARBAGE_COLLECTION")
        .arg("quay")
        .arg("EX")
        .arg(10860);
    set.exec_async(&mut quay).await.expect("the lock");
    for purge in [&REPOSITORY_PURGE, &NAMESPACE_PURGE] {
        let busy = program.run(purge).await.expect(9);
        busy.says(&["lock:LARGE_GARBAGE_COLLECTION"]);
    }
    scene.is_unchanged(&whole).await;
    let mut del = redis::cmd("DEL");
    del.arg("lock:LARGE_GARBAGE_COLLECTION");
    del.exec_async(&mut quay).await.expect("the lock is free");
    program.run(&REPOSITORY_PURGE).await.expect(0);
    assert_eq!(
        scene
            .number("select count(*) from repository where state = 3")
            .await,
        0
    );
    let mut exists = redis::cmd("EXISTS");
    exists.arg("lock:LARGE_GARBAGE_COLLECTION");
    let held: i64 = exists.query_async(&mut quay).await.expect("an answer");
    assert_eq!(held, 0, "and gives the lock back");
}

#[tokio::test]
async fn sweeps_find_what_has_no_marker_and_no_queue_item() {
    let _shared = shared_or_skip!();
    let (scene, redis) = (Scene::golden("namespace-delete").await, own_redis().await);
    let program = scene.program().await.env("QUAYHAND_REDIS_URL", redis.url());
    scene
        .execute("delete from deletedrepository; delete from queueitem")
        .await;
    let whole = scene.whole().await;
    for (sweep, found) in [
        ("repository_purge_sweep", "repositories"),
        ("namespace_purge_sweep", "namespaces"),
    ] {
        let statement = match found {
            "repositories" => "select count(*) from repository where state = 3",
            _ => "select count(*) from deletednamespace",
        };
        let found = format!("{} {found}", scene.number(statement).await);
        let first = program.run(&["job", "run", sweep]).await.expect(0);
        assert!(first.stdout.contains(&found), "{}", first.stdout);
        assert!(first.stdout.contains(" jobs"), "{}", first.stdout);
        let second = program.run(&["job", "run", sweep]).await.expect(0);
        assert!(!second.stdout.contains(" jobs"), "twice: {}", second.stdout);
    }
    scene.is_unchanged(&whole).await;
    let alone = scene
        .program()
        .await
        .run(&["job", "run", "namespace_purge_sweep"])
        .await;
    alone.expect(8).says(&["--all"]);
}

#[tokio::test]
async fn says_what_is_in_the_way_and_does_the_rest() {
    let _shared = shared_or_skip!();
    let scene = Scene::golden("seed2").await;
    let program = scene.program().await;
    let marked = "select min(r.id) from repository r join manifest m on m.repository_id = r.id \
                  where r.state = 3";
    let marked = scene.number(marked).await;
    // A list of another repository contains a manifest of this one.
    scene
        .execute(&format!(
            "insert into manifestchild (repository_id, manifest_id, child_manifest_id) \
             select list.repository_id, list.id, child.id \
               from manifest list join repository r on r.id = list.repository_id, manifest child \
              where r.state = 0 and child.repository_id = {marked} \
              order by list.id, child.id limit 1"
        ))
        .await;
    let ended = program.run(&REPOSITORY_PURGE).await.expect(9);
    ended.says(&[&format!("repository {marked}: "), "manifest, manifestblob"]);
    let left = "select count(*) from repository where state = 3";
    assert_eq!(scene.number(left).await, 1, "all others are gone");
    assert_eq!(
        scene.number("select count(*) from deletedrepository").await,
        1
    );
    let kept = format!("select count(*) from manifest where repository_id = {marked}");
    assert_eq!(
        scene.number(&kept).await,
        1,
        "and everything else of this one"
    );
    scene
        .execute(&format!(
            "delete from manifestchild where child_manifest_id in \
         (select id from manifest where repository_id = {marked})"
        ))
        .await;
    program.run(&REPOSITORY_PURGE).await.expect(0);
    assert_eq!(scene.number(left).await, 0);
}
