//! `quayhand migrate`: what it makes, takes back, lists, and leaves alone.

use quayhand_testkit::{PostgresServer, golden::quay_database, shared_or_skip, unique_name};

use crate::{program::Quayhand, scene::Scene};

/// Every table with its columns, keys and indexes, without those whose names begin with ours.
const SCHEMA: &str = "
    select format('%s %s %s %s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull)
      from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0
     where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'i', 'S')
       and c.relname not like 'quayhand\\_%'
    union all
    select format('%s %s', conname, pg_get_constraintdef(oid))
      from pg_constraint where connamespace = 'public'::regnamespace
       and conname not like 'quayhand\\_%'
    union all
    select format('%s %s', tgname, pg_get_triggerdef(oid)) from pg_trigger where not tgisinternal
    order by 1";

const OURS: &str = "select relname::text from pg_class where relname like 'quayhand\\_%' \
    and relkind = 'r' order by 1";

/// A new, empty database and the program on it.
async fn empty() -> (Scene, Quayhand) {
    let server = PostgresServer::shared().await.expect("PostgreSQL");
    let database = unique_name("migrate");
    server.create_database(&database).await.expect("a database");
    on(server, database)
}

fn on(server: &'static PostgresServer, database: String) -> (Scene, Quayhand) {
    let scene = Scene::of(server, database);
    let program = Quayhand::default().env("QUAYHAND_DATABASE_URL", scene.url());
    (scene, program)
}

#[tokio::test]
async fn builds_a_registry_that_jobs_work_on_and_takes_it_back() {
    let (scene, program) = empty().await;
    let check = ["migrate", "check"];
    program
        .run(&check)
        .await
        .expect(7)
        .says(&["quayhand migrate up"]);
    let up = program.run(&["migrate", "up"]).await.expect(0).stdout;
    assert!(
        up.contains("applied registry 0001") && up.contains("applied quayhand 0001"),
        "{up}"
    );
    program.run(&check).await.expect(0);
    let again = program.run(&["migrate", "up"]).await.expect(0).stdout;
    assert_eq!(again, "nothing was pending\n");
    let current = program.run(&["migrate", "current"]).await.expect(0).stdout;
    assert!(
        current.starts_with("a stand-alone registry database"),
        "{current}"
    );
    program
        .run(&["job", "run", "tag_expiry", "--all"])
        .await
        .expect(0);

    let history = program
        .run(&["migrate", "history", "--format=json"])
        .await
        .expect(0);
    let history: Vec<serde_json::Value> = history.json();
    assert_eq!(history.len(), up.lines().count());
    assert!(
        history.iter().all(|entry| entry["state"] != "pending"),
        "{history:?}"
    );

    program
        .run(&["migrate", "down", "--set", "quayhand"])
        .await
        .expect(0);
    program
        .run(&check)
        .await
        .expect(7)
        .says(&["1 migrations", "quayhand migrate up"]);
    for set in ["quayhand", "registry"] {
        program
            .run(&["migrate", "down", "--set", set, "--all"])
            .await
            .expect(0);
    }
    let left = "select relname::text from pg_class where relnamespace = 'public'::regnamespace \
                and relkind = 'r' and relname not like 'quayhand\\_%'";
    assert_eq!(scene.texts(left).await, [""; 0]);
    program.run(&["migrate", "up"]).await.expect(0);
    program.run(&check).await.expect(0);
}

#[tokio::test]
async fn leaves_quays_tables_as_they_are() {
    let _shared = shared_or_skip!();
    let server = PostgresServer::shared().await.expect("PostgreSQL");
    let database = quay_database(server).await.expect("a Quay database");
    let (scene, program) = on(server, database);
    let (schema, rows) = (scene.texts(SCHEMA).await, scene.rows().await);
    assert!(schema.len() > 500);
    let up = program.run(&["migrate", "up"]).await.expect(0).stdout;
    assert!(!up.contains("registry"), "{up}");
    assert!(
        scene
            .texts(OURS)
            .await
            .contains(&"quayhand_tombstone".to_owned())
    );
    assert!(
        scene.texts(SCHEMA).await == schema,
        "up alters no table of Quay's"
    );
    program
        .run(&["migrate", "down", "--set", "quayhand", "--all"])
        .await
        .expect(0);
    assert_eq!(scene.texts(OURS).await, [""; 0]);
    assert!(
        scene.texts(SCHEMA).await == schema,
        "down alters no table of Quay's"
    );
    assert_eq!(scene.rows().await, rows);
}

#[tokio::test]
async fn writes_a_new_pair_of_files_in_a_checkout_only() {
    let program = Quayhand::default();
    let new = ["migrate", "new", "add_colour", "--set", "quayhand"];
    let elsewhere = tempfile::tempdir().expect("a temporary folder");
    let ended = program
        .clone()
        .in_folder(elsewhere.path())
        .run(&new)
        .await
        .expect(2);
    ended.says(&["no source checkout", "migrations/postgres"]);

    let checkout = tempfile::tempdir().expect("a temporary folder");
    let folder = checkout.path().join("migrations/postgres/quayhand");
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join("0007_last.up.sql"), "").expect("a file");
    std::fs::write(folder.join("0007_last.down.sql"), "").expect("a file");
    let ended = program.in_folder(checkout.path()).run(&new).await.expect(0);
    let names = ["0008_add_colour.up.sql", "0008_add_colour.down.sql"];
    for name in names {
        assert!(folder.join(name).is_file(), "{name}");
        assert!(ended.stdout.contains(name), "{}", ended.stdout);
    }
}
