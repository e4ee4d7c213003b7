//! What can go wrong while a test prepares its servers and data.

use std::{io, path::PathBuf};

/// Tells why a throw-away server or a fixture could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TestkitError {
    /// A program that a server needs is not installed.
    #[error("program `{program}` is not installed: install the package `{package}`")]
    MissingProgram {
        /// The program's file name.
        program: &'static str,
        /// The Debian package that brings it.
        package: &'static str,
    },
    /// A file, folder or process could not be used.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// What was being done, as in "create the folder".
        action: &'static str,
        /// The file, folder or program it was done to.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A server ended or did not answer while it was being started.
    #[error("{server} did not start: {reason}; the end of its log:\n{log_tail}")]
    NotStarted {
        /// `PostgreSQL` or `Redis`.
        server: &'static str,
        /// What was seen from outside.
        reason: String,
        /// The last lines of the server's log, empty when it wrote none.
        log_tail: String,
    },
    /// A statement or a connection of the testkit itself failed.
    #[error("cannot {action} in database `{database}`")]
    Database {
        /// What was being done, as in "copy into `tag`".
        action: String,
        /// The database it was done in.
        database: String,
        /// What PostgreSQL said.
        source: tokio_postgres::Error,
    },
    /// A program that was run to its end failed.
    #[error("`{program}` failed while it was to {action}: {stderr}")]
    ProgramFailed {
        /// The program's file name.
        program: &'static str,
        /// What it was run for.
        action: String,
        /// What it wrote to its standard error.
        stderr: String,
    },
    /// A fixture or a database's content is not what the testkit expects.
    #[error("{what} is not usable: {reason}")]
    BadInput {
        /// The file, table or setting.
        what: String,
        /// What is wrong with it and what would be right.
        reason: String,
    },
}

/// Makes a [`TestkitError::Io`] out of an operating system error; for `map_err`.
pub(crate) fn io_error(
    action: &'static str,
    path: impl Into<PathBuf>,
) -> impl FnOnce(io::Error) -> TestkitError {
    let path = path.into();
    move |source| TestkitError::Io {
        action,
        path,
        source,
    }
}

/// Makes a [`TestkitError::Database`] out of a PostgreSQL error; for `map_err`.
pub(crate) fn database_error(
    action: impl Into<String>,
    database: &str,
) -> impl FnOnce(tokio_postgres::Error) -> TestkitError {
    let (action, database) = (action.into(), database.to_owned());
    move |source| TestkitError::Database {
        action,
        database,
        source,
    }
}
