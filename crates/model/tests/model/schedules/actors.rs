//! Those who meet in a schedule: a batch that halts where it is told, and a writer of the
//! web tier.
use std::sync::Arc;

use futures::FutureExt;
use quayhand_model::{
    DbError,
    gc::{self, Collected, Lock, Rules, Switches, Work},
};
use quayhand_testkit::wait_for;
use tokio::{
    sync::{Mutex, mpsc},
    task::JoinHandle,
    time::timeout,
};
use tokio_postgres::Client;

use super::registry::{DEADLINE, Registry, rules};

/// A batch that runs beside the test, and halts at the places it was given.
pub(super) struct Collector {
    task: JoinHandle<Result<Collected, DbError>>,
    arrivals: mpsc::UnboundedReceiver<&'static str>,
    go: mpsc::UnboundedSender<()>,
}

impl Collector {
    /// Starts a batch over some repositories, of at most one tag each.
    pub(super) fn start(
        registry: &Registry,
        repositories: &[i64],
        without: Option<Lock>,
        halts: &'static [&'static str],
    ) -> Self {
        let (rules, arrivals, go) = halting(without, halts);
        let (db, repositories) = (registry.db.clone(), repositories.to_vec());
        let task = tokio::spawn(async move {
            let work = Work {
                repositories: &repositories,
                carried: &[],
                at_most: u32::try_from(repositories.len()).unwrap(),
            };
            db.transaction(async |tx| gc::collect_batch(tx, work, &rules).await)
                .await
        });
        Self { task, arrivals, go }
    }

    /// Starts to settle what was postponed.
    pub(super) fn settle(registry: &Registry, halts: &'static [&'static str]) -> Self {
        let (rules, arrivals, go) = halting(None, halts);
        let db = registry.db.clone();
        let task = tokio::spawn(async move {
            db.transaction(async |tx| gc::settle_rechecks(tx, 1_000, &rules).await)
                .await
        });
        Self { task, arrivals, go }
    }

    /// Waits until the batch halts at a place.
    pub(super) async fn reaches(&mut self, place: &str) {
        let arrival = timeout(DEADLINE, self.arrivals.recv()).await;
        let arrival = arrival.unwrap_or_else(|_| panic!("no batch came to `{place}`"));
        assert_eq!(arrival, Some(place));
    }

    /// Waits until the batch halts at a place, ends, or waits for somebody's lock; tells
    /// whether it is the last.
    pub(super) async fn is_kept_from(&mut self, place: &str, registry: &Registry) -> bool {
        wait_for(place, DEADLINE, async || {
            let arrival = self.arrivals.try_recv().ok();
            if arrival.is_some() || self.task.is_finished() {
                return Some(false);
            }
            registry.a_collector_waits().await.then_some(true)
        })
        .await
    }

    /// Lets the batch go on to its next halt.
    pub(super) fn goes_on(&self) {
        // A batch that has ended needs no word.
        self.go.send(()).ok();
    }

    /// Lets the batch go on to its end.
    pub(super) async fn ends(self) -> Result<Collected, DbError> {
        drop(self.go);
        let ended = timeout(DEADLINE, self.task).await;
        ended
            .unwrap_or_else(|_| panic!("the batch does not end"))
            .unwrap()
    }
}

/// Makes rules that halt at some places until told to go on, or nobody is left to tell.
fn halting(
    without: Option<Lock>,
    halts: &'static [&'static str],
) -> (
    Rules,
    mpsc::UnboundedReceiver<&'static str>,
    mpsc::UnboundedSender<()>,
) {
    let (arrived, arrivals) = mpsc::unbounded_channel();
    let (go, goes) = mpsc::unbounded_channel::<()>();
    let goes = Arc::new(Mutex::new(goes));
    let pause = move |place| {
        let (arrived, goes) = (arrived.clone(), Arc::clone(&goes));
        async move {
            if halts.contains(&place) {
                arrived.send(place).ok();
                goes.lock().await.recv().await;
            }
        }
        .boxed()
    };
    let switches = Switches::default().pausing(pause);
    let switches = match without {
        Some(lock) => switches.without(lock),
        None => switches,
    };
    let rules = Rules {
        switches,
        ..rules()
    };
    (rules, arrivals, go)
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
