//! Application tokens that have expired.
use std::time::Duration;

use crate::{
    Conn, DbError,
    db::{Param, Sql},
};

/// Tokens that were found in one step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expired {
    /// Their ids (`appspecificauthtoken.id`), in order.
    pub ids: Vec<i64>,
    /// There may be further ones, after the last of these.
    pub more: bool,
}

// A token without an expiration never matches. One that its owner is changing now is passed by.
const DELETE: Sql = Sql::postgres(
    "token.delete_expired",
    "
    with now as materialized (
        select coalesce(to_timestamp($1 / 1000.0), clock_timestamp()) at time zone 'utc' as at
    ),
    due as materialized (
        select t.id
          from appspecificauthtoken t
         where t.id > $3
           and t.expiration < (select at from now) - $2 * interval '1 millisecond'
         order by t.id
         limit $4
           for update of t skip locked
    )
    delete from appspecificauthtoken where id in (select id from due) returning id",
);

const FIND: Sql = Sql::postgres(
    "token.find_expired",
    "
    with now as materialized (
        select coalesce(to_timestamp($1 / 1000.0), clock_timestamp()) at time zone 'utc' as at
    )
    select t.id
      from appspecificauthtoken t
     where t.id > $3
       and t.expiration < (select at from now) - $2 * interval '1 millisecond'
     order by t.id
     limit $4",
);

/// Deletes at most `at_most` tokens whose expiration is longer ago than `window` and whose id
/// is above `after` (0 begins). One statement, which waits for nobody.
///
/// `as_of_ms` (milliseconds since the Unix epoch) replaces the database's clock.
///
/// # Errors
///
/// [`DbError::Statement`] if the database refuses.
pub async fn delete_expired(
    conn: &mut Conn,
    window: Duration,
    as_of_ms: Option<i64>,
    after: i64,
    at_most: u32,
) -> Result<Expired, DbError> {
    run(conn, &DELETE, window, as_of_ms, after, at_most).await
}

/// Finds what [`delete_expired`] would delete, and changes nothing. One statement.
///
/// # Errors
///
/// [`DbError::Statement`] if the database refuses.
pub async fn find_expired(
    conn: &mut Conn,
    window: Duration,
    as_of_ms: Option<i64>,
    after: i64,
    at_most: u32,
) -> Result<Expired, DbError> {
    run(conn, &FIND, window, as_of_ms, after, at_most).await
}

async fn run(
    conn: &mut Conn,
    sql: &Sql,
    window: Duration,
    as_of_ms: Option<i64>,
    after: i64,
    at_most: u32,
) -> Result<Expired, DbError> {
    let window_ms = i64::try_from(window.as_millis()).unwrap_or(i64::MAX);
    let params = [
        Param::OptInt(as_of_ms),
        Param::Int(window_ms),
        Param::Int(after),
        Param::Int(i64::from(at_most)),
    ];
    let rows = conn.query(sql, &params).await?;
    let mut ids = rows
        .iter()
        .map(|row| row.int(0))
        .collect::<Result<Vec<_>, _>>()?;
    ids.sort_unstable();
    let more = ids.len() >= at_most as usize;
    Ok(Expired { ids, more })
}
