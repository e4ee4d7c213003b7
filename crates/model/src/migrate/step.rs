//! Applying migrations and taking them back, one transaction each.
use std::fmt;
use std::time::Instant;

use super::state::{Entry, State, entries, sets_for};
use super::{MigrateError, Set, ledger};
use crate::db::{Conn, Db, DbError};
use crate::drift::kind_of_database;

/// Lets one migrator at a time go on, until the end of its transaction. Building an index takes
/// the time it takes; a lock on a table that is in use is not waited for long, since everybody
/// else would queue behind us.
const TAKE_TURN: &str = "set local statement_timeout = 0; set local lock_timeout = '60s'; \
     select pg_advisory_xact_lock(8244220185604337); set local lock_timeout = '5s'";

/// One migration of one set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The set it belongs to.
    pub set: Set,
    /// Its number, from 1.
    pub version: i64,
    /// Its name, words separated by spaces.
    pub description: String,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:04} {}", self.set, self.version, self.description)
    }
}

/// How far [`down`] goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// So many migrations, the last one first. 0 does nothing.
    Steps(usize),
    /// All of them; the table that noted them goes as well.
    All,
}

/// Applies what is pending, of one set or of those that belong into this database: both where
/// there is no Quay, ours alone beside one. Returns what was applied, in order; empty: nothing was
/// pending.
///
/// # Errors
///
/// [`MigrateError::QuayDatabase`] and [`MigrateError::Foreign`] where the set must not go,
/// [`MigrateError::Unknown`] and [`MigrateError::Changed`] when the database and this program do
/// not agree on what was applied, [`MigrateError::Step`] when a migration fails: those before it
/// stay, it is rolled back, running again goes on from there.
pub async fn up(db: &Db, only: Option<Set>) -> Result<Vec<Step>, MigrateError> {
    let kind = db.scope(async |conn| kind_of_database(conn).await).await?;
    let mut applied = Vec::new();
    for set in sets_for(kind, only)? {
        while let Some(step) = step_up(db, set).await? {
            tracing::info!(migration = %step, "applied `{step}`");
            applied.push(step);
        }
    }
    Ok(applied)
}

/// Takes back migrations of a set, the last one first, with everything in their tables. Returns
/// what was taken back, in order; empty: nothing was applied.
///
/// # Errors
///
/// As for [`up`]; a migration that this program does not have cannot be taken back.
pub async fn down(db: &Db, set: Set, depth: Depth) -> Result<Vec<Step>, MigrateError> {
    let mut reverted = Vec::new();
    while depth != Depth::Steps(reverted.len()) {
        let Some(step) = step_down(db, set).await? else {
            break;
        };
        tracing::info!(migration = %step, "took back `{step}`");
        reverted.push(step);
    }
    Ok(reverted)
}

async fn step_up(db: &Db, set: Set) -> Result<Option<Step>, MigrateError> {
    db.transaction(async |conn| {
        let entries = begin(conn, set).await?;
        let pending = entries
            .into_iter()
            .find(|entry| entry.state == State::Pending);
        let Some(Entry { step, .. }) = pending else {
            return Ok(None);
        };
        apply(conn, &step)
            .await
            .map_err(|source| failed("applying", &step, source))?;
        Ok(Some(step))
    })
    .await
}

async fn step_down(db: &Db, set: Set) -> Result<Option<Step>, MigrateError> {
    db.transaction(async |conn| {
        let mut entries = begin(conn, set).await?;
        entries.retain(|entry| entry.state != State::Pending);
        let is_last = entries.len() == 1;
        let Some(Entry { step, .. }) = entries.pop() else {
            return Ok(None);
        };
        let done = revert(conn, &step, is_last).await;
        done.map_err(|source| failed("taking back", &step, source))?;
        Ok(Some(step))
    })
    .await
}

/// Takes the turn, and only then looks: whose database it is and what was applied may have changed
/// while waiting.
async fn begin(conn: &mut Conn, set: Set) -> Result<Vec<Entry>, MigrateError> {
    conn.batch("migrate.take_turn", TAKE_TURN).await?;
    sets_for(kind_of_database(conn).await?, Some(set))?;
    let entries = entries(conn, set).await?;
    for Entry { step, state } in &entries {
        match state {
            State::Unknown { .. } => return Err(MigrateError::Unknown(step.clone())),
            State::Changed { .. } => return Err(MigrateError::Changed(step.clone())),
            State::Applied { .. } | State::Pending => {}
        }
    }
    Ok(entries)
}

async fn apply(conn: &mut Conn, step: &Step) -> Result<(), DbError> {
    let Some(file) = step.set.up(step.version) else {
        return Err(no_file(step));
    };
    ledger::ensure(conn, step.set).await?;
    let begun = Instant::now();
    conn.batch("migrate.apply", file.sql.as_str()).await?;
    let took_ns = i64::try_from(begun.elapsed().as_nanos()).unwrap_or(i64::MAX);
    ledger::add(conn, step.set, file, took_ns).await
}

async fn revert(conn: &mut Conn, step: &Step, is_last: bool) -> Result<(), DbError> {
    let Some(file) = step.set.down(step.version) else {
        return Err(no_file(step));
    };
    conn.batch("migrate.revert", file.sql.as_str()).await?;
    ledger::remove(conn, step.set, step.version, is_last).await
}

fn no_file(step: &Step) -> DbError {
    DbError::Schema(format!("migration `{step}` has no file for this direction"))
}

fn failed(direction: &'static str, step: &Step, source: DbError) -> MigrateError {
    MigrateError::Step {
        direction,
        set: step.set,
        version: step.version,
        description: step.description.clone(),
        source,
    }
}
