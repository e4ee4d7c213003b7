//! The guard: borrow a connection, use it, give it back.
//!
//! [`Db::scope`] and [`Db::transaction`] are the only ways to a [`Conn`], and a [`Conn`] is
//! the only way to a statement; both end with the closing brace. Whatever ends a borrow
//! early (a panic, a cancelled task) stops its statement on the server and closes its
//! connection.
//!
//! - `address`, `argument`, `tls`, `certificate`: where the server is and whom to trust
//! - `dial`, `session`, `patient`, `pool`, `reaper`: making sessions, keeping and closing them
//! - `scope`, `transaction`, `discard`: the borrow, its end and its early end
//! - `conn`, `watch`, `sql`, `param`, `row`: a statement and its answer
//! - `error`, `refusal`: what went wrong and what to do about it
mod address;
mod argument;
mod certificate;
mod config;
mod conn;
mod dial;
mod discard;
mod error;
mod param;
mod patient;
mod pool;
mod reaper;
mod refusal;
mod row;
mod scope;
mod session;
mod sql;
mod tls;
mod transaction;
mod watch;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

pub use config::DbConfig;
pub use conn::Conn;
pub use error::DbError;
pub(crate) use param::Param;
pub(crate) use row::Row;
pub(crate) use sql::Sql;

use address::Address;
use pool::Pool;
use tls::Tls;

/// Opens scopes on one database. Cheap to clone; holds no connection by itself.
#[derive(Clone)]
pub struct Db {
    shared: Arc<Shared>,
    statement_timeout: Duration,
    closing: bool,
}

/// What all clones of a [`Db`] share.
struct Shared {
    pool: Pool,
    config: DbConfig,
    tls: Tls,
    server: Arc<str>,
    /// Statements sent so far.
    statements: Arc<AtomicU64>,
    /// The reaper runs.
    reaping: AtomicBool,
    /// Connections that are being stopped.
    discards: TaskTracker,
    /// Ends the reaper.
    ended: CancellationToken,
    _ends: DropGuard,
}

/// Builds a [`Db`]; no connection is made yet.
///
/// # Errors
///
/// [`DbError::Config`] for settings that cannot be used, such as a certificate file that
/// cannot be read.
pub fn configure(config: DbConfig) -> Result<Db, DbError> {
    let address = Address::parse(&config)?;
    address.tls.connector()?;
    let ended = CancellationToken::new();
    let shared = Shared {
        server: address.server.as_str().into(),
        tls: address.tls.clone(),
        pool: pool::build(&config, address)?,
        statements: Arc::default(),
        reaping: AtomicBool::new(false),
        discards: TaskTracker::new(),
        _ends: ended.clone().drop_guard(),
        ended,
        config,
    };
    Ok(Db {
        statement_timeout: shared.config.statement_timeout,
        shared: Arc::new(shared),
        closing: false,
    })
}

impl Db {
    /// Returns the same database with another time-out for each statement of a
    /// *transaction*; zero is no limit. A plain scope keeps the shorter of both.
    #[must_use]
    pub fn with_statement_timeout(&self, statement_timeout: Duration) -> Self {
        Self {
            statement_timeout,
            ..self.clone()
        }
    }

    /// Returns the same database, but every connection taken through it is closed when it is
    /// given back: for what runs seldom and must not keep an idle daemon connected.
    #[must_use]
    pub fn closing(&self) -> Self {
        Self {
            closing: true,
            ..self.clone()
        }
    }

    /// Returns host, port and database as messages show them.
    #[must_use]
    pub fn server(&self) -> &str {
        &self.shared.server
    }

    /// Counts the statements sent so far, by all clones, `begin` and `commit` included.
    #[must_use]
    pub fn statements(&self) -> u64 {
        self.shared.statements.load(Ordering::Relaxed)
    }

    /// Counts the open connections, idle ones and those being stopped included.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.pool.status().size
    }

    /// Closes idle connections, refuses new scopes, and waits until the statements of
    /// cancelled scopes have stopped on the server: at most 10 seconds, usually none.
    pub async fn close(&self) {
        self.shared.pool.close();
        self.shared.discards.close();
        self.shared.discards.wait().await;
    }
}

impl fmt::Debug for Db {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Db")
            .field("config", &self.shared.config)
            .finish_non_exhaustive()
    }
}
