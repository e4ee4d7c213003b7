//! How a job leaves the outbox: done, dead, or long dead.
use std::time::Duration;

use super::whole_ms;
use crate::{
    Conn, DbError,
    db::{Param, Sql},
};

const MISSING: Sql = Sql::postgres(
    "outbox.missing",
    "select asked.job_id from unnest($1::text[]) as asked (job_id)
      where not exists (select from quayhand_outbox as held where held.job_id = asked.job_id)",
);

/// Returns those of the jobs that have no row: they are done. One statement.
///
/// A row is committed before its job is in any queue, so its absence has no other cause.
///
/// # Errors
///
/// [`DbError::Statement`] if the database refuses; then nothing is known.
pub async fn missing(conn: &mut Conn, ids: &[&str]) -> Result<Vec<String>, DbError> {
    let rows = conn.query(&MISSING, &[Param::Texts(ids)]).await?;
    rows.iter().map(|row| row.text(0)).collect()
}

const REMOVE: Sql = Sql::postgres(
    "outbox.remove",
    "delete from quayhand_outbox where job_id = any($1)",
);

/// Removes jobs that are done, the dead that were tried again included; returns how many there
/// were. One statement.
///
/// # Errors
///
/// [`DbError::Statement`] if the database refuses.
pub async fn remove(conn: &mut Conn, ids: &[&str]) -> Result<u64, DbError> {
    conn.execute(&REMOVE, &[Param::Texts(ids)]).await
}

const BURY: Sql = Sql::postgres(
    "outbox.bury",
    "update quayhand_outbox as held set dead_at = clock_timestamp(), reason = asked.reason
       from unnest($1::text[], $2::text[]) as asked (job_id, reason)
      where held.job_id = asked.job_id and held.dead_at is null",
);

/// Notes that jobs are dead, each with its reason: they are relayed no more. Returns how many were
/// not before. One statement.
///
/// # Errors
///
/// [`DbError::Statement`] if the database refuses.
pub async fn bury(conn: &mut Conn, jobs: &[(&str, &str)]) -> Result<u64, DbError> {
    let (ids, reasons): (Vec<_>, Vec<_>) = jobs.iter().copied().unzip();
    let params = [Param::Texts(&ids), Param::Texts(&reasons)];
    conn.execute(&BURY, &params).await
}

const PRUNE_DEAD: Sql = Sql::postgres(
    "outbox.prune_dead",
    "delete from quayhand_outbox where seq in (
       select seq from quayhand_outbox
        where dead_at < clock_timestamp() - $1 * interval '1 millisecond'
        order by dead_at limit $2)",
);

/// Removes jobs that died longer ago than `kept`, the oldest first and `at_most` in one call;
/// returns how many went. One statement along an index.
///
/// # Errors
///
/// [`DbError::Statement`] if the database refuses.
pub async fn prune_dead(conn: &mut Conn, kept: Duration, at_most: u32) -> Result<u64, DbError> {
    let params = [Param::Int(whole_ms(kept)), Param::Int(at_most.into())];
    conn.execute(&PRUNE_DEAD, &params).await
}
