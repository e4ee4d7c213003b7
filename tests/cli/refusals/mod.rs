//! Bad input: each ends with its own exit code and a message that says what, where and what to
//! do, and changes nothing.
//!
//! - `command_line.rs`, `configuration.rs`, `servers.rs`: the cases
//! - here: running them; `--nocapture` prints the table

mod command_line;
mod configuration;
mod servers;

use quayhand_testkit::{
    PostgresServer, RedisOptions, RedisServer, golden::quay_database, shared_or_skip, unique_name,
};

use crate::{program::Quayhand, scene::Scene};

const COLLECT: &[&str] = &["job", "run", "tag_expiry", "--all"];
const BLOB_GC: &[&str] = &["job", "run", "blob_gc", "--all"];

/// What is wrong, how it is asked, and what must come back. In braces: what only the test knows.
struct Case {
    what: &'static str,
    /// Our own configuration file; empty for none.
    file: &'static str,
    environment: &'static [(&'static str, &'static str)],
    arguments: &'static [&'static str],
    exit: i32,
    says: &'static [&'static str],
}

/// What stands for the names in braces.
type Names<'a> = &'a [(&'static str, &'a str)];

fn filled(text: &str, names: Names<'_>) -> String {
    let fill = |text: String, (name, value): &(&str, &str)| text.replace(name, value);
    names.iter().fold(text.to_owned(), fill)
}

/// Runs every case, prints what came back, and makes sure that the scene is as it was.
#[expect(clippy::print_stdout, reason = "the table that `--nocapture` shows")]
async fn refuses_all(scene: &Scene, base: &Quayhand, cases: &[Case], names: Names<'_>) {
    let whole = scene.whole().await;
    for case in cases {
        let mut program = base.clone();
        for (name, value) in case.environment {
            program = program.env(name, filled(value, names));
        }
        if !case.file.is_empty() {
            program = program.file("--config", &scene.write("quayhand.toml", case.file));
        }
        let ended = program.run(case.arguments).await.expect(case.exit);
        for words in case.says {
            assert!(
                ended.stderr.contains(&filled(words, names)),
                "{}: `{words}` is not in: {}",
                case.what,
                ended.stderr
            );
        }
        let ended = ended.hides("hidden").hides("panicked");
        assert_eq!(
            ended.stdout, "",
            "{}: standard output is for results",
            case.what
        );
        let said = ended.stderr.trim_end().replace('\n', "\n     ");
        println!("{}  {}\n     {said}", case.exit, case.what);
    }
    scene.is_unchanged(&whole).await;
}

#[tokio::test]
async fn of_the_command_line() {
    let _shared = shared_or_skip!();
    let scene = Scene::golden("boundary").await;
    refuses_all(&scene, &scene.program().await, command_line::CASES, &[]).await;
}

#[tokio::test]
async fn of_the_configuration() {
    let _shared = shared_or_skip!();
    let scene = Scene::golden("boundary").await;
    let names = [("{url}", &*scene.url())];
    refuses_all(&scene, &Quayhand::default(), configuration::CASES, &names).await;
}

#[tokio::test]
async fn of_servers() {
    let _shared = shared_or_skip!();
    let scene = Scene::golden("boundary").await;
    let with_password = RedisOptions {
        password: Some("right".to_owned()),
        ..RedisOptions::default()
    };
    let guarded = RedisServer::start_with(&with_password)
        .await
        .expect("Redis");
    let names = [
        ("{database}", &*scene.database),
        ("{port}", &scene.server.port().to_string()),
        ("{redis}", &guarded.port().to_string()),
    ];
    let program = scene.program().await;
    refuses_all(&scene, &program, servers::CASES, &names).await;
    // With something to remove, its locks are asked for.
    program.run(COLLECT).await.expect(0);
    refuses_all(&scene, &program, servers::LOCKS, &names).await;
}

#[tokio::test]
async fn of_databases() {
    let _shared = shared_or_skip!();
    let server = PostgresServer::shared().await.expect("PostgreSQL");
    let (empty, foreign) = (unique_name("empty"), unique_name("foreign"));
    for name in [&empty, &foreign] {
        server.create_database(name).await.expect("a database");
    }
    server
        .execute(&foreign, "create table orders (id int)")
        .await
        .expect("a table");
    let quay = quay_database(server).await.expect("a Quay database");
    for (database, cases) in [
        (empty, servers::EMPTY),
        (foreign, servers::FOREIGN),
        (quay, servers::UNMIGRATED),
    ] {
        let scene = Scene::of(server, database);
        let program = Quayhand::default().env("QUAYHAND_DATABASE_URL", scene.url());
        refuses_all(&scene, &program, cases, &[]).await;
    }
}

#[tokio::test]
async fn an_audit_that_fills_up_ends_the_run_and_is_written_elsewhere() {
    let _shared = shared_or_skip!();
    let scene = Scene::golden("boundary").await;
    let program = scene.program().await;
    program.run(COLLECT).await.expect(0);
    let before = scene.files();
    let full = [BLOB_GC, &["--audit", "/dev/full"]].concat();
    let ended = program.run(&full).await.expect(1);
    let ended = ended.says(&["the audit cannot be written", "No space"]);
    for (location, path) in before.difference(&scene.files()) {
        assert!(ended.stderr.contains(path), "{location}/{path} is named");
    }
}
