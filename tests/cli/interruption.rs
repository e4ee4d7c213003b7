//! A run that is stopped, killed, or not alone: nothing is lost, nothing is done half, and what
//! is left is found by the next run.

use std::time::{Duration, Instant};

use quayhand_testkit::{golden::RowKey, registry::RegistrySpec, shared_or_skip, wait_for};
use std::collections::BTreeSet;

use crate::{
    golden::audit_of,
    program::Quayhand,
    scene::{Object, Scene},
    tombs::{BLOB_GC, SOON, Tombs, own_redis},
};

/// What a collection left: the rows, and the objects that are to be removed.
#[derive(PartialEq, Eq)]
struct Left {
    rows: BTreeSet<RowKey>,
    tombstones: Vec<String>,
}

impl Left {
    async fn of(scene: &Scene) -> Self {
        const TOMBSTONES: &str = "select concat_ws(' ', location_id, encode(digest, 'hex'), \
            digest_text, legacy_uuid) from quayhand_tombstone order by 1";
        Self {
            rows: scene.rows().await,
            tombstones: scene.texts(TOMBSTONES).await,
        }
    }

    /// Insists on the same rows and objects, and says which differ.
    #[track_caller]
    fn equals(&self, expected: &Self) {
        let more: Vec<_> = self.rows.difference(&expected.rows).take(20).collect();
        let less: Vec<_> = expected.rows.difference(&self.rows).take(20).collect();
        assert!(
            more.is_empty() && less.is_empty(),
            "left too much: {more:?}, too little: {less:?}"
        );
        assert!(self.tombstones == expected.tombstones, "tombstones differ");
    }
}

/// A registry of some batches, and what a run that nothing interrupts leaves of it.
struct Case {
    as_of: String,
    expected: Left,
}

impl Case {
    async fn new() -> (Self, Scene) {
        let as_of = chrono::Utc::now().to_rfc3339();
        let reference = Self::scene().await;
        let collect = ["job", "run", "tag_expiry", "--all", "--as-of", &as_of];
        reference.program().await.run(&collect).await.expect(0);
        let expected = Left::of(&reference).await;
        assert!(expected.tombstones.len() > 1000);
        (Self { as_of, expected }, Self::scene().await)
    }

    async fn scene() -> Scene {
        let spec = RegistrySpec {
            repositories: 200,
            tags: 10_000,
            checks_foreign_keys: false,
            ..RegistrySpec::small(17)
        };
        Scene::generated("interruption", &spec).await
    }

    fn collect(&self) -> [&str; 6] {
        ["job", "run", "tag_expiry", "--all", "--as-of", &self.as_of]
    }

    /// Runs again, undisturbed: the end is the same.
    async fn is_finished_by_the_next_run(&self, scene: &Scene, program: &Quayhand) {
        program.run(&self.collect()).await.expect(0);
        Left::of(scene).await.equals(&self.expected);
    }
}

const TAGS: &str = "select count(*) from tag";

/// Waits until a run has committed something.
async fn some_tags_went(scene: &Scene, before: i64) {
    wait_for("a first batch", SOON, async || {
        (scene.number(TAGS).await < before).then_some(())
    })
    .await;
}

/// Holds a repository with garbage, so that no run can end before the test lets it.
async fn hold_a_repository(scene: &Scene) -> tokio_postgres::Client {
    let blocker = scene
        .server
        .connect(&scene.database)
        .await
        .expect("connects");
    let hold = "begin; select id from repository where id = (select repository_id from tag \
                where lifetime_end_ms = (select min(lifetime_end_ms) from tag) limit 1) for update";
    blocker.batch_execute(hold).await.expect("the lock");
    blocker
}

#[tokio::test]
async fn a_stopped_run_ends_soon_and_keeps_what_was_done() {
    let _shared = shared_or_skip!();
    let (case, scene) = Case::new().await;
    let (program, before) = (scene.program().await, scene.number(TAGS).await);
    let blocker = hold_a_repository(&scene).await;
    let run = program.start(&case.collect());
    some_tags_went(&scene, before).await;
    let told = Instant::now();
    run.signal("TERM");
    let ended = run
        .ended()
        .await
        .expect(9)
        .says(&["stopped", "what was done stays done"]);
    assert!(
        told.elapsed() < Duration::from_secs(5),
        "{:?}",
        told.elapsed()
    );
    assert!(
        ended.stdout.contains("tags"),
        "it says what was done: {}",
        ended.stdout
    );
    assert!(
        scene.number(TAGS).await < before,
        "what was done stays done"
    );
    drop(blocker);
    case.is_finished_by_the_next_run(&scene, &program).await;
}

#[tokio::test]
async fn a_killed_run_is_finished_by_the_next_one() {
    let _shared = shared_or_skip!();
    let (case, scene) = Case::new().await;
    let (program, before) = (scene.program().await, scene.number(TAGS).await);
    let blocker = hold_a_repository(&scene).await;
    let run = program.start(&case.collect());
    some_tags_went(&scene, before).await;
    run.signal("KILL");
    assert_eq!(
        run.ended().await.signal,
        Some(9),
        "it was killed, and did not end by itself"
    );
    drop(blocker);
    case.is_finished_by_the_next_run(&scene, &program).await;
}

#[tokio::test]
async fn a_batch_that_is_killed_before_its_end_leaves_nothing() {
    let _shared = shared_or_skip!();
    let (case, scene) = Case::new().await;
    let (program, whole) = (scene.program().await, scene.whole().await);
    let blocker = scene
        .server
        .connect(&scene.database)
        .await
        .expect("connects");
    let lock = "begin; lock table quayhand_tombstone in exclusive mode";
    blocker.batch_execute(lock).await.expect("the lock");
    let run = program.start(&case.collect());
    // Tombstones are what a batch writes last but one.
    let waiting = "select count(*) from pg_locks l join pg_database d on d.oid = l.database \
                   where not l.granted and d.datname = current_database() \
                   and l.relation = 'quayhand_tombstone'::regclass";
    wait_for("a batch at its end", SOON, async || {
        let row = blocker.query_one(waiting, &[]).await.expect("locks");
        (row.get::<_, i64>(0) > 0).then_some(())
    })
    .await;
    run.signal("KILL");
    assert_eq!(run.ended().await.signal, Some(9));
    blocker.batch_execute("commit").await.expect("commits");
    let others = "select count(*) from pg_stat_activity where datname = current_database() \
                  and application_name not like '%testkit%' and backend_type = 'client backend'";
    wait_for("the killed run's sessions to end", SOON, async || {
        (scene.number(others).await == 0).then_some(())
    })
    .await;
    scene.is_unchanged(&whole).await;
    case.is_finished_by_the_next_run(&scene, &program).await;
}

#[tokio::test]
async fn two_runs_at_once_come_to_the_same_end() {
    let _shared = shared_or_skip!();
    let (case, scene) = Case::new().await;
    let program = scene.program().await;
    let (one, other) = (
        program.start(&case.collect()),
        program.start(&case.collect()),
    );
    let (one, other) = (one.ended().await.expect(0), other.ended().await.expect(0));
    assert!(!one.stdout.contains("nothing to do"), "{}", one.stdout);
    assert!(
        !other.stdout.contains("nothing to do"),
        "both had their share: {}",
        other.stdout
    );
    Left::of(&scene).await.equals(&case.expected);
}

#[tokio::test]
async fn two_removals_at_once_remove_each_object_once() {
    let _shared = shared_or_skip!();
    let (tombs, redis) = (Tombs::new().await, own_redis().await);
    let program = tombs.program_with(&redis.url()).await;
    let before = tombs.scene.files();
    let audits = ["one", "other"].map(|name| tombs.scene.file(name));
    let start = |audit: &std::path::Path| {
        program.start(&[&BLOB_GC[..], &["--audit", audit.to_str().expect("a name")]].concat())
    };
    let (one, other) = (start(&audits[0]), start(&audits[1]));
    for ended in [one.ended().await, other.ended().await] {
        match ended.code {
            Some(9) => drop(ended.says(&["another process holds"])),
            _ => drop(ended.expect(0)),
        }
    }
    tombs.only_left(&[]).await;
    let removed: BTreeSet<Object> = before.difference(&tombs.scene.files()).cloned().collect();
    let lines = audits.iter().flat_map(|audit| audit_of(audit));
    let lines: Vec<Object> = lines.map(|line| (line.location, line.path)).collect();
    assert_eq!(lines.len(), removed.len(), "each object is audited once");
    assert_eq!(lines.into_iter().collect::<BTreeSet<_>>(), removed);
}
