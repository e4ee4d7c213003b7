//! How the job of a tick ended, and which jobs have not.
use crate::{
    Conn, DbError,
    db::{Param, Sql},
};

/// One tick of one entry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tick {
    /// The schedule's entry: the job's kind.
    pub entry: String,
    /// The tick, in milliseconds since the Unix epoch.
    pub tick_ms: i64,
}

/// Says how the job of a tick ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It is done, or an equal job does its work.
    Done,
    /// It was given up: the next tick is not kept waiting.
    Dead,
}

const OPEN: Sql = Sql::postgres(
    "schedule.open",
    "select entry, (extract(epoch from tick) * 1000)::bigint from quayhand_schedule
      where state = 'enqueued' and entry = any($1) order by entry, tick limit $2",
);

/// Lists the ticks of these entries whose jobs were enqueued and have not ended, `at_most` of
/// them: usually one an entry at most. One statement; reads the table, which is small.
///
/// # Errors
///
/// [`DbError::Statement`] if the database refuses.
pub async fn open(conn: &mut Conn, entries: &[&str], at_most: u32) -> Result<Vec<Tick>, DbError> {
    let params = [Param::Texts(entries), Param::Int(at_most.into())];
    let rows = conn.query(&OPEN, &params).await?;
    let tick = |row: &crate::db::Row| {
        Ok(Tick {
            entry: row.text(0)?,
            tick_ms: row.int(1)?,
        })
    };
    rows.iter().map(tick).collect()
}

const DONE: Sql = Sql::postgres(
    "schedule.done",
    "select asked.entry, asked.tick_ms
       from unnest($1::text[], $2::bigint[]) as asked (entry, tick_ms)
       join quayhand_schedule as held
         on held.entry = asked.entry
        and held.tick = timestamptz 'epoch' + asked.tick_ms * interval '1 millisecond'
      where held.state = 'done'",
);

/// Returns those of the ticks whose jobs are known to be done. One statement.
///
/// # Errors
///
/// [`DbError::Statement`] if the database refuses; then nothing is known.
pub async fn done(conn: &mut Conn, ticks: &[Tick]) -> Result<Vec<Tick>, DbError> {
    let (entries, times) = columns(ticks);
    let params = [Param::Texts(&entries), Param::Ints(&times)];
    let rows = conn.query(&DONE, &params).await?;
    let tick = |row: &crate::db::Row| {
        Ok(Tick {
            entry: row.text(0)?,
            tick_ms: row.int(1)?,
        })
    };
    rows.iter().map(tick).collect()
}

const END: Sql = Sql::postgres(
    "schedule.end",
    "update quayhand_schedule as held set state = $3
       from unnest($1::text[], $2::bigint[]) as asked (entry, tick_ms)
      where held.entry = asked.entry
        and held.tick = timestamptz 'epoch' + asked.tick_ms * interval '1 millisecond'
        and held.state <> 'done'",
);

/// Notes how the jobs of ticks ended; what is done stays done. Returns how many are new. One
/// statement.
///
/// # Errors
///
/// [`DbError::Statement`] if the database refuses.
pub async fn end(conn: &mut Conn, ticks: &[Tick], end: End) -> Result<u64, DbError> {
    let (entries, times) = columns(ticks);
    let state = match end {
        End::Done => "done",
        End::Dead => "dead",
    };
    let params = [
        Param::Texts(&entries),
        Param::Ints(&times),
        Param::Text(state),
    ];
    conn.execute(&END, &params).await
}

fn columns(ticks: &[Tick]) -> (Vec<&str>, Vec<i64>) {
    ticks
        .iter()
        .map(|tick| (tick.entry.as_str(), tick.tick_ms))
        .unzip()
}
