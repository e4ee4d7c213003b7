//! What a wrong, absent or silent Redis looks like from here.
use std::time::{Duration, Instant};

use quayhand_queue::{LockError, Locks, QueueError, Redis, RedisStore, Renewed};
use quayhand_testkit::{RedisOptions, RedisServer};

use crate::support::Desk;

#[tokio::test]
async fn a_wrong_password_is_named_and_never_shown() {
    let server = RedisServer::start_with(&RedisOptions {
        password: Some("right".to_owned()),
        ..RedisOptions::default()
    })
    .await
    .unwrap();
    let place = format!("127.0.0.1:{}", server.port());
    for url in [
        format!("redis://:CANARY@{place}/"),
        format!("redis://nobody:CANARY@{place}/"),
        format!("redis://{place}/"),
    ] {
        let error = Redis::connect(&url).await.unwrap_err();
        assert!(matches!(error, QueueError::Credentials { .. }), "{error:?}");
        let text = format!("{error} {error:?}");
        assert!(text.contains(&place) && !text.contains("CANARY"), "{text}");
    }
    Redis::connect(&server.url()).await.unwrap();
}

#[tokio::test]
async fn an_absent_server_is_named() {
    let mut server = RedisServer::start().await.unwrap();
    server.kill().unwrap();
    let url = format!("redis://:CANARY@127.0.0.1:{}/", server.port());
    let error = Redis::connect(&url).await.unwrap_err();
    assert!(error.is_unreachable(), "{error:?}");
    let text = error.to_string();
    assert!(text.contains(&format!("127.0.0.1:{}", server.port())) && !text.contains("CANARY"));
    let locks = Locks::new(Redis::open(&url).unwrap());
    let error = locks
        .acquire("x", Duration::from_secs(1), Duration::ZERO)
        .await;
    assert!(matches!(error, Err(LockError::Redis { source, .. }) if source.is_unreachable()));
}

#[tokio::test]
async fn an_unusable_url_is_refused_without_repeating_it() {
    for url in ["", "CANARY", "http://CANARY/", "redis://:CANARY@host:port/"] {
        let error = Redis::connect(url).await.unwrap_err();
        assert!(matches!(error, QueueError::Url { .. }), "{error:?}");
        let text = format!("{error} {error:?}");
        assert!(
            !text.contains("CANARY") && text.contains("redis://"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn tls_never_falls_back_to_plain_text() {
    let server = RedisServer::shared().await.unwrap();
    let url = format!("rediss://127.0.0.1:{}/", server.port());
    let error = Redis::connect(&url).await.unwrap_err();
    assert!(error.is_unreachable(), "{error:?}");
}

#[tokio::test]
async fn a_silent_server_costs_five_seconds_and_is_found_again() {
    let server = RedisServer::start().await.unwrap();
    let redis = Redis::connect(&server.url()).await.unwrap();
    let desk = Desk::at(RedisStore::new(redis));
    server.pause().await.unwrap();
    let asked = Instant::now();
    let error = desk.store.counts(&desk.queue).await.unwrap_err();
    assert!(error.is_unreachable(), "{error:?}");
    assert!(asked.elapsed() < Duration::from_secs(6));
    server.resume().unwrap();
    assert_eq!(desk.counts().await, [0; 4]);
}

#[tokio::test]
async fn flushed_scripts_are_loaded_again() {
    let server = RedisServer::start().await.unwrap();
    let redis = Redis::connect(&server.url()).await.unwrap();
    let desk = Desk::at(RedisStore::new(redis.clone()));
    desk.put([1]).await;
    let mut flush = ::redis::cmd("SCRIPT");
    flush.arg("FLUSH");
    redis.command::<()>("flush", &flush).await.unwrap();
    assert_eq!(desk.put([2]).await, [true]);
    assert_eq!(desk.take_ids(9).await, ["1", "2"]);
}

#[tokio::test]
async fn a_full_redis_still_settles_and_renews() {
    let server = RedisServer::start().await.unwrap();
    let redis = Redis::connect(&server.url()).await.unwrap();
    let desk = Desk::at(RedisStore::new(redis.clone()));
    desk.put(1..=3).await;
    let jobs = desk.take(2).await;
    let held = crate::support::leases(&jobs);
    let mut limit = ::redis::cmd("CONFIG");
    limit.arg("SET").arg("maxmemory").arg("1mb");
    redis.command::<()>("limit", &limit).await.unwrap();
    let refused = desk
        .store
        .enqueue(&desk.queue, &[crate::support::job("4")])
        .await;
    assert!(
        matches!(refused, Err(QueueError::Refused { .. })),
        "{refused:?}"
    );
    let renewed = desk
        .store
        .renew(&desk.queue, &held, Duration::from_secs(9))
        .await;
    assert_eq!(renewed.unwrap(), [Renewed::Held; 2]);
    assert_eq!(
        desk.finish(&held[..1], crate::support::done()).await,
        [true]
    );
    let back = desk.store.release(&desk.queue, &held[1..]).await;
    assert_eq!(back.unwrap(), [true]);
    assert_eq!(desk.counts().await, [2, 0, 0, 0]);
}
