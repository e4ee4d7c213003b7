//! Why a migration did not happen, sorted by what the operator can do about it.
use std::path::PathBuf;

use super::{Set, Step};
use crate::db::DbError;

/// Says why a migration did not happen. What was applied before it stays applied.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The database could not be reached or read.
    #[error(transparent)]
    Database(#[from] DbError),
    /// The text of a migration failed; its transaction was rolled back.
    #[error("{direction} `{set}` {version:04} {description} failed and was rolled back")]
    Step {
        /// `applying` or `taking back`.
        direction: &'static str,
        /// Set of the migration.
        set: Set,
        /// Number of the migration.
        version: i64,
        /// Its name, words separated by spaces.
        description: String,
        /// What the server said.
        #[source]
        source: DbError,
    },
    /// The `registry` set was asked for where Quay migrates the same tables.
    #[error(
        "the database belongs to a Quay{}: set `registry` would build the same tables; use `--set quayhand`",
        .alembic.as_deref().map(|at| format!(" at revision `{at}`")).unwrap_or_default()
    )]
    QuayDatabase {
        /// Revision of Quay's schema, if it is noted.
        alembic: Option<String>,
    },
    /// The database holds tables that are neither Quay's nor ours.
    #[error("the database is {kind}: give an empty one or a Quay's; nothing was changed")]
    Foreign {
        /// What was found.
        kind: crate::drift::Kind,
    },
    /// A migration is noted that this program does not have.
    #[error(
        "`{}` {:04} {} was applied by a newer quayhand: use that one",
        .0.set, .0.version, .0.description
    )]
    Unknown(Step),
    /// A migration was changed after it had been applied.
    #[error(
        "`{}` {:04} {} was changed after it had been applied: restore its file and add a new one",
        .0.set, .0.version, .0.description
    )]
    Changed(Step),
    /// There is no set of this name.
    #[error("no set of migrations is called `{name}`: there are `registry` and `quayhand`")]
    UnknownSet {
        /// The name that was given.
        name: String,
    },
    /// A new migration cannot have this name.
    #[error(
        "`{name}` cannot name a migration: use lower-case letters, digits and `_`, a letter first"
    )]
    Name {
        /// The name that was given.
        name: String,
    },
    /// New migrations are files of the source tree, and this is not one.
    #[error("`{}` is not in a source checkout: no folder `migrations/postgres/{set}`", .path.display())]
    NoCheckout {
        /// Where it was looked for.
        path: PathBuf,
        /// Set of the new migration.
        set: Set,
    },
    /// A file of a migration could not be read or written.
    #[error("file `{}` failed", .path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}
