//! What an operator reads when there is no connection.
use std::{net::TcpListener, time::Duration};

use quayhand_model::{Db, DbConfig, DbError, configure};

use super::{Lab, ping};

/// Fails to connect; returns the message, which never holds the password.
async fn refused(db: &Db) -> (String, Option<String>) {
    let error = ping(db).await.unwrap_err();
    assert!(
        error.is_connect() && matches!(error, DbError::Connect { .. }),
        "{error}"
    );
    let text = format!("{error}");
    assert!(text.starts_with(&format!(
        "no connection to the database at {}: ",
        db.server()
    )));
    assert!(!format!("{error:?}{db:?}").contains("s3cret"), "{error:?}");
    (text, error.code().map(ToOwned::to_owned))
}

fn at(url: &str) -> Db {
    let connect_timeout = Duration::from_millis(300);
    configure(DbConfig {
        connect_timeout,
        ..DbConfig::new(url)
    })
    .unwrap()
}

#[tokio::test]
async fn a_wrong_password_or_user_is_named_but_not_shown() {
    let lab = Lab::new().await;
    let port = lab.server.port();
    let db = at(&format!(
        "postgresql://quayhand:s3cret@127.0.0.1:{port}/{}",
        lab.database
    ));
    let (text, code) = refused(&db).await;
    assert_eq!(code.as_deref(), Some("28P01"), "{text}");
    assert!(
        text.contains("user \"quayhand\"") && text.contains("correct user or password"),
        "{text}"
    );
    let none = at(&format!(
        "postgresql://quayhand@127.0.0.1:{port}/{}",
        lab.database
    ));
    let (text, _) = refused(&none).await;
    assert!(text.contains("password missing"), "{text}");
}

#[tokio::test]
async fn an_unknown_database_is_named() {
    let lab = Lab::new().await;
    let (text, code) = refused(&at(&lab.server.url("nowhere"))).await;
    assert_eq!(code.as_deref(), Some("3D000"));
    assert!(
        text.contains("\"nowhere\"") && text.contains("create the database"),
        "{text}"
    );
}

#[tokio::test]
async fn a_full_server_says_what_to_raise() {
    let lab = Lab::new().await;
    let role = &lab.database;
    lab.run(&format!(
        "create role {role} login password 's3cret' connection limit 1"
    ))
    .await;
    let port = lab.server.port();
    let url = format!(
        "postgresql://{role}:s3cret@127.0.0.1:{port}/{}",
        lab.database
    );
    let first = configure(DbConfig::new(&url)).unwrap();
    ping(&first).await.unwrap();
    let (text, code) = refused(&at(&url)).await;
    assert_eq!(code.as_deref(), Some("53300"), "{text}");
    assert!(
        text.contains("max_connections") && text.contains("`pool_size`"),
        "{text}"
    );
}

#[tokio::test]
async fn an_unreachable_server_says_what_to_check() {
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let (text, _) = refused(&at(&format!("postgresql://u:s3cret@127.0.0.1:{free}/db"))).await;
    assert!(
        text.contains("refused") && text.contains("is the server running"),
        "{text}"
    );
    let (text, _) = refused(&at("postgresql://u:s3cret@nowhere.invalid/db")).await;
    assert!(text.contains("check the host name"), "{text}");
    let (text, _) = refused(&at("postgresql://u:s3cret@/db?host=/nowhere")).await;
    assert!(text.contains("socket"), "{text}");
    // A port that listens and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let (text, _) = refused(&at(&format!("postgresql://u:s3cret@127.0.0.1:{port}/db"))).await;
    assert!(text.contains("no answer within 300ms"), "{text}");
}

#[tokio::test]
async fn the_next_host_is_tried_unless_the_first_one_refuses() {
    let lab = Lab::new().await;
    let (port, database) = (lab.server.port(), &lab.database);
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = silent.local_addr().unwrap().port();
    let hosts = format!("nowhere.invalid,127.0.0.1:{silent},127.0.0.1:{port}");
    ping(&at(&format!(
        "postgresql://quayhand:quayhand@{hosts}/{database}"
    )))
    .await
    .unwrap();
    let hosts = format!("127.0.0.1:{port},127.0.0.1:{silent}");
    let (text, code) = refused(&at(&format!(
        "postgresql://quayhand:s3cret@{hosts}/{database}"
    )))
    .await;
    assert_eq!(code.as_deref(), Some("28P01"), "{text}");
    // Our servers are no standbys.
    let url = format!(
        "{}?target_session_attrs=read-only",
        lab.server.url(database)
    );
    let (text, _) = refused(&at(&url)).await;
    assert!(text.contains("read only"), "{text}");
}

#[tokio::test]
async fn a_server_without_tls_is_refused_where_tls_is_required() {
    let lab = Lab::new().await;
    let db = at(&format!(
        "{}?sslmode=require",
        lab.server.url(&lab.database)
    ));
    let (text, _) = refused(&db).await;
    assert!(text.contains("server does not support TLS"), "{text}");
    ping(&at(&format!(
        "{}?sslmode=prefer",
        lab.server.url(&lab.database)
    )))
    .await
    .unwrap();
}

#[test]
fn settings_that_cannot_be_used_are_refused_before_any_connection() {
    let zero = DbConfig {
        pool_size: 0,
        ..DbConfig::new("postgresql://u@h/db")
    };
    let error = configure(zero).unwrap_err().to_string();
    assert!(error.contains("`pool_size`"), "{error}");
    let roots = "postgresql://u@h/db?sslmode=verify-full&sslrootcert=/nowhere/ca.pem";
    let error = configure(DbConfig::new(roots)).unwrap_err().to_string();
    assert!(error.contains("`/nowhere/ca.pem`"), "{error}");
}
