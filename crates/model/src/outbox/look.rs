//! The jobs of the outbox as operators ask for them: by their ids, and the dead.
use super::NewRow;
use crate::{
    Conn, DbError,
    db::{Param, Row, Sql},
};

/// A job of the outbox, as operators see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldRow {
    /// Its place in the outbox.
    pub seq: i64,
    /// The job; its `delay` is what is left of it.
    pub job: NewRow,
    /// When it was written, in milliseconds since the Unix epoch by the database's clock.
    pub created_ms: i64,
    /// Whether it was seen in the queue.
    pub was_relayed: bool,
    /// When it was given up, as `created_ms`; `None`: it was not.
    pub dead_ms: Option<i64>,
    /// Why it was given up; empty while it was not.
    pub reason: String,
}

const GET: Sql = Sql::postgres(
    "outbox.get",
    "select seq, job_id, kind, version, payload::text, tenant, priority, trace,
            greatest(0, ceil(extract(epoch from due_at - clock_timestamp()) * 1000))::bigint,
            relayed_at is not null, (extract(epoch from created_at) * 1000)::bigint,
            (extract(epoch from dead_at) * 1000)::bigint, coalesce(reason, '')
       from quayhand_outbox where job_id = $1",
);

/// Returns one job, dead or not; `None` when there is no row: it is done, or was never here. One
/// statement.
///
/// # Errors
///
/// [`DbError::Statement`] if the database refuses.
pub async fn get(conn: &mut Conn, id: &str) -> Result<Option<HeldRow>, DbError> {
    let row = conn.query_opt(&GET, &[Param::Text(id)]).await?;
    row.as_ref().map(read).transpose()
}

const DEAD_AFTER: Sql = Sql::postgres(
    "outbox.dead_after",
    "select seq, job_id, kind, version, payload::text, tenant, priority, trace,
            greatest(0, ceil(extract(epoch from due_at - clock_timestamp()) * 1000))::bigint,
            relayed_at is not null, (extract(epoch from created_at) * 1000)::bigint,
            (extract(epoch from dead_at) * 1000)::bigint, coalesce(reason, '')
       from quayhand_outbox where dead_at is not null and seq > $1 order by seq limit $2",
);

/// Lists dead jobs from the place `after_seq` on (0: from the start), `at_most` of them; an empty
/// page is the last. One statement.
///
/// # Errors
///
/// [`DbError::Statement`] if the database refuses.
pub async fn dead_after(
    conn: &mut Conn,
    after_seq: i64,
    at_most: u32,
) -> Result<Vec<HeldRow>, DbError> {
    let params = [Param::Int(after_seq), Param::Int(at_most.into())];
    let rows = conn.query(&DEAD_AFTER, &params).await?;
    rows.iter().map(read).collect()
}

fn read(row: &Row) -> Result<HeldRow, DbError> {
    Ok(HeldRow {
        seq: row.int(0)?,
        job: super::read_job(row)?,
        was_relayed: row.bool(9)?,
        created_ms: row.int(10)?,
        dead_ms: row.opt_int(11)?,
        reason: row.text(12)?,
    })
}

const REVIVE: Sql = Sql::postgres(
    "outbox.revive",
    "update quayhand_outbox set dead_at = null, reason = null
      where job_id = any($1) and dead_at is not null",
);

/// Notes that dead jobs are to be tried again: they are relayed as any other. Returns how many were
/// dead. One statement.
///
/// # Errors
///
/// [`DbError::Statement`] if the database refuses.
pub async fn revive(conn: &mut Conn, ids: &[&str]) -> Result<u64, DbError> {
    conn.execute(&REVIVE, &[Param::Texts(ids)]).await
}
