//! Redis in real life: it restarts, fills up, hangs, slows down, forgets, moves. No worker ends,
//! no job is lost or done twice, and work goes on within five seconds.
use std::{
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use quayhand_queue::{Redis, RedisStore, chain};
use quayhand_testkit::{Fault, Proxy, RedisCluster, RedisOptions, RedisServer, wait_for};
use redis::{Cmd, FromRedisValue, aio::MultiplexedConnection, cmd};

use crate::support::{Desk, LONG_LEASE, Ledger, SOON, Worker, done};

/// Work must go on this long after the fault has ended.
const RESUMED: Duration = Duration::from_secs(5);
/// Jobs that wait when the fault comes.
const BACKLOG: usize = 300;

/// A pool at work, reached through a proxy, and a second way past it.
struct Plant {
    through: Desk,
    beside: Desk,
    worker: Worker,
    ledger: Ledger,
    put: usize,
}

impl Plant {
    async fn open(url: &str, beside: &str) -> Self {
        let through = Desk::at(RedisStore::new(Redis::connect(url).await.unwrap()));
        let mut beside = Desk::at(RedisStore::new(Redis::connect(beside).await.unwrap()));
        beside.queue = through.queue.clone();
        let ledger = Ledger::default();
        let noted = ledger.clone();
        let worker = through.work(4, LONG_LEASE, move |taken| {
            noted.note(&taken);
            async {
                tokio::time::sleep(Duration::from_millis(2)).await;
                done()
            }
        });
        let mut plant = Self {
            through,
            beside,
            worker,
            ledger,
            put: 0,
        };
        plant.put(BACKLOG).await;
        plant.ledger.wait_for_len(BACKLOG / 10).await;
        plant
    }

    async fn put(&mut self, jobs: usize) {
        self.beside.put(self.put..self.put + jobs).await;
        self.put += jobs;
    }

    async fn wait_until_it_fails(&self) -> Duration {
        let since = Instant::now();
        wait_for("the failure to be seen", SOON, async || {
            self.worker.pool.status()?.failing.map(|_| ())
        })
        .await;
        since.elapsed()
    }

    /// Sees that everything is done once, and how soon after the fault's end.
    async fn close(mut self, fault: &str, back: Instant) {
        let before = self.ledger.entries().len();
        self.put(1).await;
        self.ledger.wait_for_len(before + 1).await;
        let resumed = back.elapsed();
        self.beside.wait_for_counts([0; 4]).await;
        let counts = self.beside.store.counts(&self.beside.queue).await.unwrap();
        let mut ran: Vec<_> = self
            .ledger
            .entries()
            .into_iter()
            .map(|(id, _)| id)
            .collect();
        let runs = ran.len();
        ran.sort_unstable();
        ran.dedup();
        let (lost, twice) = (self.put - ran.len(), runs - ran.len());
        println!(
            "{fault}: target resumed 5 s, lost 0, twice 0, taken from healthy workers 0; \
             seen {resumed:.1?}, {lost}, {twice}, {}",
            counts.crashes_total
        );
        assert!(resumed < RESUMED, "{resumed:?}");
        assert_eq!((lost, twice, counts.crashes_total), (0, 0, 0));
        assert!(!self.worker.task.is_finished(), "the worker ended");
        self.worker.stop().await;
    }
}

async fn lasting_server() -> RedisServer {
    let options = RedisOptions {
        appendonly: true,
        ..RedisOptions::default()
    };
    RedisServer::start_with(&options).await.unwrap()
}

async fn proxy_of(server: &RedisServer) -> (Proxy, String) {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, server.port()));
    let proxy = Proxy::start(address).await.unwrap();
    let url = format!("redis://{}/0", proxy.address());
    (proxy, url)
}

async fn say<T: FromRedisValue>(url: &str, command: &Cmd) -> T {
    let client = redis::Client::open(url).unwrap();
    let config = redis::AsyncConnectionConfig::new().set_response_timeout(Some(SOON));
    let mut connection: MultiplexedConnection = client
        .get_multiplexed_async_connection_with_config(&config)
        .await
        .unwrap();
    command.query_async(&mut connection).await.unwrap()
}

fn words(text: &str) -> Cmd {
    let mut words = text.split(' ');
    let mut command = cmd(words.next().unwrap());
    command.arg(words.collect::<Vec<_>>());
    command
}

#[tokio::test]
async fn f5_redis_restarts() {
    let mut server = lasting_server().await;
    let plant = Plant::open(&server.url(), &server.url()).await;
    server.kill().unwrap();
    plant.wait_until_it_fails().await;
    server.restart().await.unwrap();
    plant.close("F5 restart with AOF", Instant::now()).await;
}

#[tokio::test]
async fn f6_redis_forgets_everything() {
    let server = RedisServer::start().await.unwrap();
    let mut plant = Plant::open(&server.url(), &server.url()).await;
    let _ok: String = say(&server.url(), &words("FLUSHALL")).await;
    let back = Instant::now();
    // What was not taken yet is gone, and brought back by the sweeps of a daemon; what runs on
    // finishes into nothing. Only then is it known how many ran.
    plant.put(1).await;
    let last = (plant.put - 1).to_string();
    wait_for("a job enqueued after it", SOON, async || {
        let ran = plant.ledger.entries();
        ran.iter().any(|(id, _)| *id == last).then_some(())
    })
    .await;
    plant.put = plant.ledger.entries().len();
    plant.close("F6 FLUSHALL", back).await;
}

#[tokio::test]
async fn f8_redis_is_full() {
    let server = RedisServer::start().await.unwrap();
    let plant = Plant::open(&server.url(), &server.url()).await;
    let _ok: String = say(&server.url(), &words("CONFIG SET maxmemory 1")).await;
    let refused = [crate::support::job("refused")];
    let refused = plant.beside.store.enqueue(&plant.beside.queue, &refused);
    let refused = chain(&refused.await.unwrap_err());
    assert!(refused.contains("OOM"), "{refused}");
    // What filled it leaves all the same.
    plant.ledger.wait_for_len(BACKLOG).await;
    plant.beside.wait_for_counts([0; 4]).await;
    let refusals = refusals(&server).await;
    println!(
        "F8 calls refused while Redis is full: target at most one a second, seen {refusals:.1}"
    );
    assert!(refusals <= 1.0, "{refusals}");
    let _ok: String = say(&server.url(), &words("CONFIG SET maxmemory 0")).await;
    plant.close("F8 full", Instant::now()).await;
}

/// How often a second calls are refused, after the first tries.
async fn refusals(server: &RedisServer) -> f64 {
    const FIRST: Duration = Duration::from_secs(4);
    const WINDOW: Duration = Duration::from_secs(8);
    let calls = async || -> f64 {
        let stats: String = say(&server.url(), &words("INFO commandstats")).await;
        let line = stats.lines().find(|line| line.contains("cmdstat_evalsha:"));
        let line = line.unwrap_or_default();
        let after = |name: &str| -> f64 {
            let (_, rest) = line.split_once(name).unwrap_or_default();
            let digits = rest.split(',').next().unwrap_or_default();
            digits.trim().parse().unwrap_or_default()
        };
        after("rejected_calls=") + after("failed_calls=")
    };
    tokio::time::sleep(FIRST).await;
    let (before, since) = (calls().await, Instant::now());
    tokio::time::sleep(WINDOW).await;
    (calls().await - before) / since.elapsed().as_secs_f64()
}

#[tokio::test]
async fn f9_the_network_swallows_everything() {
    let server = RedisServer::start().await.unwrap();
    let (mut proxy, url) = proxy_of(&server).await;
    let plant = Plant::open(&url, &server.url()).await;
    proxy.set(Fault::BlackHole).await;
    let noticed = plant.wait_until_it_fails().await;
    println!("F9 black hole to Redis noticed: target within 6 s, seen {noticed:.1?}");
    assert!(noticed < Duration::from_secs(7), "{noticed:?}");
    proxy.set(Fault::None).await;
    plant.close("F9 black hole", Instant::now()).await;
}

#[tokio::test]
async fn f10_redis_is_slow() {
    let server = RedisServer::start().await.unwrap();
    for late in [Duration::from_millis(200), Duration::from_secs(2)] {
        let (mut proxy, url) = proxy_of(&server).await;
        let plant = Plant::open(&url, &server.url()).await;
        proxy.set(Fault::Delay(late)).await;
        let before = plant.ledger.entries().len();
        // Two rounds of the four slots. With 2 s in either direction an answer takes 4 s, and the one
        // behind it 6 s: that call is given up after 5 s, and what it brought is adopted.
        let runs = plant.ledger.wait_for_len_within(before + 8, 2 * SOON);
        runs.await;
        proxy.set(Fault::None).await;
        let fault = format!("F10 {late:?} later");
        plant.close(&fault, Instant::now()).await;
    }
}

// On one thread, answers would be handled in the order in which they came.
#[tokio::test(flavor = "multi_thread")]
async fn f10_redis_loses_one_piece_in_a_hundred() {
    let server = RedisServer::start().await.unwrap();
    let (mut proxy, url) = proxy_of(&server).await;
    let plant = Plant::open(&url, &server.url()).await;
    proxy.set(Fault::Lose(100)).await;
    plant.beside.wait_for_counts([0; 4]).await;
    let mut plant = plant;
    // Connections broke about once in twenty jobs.
    plant.put(BACKLOG).await;
    plant.beside.wait_for_counts([0; 4]).await;
    proxy.set(Fault::None).await;
    plant
        .close("F10 one piece in a hundred lost", Instant::now())
        .await;
}

#[tokio::test]
async fn another_clients_endless_script_is_waited_out() {
    let server = RedisServer::start().await.unwrap();
    let _ok: String = say(&server.url(), &words("CONFIG SET busy-reply-threshold 50")).await;
    let plant = Plant::open(&server.url(), &server.url()).await;
    let url = server.url();
    let endless = tokio::spawn(async move {
        let client = redis::Client::open(url).unwrap();
        let config = redis::AsyncConnectionConfig::new().set_response_timeout(None);
        let mut connection = client
            .get_multiplexed_async_connection_with_config(&config)
            .await
            .unwrap();
        let mut script = cmd("EVAL");
        script.arg("while true do end").arg(0);
        script.query_async::<redis::Value>(&mut connection).await
    });
    plant.wait_until_it_fails().await;
    let _ok: String = say(&server.url(), &words("SCRIPT KILL")).await;
    assert!(endless.await.unwrap().is_err(), "it was ended");
    plant.close("BUSY", Instant::now()).await;
}

/// The node that has the plant's queue, and one that has not.
async fn owner_and_other(cluster: &RedisCluster, slot: u16) -> (usize, usize) {
    let mut owner = None;
    for (at, node) in cluster.nodes().iter().enumerate() {
        let keys: i64 = say(
            &node.url(),
            &words(&format!("CLUSTER COUNTKEYSINSLOT {slot}")),
        )
        .await;
        if keys > 0 {
            owner = Some(at);
        }
    }
    let owner = owner.unwrap();
    (owner, (owner + 1) % cluster.nodes().len())
}

async fn lasting_cluster() -> RedisCluster {
    let options = RedisOptions {
        appendonly: true,
        ..RedisOptions::default()
    };
    RedisCluster::start_with(&options).await.unwrap()
}

async fn slot_of(cluster: &RedisCluster, plant: &Plant) -> u16 {
    let key = format!("CLUSTER KEYSLOT qh:{{{}}}:jobs", plant.through.queue);
    say(&cluster.nodes()[0].url(), &words(&key)).await
}

#[tokio::test]
async fn a_node_of_a_cluster_restarts() {
    let mut cluster = lasting_cluster().await;
    let plant = Plant::open(&cluster.url(), &cluster.url()).await;
    let slot = slot_of(&cluster, &plant).await;
    let (owner, _) = owner_and_other(&cluster, slot).await;
    cluster.nodes_mut()[owner].kill().unwrap();
    plant.wait_until_it_fails().await;
    cluster.nodes_mut()[owner].restart().await.unwrap();
    cluster.wait_until_whole().await.unwrap();
    plant.close("a node of a cluster", Instant::now()).await;
}

#[tokio::test]
async fn a_queue_moves_to_another_node() {
    let cluster = lasting_cluster().await;
    let plant = Plant::open(&cluster.url(), &cluster.url()).await;
    let slot = slot_of(&cluster, &plant).await;
    let (from, to) = owner_and_other(&cluster, slot).await;
    let (from, to) = (&cluster.nodes()[from], &cluster.nodes()[to]);
    let from_id: String = say(&from.url(), &words("CLUSTER MYID")).await;
    let to_id: String = say(&to.url(), &words("CLUSTER MYID")).await;
    let order = async |node: &RedisServer, text: String| -> redis::Value {
        say(&node.url(), &words(&text)).await
    };
    order(to, format!("CLUSTER SETSLOT {slot} IMPORTING {from_id}")).await;
    order(from, format!("CLUSTER SETSLOT {slot} MIGRATING {to_id}")).await;
    loop {
        let keys: Vec<String> = say(
            &from.url(),
            &words(&format!("CLUSTER GETKEYSINSLOT {slot} 2")),
        )
        .await;
        if keys.is_empty() {
            break;
        }
        let keys = keys.join(" ");
        let to = to.port();
        order(from, format!("MIGRATE 127.0.0.1 {to}  0 5000 KEYS {keys}")).await;
    }
    for node in [to, from] {
        order(node, format!("CLUSTER SETSLOT {slot} NODE {to_id}")).await;
    }
    let back = Instant::now();
    plant.close("a slot that moves", back).await;
    let key = format!("CLUSTER COUNTKEYSINSLOT {slot}");
    let keys: i64 = say(&to.url(), &words(&key)).await;
    assert!(keys > 0, "the queue is at its new node");
}
