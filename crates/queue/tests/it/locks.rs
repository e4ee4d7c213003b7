//! Quay's locks: our side against python-redis-lock's commands, written out by hand.
use std::time::{Duration, Instant};

use quayhand_queue::{LockError, Locks, Redis};
use quayhand_testkit::{unique_name, wait_for};
use redis::{FromRedisValue, aio::MultiplexedConnection, cmd};

use crate::support::{SOON, redis as connect};

/// What python-redis-lock sends to release.
const UNLOCK: &str = r#"
if redis.call("get", KEYS[1]) ~= ARGV[1] then return 1
else redis.call("del", KEYS[2]) redis.call("lpush", KEYS[2], 1)
redis.call("pexpire", KEYS[2], ARGV[2]) redis.call("del", KEYS[1]) return 0 end"#;
const TTL: Duration = Duration::from_secs(30);

/// A Quay process, on a connection of its own.
struct Quay {
    connection: MultiplexedConnection,
    lock: String,
    signal: String,
}

impl Quay {
    async fn with(name: &str) -> Self {
        let server = quayhand_testkit::RedisServer::shared().await.unwrap();
        let client = redis::Client::open(server.url()).unwrap();
        let config = redis::AsyncConnectionConfig::new().set_response_timeout(None);
        let connection = client.get_multiplexed_async_connection_with_config(&config);
        Self {
            connection: connection.await.unwrap(),
            lock: format!("lock:{name}"),
            signal: format!("lock-signal:{name}"),
        }
    }

    async fn send<T: FromRedisValue>(&mut self, command: &redis::Cmd) -> T {
        command.query_async(&mut self.connection).await.unwrap()
    }

    async fn acquire(&mut self) -> bool {
        let mut set = cmd("SET");
        set.arg(&self.lock).arg("AAECAwQFBgcICQoLDA0ODxAR");
        set.arg("NX").arg("EX").arg(30);
        self.send::<Option<String>>(&set).await.is_some()
    }

    async fn wait(&mut self) -> bool {
        let mut pop = cmd("BLPOP");
        pop.arg(&self.signal).arg(30);
        self.send::<Option<(String, String)>>(&pop).await.is_some()
    }

    async fn release(&mut self) -> i32 {
        let mut eval = cmd("EVAL");
        eval.arg(UNLOCK).arg(2).arg(&self.lock).arg(&self.signal);
        eval.arg("AAECAwQFBgcICQoLDA0ODxAR").arg(1000);
        self.send(&eval).await
    }
}

async fn blocked_clients(redis: &Redis) -> usize {
    let mut info = cmd("INFO");
    info.arg("clients");
    let text: String = redis.command("info", &info).await.unwrap();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("blocked_clients:"));
    line.unwrap().trim().parse().unwrap()
}

#[tokio::test]
async fn a_waiting_quay_is_woken_by_our_release() {
    let name = unique_name("BLOB_DELETE");
    let locks = Locks::new(connect().await);
    let hold = locks.try_acquire(&name, TTL).await.unwrap().unwrap();
    let mut quay = Quay::with(&name).await;
    assert!(!quay.acquire().await, "held by us");
    let released = Instant::now();
    let waiting = tokio::spawn(async move {
        let woken = quay.wait().await;
        (woken, quay.acquire().await, quay)
    });
    assert!(locks.release(hold).await.unwrap());
    let (woken, acquired, mut quay) = waiting.await.unwrap();
    assert!(woken && acquired);
    assert!(
        released.elapsed() < Duration::from_secs(1),
        "{:?}",
        released.elapsed()
    );
    assert_eq!(quay.release().await, 0);
}

#[tokio::test]
async fn we_wait_for_quay_and_are_woken_by_its_release() {
    let server = quayhand_testkit::RedisServer::start().await.unwrap();
    let redis = Redis::connect(&server.url()).await.unwrap();
    let locks = Locks::new(redis.clone());
    let busy = locks.try_acquire("X", TTL).await.unwrap().unwrap();
    let waiter = locks.clone();
    let waiting = tokio::spawn(async move { waiter.acquire("X", TTL, SOON).await });
    wait_for("our waiter to block", SOON, async || {
        (blocked_clients(&redis).await == 1).then_some(())
    })
    .await;
    let released = Instant::now();
    assert!(locks.release(busy).await.unwrap());
    let hold = waiting.await.unwrap().unwrap();
    assert!(
        released.elapsed() < Duration::from_secs(1),
        "{:?}",
        released.elapsed()
    );
    assert!(hold.time_left() > Duration::from_secs(20) && hold.time_left() <= TTL);
}

#[tokio::test]
async fn busy_is_told_apart_and_takes_no_longer_than_asked() {
    let name = unique_name("X");
    let locks = Locks::new(connect().await);
    let mut quay = Quay::with(&name).await;
    assert!(quay.acquire().await);
    assert!(locks.try_acquire(&name, TTL).await.unwrap().is_none());
    let asked = Instant::now();
    let wait = Duration::from_millis(120);
    let refused = locks.acquire(&name, TTL, wait).await.unwrap_err();
    assert!(matches!(&refused, LockError::Busy { name: named } if *named == name));
    assert!(asked.elapsed() >= wait && asked.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn takes_and_releases_many_and_leaves_what_is_held() {
    let prefix = unique_name("BLOB_DELETE");
    let names: Vec<_> = (0..250).map(|n| format!("{prefix}_{n}")).collect();
    let locks = Locks::new(connect().await);
    let mut quay = Quay::with(&names[7]).await;
    assert!(quay.acquire().await);
    let holds = locks.try_acquire_many(&names, TTL).await.unwrap();
    assert_eq!(holds.len(), 249);
    assert!(holds.iter().all(|hold| hold.name() != names[7]));
    assert!(
        holds
            .iter()
            .all(|hold| hold.held_for() < Duration::from_secs(5))
    );
    assert_eq!(locks.release_many(holds).await.unwrap(), 249);
    assert_eq!(quay.release().await, 0, "Quay's own lock is untouched");
    assert_eq!(
        locks.try_acquire_many(&names, TTL).await.unwrap().len(),
        250
    );
}

#[tokio::test]
async fn a_hold_that_ended_is_not_released_under_its_next_holder() {
    let name = unique_name("X");
    let locks = Locks::new(connect().await);
    let short = Duration::from_millis(30);
    let ended = locks.try_acquire(&name, short).await.unwrap().unwrap();
    let mut quay = Quay::with(&name).await;
    wait_for("the lock to end", SOON, async || {
        quay.acquire().await.then_some(())
    })
    .await;
    assert!(ended.time_left().is_zero());
    assert!(!locks.release(ended).await.unwrap());
    assert_eq!(quay.release().await, 0, "still Quay's");
}

#[tokio::test]
async fn a_renewed_hold_lasts_longer_and_an_ended_one_is_not_taken_again() {
    let name = unique_name("LARGE_GARBAGE_COLLECTION");
    let locks = Locks::new(connect().await);
    let hold = locks.try_acquire(&name, SOON).await.unwrap().unwrap();
    let hold = locks.renew(hold, TTL * 10).await.unwrap().unwrap();
    assert!(hold.time_left() > TTL * 9, "{:?}", hold.time_left());
    let mut quay = Quay::with(&name).await;
    let mut ttl = cmd("PTTL");
    ttl.arg(&quay.lock);
    let left_ms: u128 = quay.send(&ttl).await;
    assert!(left_ms > (TTL * 9).as_millis(), "{left_ms}");
    assert!(!quay.acquire().await, "still ours");
    assert!(locks.release(hold).await.unwrap());

    let short = Duration::from_millis(30);
    let ended = locks.try_acquire(&name, short).await.unwrap().unwrap();
    wait_for("the lock to end", SOON, async || {
        quay.acquire().await.then_some(())
    })
    .await;
    assert!(locks.renew(ended, TTL).await.unwrap().is_none());
    assert_eq!(quay.release().await, 0, "still Quay's");
    let free = locks.try_acquire(&name, short).await.unwrap().unwrap();
    wait_for("the lock to end", SOON, async || {
        quay.acquire().await.then_some(())
    })
    .await;
    quay.release().await;
    assert!(locks.renew(free, TTL).await.unwrap().is_none(), "nobody's");
}
