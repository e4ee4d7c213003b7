//! The guard on a real server: what a borrow leaves behind, however it ends.
//!
//! The guard hands out no SQL, so these tests act through the functions on schedule rows: to
//! claim a tick inserts a row, and waits while somebody else has inserted the same one.
#![expect(
    clippy::print_stdout,
    reason = "figures and skipped tests are shown to the reader"
)]

mod borrow;
mod idle;
mod limits;
mod log;
mod outage;
mod pgbouncer;
mod refusal;
mod tls;

use std::time::Duration;

use quayhand_model::{Conn, Db, DbConfig, DbError, clock, configure, schedule};
use quayhand_testkit::{PostgresServer, wait_for};
use tokio_postgres::Client;

const DEADLINE: Duration = Duration::from_secs(10);

/// A database of one test, seen by the guard and by a client beside it.
pub(crate) struct Lab {
    pub(crate) server: &'static PostgresServer,
    pub(crate) database: String,
    beside: Client,
}

/// A session of the guard as the server sees it.
#[derive(Clone, Debug, PartialEq)]
struct Session {
    pid: i32,
    waits_for_lock: bool,
}

impl Lab {
    pub(crate) async fn new() -> Self {
        let server = PostgresServer::shared().await.unwrap();
        let database = crate::scratch::standalone(server, "guard").await;
        let beside = server.connect(&database).await.unwrap();
        Self {
            server,
            database,
            beside,
        }
    }

    pub(crate) fn config(&self) -> DbConfig {
        DbConfig::new(self.server.url(&self.database))
    }

    pub(crate) fn db(&self, change: impl FnOnce(&mut DbConfig)) -> Db {
        let mut config = self.config();
        change(&mut config);
        configure(config).unwrap()
    }

    /// Inserts the row of a tick without committing it: whoever claims it waits.
    pub(crate) async fn hold(&self, entry: &str) -> Client {
        let holder = self.server.connect(&self.database).await.unwrap();
        let insert = format!(
            "begin; insert into quayhand_schedule (entry, tick, state)
             values ('{entry}', 'epoch', 'claimed')"
        );
        holder.batch_execute(&insert).await.unwrap();
        holder
    }

    /// Lists the entries of all committed rows.
    async fn entries(&self) -> Vec<String> {
        let rows = "select entry from quayhand_schedule order by entry";
        let rows = self.beside.query(rows, &[]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// Lists the guard's sessions on this database.
    async fn sessions(&self) -> Vec<Session> {
        let sessions = "select pid, wait_event_type is not distinct from 'Lock'
            from pg_stat_activity where datname = current_database()
             and application_name = 'quayhand' order by pid";
        let rows = self.beside.query(sessions, &[]).await.unwrap();
        let session = |row: &tokio_postgres::Row| Session {
            pid: row.get(0),
            waits_for_lock: row.get(1),
        };
        rows.iter().map(session).collect()
    }

    /// Returns the process id of the guard's only session.
    async fn pid(&self) -> i32 {
        let sessions = self.sessions().await;
        assert_eq!(sessions.len(), 1, "{sessions:?}");
        sessions[0].pid
    }

    /// Waits until a session of the guard waits for a lock; returns its process id.
    pub(crate) async fn until_blocked(&self) -> i32 {
        wait_for("a blocked session", DEADLINE, async || {
            let sessions = self.sessions().await;
            sessions
                .iter()
                .find(|session| session.waits_for_lock)
                .map(|session| session.pid)
        })
        .await
    }

    /// Waits until the guard has exactly this many sessions.
    async fn until_sessions(&self, count: usize) {
        wait_for(&format!("{count} sessions"), DEADLINE, async || {
            (self.sessions().await.len() == count).then_some(())
        })
        .await;
    }

    /// Waits until a session is gone.
    async fn until_gone(&self, pid: i32) {
        wait_for(&format!("the end of session {pid}"), DEADLINE, async || {
            let sessions = self.sessions().await;
            sessions
                .iter()
                .all(|session| session.pid != pid)
                .then_some(())
        })
        .await;
    }

    async fn terminate(&self, pid: i32) {
        self.beside
            .query("select pg_terminate_backend($1)", &[&pid])
            .await
            .unwrap();
    }

    pub(crate) async fn run(&self, statements: &str) {
        self.beside.batch_execute(statements).await.unwrap();
    }
}

/// Claims the tick at the epoch.
async fn claim(conn: &mut Conn, entry: &str) -> Result<(), DbError> {
    schedule::claim(conn, entry, 0).await.map(drop)
}

/// Makes a round trip.
///
/// Panics when there is no answer: the connection is busy with what somebody else left.
async fn ping(db: &Db) -> Result<(), DbError> {
    let pong = db.scope(async |conn| clock::now_ms(conn).await);
    let pong = tokio::time::timeout(DEADLINE, pong).await;
    pong.expect("a round trip within the deadline").map(drop)
}

/// What a job would return.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("the job's own reason")]
    Own,
    #[error(transparent)]
    Db(#[from] DbError),
}
