//! Uploads in progress: those that were begun too long ago.
use std::{collections::BTreeSet, time::Duration};

use crate::{
    Conn, DbError,
    db::{Param, Row, Sql},
};

/// An upload that was begun too long ago.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaleUpload {
    /// `blobupload.id`.
    pub id: i64,
    /// `blobupload.uuid`: the name of what was uploaded so far.
    pub uuid: String,
    /// Name of the storage location; `None` when the registry has none of that id.
    pub location: Option<String>,
    /// What the storage engine noted about the upload, as JSON; empty on some engines.
    pub metadata: String,
}

// `created` is a local time of the registry's host; a registry's containers run by UTC.
const STALE: Sql = Sql::postgres(
    "upload.find_stale",
    "
    with now as materialized (
        select coalesce(to_timestamp($1 / 1000.0), clock_timestamp()) at time zone 'utc' as at
    )
    select u.id, u.uuid, l.name, coalesce(u.storage_metadata, '')
      from blobupload u
      left join imagestoragelocation l on l.id = u.location_id
     where u.id > $3
       and u.created <= (select at from now) - $2 * interval '1 millisecond'
     order by u.id
     limit $4",
);

// The age is looked at once more: the row is somebody else's, and waited outside.
const REMOVE: Sql = Sql::postgres(
    "upload.remove_stale",
    "
    with now as materialized (
        select coalesce(to_timestamp($1 / 1000.0), clock_timestamp()) at time zone 'utc' as at
    ),
    due as materialized (
        select u.id
          from blobupload u
         where u.id = any($3)
           and u.created <= (select at from now) - $2 * interval '1 millisecond'
         order by u.id
           for update of u skip locked
    )
    delete from blobupload where id in (select id from due)",
);

// A chunk may have a name of its own, which only the upload's metadata tells.
const IN_PROGRESS: Sql = Sql::postgres(
    "upload.in_progress",
    "
    select name
      from unnest($1::text[]) as chunk (name)
     where exists (select 1 from blobupload u where u.uuid = chunk.name)
        or exists (select 1
                     from blobupload u
                    where position(chunk.name in u.storage_metadata) > 0)",
);

/// Finds at most `at_most` uploads that were begun at least `age` ago, with an id above `after`
/// (0 begins), in id order. One statement, no locks.
///
/// `as_of_ms` (milliseconds since the Unix epoch) replaces the database's clock.
///
/// # Errors
///
/// [`DbError::Statement`] if the database refuses.
pub async fn find_stale(
    conn: &mut Conn,
    age: Duration,
    as_of_ms: Option<i64>,
    after: i64,
    at_most: u32,
) -> Result<Vec<StaleUpload>, DbError> {
    let params = [
        Param::OptInt(as_of_ms),
        Param::Int(ms(age)),
        Param::Int(after),
        Param::Int(i64::from(at_most)),
    ];
    let rows = conn.query(&STALE, &params).await?;
    let read = |row: &Row| {
        Ok(StaleUpload {
            id: row.int(0)?,
            uuid: row.text(1)?,
            location: row.opt_text(2)?,
            metadata: row.text(3)?,
        })
    };
    rows.iter().map(read).collect()
}

/// Removes the rows of uploads that were cancelled in storage; returns how many. One that is
/// younger than `age` or that a writer holds stays. One statement.
///
/// # Errors
///
/// [`DbError::Statement`] if the database refuses.
pub async fn remove_stale(
    conn: &mut Conn,
    age: Duration,
    as_of_ms: Option<i64>,
    ids: &[i64],
) -> Result<u64, DbError> {
    let params = [
        Param::OptInt(as_of_ms),
        Param::Int(ms(age)),
        Param::Ints(ids),
    ];
    conn.execute(&REMOVE, &params).await
}

/// Returns which of these names below `uploads/` an upload in progress uses, stale ones
/// included. One statement; reads all uploads once a name, of which a registry has few.
///
/// # Errors
///
/// [`DbError::Statement`] if the database refuses.
pub async fn in_progress(conn: &mut Conn, names: &[&str]) -> Result<BTreeSet<String>, DbError> {
    let rows = conn.query(&IN_PROGRESS, &[Param::Texts(names)]).await?;
    rows.iter().map(|row| row.text(0)).collect()
}

fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
