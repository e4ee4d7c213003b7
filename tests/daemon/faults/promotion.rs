//! F7: a replica that lags is promoted behind the address that the daemons know. What Redis
//! acknowledged may be gone with its primary; what the database knows of comes back.
use std::{
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use quayhand_jobs::Outbox;
use quayhand_model::{DbConfig, DbError, configure};
use quayhand_queue::{Client, Placement, Redis, RedisStore};
use quayhand_testkit::{Fault, Proxy, RedisServer, wait_for};

use super::{PATIENCE, kills};
use crate::{
    testd::{
        TestCtx,
        kinds::{A, B, MarkB, Once},
    },
    world::{World, doubles},
};

/// Jobs of each source in a round; they take longer than the replica lags.
const EACH: i64 = 40;
/// Work goes on so soon after the promotion.
const RESUME_WITHIN: Duration = Duration::from_secs(5);
const SWEEP: Duration = Duration::from_secs(1);

/// Says something to a Redis.
async fn say(server: &RedisServer, words: &[&str]) -> redis::Value {
    let client = redis::Client::open(server.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let mut command = redis::cmd(words[0]);
    command.arg(&words[1..]);
    command.query_async(&mut connection).await.unwrap()
}

/// Starts a replica and waits until it has everything; the proxy is the way between the two.
async fn replica_of(primary: &RedisServer) -> (RedisServer, Proxy) {
    let replica = RedisServer::start().await.unwrap();
    let link = Proxy::start(address(primary)).await.unwrap();
    let port = link.port().to_string();
    say(&replica, &["REPLICAOF", "127.0.0.1", &port]).await;
    wait_for("a replica in step", PATIENCE, async || {
        let role = say(&replica, &["ROLE"]).await;
        format!("{role:?}").contains("connected").then_some(())
    })
    .await;
    (replica, link)
}

/// Counts the jobs that a Redis knows.
async fn known(server: &RedisServer) -> i64 {
    let mut all = 0;
    for queue in [A, B] {
        let answer = say(server, &["HLEN", &format!("qh:{{{queue}}}:jobs")]).await;
        all += redis::from_redis_value::<i64>(answer).unwrap();
    }
    all
}

fn address(server: &RedisServer) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, server.port()))
}

/// Enqueues jobs that Redis acknowledges, of the outbox and of a kind that a sweep finds again.
async fn put(world: &World, client: &Client, round: i64) {
    let first = round * 1000;
    let once: Vec<_> = (first..first + EACH)
        .map(|id| (Once { id, ms: 20 }, Placement::default()))
        .collect();
    let db = configure(DbConfig::new(&world.database_url)).unwrap();
    let written = db.transaction(async |tx| {
        let written = Outbox::write::<TestCtx, Once>(tx, &once).await;
        Ok::<_, DbError>(written.unwrap())
    });
    let outbox = Outbox::new(db.clone(), Some(client.clone()));
    assert!(outbox.hand_over(written.await.unwrap()).await);
    let insert = "insert into work select generate_series($1::bigint, $2)";
    let last = first + 500 + EACH - 1;
    world
        .ledger
        .execute(insert, &[&(first + 500), &last])
        .await
        .unwrap();
    let derivable: Vec<_> = (first + 500..=last)
        .map(|id| MarkB { id, ms: 20 })
        .collect();
    client.enqueue_all(&derivable).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_lags_is_promoted_and_nothing_is_lost_end_to_end() {
    let rounds = i64::try_from(kills().min(20)).unwrap();
    let world = World::new().await;
    let mut primary = RedisServer::start().await.unwrap();
    let mut proxy = Proxy::start(address(&primary)).await.unwrap();
    let mut settings = world.settings();
    settings.redis_url = format!("redis://{}/0", proxy.address());
    settings.lease = Duration::from_secs(3);
    (settings.relay_interval, settings.sweep) = (SWEEP, SWEEP);
    let mut daemon = world.daemon(&settings).await;
    let client = Client::new(RedisStore::new(Redis::open(&settings.redis_url).unwrap()));
    let mut outage = Duration::ZERO;
    for round in 0..rounds {
        let (replica, mut link) = replica_of(&primary).await;
        // From here on it gets nothing: what is acknowledged now is lost with the primary.
        link.set(Fault::BlackHole).await;
        put(&world, &client, round).await;
        let marked = round * 2 * EACH;
        world.marked(marked + 4, PATIENCE).await;
        proxy.set(Fault::Refuse).await;
        primary.kill().unwrap();
        drop(link);
        say(&replica, &["REPLICAOF", "NO", "ONE"]).await;
        assert_eq!(known(&replica).await, 0, "the replica lagged");
        proxy.lead_to(address(&replica));
        proxy.set(Fault::None).await;
        let promoted = Instant::now();
        let before = world.marks().await.len();
        wait_for("work at the promoted replica", PATIENCE, async || {
            (world.marks().await.len() > before).then_some(())
        })
        .await;
        outage = outage.max(promoted.elapsed());
        world.marked(marked + 2 * EACH, PATIENCE).await;
        primary = replica;
    }
    assert!(daemon.is_running());
    daemon.stop().await;
    let mut twice = doubles(&world.marks().await);
    // A sweep enqueues what still waits again; of the outbox every row is one job.
    twice.retain(|id, _| id % 1000 < EACH);
    println!(
        "F7 a lagging replica promoted: target lost 0 of {} over {rounds} promotions, work again \
         within 5 s; seen 0, {outage:.1?} (outbox jobs that ran on both sides: {})",
        rounds * 2 * EACH,
        twice.len()
    );
    assert!(outage <= RESUME_WITHIN, "{outage:?}");
}
