//! What it takes to reach a database.
use std::{collections::BTreeMap, fmt, time::Duration};

use super::address::Address;

/// Says where the database is and how its connections behave.
///
/// Its `Debug` form shows no password.
#[derive(Clone)]
pub struct DbConfig {
    /// `postgresql://user:password@host:port/database?sslmode=...`, as Quay's `DB_URI`: user
    /// and password are percent-encoded, `postgres://` and `postgresql+psycopg2://` mean the
    /// same. A socket is `postgresql://user@%2Frun%2Fpostgresql/database` or `?host=/run/...`.
    pub url: String,
    /// Further connection arguments under libpq's names, as Quay's `DB_CONNECTION_ARGS`.
    /// They win over the URL's query; user, password, host, port and database of the URL win
    /// over them. Those that only Quay's own pool knows are ignored.
    pub args: BTreeMap<String, String>,
    /// Connections at most. At least 1.
    pub pool_size: usize,
    /// Longest wait for a free connection.
    pub checkout_timeout: Duration,
    /// Longest time of one connection attempt at one address, up to a session that is ready
    /// for work; the argument `connect_timeout` wins over it.
    pub connect_timeout: Duration,
    /// Longest time of one statement; zero is no limit. A server that says nothing for a
    /// second longer is given up.
    pub statement_timeout: Duration,
    /// Longest wait for one lock; zero is no limit.
    pub lock_timeout: Duration,
    /// Longest pause inside a transaction before the server ends it; zero is no limit.
    pub idle_in_transaction_timeout: Duration,
    /// A connection that nobody took for this long is closed. Zero closes it as soon as it is
    /// given back.
    pub idle_disconnect: Duration,
    /// The server is `PgBouncer` in transaction mode: nothing is set for a session.
    pub pgbouncer: bool,
}

impl DbConfig {
    /// Describes a database by its URL, with the defaults of `config/quayhand.toml`.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            args: BTreeMap::new(),
            pool_size: 8,
            checkout_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(10),
            statement_timeout: Duration::from_secs(30),
            lock_timeout: Duration::from_secs(5),
            idle_in_transaction_timeout: Duration::from_mins(1),
            idle_disconnect: Duration::from_secs(10),
            pgbouncer: false,
        }
    }
}

impl fmt::Debug for DbConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let server = match Address::parse(self) {
            Ok(address) => address.server,
            Err(_) => "unreadable".to_owned(),
        };
        let args: Vec<_> = self.args.keys().collect();
        f.debug_struct("DbConfig")
            .field("url", &server)
            .field("args", &args)
            .field("pool_size", &self.pool_size)
            .field("checkout_timeout", &self.checkout_timeout)
            .field("connect_timeout", &self.connect_timeout)
            .field("statement_timeout", &self.statement_timeout)
            .field("lock_timeout", &self.lock_timeout)
            .field(
                "idle_in_transaction_timeout",
                &self.idle_in_transaction_timeout,
            )
            .field("idle_disconnect", &self.idle_disconnect)
            .field("pgbouncer", &self.pgbouncer)
            .finish_non_exhaustive()
    }
}
