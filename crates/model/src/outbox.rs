//! Jobs that only their enqueuer knew: kept in the database from the transaction of their cause
//! until they are done.
//!
//! [`write()`] goes into the caller's transaction. Whoever relays reads [`open_after`] in pages,
//! puts the jobs into the queue under their own ids, which the queue takes once, and notes it with
//! [`mark_relayed`]. A worker asks [`missing`] before it runs a job (a job without its row was
//! done) and calls [`remove`] or [`bury`] before the queue forgets the job. A crash anywhere
//! between leaves the row, and so the job.
mod census;
mod end;
mod look;

use std::time::Duration;

use crate::{
    Conn, DbError,
    db::{Param, Row, Sql},
};

pub use census::{Census, census};
pub use end::{bury, missing, prune_dead, remove};
pub use look::{HeldRow, dead_after, get, revive};

/// Every job of the outbox has an id that begins so; no other job has.
pub const ID_PREFIX: &str = "outbox:";
/// Most bytes of payloads in one page of [`open_after`], unless a single one has more.
const LARGEST_PAGE_BYTES: i64 = 4 << 20;

/// A job on its way into the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRow {
    /// Its id in the queue; begins with [`ID_PREFIX`], at most 512 bytes.
    pub job_id: String,
    /// Its kind.
    pub kind: String,
    /// Version of the payload.
    pub version: u32,
    /// JSON, at most 256 KiB.
    pub payload: String,
    /// Whose work it is; empty means nobody's.
    pub tenant: String,
    /// Goes before jobs with a lower one.
    pub priority: i8,
    /// Trace context of the enqueuer; empty means none.
    pub trace: String,
    /// When it is due, from now by the database's clock; zero means at once.
    pub delay: Duration,
}

/// A job that waits in the outbox, or is in the queue and not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenRow {
    /// Its place in the outbox.
    pub seq: i64,
    /// The job; its `delay` is what is left of it.
    pub job: NewRow,
    /// Whether the job was seen in the queue before.
    pub was_relayed: bool,
}

const WRITE: Sql = Sql::postgres(
    "outbox.write",
    "insert into quayhand_outbox
       (job_id, kind, version, payload, tenant, priority, trace, due_at)
     select job_id, kind, version, payload::json, tenant, priority, trace,
            clock_timestamp() + delay_ms * interval '1 millisecond'
       from unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::bigint[],
                   $7::text[], $8::bigint[])
         as job (job_id, kind, version, payload, tenant, priority, trace, delay_ms)
     on conflict (job_id) do nothing",
);

/// Writes jobs into the outbox, in the caller's transaction; returns how many are new. An id that
/// is there already changes nothing. One statement.
///
/// # Errors
///
/// [`DbError::Statement`] if the database refuses: a payload that is no JSON or too large, an id
/// without the prefix. Then the caller's transaction cannot go on.
pub async fn write(conn: &mut Conn, rows: &[NewRow]) -> Result<u64, DbError> {
    let ints = |of: fn(&NewRow) -> i64| rows.iter().map(of).collect::<Vec<_>>();
    let versions = ints(|row| row.version.into());
    let priorities = ints(|row| row.priority.into());
    let delays = ints(|row| whole_ms(row.delay));
    let params = [
        Param::Texts(&texts(rows, |row| &row.job_id)),
        Param::Texts(&texts(rows, |row| &row.kind)),
        Param::Ints(&versions),
        Param::Texts(&texts(rows, |row| &row.payload)),
        Param::Texts(&texts(rows, |row| &row.tenant)),
        Param::Ints(&priorities),
        Param::Texts(&texts(rows, |row| &row.trace)),
        Param::Ints(&delays),
    ];
    conn.execute(&WRITE, &params).await
}

fn texts(rows: &[NewRow], of: fn(&NewRow) -> &String) -> Vec<&str> {
    rows.iter().map(|row| of(row).as_str()).collect()
}

const OPEN_AFTER: Sql = Sql::postgres(
    "outbox.open_after",
    "with page as (
       select seq, job_id, kind, version, payload::text as payload, tenant, priority, trace,
              relayed_at is not null as was_relayed,
              greatest(0, ceil(extract(epoch from due_at - clock_timestamp()) * 1000))::bigint
                as delay_ms
         from quayhand_outbox
        where seq > $1 and dead_at is null and kind = any($2)
        order by seq limit $3
     ), sized as (
       select page.*, row_number() over in_order as place,
              sum(octet_length(payload)) over in_order as bytes
         from page window in_order as (order by seq)
     )
     select seq, job_id, kind, version, payload, tenant, priority, trace, delay_ms, was_relayed
       from sized where place = 1 or bytes <= $4 order by seq",
);

/// Lists the jobs of these kinds that are not done, from the place `after_seq` on (0: from the
/// start), at most `at_most` and about 4 MiB. An empty page is the last. Dead ones are left out.
/// One statement along the primary key, without locks.
///
/// # Errors
///
/// [`DbError::Statement`] if the database refuses.
pub async fn open_after(
    conn: &mut Conn,
    kinds: &[&str],
    after_seq: i64,
    at_most: u32,
) -> Result<Vec<OpenRow>, DbError> {
    let params = [
        Param::Int(after_seq),
        Param::Texts(kinds),
        Param::Int(at_most.into()),
        Param::Int(LARGEST_PAGE_BYTES),
    ];
    let rows = conn.query(&OPEN_AFTER, &params).await?;
    rows.iter().map(read_open).collect()
}

fn read_open(row: &Row) -> Result<OpenRow, DbError> {
    Ok(OpenRow {
        seq: row.int(0)?,
        job: read_job(row)?,
        was_relayed: row.bool(9)?,
    })
}

/// Reads the columns 1 to 8: those of a job.
fn read_job(row: &Row) -> Result<NewRow, DbError> {
    Ok(NewRow {
        job_id: row.text(1)?,
        kind: row.text(2)?,
        // Both are held to their range by the table.
        version: u32::try_from(row.int(3)?).unwrap_or_default(),
        payload: row.text(4)?,
        tenant: row.text(5)?,
        priority: i8::try_from(row.int(6)?).unwrap_or_default(),
        trace: row.text(7)?,
        delay: Duration::from_millis(u64::try_from(row.int(8)?).unwrap_or_default()),
    })
}

const MARK_RELAYED: Sql = Sql::postgres(
    "outbox.mark_relayed",
    "update quayhand_outbox as held
        set relayed_at = coalesce(held.relayed_at, clock_timestamp()),
            relays = held.relays + asked.is_new::int
       from unnest($1::text[], $2::bigint[]) as asked (job_id, is_new)
      where held.job_id = asked.job_id",
);

/// Notes that jobs are in the queue: for each its id, and whether the queue did not have it
/// before. Returns how many rows there are still. One statement.
///
/// # Errors
///
/// [`DbError::Statement`] if the database refuses.
pub async fn mark_relayed(conn: &mut Conn, jobs: &[(&str, bool)]) -> Result<u64, DbError> {
    let (ids, new): (Vec<_>, Vec<_>) = jobs.iter().map(|(id, new)| (*id, i64::from(*new))).unzip();
    let params = [Param::Texts(&ids), Param::Ints(&new)];
    conn.execute(&MARK_RELAYED, &params).await
}

/// Milliseconds of a duration, at most a hundred years: no time overflows then.
fn whole_ms(time: Duration) -> i64 {
    const CENTURY_MS: i64 = 100 * 365 * 86_400_000;
    i64::try_from(time.as_millis()).map_or(CENTURY_MS, |ms| ms.min(CENTURY_MS))
}
