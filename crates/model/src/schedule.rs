//! Who enqueues the job of a schedule's tick: one row a tick decides, so no host leads.
//!
//! A host claims a tick, enqueues its job, and marks the tick as enqueued. A host that dies
//! in between leaves a claim that another one takes over after [`RETAKE_AFTER`]; the job's
//! id is derived from entry and tick, so that even two hosts that enqueue make one job. Whoever
//! runs the job notes its end: until then the next tick is left out (two jobs of one entry never
//! run side by side), and the job is enqueued again if Redis lost it. All times are the
//! database's.
mod end;
mod entry;

use std::time::Duration;

use crate::{
    Conn, DbError,
    db::{Param, Row, Sql},
};

pub use end::{End, Tick, done, end, open};
pub use entry::{Seen, list, pause, resume};

/// A claim of this age that was not marked as enqueued belongs to whoever asks next.
pub const RETAKE_AFTER: Duration = Duration::from_mins(1);
/// A host's clock may be this much ahead of the database's.
const MAX_LEAD: Duration = Duration::from_secs(1);

/// Says who enqueues the job of a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The caller: enqueue the job, then call [`mark_enqueued`].
    Ours,
    /// Another host, which has not said yet that it did. Ask again after [`RETAKE_AFTER`].
    Theirs,
    /// Nobody: the job was enqueued, or is not to be.
    Done,
    /// Nobody: the job of an earlier tick has not ended. The tick is noted as left out.
    Skipped,
    /// Nobody: the entry is paused, or was when the tick came. Nothing was written.
    Paused,
    /// Nobody yet: the tick is ahead of the database's clock. Nothing was written; ask again
    /// when its time has come.
    Early,
}

const CLAIM: Sql = Sql::postgres(
    "schedule.claim",
    "with asked as (
       select timestamptz 'epoch' + $2 * interval '1 millisecond' as tick
     ), due as (
       select tick from asked
        where tick <= clock_timestamp() + $4 * interval '1 millisecond'
     ), paused as (
       select from quayhand_schedule_entry as held, asked
        where held.entry = $1 and (held.is_paused or asked.tick <= held.changed_at)
     ), busy as (
       select from quayhand_schedule as held, asked
        where held.entry = $1 and held.tick < asked.tick and held.state = 'enqueued'
     ), ours as (
       insert into quayhand_schedule as held (entry, tick, state, claimed_at)
       select $1, tick, case when exists (select from busy) then 'skipped' else 'claimed' end,
              clock_timestamp()
         from due where not exists (select from paused)
       on conflict (entry, tick) do update set claimed_at = excluded.claimed_at
        where held.state = 'claimed'
          and held.claimed_at <= clock_timestamp() - $3 * interval '1 millisecond'
       returning held.state
     )
     select (select state from ours), not exists (select from due),
            exists (select from quayhand_schedule join asked using (tick)
                     where entry = $1 and state <> 'claimed'),
            exists (select from paused)",
);

/// Claims a tick of a schedule; `tick_ms` is milliseconds since the Unix epoch. Of all hosts
/// that ask, one gets [`Claim::Ours`]. One statement; run it in a plain scope, so that it is
/// committed before the job is enqueued.
///
/// # Errors
///
/// [`DbError::Statement`] if the database refuses.
pub async fn claim(conn: &mut Conn, entry: &str, tick_ms: i64) -> Result<Claim, DbError> {
    let params = [
        Param::Text(entry),
        Param::Int(tick_ms),
        Param::Int(whole_ms(RETAKE_AFTER)),
        Param::Int(whole_ms(MAX_LEAD)),
    ];
    read_claim(&conn.query_one(&CLAIM, &params).await?)
}

fn read_claim(row: &Row) -> Result<Claim, DbError> {
    let ours = row.opt_text(0)?;
    let (early, settled, paused) = (row.bool(1)?, row.bool(2)?, row.bool(3)?);
    // A row that another host is just writing is not seen by this statement: it is theirs.
    Ok(match ours.as_deref() {
        Some("skipped") => Claim::Skipped,
        Some(_) => Claim::Ours,
        None if settled => Claim::Done,
        None if early => Claim::Early,
        None if paused => Claim::Paused,
        None => Claim::Theirs,
    })
}

const MARK_ENQUEUED: Sql = Sql::postgres(
    "schedule.mark_enqueued",
    "update quayhand_schedule
        set state = case state when 'claimed' then 'enqueued' else state end
      where entry = $1 and tick = timestamptz 'epoch' + $2 * interval '1 millisecond'",
);

/// Notes that the job of a tick is in the queue; harmless when noted already, and when the job
/// has ended since. Returns false when nobody had claimed the tick. One statement.
///
/// # Errors
///
/// [`DbError::Statement`] if the database refuses.
pub async fn mark_enqueued(conn: &mut Conn, entry: &str, tick_ms: i64) -> Result<bool, DbError> {
    let params = [Param::Text(entry), Param::Int(tick_ms)];
    Ok(conn.execute(&MARK_ENQUEUED, &params).await? > 0)
}

const LAST_TICK: Sql = Sql::postgres(
    "schedule.last_tick",
    "select (extract(epoch from max(tick)) * 1000)::bigint from quayhand_schedule where entry = $1",
);

/// Returns the latest tick that any host claimed, in milliseconds since the Unix epoch;
/// `None` when the entry never ran. One statement on the primary key.
///
/// # Errors
///
/// [`DbError::Statement`] if the database refuses.
pub async fn last_tick(conn: &mut Conn, entry: &str) -> Result<Option<i64>, DbError> {
    let row = conn.query_one(&LAST_TICK, &[Param::Text(entry)]).await?;
    row.opt_int(0)
}

const PRUNE: Sql = Sql::postgres(
    "schedule.prune",
    "with ranked as (
       select entry, tick, state,
              row_number() over (partition by entry order by tick desc) as place
         from quayhand_schedule
     ), stale as (
       select entry, tick from ranked where place > $1 and state <> 'enqueued'
        order by tick limit $2
     )
     delete from quayhand_schedule as old using stale
      where old.entry = stale.entry and old.tick = stale.tick",
);

/// Removes all but the latest `keep` ticks of every entry, the oldest first and `at_most` in
/// one call; returns how many went. The latest one always stays, because it tells that the
/// tick was had, and so does one whose job has not ended. Reads the whole table, which holds
/// `keep` rows an entry.
///
/// # Errors
///
/// [`DbError::Statement`] if the database refuses.
pub async fn prune(conn: &mut Conn, keep: u32, at_most: u32) -> Result<u64, DbError> {
    let params = [Param::Int(keep.max(1).into()), Param::Int(at_most.into())];
    conn.execute(&PRUNE, &params).await
}

fn whole_ms(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}
