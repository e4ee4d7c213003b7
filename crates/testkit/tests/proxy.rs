//! The fault proxy, between a client and a small server that echoes.

#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::{
    io::ErrorKind,
    net::SocketAddr,
    time::{Duration, Instant},
};

use quayhand_testkit::{Fault, Proxy, wait_for};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// Long enough for anything that happens on one machine.
const DEADLINE: Duration = Duration::from_secs(10);

#[tokio::test]
async fn carries_both_ways_and_the_end() {
    let proxy = Proxy::start(echo().await).await.unwrap();
    let mut client = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(say(&mut client, b"hello").await, b"hello");
    let large = vec![7; 300_000];
    assert_eq!(say(&mut client, &large).await, large);
    assert_eq!(proxy.connections(), 1);
    client.shutdown().await.unwrap();
    assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
    wait_for("the end of the connection", DEADLINE, async || {
        (proxy.connections() == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn refuses_and_comes_back_on_the_same_port() {
    let mut proxy = Proxy::start(echo().await).await.unwrap();
    let mut client = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(say(&mut client, b"one").await, b"one");
    for _ in 0..3 {
        proxy.set(Fault::Refuse).await;
        let refused = TcpStream::connect(proxy.address()).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        let end = client.read(&mut [0]).await;
        assert!(
            end.is_err() || end.unwrap() == 0,
            "the open connection is closed"
        );
        proxy.set(Fault::None).await;
        client = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(say(&mut client, b"two").await, b"two");
    }
}

#[tokio::test]
async fn swallows_old_and_new_connections_until_it_passes_again() {
    let mut proxy = Proxy::start(echo().await).await.unwrap();
    let mut old = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(say(&mut old, b"one").await, b"one");
    proxy.set(Fault::BlackHole).await;
    let mut new = TcpStream::connect(proxy.address()).await.unwrap();
    for client in [&mut old, &mut new] {
        client.write_all(b"lost?").await.unwrap();
        let silence = tokio::time::timeout(Duration::from_millis(50), client.read_u8()).await;
        assert!(silence.is_err(), "{silence:?}");
    }
    proxy.set(Fault::None).await;
    for client in [&mut old, &mut new] {
        let mut answer = [0; 5];
        client.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"lost?");
    }
}

#[tokio::test]
async fn delays_each_way() {
    let mut proxy = Proxy::start(echo().await).await.unwrap();
    let mut client = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(say(&mut client, b"fast").await, b"fast");
    let delay = Duration::from_millis(60);
    proxy.set(Fault::Delay(delay)).await;
    let before = Instant::now();
    assert_eq!(say(&mut client, b"slow").await, b"slow");
    assert!(before.elapsed() >= 2 * delay, "{:?}", before.elapsed());
}

#[tokio::test]
async fn loses_one_piece_in_so_many_and_its_connection() {
    let mut proxy = Proxy::start(echo().await).await.unwrap();
    proxy.set(Fault::Lose(5)).await;
    let mut client = TcpStream::connect(proxy.address()).await.unwrap();
    for _ in 0..2 {
        assert_eq!(say(&mut client, b"passes").await, b"passes");
    }
    client.write_all(b"fifth piece").await.unwrap();
    let end = client.read(&mut [0]).await;
    assert!(end.is_err() || end.unwrap() == 0);
    let mut client = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(say(&mut client, b"passes").await, b"passes");
}

#[tokio::test]
async fn leads_new_connections_to_another_server() {
    let proxy = Proxy::start(echo().await).await.unwrap();
    let mut old = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(say(&mut old, b"one").await, b"one");
    let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
    proxy.lead_to(other.local_addr().unwrap());
    let _new = TcpStream::connect(proxy.address()).await.unwrap();
    let accepted = tokio::time::timeout(DEADLINE, other.accept()).await;
    accepted.unwrap().unwrap();
    assert_eq!(say(&mut old, b"two").await, b"two", "it stays where it is");
}

#[tokio::test]
async fn closes_everything_when_dropped() {
    let proxy = Proxy::start(echo().await).await.unwrap();
    let address = proxy.address();
    let mut client = TcpStream::connect(address).await.unwrap();
    assert_eq!(say(&mut client, b"one").await, b"one");
    drop(proxy);
    let end = client.read(&mut [0]).await;
    assert!(end.is_err() || end.unwrap() == 0);
    wait_for("the port to close", DEADLINE, async || {
        TcpStream::connect(address).await.is_err().then_some(())
    })
    .await;
}

/// Starts a server that sends back what it gets.
async fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                tokio::io::copy(&mut from, &mut to).await
            });
        }
    });
    address
}

/// Sends something and returns what comes back in the same length.
async fn say(client: &mut TcpStream, words: &[u8]) -> Vec<u8> {
    let mut answer = vec![0; words.len()];
    let (mut from, mut to) = client.split();
    let (sent, heard) = tokio::join!(to.write_all(words), from.read_exact(&mut answer));
    sent.unwrap();
    heard.unwrap();
    answer
}
