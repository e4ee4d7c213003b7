//! What an operator wants to know about the outbox.
use std::time::Duration;

use crate::{
    Conn, DbError,
    db::{Param, Sql},
};

/// Counts the jobs of the outbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Not seen in any queue yet.
    pub waiting: u64,
    /// Of those that wait, kinds that this build does not know: another host must relay them.
    pub unknown: u64,
    /// In a queue, or running.
    pub relayed: u64,
    /// Given up, kept for operators.
    pub dead: u64,
    /// Age of the oldest that waits; zero when none does.
    pub oldest_waiting: Duration,
    /// Age of the oldest that is neither done nor dead; zero when there is none.
    pub oldest_open: Duration,
}

const CENSUS: Sql = Sql::postgres(
    "outbox.census",
    "select count(*) filter (where dead_at is null and relayed_at is null),
            count(*) filter (where dead_at is null and relayed_at is null and kind <> all($1)),
            count(*) filter (where dead_at is null and relayed_at is not null),
            count(*) filter (where dead_at is not null),
            (extract(epoch from clock_timestamp()
              - min(created_at) filter (where dead_at is null and relayed_at is null))
             * 1000)::bigint,
            (extract(epoch from clock_timestamp()
              - min(created_at) filter (where dead_at is null)) * 1000)::bigint
       from quayhand_outbox",
);

/// Counts the jobs of the outbox; `known_kinds` are those of this build. Reads the whole table.
///
/// # Errors
///
/// [`DbError::Statement`] if the database refuses.
pub async fn census(conn: &mut Conn, known_kinds: &[&str]) -> Result<Census, DbError> {
    let row = conn
        .query_one(&CENSUS, &[Param::Texts(known_kinds)])
        .await?;
    let count = |column| Ok::<_, DbError>(u64::try_from(row.int(column)?).unwrap_or_default());
    let age = |column| {
        let ms = row.opt_int(column)?.unwrap_or_default();
        Ok::<_, DbError>(Duration::from_millis(u64::try_from(ms).unwrap_or_default()))
    };
    Ok(Census {
        waiting: count(0)?,
        unknown: count(1)?,
        relayed: count(2)?,
        dead: count(3)?,
        oldest_waiting: age(4)?,
        oldest_open: age(5)?,
    })
}
