//! What one test's daemons share: a database with a ledger, a Redis, a folder.
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use quayhand_model::{DbConfig, configure, migrate};
use quayhand_queue::{Client, Queue, Redis, RedisStore, Store};
use quayhand_testkit::{PostgresServer, RedisOptions, RedisServer, unique_name, wait_for};
use tempfile::TempDir;

use crate::{
    process::Daemon,
    testd::{self, settings::Settings},
};

/// Time between two ticks of the scheduled kind, unless a test chooses another: at no time that
/// a test is likely to see does one begin.
pub(crate) const LONG_TICK: Duration = Duration::from_hours(100_000);
const TEMPLATE: &str = "daemon_ledger";
const TABLES: &str = "
    create table ledger (id bigint not null, attempt int not null, pid int not null,
                         at timestamptz not null default clock_timestamp());
    create table work (id bigint not null);
    create table ticks (job text not null, pid int not null, attempt int not null);";

/// Servers, a database and a folder of one test.
pub(crate) struct World {
    pub(crate) redis: RedisServer,
    pub(crate) database: String,
    pub(crate) database_url: String,
    pub(crate) ledger: tokio_postgres::Client,
    pub(crate) client: Client,
    folder: TempDir,
    started: AtomicU32,
}

/// One row of the ledger.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    pub(crate) id: i64,
    pub(crate) attempt: i32,
    pub(crate) pid: i32,
    /// When, in milliseconds since the Unix epoch by the database's clock.
    pub(crate) at_ms: i64,
}

impl World {
    /// Makes a world with a Redis that keeps an append-only file.
    pub(crate) async fn new() -> Self {
        let options = RedisOptions {
            appendonly: true,
            ..RedisOptions::default()
        };
        Self::with(&options).await
    }

    /// Makes a world with a Redis of one's own choice.
    pub(crate) async fn with(options: &RedisOptions) -> Self {
        let postgres = PostgresServer::shared().await.unwrap();
        let template = postgres.template(TEMPLATE, async |url| {
            let db = configure(DbConfig::new(url))?;
            migrate::up(&db, None).await?;
            db.close().await;
            postgres.execute(TEMPLATE, TABLES).await?;
            // A template must have no connections.
            let end = format!(
                "select pg_terminate_backend(pid, 10000) from pg_stat_activity
                  where datname = '{TEMPLATE}'"
            );
            Ok::<(), Box<dyn std::error::Error>>(postgres.execute("postgres", &end).await?)
        });
        let template = template.await.unwrap();
        let database = unique_name("daemon");
        postgres
            .create_database_from(&database, &template)
            .await
            .unwrap();
        let redis = RedisServer::start_with(options).await.unwrap();
        Self {
            client: Client::new(RedisStore::new(Redis::open(&redis.url()).unwrap())),
            redis,
            ledger: postgres.connect(&database).await.unwrap(),
            database_url: postgres.url(&database),
            database,
            folder: tempfile::tempdir().unwrap(),
            started: AtomicU32::new(0),
        }
    }

    /// Returns settings with four slots a queue, the usual lease, and no tick while a test runs.
    pub(crate) fn settings(&self) -> Settings {
        Settings {
            database_url: self.database_url.clone(),
            ledger_url: self.database_url.clone(),
            redis_url: self.redis.url(),
            slots: testd::kinds::QUEUES
                .map(|queue| (queue.to_string(), 4))
                .into(),
            lease: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(25),
            tick: LONG_TICK,
            sweep: LONG_TICK,
            relay_interval: LONG_TICK,
            limits: BTreeMap::new(),
            timeouts: BTreeMap::new(),
            log_level: "info".to_owned(),
            hurry: false,
            is_newer: false,
        }
    }

    /// The file from which the daemons of this world read their settings.
    pub(crate) fn settings_file(&self) -> PathBuf {
        self.folder.path().join("settings.json")
    }

    /// The world's folder.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A new file in the world's folder.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        self.folder.path().join(format!("{number}-{name}"))
    }

    /// The command that is a test daemon with these settings.
    pub(crate) fn command(&self, settings: &Settings) -> Command {
        settings.write(&self.settings_file());
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(testd::ARGUMENTS)
            .env(testd::SETTINGS_VARIABLE, self.settings_file());
        command
            .env_remove("RUST_LOG")
            .env_remove("NOTIFY_SOCKET")
            .env_remove("WATCHDOG_USEC");
        command
    }

    /// Starts a test daemon; it may not be ready yet.
    pub(crate) fn launch(&self, settings: &Settings) -> Daemon {
        Daemon::start(&mut self.command(settings), &self.file("log"))
    }

    /// Starts a test daemon and waits until it is ready.
    pub(crate) async fn daemon(&self, settings: &Settings) -> Daemon {
        let daemon = self.launch(settings);
        daemon.says("ready").await;
        daemon
    }

    /// The store behind the client.
    pub(crate) fn store(&self) -> &Store {
        self.client.store()
    }

    /// Counts the jobs of all queues that are not finished: ready, delayed, leased, dead.
    pub(crate) async fn unfinished(&self) -> u64 {
        let mut all = 0;
        for queue in testd::kinds::QUEUES {
            let counts = self.store().counts(&queue).await.unwrap();
            all += counts.ready + counts.delayed + counts.leased + counts.dead;
        }
        all
    }

    /// Waits until so many jobs of a queue run.
    pub(crate) async fn leased(&self, queue: &Queue, expected: u64) {
        wait_for(
            &format!("{expected} running jobs"),
            Duration::from_secs(30),
            async || {
                let counts = self.store().counts(queue).await.unwrap();
                (counts.leased == expected).then_some(())
            },
        )
        .await;
    }

    /// Reads the ledger, in the order of the effects.
    pub(crate) async fn marks(&self) -> Vec<Mark> {
        let rows = self.ledger.query(
            "select id, attempt, pid, (extract(epoch from at) * 1000)::bigint
                   from ledger order by at",
            &[],
        );
        let rows = rows.await.unwrap();
        rows.iter()
            .map(|row| Mark {
                id: row.get(0),
                attempt: row.get(1),
                pid: row.get(2),
                at_ms: row.get(3),
            })
            .collect()
    }

    /// Waits until the ledger has so many different jobs.
    pub(crate) async fn marked(&self, expected: i64, deadline: Duration) {
        wait_for(
            &format!("{expected} jobs in the ledger"),
            deadline,
            async || {
                let count = "select count(distinct id) from ledger";
                let marked: i64 = self.ledger.query_one(count, &[]).await.unwrap().get(0);
                (marked >= expected).then_some(())
            },
        )
        .await;
    }
}

/// Returns the jobs that are marked more than once, each with its processes.
pub(crate) fn doubles(marks: &[Mark]) -> BTreeMap<i64, BTreeSet<i32>> {
    let mut times = BTreeMap::<i64, Vec<i32>>::new();
    for mark in marks {
        times.entry(mark.id).or_default().push(mark.pid);
    }
    let doubles = times.into_iter().filter(|(_, pids)| pids.len() > 1);
    doubles
        .map(|(id, pids)| (id, pids.into_iter().collect()))
        .collect()
}
