//! Throw-away PostgreSQL servers: started, used, gone.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::path::Path;

use quayhand_testkit::{PostgresOptions, PostgresServer, TestkitError, unique_name};
use tokio_postgres::NoTls;

#[tokio::test]
async fn starts_serves_databases_and_leaves_nothing() {
    let server = PostgresServer::start().await.unwrap();
    let (folder, pid) = (server.folder().to_owned(), server.pid().unwrap());
    server.create_database("plain").await.unwrap();
    server
        .execute("plain", "create table thing as select 7 as number")
        .await
        .unwrap();
    server.create_database_from("copy", "plain").await.unwrap();
    assert_eq!(
        value(&server, "copy", "select number::text from thing").await,
        "7"
    );
    let expected = [
        ("max_connections", "200"),
        ("deadlock_timeout", "200ms"),
        ("fsync", "on"),
    ];
    for (setting, expected) in expected {
        let shown = value(
            &server,
            "copy",
            &format!("select current_setting('{setting}')"),
        )
        .await;
        assert_eq!(shown, expected, "{setting}");
    }

    server.stop();
    assert!(!folder.exists(), "{} is left", folder.display());
    assert!(!runs(pid), "process {pid} is left");
}

#[tokio::test]
async fn takes_settings() {
    let settings = vec![("application_name".to_owned(), "it's ours".to_owned())];
    let options = PostgresOptions {
        fsync: false,
        settings,
    };
    let server = PostgresServer::start_with(&options).await.unwrap();
    let query = "select setting from pg_file_settings where name = 'application_name'";
    assert_eq!(value(&server, "postgres", query).await, "it's ours");
    let fsync = "select current_setting('fsync')";
    assert_eq!(value(&server, "postgres", fsync).await, "off");
}

#[tokio::test]
async fn wants_the_password_over_tcp() {
    let server = PostgresServer::shared().await.unwrap();
    let database = unique_name("password");
    server.create_database(&database).await.unwrap();
    let url = server.url(&database);
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    let driver = tokio::spawn(connection);
    assert!(client.simple_query("select 1").await.is_ok());
    drop(client);
    driver.await.unwrap().unwrap();

    let wrong = url.replace(":quayhand@", ":wrong@");
    let error = tokio_postgres::connect(&wrong, NoTls).await.err().unwrap();
    assert_eq!(error.code().unwrap().code(), "28P01");
}

#[tokio::test]
async fn builds_a_template_once_also_after_a_failure() {
    let server = PostgresServer::shared().await.unwrap();
    let name = unique_name("template");
    let refused = server
        .template(&name, async |_url| {
            server.execute(&name, "create table half ()").await?;
            server.execute(&name, "select broken").await
        })
        .await;
    assert!(matches!(refused, Err(TestkitError::Database { .. })));

    let build = async || {
        server
            .template(&name, async |_url| {
                server.execute(&name, "create table half ()").await
            })
            .await
    };
    let (first, second) = tokio::join!(build(), build());
    assert_eq!(first.unwrap(), second.unwrap());
    let copies = [
        unique_name("copy"),
        unique_name("copy"),
        unique_name("copy"),
    ];
    for copy in &copies {
        server.create_database_from(copy, &name).await.unwrap();
        assert_eq!(
            value(server, copy, "select count(*)::text from half").await,
            "0"
        );
    }
}

#[tokio::test]
async fn reports_the_line_of_a_bad_file() {
    let server = PostgresServer::shared().await.unwrap();
    let database = unique_name("file");
    server.create_database(&database).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bad.sql");
    std::fs::write(&file, "select 1;\nselect nonsense;\n").unwrap();
    let error = server.run_file(&database, &file, "").await.unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("bad.sql") && text.contains("nonsense"),
        "{text}"
    );
    let missing = server
        .run_file(&database, Path::new("/nowhere.sql"), "")
        .await;
    assert!(missing.unwrap_err().to_string().contains("/nowhere.sql"));
}

#[tokio::test]
async fn says_why_it_did_not_start() {
    let settings = vec![("no_such_setting".to_owned(), "1".to_owned())];
    let options = PostgresOptions {
        fsync: true,
        settings,
    };
    let error = PostgresServer::start_with(&options).await.unwrap_err();
    assert!(error.to_string().contains("no_such_setting"), "{error}");
}

/// Returns the first column of the first row as text.
async fn value(server: &PostgresServer, database: &str, query: &str) -> String {
    let client = server.connect(database).await.unwrap();
    let row = client.query_one(query, &[]).await.unwrap();
    row.get(0)
}

/// Tells whether a process exists.
fn runs(pid: i32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

#[tokio::test]
async fn shares_one_server() {
    let (first, second) = tokio::join!(PostgresServer::shared(), PostgresServer::shared());
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_eq!(first.pid(), second.pid());
    assert!(runs(first.pid().unwrap()));
}
