//! The servers: one Redis for all ways, and the database that a daemon wants to see.
use std::{fs, time::Duration};

use quayhand_model::{DbConfig, configure, migrate};
use quayhand_testkit::{PostgresServer, RedisServer};
use redis::{AsyncConnectionConfig, Client, aio::MultiplexedConnection};

const DATABASE: &str = "bench_queue";
/// As long as ours waits for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Kernel ticks a second in `/proc`, on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// The servers of the benchmark.
pub(crate) struct Stage {
    redis: RedisServer,
    _postgres: PostgresServer,
    pub(crate) database_url: String,
    /// Looks, and empties; no way under test uses it.
    pub(crate) admin: MultiplexedConnection,
}

impl Stage {
    /// Starts the servers.
    pub(crate) async fn set() -> Self {
        let redis = RedisServer::start().await.unwrap();
        let postgres = PostgresServer::start().await.unwrap();
        postgres.create_database(DATABASE).await.unwrap();
        let database_url = postgres.url(DATABASE);
        let db = configure(DbConfig::new(&database_url)).unwrap();
        migrate::up(&db, None).await.unwrap();
        db.close().await;
        Self {
            admin: connect(&redis.url()).await,
            redis,
            _postgres: postgres,
            database_url,
        }
    }

    pub(crate) fn redis_url(&self) -> String {
        self.redis.url()
    }

    /// Opens a connection of a way's own.
    pub(crate) async fn connect(&self) -> MultiplexedConnection {
        connect(&self.redis_url()).await
    }

    /// Empties Redis; the scripts stay known, as they are to a server that has been up for long.
    pub(crate) async fn clear(&mut self) {
        let mut flush = redis::cmd("FLUSHALL");
        let () = flush
            .arg("SYNC")
            .query_async(&mut self.admin)
            .await
            .unwrap();
    }

    pub(crate) async fn version(&mut self) -> String {
        self.info("server", "redis_version").await
    }

    /// Reads a number from `INFO`.
    pub(crate) async fn figure(&mut self, section: &str, name: &str) -> f64 {
        self.info(section, name).await.parse().unwrap()
    }

    /// Reads the processor time that Redis has used.
    pub(crate) async fn redis_cpu_seconds(&mut self) -> f64 {
        let user = self.figure("cpu", "used_cpu_user").await;
        user + self.figure("cpu", "used_cpu_sys").await
    }

    async fn info(&mut self, section: &str, name: &str) -> String {
        let mut info = redis::cmd("INFO");
        let text: String = info
            .arg(section)
            .query_async(&mut self.admin)
            .await
            .unwrap();
        let prefix = format!("{name}:");
        let line = text.lines().find_map(|line| line.strip_prefix(&prefix));
        line.unwrap().trim().to_owned()
    }
}

async fn connect(url: &str) -> MultiplexedConnection {
    let client = Client::open(url).unwrap();
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(PATIENCE))
        .set_response_timeout(Some(PATIENCE));
    let connected = client.get_multiplexed_async_connection_with_config(&config);
    connected.await.unwrap()
}

/// Forgets the largest memory this process ever had.
pub(crate) fn forget_peak() {
    fs::write("/proc/self/clear_refs", "5").unwrap();
}

/// Returns the largest memory this process had since then, in MiB.
pub(crate) fn peak_mib() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kib = line.unwrap().split_whitespace().nth(1).unwrap();
    kib.parse::<f64>().unwrap() / 1024.0
}

/// Reads the processor time that this process has used, its threads included.
pub(crate) fn cpu_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    // The name may hold spaces; user and system time are the 14th and 15th field.
    let fields = stat.rsplit_once(')').unwrap().1.split_whitespace();
    let ticks = fields.skip(11).take(2);
    let ticks = ticks.map(|ticks| ticks.parse::<f64>().unwrap());
    ticks.sum::<f64>() / TICKS_PER_SECOND
}
