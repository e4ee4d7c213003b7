//! What it takes to reach a database.
use std::time::Duration;

/// Says where the database is and how its connections behave.
#[derive(Clone)]
pub struct DbConfig {
    /// `postgresql://user:password@host:port/database?sslmode=...`; user and password are
    /// percent-encoded. `postgresql+psycopg2://` is understood as well.
    pub url: String,
    /// Connections at most. At least 1.
    pub pool_size: usize,
    /// Longest wait for a free connection.
    pub checkout_timeout: Duration,
    /// Longest time of one connection attempt.
    pub connect_timeout: Duration,
    /// Longest time of one statement.
    pub statement_timeout: Duration,
    /// Longest wait for one lock.
    pub lock_timeout: Duration,
    /// Longest pause inside a transaction before the server ends it.
    pub idle_in_transaction_timeout: Duration,
    /// An unused connection is closed after this time.
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
