//! Those who meet in a schedule: a batch that halts where it is told, and a writer who goes
//! statement by statement.
use std::sync::Arc;

use futures::FutureExt;
use quayhand_model::{
    DbError,
    gc::{self, Collected, Lock, Rules, Switches, Work},
};
use quayhand_testkit::wait_for;
use tokio::{task::JoinHandle, time::timeout};
use tokio_postgres::Client;

use super::{
    halts::{Actor, Halts},
    registry::{DEADLINE, Registry, rules},
};

/// A batch, or several, that run beside the test.
pub(super) type Collector<T = Collected> = Actor<Result<T, DbError>>;

impl Collector {
    /// Starts a batch over some repositories, of at most one tag each.
    pub(super) fn batch(
        registry: &Registry,
        repositories: &[i64],
        without: Option<Lock>,
        halts: &'static [&'static str],
    ) -> Self {
        let (db, repositories) = (registry.db.clone(), repositories.to_vec());
        Actor::start(COLLECTOR.to_owned(), halts, move |halts| async move {
            let rules = halting(without, halts);
            let work = Work {
                repositories: &repositories,
                carried: &[],
                at_most: u32::try_from(repositories.len()).unwrap(),
            };
            db.transaction(async |tx| gc::collect_batch(tx, work, &rules).await)
                .await
        })
    }

    /// Starts to settle what was postponed.
    pub(super) fn settle(registry: &Registry, halts: &'static [&'static str]) -> Self {
        let db = registry.db.clone();
        Actor::start(COLLECTOR.to_owned(), halts, move |halts| async move {
            let rules = halting(None, halts);
            db.transaction(async |tx| gc::settle_rechecks(tx, 1_000, &rules).await)
                .await
        })
    }
}

/// Connections that are a collector's.
pub(super) const COLLECTOR: &str = "application_name <> 'quayhand testkit'";

/// Makes rules without a lock, that halt at some places.
pub(super) fn halting(without: Option<Lock>, halts: Halts) -> Rules {
    let pause = move |place| {
        let halts = halts.clone();
        async move { halts.at(place).await }.boxed()
    };
    let switches = Switches::default().pausing(pause);
    let switches = match without {
        Some(lock) => switches.without(lock),
        None => switches,
    };
    Rules {
        switches,
        ..rules()
    }
}

/// A writer in a transaction, as the web tier or one of Quay's workers is.
pub(super) struct Writer {
    client: Arc<Client>,
    pid: i32,
}

impl Writer {
    /// Begins a transaction that would be the victim of any deadlock it is in.
    pub(super) async fn begin(registry: &Registry) -> Self {
        let client = registry.server.connect(&registry.database).await.unwrap();
        client
            .batch_execute("set deadlock_timeout = '10ms'; begin")
            .await
            .unwrap();
        let pid = client.query_one("select pg_backend_pid()", &[]).await;
        Self {
            pid: pid.unwrap().get(0),
            client: Arc::new(client),
        }
    }

    /// Runs a statement that nothing may keep waiting for long.
    pub(super) async fn does(&self, statement: &str) {
        let done = timeout(DEADLINE, self.client.batch_execute(statement)).await;
        let done = done.unwrap_or_else(|_| panic!("`{statement}` waits"));
        done.unwrap_or_else(|error| panic!("`{statement}`: {error:?}"));
    }

    /// Runs an insert; returns the row's id.
    pub(super) async fn inserts(&self, statement: &str) -> i64 {
        let statement = format!("{statement} returning id::bigint");
        let row = timeout(DEADLINE, self.client.query_one(&statement, &[])).await;
        row.unwrap().unwrap().get(0)
    }

    /// Starts a statement and returns when it has ended or waits for somebody's lock.
    pub(super) async fn tries(&self, registry: &Registry, statement: String) -> Attempt {
        let client = Arc::clone(&self.client);
        let task = tokio::spawn(async move {
            let done = client.batch_execute(&statement).await;
            done.map_err(|error| error.code().map_or("?", |code| code.code()).to_owned())
        });
        let condition = format!("pid = {}", self.pid);
        let waits = wait_for("a statement that ends or waits", DEADLINE, async || {
            if task.is_finished() {
                return Some(false);
            }
            let waiting = registry.count_waiting(&condition).await;
            (waiting > 0).then_some(true)
        })
        .await;
        Attempt { task, waits }
    }

    /// Commits after a statement that went through, rolls back after one that failed.
    pub(super) async fn ends(&self, ended: &Result<(), String>) {
        let end = ended.as_ref().map_or("rollback", |()| "commit");
        self.does(end).await;
    }

    pub(super) async fn commits(self) {
        self.does("commit").await;
    }

    pub(super) async fn rolls_back(self) {
        self.does("rollback").await;
    }
}

/// A statement on its way.
pub(super) struct Attempt {
    task: JoinHandle<Result<(), String>>,
    /// Whether it had to wait for somebody's lock.
    pub(super) waits: bool,
}

impl Attempt {
    /// Waits for the end; an error is the server's five characters.
    pub(super) async fn ends(self) -> Result<(), String> {
        let ended = timeout(DEADLINE, self.task).await;
        ended
            .unwrap_or_else(|_| panic!("the statement waits for ever"))
            .unwrap()
    }
}
