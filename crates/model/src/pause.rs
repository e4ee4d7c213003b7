//! What operators paused in the queues: the record that outlives Redis, whose copy workers go by.
use crate::{
    Conn, DbError,
    db::{Param, Sql},
};

/// Longest text of who paused something, or why, that is kept, in bytes.
const LONGEST_NOTE_BYTES: usize = 512;

/// One thing that is paused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paused {
    /// The queue.
    pub queue: String,
    /// What of it: `queue`, `kind:..` or `tenant:..`.
    pub target: String,
    /// Who paused it.
    pub by: String,
    /// Why; empty means nobody said.
    pub why: String,
    /// When, in milliseconds since the Unix epoch by the database's clock.
    pub at_ms: i64,
}

const PUT: Sql = Sql::postgres(
    "pause.put",
    "insert into quayhand_pause (queue, target, paused_by, why) values ($1, $2, $3, $4)
     on conflict (queue, target) do nothing",
);

/// Notes that something is paused; who and why are cut to 512 bytes. Returns false, and changes
/// nothing, when it was paused before. One statement.
///
/// # Errors
///
/// [`DbError::Statement`] if the database refuses, also what cannot be paused.
pub async fn put(
    conn: &mut Conn,
    queue: &str,
    target: &str,
    by: &str,
    why: &str,
) -> Result<bool, DbError> {
    let (by, why) = (kept(by), kept(why));
    let params = [queue, target, &by, &why].map(Param::Text);
    Ok(conn.execute(&PUT, &params).await? > 0)
}

const LIFT: Sql = Sql::postgres(
    "pause.lift",
    "delete from quayhand_pause where queue = $1 and target = $2",
);

/// Notes that something is paused no more. Returns false when it was not. One statement.
///
/// # Errors
///
/// [`DbError::Statement`] if the database refuses.
pub async fn lift(conn: &mut Conn, queue: &str, target: &str) -> Result<bool, DbError> {
    let params = [Param::Text(queue), Param::Text(target)];
    Ok(conn.execute(&LIFT, &params).await? > 0)
}

const LIST: Sql = Sql::postgres(
    "pause.list",
    "select queue, target, paused_by, why, (extract(epoch from paused_at) * 1000)::bigint
       from quayhand_pause order by queue, target",
);

/// Lists what is paused, by queue. One statement; reads the table, which is small.
///
/// # Errors
///
/// [`DbError::Statement`] if the database refuses.
pub async fn list(conn: &mut Conn) -> Result<Vec<Paused>, DbError> {
    let rows = conn.query(&LIST, &[]).await?;
    let paused = |row: &crate::db::Row| {
        Ok(Paused {
            queue: row.text(0)?,
            target: row.text(1)?,
            by: row.text(2)?,
            why: row.text(3)?,
            at_ms: row.int(4)?,
        })
    };
    rows.iter().map(paused).collect()
}

/// Cuts a text to what is kept, without the one character that no text of a database has.
pub(crate) fn kept(text: &str) -> String {
    let mut kept = String::new();
    for c in text.chars().filter(|c| *c != '\0') {
        if kept.len() + c.len_utf8() > LONGEST_NOTE_BYTES {
            break;
        }
        kept.push(c);
    }
    kept
}
