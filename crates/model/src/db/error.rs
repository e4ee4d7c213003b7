//! Why a database call failed, sorted by what the caller can do about it.
use std::error::Error;

type Source = Box<dyn Error + Send + Sync>;

/// Says why a database call failed.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// The settings cannot be used.
    #[error("database setting `{setting}`: {problem}")]
    Config {
        /// Name of the setting.
        setting: &'static str,
        /// What is wrong with it, and what would be right.
        problem: String,
    },
    /// No connection could be made or became free in time; nothing was sent.
    #[error("no connection to the database at {server}: {problem}")]
    Connect {
        /// Host, port and database, never the password.
        server: String,
        /// What the server or the network said, and what to do about it.
        problem: String,
        /// The server's five-character error code, if the server answered.
        code: Option<String>,
    },
    /// A statement failed; its transaction is rolled back.
    #[error("statement `{name}` failed{}", .code.as_deref().map(|c| format!(" (SQLSTATE {c})")).unwrap_or_default())]
    Statement {
        /// Name of the statement, as in logs and metrics.
        name: &'static str,
        /// The server's five-character error code, if the server answered.
        code: Option<String>,
        /// What the server or the driver said.
        #[source]
        source: Source,
    },
    /// The connection broke under a statement. An open transaction is rolled back by the
    /// server; a statement outside of one may or may not have taken effect.
    #[error("connection to the database at {server} lost in statement `{name}`: {problem}")]
    Lost {
        /// Host, port and database, never the password.
        server: String,
        /// Name of the statement.
        name: &'static str,
        /// What the server or the network said.
        problem: String,
    },
    /// The answer to a commit was lost: the transaction took effect as a whole or not at
    /// all, and only the database knows which. Read the state again.
    #[error("outcome of the transaction is unknown: the answer to its commit was lost")]
    OutcomeUnknown {
        /// How the answer was lost.
        #[source]
        source: Box<DbError>,
    },
    /// A row did not have the expected shape.
    #[error("statement `{name}`: column {column}: {problem}")]
    Row {
        /// Name of the statement.
        name: &'static str,
        /// Position of the column, 0 is the first.
        column: usize,
        /// What was found.
        problem: String,
    },
    /// A scope was opened inside a scope of the same task: two connections for one job
    /// can starve the pool.
    #[error("a database scope was opened inside another one: use the outer one's connection")]
    Nested,
    /// A rule of this crate forbids what was asked.
    #[error("{0}")]
    Refused(String),
    /// The schema is not one this program works on; says what is missing and what makes it.
    #[error("{0}")]
    Schema(String),
}

impl DbError {
    /// Tells whether trying the same transaction again can help: deadlock, serialization
    /// failure, lock time-out, a foreign key that a concurrent writer used, a statement that
    /// took too long (with less to do it may not).
    #[must_use]
    pub fn is_contention(&self) -> bool {
        matches!(
            self.code(),
            Some("40P01" | "40001" | "55P03" | "23503" | "57014")
        )
    }

    /// Tells whether the server was out of reach or went away: the same call may succeed
    /// once the database is back. Wrong passwords and unknown databases count as well.
    #[must_use]
    pub fn is_connect(&self) -> bool {
        matches!(
            self,
            Self::Connect { .. } | Self::Lost { .. } | Self::OutcomeUnknown { .. }
        )
    }

    /// Returns the server's five-character error code, if the server answered.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Statement { code, .. } | Self::Connect { code, .. } => code.as_deref(),
            _ => None,
        }
    }
}
