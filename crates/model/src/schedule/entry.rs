//! Which schedules are paused, and what their last tick came to.
use crate::{
    Conn, DbError,
    db::{Param, Sql},
    pause::kept,
};

/// What the database knows of a schedule's entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The entry: a job's kind.
    pub entry: String,
    /// Whether it is paused.
    pub is_paused: bool,
    /// Who paused it; empty when it is not paused.
    pub by: String,
    /// Why it is paused; empty when nobody said.
    pub why: String,
    /// When it was paused or resumed last, in milliseconds since the Unix epoch; `None`: never.
    pub changed_ms: Option<i64>,
    /// The latest tick that any host claimed, in milliseconds since the Unix epoch; `None` when
    /// there was none.
    pub last_tick_ms: Option<i64>,
    /// What became of that tick: `claimed`, `enqueued`, `done`, `dead` or `skipped`; `None` when
    /// there was none.
    pub last_state: Option<String>,
}

const LIST: Sql = Sql::postgres(
    "schedule.list",
    "with last as (
       select distinct on (entry) entry, tick, state from quayhand_schedule
        order by entry, tick desc
     )
     select entry, coalesce(held.is_paused, false), (extract(epoch from tick) * 1000)::bigint, state,
            coalesce(held.changed_by, ''), coalesce(held.why, ''),
            (extract(epoch from held.changed_at) * 1000)::bigint
       from last full join quayhand_schedule_entry as held using (entry) order by entry",
);

/// Lists every entry that ticked or was ever paused, by name. One statement; reads the tables,
/// which are small.
///
/// # Errors
///
/// [`DbError::Statement`] if the database refuses.
pub async fn list(conn: &mut Conn) -> Result<Vec<Seen>, DbError> {
    let rows = conn.query(&LIST, &[]).await?;
    let seen = |row: &crate::db::Row| {
        Ok(Seen {
            entry: row.text(0)?,
            is_paused: row.bool(1)?,
            last_tick_ms: row.opt_int(2)?,
            last_state: row.opt_text(3)?,
            by: row.text(4)?,
            why: row.text(5)?,
            changed_ms: row.opt_int(6)?,
        })
    };
    rows.iter().map(seen).collect()
}

const PAUSE: Sql = Sql::postgres(
    "schedule.pause",
    "insert into quayhand_schedule_entry as held (entry, is_paused, changed_by, why)
     values ($1, true, $2, $3)
     on conflict (entry) do update set is_paused = true, changed_at = clock_timestamp(),
            changed_by = excluded.changed_by, why = excluded.why
      where not held.is_paused",
);

/// Pauses an entry on all hosts: no tick of it is claimed until [`resume`]. A job that is enqueued
/// already runs. Who and why are kept, 512 bytes of each. Returns false, and changes nothing, when it
/// was paused before. One statement.
///
/// # Errors
///
/// [`DbError::Statement`] if the database refuses.
pub async fn pause(conn: &mut Conn, entry: &str, by: &str, why: &str) -> Result<bool, DbError> {
    let (by, why) = (kept(by), kept(why));
    let params = [entry, &by, &why].map(Param::Text);
    Ok(conn.execute(&PAUSE, &params).await? > 0)
}

const RESUME: Sql = Sql::postgres(
    "schedule.resume",
    "update quayhand_schedule_entry set is_paused = false, changed_at = clock_timestamp(),
            changed_by = '', why = ''
      where entry = $1 and is_paused",
);

/// Lets an entry go on with its next tick; those that passed while it was paused are not caught up
/// with. Returns false when it was not paused. One statement.
///
/// # Errors
///
/// [`DbError::Statement`] if the database refuses.
pub async fn resume(conn: &mut Conn, entry: &str) -> Result<bool, DbError> {
    Ok(conn.execute(&RESUME, &[Param::Text(entry)]).await? > 0)
}
