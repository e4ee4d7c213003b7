//! Throw-away Redis servers: started, killed, paused, restarted, gone.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    path::Path,
    time::Duration,
};

use quayhand_testkit::{RedisCluster, RedisOptions, RedisServer, wait_for};

/// Long enough for anything that happens on one machine.
const DEADLINE: Duration = Duration::from_secs(10);

#[tokio::test]
async fn starts_answers_and_leaves_nothing() {
    let server = RedisServer::start().await.unwrap();
    let (port, pid) = (server.port(), server.pid().unwrap());
    assert_eq!(server.url(), format!("redis://127.0.0.1:{port}/0"));
    assert_eq!(
        server.database_url(7),
        format!("redis://127.0.0.1:{port}/7")
    );
    assert_eq!(say(port, "PING"), "+PONG");
    assert_eq!(say(port, "SELECT 1023"), "+OK");
    server.stop();
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
}

#[tokio::test]
async fn remembers_over_a_kill_only_with_an_appendonly_file() {
    for appendonly in [true, false] {
        let options = RedisOptions {
            appendonly,
            password: None,
            ..RedisOptions::default()
        };
        let mut server = RedisServer::start_with(&options).await.unwrap();
        let (port, pid) = (server.port(), server.pid());
        assert_eq!(say(port, "SET key value"), "+OK");
        server.kill().unwrap();
        assert_eq!(server.pid(), None);
        assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
        assert!(
            server.pause().await.is_err(),
            "a killed server cannot be paused"
        );
        server.restart().await.unwrap();
        assert_eq!(server.port(), port);
        assert_ne!(server.pid(), pid);
        assert_eq!(
            say(port, "EXISTS key"),
            if appendonly { ":1" } else { ":0" }
        );
    }
}

#[tokio::test]
async fn answers_nothing_while_paused() {
    let server = RedisServer::start().await.unwrap();
    server.pause().await.unwrap();
    let mut stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    stream.write_all(b"PING\r\n").unwrap();
    stream.set_nonblocking(true).unwrap();
    let state = process_state(server.pid().unwrap());
    assert_eq!(state, "T", "stopped");
    let mut answer = [0; 7];
    let error = stream.read(&mut answer).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
    server.resume().unwrap();
    wait_for("the answer after the pause", DEADLINE, async || {
        stream.read(&mut answer).ok()
    })
    .await;
    assert_eq!(&answer, b"+PONG\r\n");
}

#[tokio::test]
async fn ends_also_while_paused() {
    let server = RedisServer::start().await.unwrap();
    let pid = server.pid().unwrap();
    server.pause().await.unwrap();
    server.stop();
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
}

#[tokio::test]
async fn wants_its_password() {
    let password = Some("open sesame".to_owned());
    let options = RedisOptions {
        appendonly: false,
        password,
        ..RedisOptions::default()
    };
    let server = RedisServer::start_with(&options).await.unwrap();
    assert!(say(server.port(), "PING").starts_with("-NOAUTH"));
    assert_eq!(say(server.port(), "AUTH \"open sesame\""), "+OK");
    let port = server.port();
    assert_eq!(
        server.url(),
        format!("redis://:open%20sesame@127.0.0.1:{port}/0")
    );
}

#[tokio::test]
async fn shares_one_server() {
    let (first, second) = tokio::join!(RedisServer::shared(), RedisServer::shared());
    assert_eq!(first.unwrap().pid(), second.unwrap().pid());
}

/// Sends one command and returns the first line of the answer.
fn say(port: u16, command: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream
        .write_all(format!("{command}\r\nQUIT\r\n").as_bytes())
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.lines().next().unwrap_or_default().to_owned()
}

/// Returns the one-letter state of a process.
fn process_state(pid: i32) -> String {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, rest) = stat.rsplit_once(") ").unwrap();
    rest[..1].to_owned()
}

#[tokio::test]
async fn three_nodes_become_a_cluster() {
    let cluster = RedisCluster::start().await.unwrap();
    assert_eq!(cluster.nodes().len(), 3);
    let answers: Vec<_> = cluster
        .nodes()
        .iter()
        .map(|node| say(node.port(), "SET key value"))
        .collect();
    let moved = answers.iter().filter(|answer| answer.starts_with("-MOVED"));
    assert_eq!(moved.count(), 2, "{answers:?}");
    assert!(answers.contains(&"+OK".to_owned()), "{answers:?}");
}

#[tokio::test]
async fn users_come_from_an_acl_file() {
    let options = RedisOptions {
        users: Some("user default off\nuser app on >secret ~a:* +get".to_owned()),
        ..RedisOptions::default()
    };
    let server = RedisServer::start_with(&options).await.unwrap();
    let port = server.port();
    assert!(say(port, "GET a:1").starts_with("-NOAUTH"));
    assert_eq!(say(port, "AUTH app secret"), "+OK");
    assert!(server.url_as("app", "secret").contains("app:secret@"));
}
