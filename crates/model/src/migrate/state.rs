//! What was applied, compared with what this program has.
use std::fmt;

use super::ledger::{self, Applied};
use super::{MigrateError, Set, Step};
use crate::db::{Conn, Db, DbError};
use crate::drift::{Kind, kind_of_database};

/// How a migration stands in one database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It was applied, and its file is still the same.
    Applied {
        /// When, RFC 3339 in UTC by the database's clock.
        at: String,
    },
    /// It was not applied yet.
    Pending,
    /// It was applied, and its file was changed since.
    Changed {
        /// When it was applied.
        at: String,
    },
    /// It was applied by a program that had it; this one does not.
    Unknown {
        /// When it was applied.
        at: String,
    },
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Applied { at } => write!(f, "applied {at}"),
            Self::Pending => f.write_str("pending"),
            Self::Changed { at } => write!(f, "applied {at}, changed since"),
            Self::Unknown { at } => write!(f, "applied {at} by a newer quayhand"),
        }
    }
}

/// A migration and how it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Which migration.
    pub step: Step,
    /// How it stands.
    pub state: State,
}

/// Where a database stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Current {
    /// Whose it is.
    pub kind: Kind,
    /// Last applied migration of each set that was begun, in the order of [`Set::ALL`].
    pub last: Vec<Step>,
}

/// Tells whose database it is and the last migration of each set. Read-only.
///
/// # Errors
///
/// [`MigrateError::Database`] when the database cannot be reached or read.
pub async fn current(db: &Db) -> Result<Current, MigrateError> {
    db.scope(async |conn| {
        let kind = kind_of_database(conn).await?;
        let mut last = Vec::new();
        for set in Set::ALL {
            let applied = ledger::read(conn, set).await?;
            last.extend(applied.last().map(|applied| step_of(set, applied)));
        }
        Ok(Current { kind, last })
    })
    .await
}

/// Lists the migrations of a set, applied or not, by ascending number. Read-only.
///
/// # Errors
///
/// [`MigrateError::Database`] when the database cannot be reached or read.
pub async fn history(db: &Db, set: Set) -> Result<Vec<Entry>, MigrateError> {
    db.scope(async |conn| Ok(entries(conn, set).await?)).await
}

/// Lists what is not as it should be: pending, changed and unknown migrations of the sets that
/// belong into this database, or of the one that was asked for. Empty: all is well. Read-only.
///
/// # Errors
///
/// [`MigrateError::Foreign`] and [`MigrateError::QuayDatabase`] as for [`up`](super::up),
/// [`MigrateError::Database`] when the database cannot be reached or read.
pub async fn check(db: &Db, only: Option<Set>) -> Result<Vec<Entry>, MigrateError> {
    db.scope(async |conn| {
        let kind = kind_of_database(conn).await?;
        let mut off = Vec::new();
        for set in sets_for(kind, only)? {
            off.extend(entries(conn, set).await?);
        }
        off.retain(|entry| !matches!(entry.state, State::Applied { .. }));
        Ok(off)
    })
    .await
}

/// Decides which sets belong into a database.
pub(super) fn sets_for(kind: Kind, only: Option<Set>) -> Result<Vec<Set>, MigrateError> {
    match (kind, only) {
        (kind @ Kind::Foreign { .. }, _) => Err(MigrateError::Foreign { kind }),
        (Kind::Quay { alembic }, Some(Set::Registry)) => {
            Err(MigrateError::QuayDatabase { alembic })
        }
        (_, Some(set)) => Ok(vec![set]),
        (Kind::Quay { .. }, None) => Ok(vec![Set::Quayhand]),
        (Kind::Standalone | Kind::Empty, None) => Ok(Set::ALL.to_vec()),
    }
}

/// Reads how every migration of a set stands.
pub(super) async fn entries(conn: &mut Conn, set: Set) -> Result<Vec<Entry>, DbError> {
    let applied = ledger::read(conn, set).await?;
    let mut entries: Vec<Entry> = applied.iter().map(|found| entry_of(set, found)).collect();
    let is_pending = |version| applied.iter().all(|found| found.version != version);
    entries.extend(
        set.ups()
            .filter(|up| is_pending(up.version))
            .map(|up| Entry {
                step: Step {
                    set,
                    version: up.version,
                    description: up.description.to_string(),
                },
                state: State::Pending,
            }),
    );
    entries.sort_by_key(|entry| entry.step.version);
    Ok(entries)
}

fn entry_of(set: Set, applied: &Applied) -> Entry {
    let at = applied.at.clone();
    Entry {
        step: step_of(set, applied),
        state: match set.up(applied.version) {
            None => State::Unknown { at },
            Some(up) if *up.checksum != *applied.checksum => State::Changed { at },
            Some(_) => State::Applied { at },
        },
    }
}

fn step_of(set: Set, applied: &Applied) -> Step {
    Step {
        set,
        version: applied.version,
        description: applied.description.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_set_goes_beside_a_quay() {
        let quay = || Kind::Quay {
            alembic: Some("abc".to_owned()),
        };
        assert_eq!(sets_for(quay(), None).ok(), Some(vec![Set::Quayhand]));
        assert_eq!(
            sets_for(quay(), Some(Set::Quayhand)).ok(),
            Some(vec![Set::Quayhand])
        );
        let error = sets_for(quay(), Some(Set::Registry))
            .expect_err("refused")
            .to_string();
        assert!(
            error.contains("revision `abc`") && error.contains("--set quayhand"),
            "{error}"
        );
    }

    #[test]
    fn both_sets_go_where_no_quay_is() {
        assert_eq!(sets_for(Kind::Empty, None).ok(), Some(Set::ALL.to_vec()));
        assert_eq!(
            sets_for(Kind::Standalone, None).ok(),
            Some(Set::ALL.to_vec())
        );
        assert_eq!(
            sets_for(Kind::Empty, Some(Set::Registry)).ok(),
            Some(vec![Set::Registry])
        );
    }

    #[test]
    fn nothing_goes_into_a_foreign_database() {
        for only in [None, Some(Set::Registry), Some(Set::Quayhand)] {
            let foreign = Kind::Foreign {
                tables: vec!["orders".to_owned()],
            };
            assert!(matches!(
                sets_for(foreign, only),
                Err(MigrateError::Foreign { .. })
            ));
        }
    }
}
