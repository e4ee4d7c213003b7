//! `quayhand verify`: nothing to say about a collected registry, a line for each thing that is
//! planted, and no change at all.

use std::path::PathBuf;

use quayhand_testkit::{
    PostgresServer,
    registry::{self, RegistrySpec},
    shared_or_skip, unique_name,
};
use serde::Deserialize;
use serde_json::json;
use tempfile::TempDir;

use crate::{program::Quayhand, scene::Scene};

/// A line of the list.
#[derive(Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
struct Line {
    invariant: String,
    subject: String,
    problem: String,
}

/// A registry whose objects have true digests, collected and swept.
struct World {
    server: &'static PostgresServer,
    database: String,
    root: TempDir,
    program: Quayhand,
}

impl World {
    async fn new() -> Self {
        let server = PostgresServer::shared().await.expect("PostgreSQL");
        let database = unique_name("verify");
        server.create_database(&database).await.expect("a database");
        let root = tempfile::tempdir().expect("a temporary folder");
        let local = root.path().join("local");
        std::fs::create_dir(&local).expect("a location's folder");
        let config = root.path().join("quayhand.toml");
        std::fs::write(&config, "[gc]\nleak_grace = \"0s\"\n").expect("a file");
        let storage = json!({ "local": ["LocalStorage", { "storage_path": local }] });
        let program = Quayhand::default()
            .env("QUAYHAND_DATABASE_URL", server.url(&database))
            .env("QUAYHAND_STORAGE", storage.to_string())
            .file("--config", &config);
        program.run(&["migrate", "up"]).await.expect(0);
        let spec = RegistrySpec::small(9);
        let loaded = registry::load(server, &database, &spec, Some(root.path())).await;
        loaded.expect("a generated registry");
        collect(&program).await;
        Self {
            server,
            database,
            root,
            program,
        }
    }

    async fn execute(&self, statements: &str) {
        let done = self.server.execute(&self.database, statements).await;
        done.unwrap_or_else(|error| panic!("{statements}: {error:?}"));
    }

    /// Runs statements around the foreign keys.
    async fn force(&self, statements: &str) {
        let replica = "set session_replication_role = replica";
        self.execute(&format!("{replica}; {statements}")).await;
    }

    async fn text(&self, query: &str) -> String {
        let client = self.server.connect(&self.database).await.expect("connects");
        let row = client.query_one(query, &[]).await;
        row.unwrap_or_else(|error| panic!("{query}: {error}"))
            .get(0)
    }

    fn object(&self, path: &str) -> PathBuf {
        self.root.path().join("local").join(path)
    }

    /// Insists that the registry breaks exactly these invariants, in these words.
    async fn breaks(&self, arguments: &[&str], expected: &[(&str, &str, &str)]) {
        let verify = [&["verify", "--format=json"], arguments].concat();
        let code = i32::from(!expected.is_empty());
        let found: Vec<Line> = self.program.run(&verify).await.expect(code).json();
        let line = |&(invariant, subject, problem): &(&str, &str, &str)| Line {
            invariant: invariant.to_owned(),
            subject: subject.to_owned(),
            problem: problem.to_owned(),
        };
        assert_eq!(found, expected.iter().map(line).collect::<Vec<_>>());
    }
}

/// Collects everything, and what only two sweeps find.
async fn collect(program: &Quayhand) {
    for job in ["tag_expiry", "leak_sweep", "leak_sweep", "blob_gc"] {
        program.run(&["job", "run", job, "--all"]).await.expect(0);
    }
}

#[tokio::test]
async fn a_collected_registry_breaks_nothing() {
    let world = World::new().await;
    world.breaks(&[], &[]).await;
    world.breaks(&["--hash"], &[]).await;
    let said = world.program.run(&["verify"]).await.expect(0).stdout;
    assert!(
        said.starts_with("verify: 0 violations; looked at "),
        "{said}"
    );
}

#[tokio::test]
async fn names_rows_that_point_to_nothing() {
    let world = World::new().await;
    let tag = "select min(id)::text from tag";
    let (tag, manifest) = (
        world.text(tag).await,
        world
            .text("select min(manifest_id)::text from tag where id = (select min(id) from tag)")
            .await,
    );
    let mut expected = Vec::new();
    let of_blob = "select mb.manifest_id::text from manifestblob mb order by mb.id limit 1";
    let holder = world.text(of_blob).await;
    world
        .force("update manifestblob set blob_id = 1000000 where id = (select min(id) from manifestblob)")
        .await;
    expected.push((
        "I1",
        format!("manifest {holder}"),
        "refers to blob 1000000, whose row is gone",
    ));
    world
        .force(&format!(
            "update tag set manifest_id = 2000000, lifetime_end_ms = null where id = {tag}"
        ))
        .await;
    expected.push((
        "I4",
        format!("tag {tag}"),
        "points to manifest 2000000, whose row is gone",
    ));
    let child = format!(
        "insert into manifestchild (repository_id, manifest_id, child_manifest_id)
         select repository_id, id, 3000000 from manifest where id = {manifest}"
    );
    world.force(&child).await;
    expected.push((
        "I4",
        format!("manifest {manifest}"),
        "contains manifest 3000000, whose row is gone",
    ));
    let subject = "update manifest set subject = 'sha256:gone' where id = (
                       select max(m.id) from manifest m join tag t on t.manifest_id = m.id
                        where m.subject is null)";
    let referrer = world
        .text("select max(m.id)::text from manifest m join tag t on t.manifest_id = m.id where m.subject is null")
        .await;
    world.execute(subject).await;
    expected.push((
        "I4",
        format!("manifest {referrer}"),
        "refers to subject sha256:gone, which is not there",
    ));
    let found: Vec<Line> = world
        .program
        .run(&["verify", "--format=json"])
        .await
        .expect(1)
        .json();
    for (invariant, subject, problem) in expected {
        let line = Line {
            invariant: invariant.to_owned(),
            subject,
            problem: problem.to_owned(),
        };
        assert!(found.contains(&line), "{line:?} is not in {found:?}");
    }
    let tolerant = ["verify", "--format=json", "--allow-missing-subjects"];
    let found: Vec<Line> = world.program.run(&tolerant).await.expect(1).json();
    assert!(
        !found
            .iter()
            .any(|line| line.problem.contains("sha256:gone"))
    );
}

/// Reads id, digits and path of a blob that exactly one placement has and that a tag protects.
async fn protected(world: &World) -> (String, String, String) {
    let blob = world
        .text(
            "select max(s.id)::text from imagestorage s
               join manifestblob mb on mb.blob_id = s.id join tag t on t.manifest_id = mb.manifest_id
              where s.cas_path and s.image_size > 64",
        )
        .await;
    let digits = format!("select substr(content_checksum, 8) from imagestorage where id = {blob}");
    let digits = world.text(&digits).await;
    let path = format!("sha256/{}/{digits}", &digits[..2]);
    (blob, digits, path)
}

#[tokio::test]
async fn names_objects_that_are_not_what_their_row_says() {
    let world = World::new().await;
    let (blob, digits, path) = protected(&world).await;
    let (file, subject) = (world.object(&path), format!("blob {blob} in `local`"));
    let content = std::fs::read(&file).expect("the object");

    let mut other = content.clone();
    other[0] ^= 1;
    std::fs::write(&file, &other).expect("writes");
    world.breaks(&[], &[]).await;
    let hash = ["verify", "--format=json", "--hash"];
    let found: Vec<Line> = world.program.run(&hash).await.expect(1).json();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(
        (found[0].invariant.as_str(), &found[0].subject),
        ("I2", &subject)
    );

    std::fs::write(&file, b"short").expect("writes");
    let size = format!("has 5 bytes in storage and {} by its row", content.len());
    world.breaks(&[], &[("I2", &subject, &size)]).await;

    std::fs::remove_file(&file).expect("removes");
    let missing = format!("is missing: there is no `{path}`");
    world.breaks(&[], &[("I2", &subject, &missing)]).await;
    world
        .execute(&format!(
            "delete from imagestorageplacement where storage_id = {blob}"
        ))
        .await;
    let nowhere = "is in a manifest and in no storage location";
    world
        .breaks(&[], &[("I2", &format!("blob {blob}"), nowhere)])
        .await;

    std::fs::write(&file, &content).expect("writes");
    world
        .force(&format!("delete from manifestblob where blob_id = {blob}; delete from imagestorage where id = {blob}"))
        .await;
    let subject = format!("object sha256:{digits} in `local`");
    let rowless = "is left behind: no row names it";
    world.breaks(&[], &[("I8", &subject, rowless)]).await;
}

#[tokio::test]
async fn names_what_is_left_behind_and_what_would_go_too_early() {
    let world = World::new().await;
    let (_, digits, _) = protected(&world).await;
    world
        .execute(&format!(
            "insert into label (id, uuid, key, value, media_type_id, source_type_id)
             select 900001, 'left', 'k', 'v', m.id, s.id
               from mediatype m, labelsourcetype s limit 1;
             insert into imagestorage (id, uuid, cas_path, image_size) values (900002, 'left', false, 5);
             insert into imagestorageplacement (storage_id, location_id)
             select 900002, id from imagestoragelocation where name = 'local';
             insert into manifest (id, repository_id, digest, media_type_id, manifest_bytes)
             select 900003, repository_id, 'sha256:left', media_type_id, '{{}}' from manifest limit 1;
             insert into quayhand_tombstone (id, location_id, digest, created_at)
             overriding system value
             select 900004, id, decode('{digits}', 'hex'), now() - interval '1 day'
               from imagestoragelocation where name = 'local';
             insert into quayhand_recheck values (2, 900005, '2020-01-01 00:00:00+00')"
        ))
        .await;
    let protects = format!("would remove sha256:{digits}, which a tag protects");
    let left = "is left behind: nothing leads to it";
    let since = world
        .text("select 'of kind 2 should have been looked at again since ' || not_before from quayhand_recheck where object_id = 900005")
        .await;
    let expected = [
        ("I7", "tombstone 900004", protects.as_str()),
        ("I8", "manifest 900003", left),
        ("I8", "blob 900002", left),
        ("I8", "label 900001", left),
        ("I10", "object 900005", &since),
    ];
    world.breaks(&[], &expected).await;
    // A young tombstone is blob_gc's to drop.
    world
        .execute(
            "update quayhand_tombstone set created_at = now() where id = 900004;
             delete from quayhand_recheck",
        )
        .await;
    world.breaks(&[], &expected[1..4]).await;
}

#[tokio::test]
async fn names_totals_that_a_recount_does_not_give() {
    let world = World::new().await;
    world
        .execute(
            "truncate quotarepositorysize, quotanamespacesize;
             insert into quotarepositorysize
                 (repository_id, size_bytes, backfill_start_ms, backfill_complete)
             select r.id, (select coalesce(sum(image_size), 0) from imagestorage where id in
                 (select blob_id from manifestblob where repository_id = r.id)), 1, true
               from repository r;
             insert into quotanamespacesize
                 (namespace_user_id, size_bytes, backfill_start_ms, backfill_complete)
             select u.id, (select coalesce(sum(image_size), 0) from imagestorage where id in
                 (select blob_id from manifestblob mb join repository r on r.id = mb.repository_id
                   where r.namespace_user_id = u.id)), 1, true
               from \"user\" u where u.id in (select namespace_user_id from repository)",
        )
        .await;
    world.breaks(&[], &[]).await;
    let repository = world
        .text("select max(repository_id)::text from quotarepositorysize")
        .await;
    let namespace = world
        .text("select max(namespace_user_id)::text from quotanamespacesize")
        .await;
    let of_repository = format!(
        "select size_bytes::text from quotarepositorysize where repository_id = {repository}"
    );
    let of_namespace = format!(
        "select size_bytes::text from quotanamespacesize where namespace_user_id = {namespace}"
    );
    let (true_repository, true_namespace) = (
        world.text(&of_repository).await,
        world.text(&of_namespace).await,
    );
    world
        .execute(&format!(
            "update quotarepositorysize set size_bytes = -5 where repository_id = {repository};
             update quotanamespacesize set size_bytes = -6 where namespace_user_id = {namespace}"
        ))
        .await;
    let total = |bytes: i32, counted: &str| {
        format!("has a total of {bytes} bytes; a recount gives {counted}")
    };
    let expected = [
        (
            "I11",
            &*format!("repository {repository}"),
            &*total(-5, &true_repository),
        ),
        (
            "I11",
            &*format!("namespace {namespace}"),
            &*total(-6, &true_namespace),
        ),
    ];
    world.breaks(&[], &expected).await;
    world
        .execute("update quotarepositorysize set backfill_complete = false")
        .await;
    world.breaks(&[], &expected[1..]).await;
}

#[tokio::test]
async fn a_golden_state_is_clean_after_collection_and_verify_changes_nothing() {
    let _shared = shared_or_skip!();
    let scene = Scene::golden("seed1").await;
    let config = scene.write("quayhand.toml", "[gc]\nleak_grace = \"0s\"\n");
    let program = scene.program().await.file("--config", &config);
    collect(&program).await;
    // The files that the test made hold their own path.
    scene
        .execute("update imagestorage set image_size = case when cas_path then 74 else 55 end")
        .await;
    let whole = scene.whole().await;
    let verify = ["verify", "--format=json", "--allow-missing-subjects"];
    let found: Vec<Line> = program.run(&verify).await.json();
    scene.is_unchanged(&whole).await;
    let broken: Vec<_> = found
        .iter()
        .filter(|line| line.invariant != "I11")
        .collect();
    assert!(broken.is_empty(), "{broken:?}");
}

#[tokio::test]
async fn says_why_it_cannot_look() {
    let world = World::new().await;
    std::fs::rename(world.object(""), world.root.path().join("gone")).expect("renames");
    let ended = world.program.run(&["verify"]).await.expect(6);
    ended.says(&["is the volume mounted?"]);
    world.execute("drop table quayhand_sighting").await;
    world
        .program
        .run(&["verify"])
        .await
        .expect(7)
        .says(&["migrate up"]);
}
