//! When the purge of a deleted namespace may begin, and the lock of its marker.
//!
//! Quay's web tier disables and renames the namespace, leaves a marker in `deletednamespace`
//! and a row in `queueitem` that says when the purge may begin at the earliest. Nothing
//! here happens before that. A marker that
//!
//! - names a queue item which is there still is due when that item is;
//! - names one that is gone is due: nobody removes an item before it was first available;
//! - names none, or nothing that is a number, is due after 30 days, unless an item is queued
//!   under its id: the web tier died in between, and perhaps a period of grace was meant.
use crate::{
    Conn, DbError,
    db::{Param, Row, Sql},
};

/// A deleted namespace whose time has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeletedNamespace {
    /// Its row in `user`.
    pub id: i64,
}

/// Joins a statement around the condition that makes a marker `d` due.
macro_rules! when_due {
    ($before:literal, $after:literal) => {
        concat!(
            $before,
            "
            coalesce(
                (select bool_and(q.available_after <= now.utc)
                   from queueitem q
                  where q.id = item.id
                     or (item.id is null
                         and q.queue_name = 'namespacegc/' || d.namespace_id || '/')),
                item.id is not null or d.marked <= now.utc - interval '30 days'
            )",
            $after
        )
    };
}

const DUE: Sql = Sql::postgres(
    "purge.due_namespaces",
    when_due!(
        "
        with now as materialized (
            select coalesce(to_timestamp($2 / 1000.0), clock_timestamp()) at time zone 'utc'
                   as utc
        )
        select d.namespace_id
          from now
         cross join deletednamespace d
         cross join lateral (
                    select case when d.queue_id ~ '^[0-9]{1,10}$' then d.queue_id::bigint end as id
               ) item
         where d.namespace_id > $1
           and ",
        "
         order by d.namespace_id
         limit $3"
    ),
);

const LOCK: Sql = Sql::postgres(
    "purge.lock_namespace",
    when_due!(
        "
        with now as materialized (
            select coalesce(to_timestamp($2 / 1000.0), clock_timestamp()) at time zone 'utc'
                   as utc
        )
        select d.id
          from now
         cross join deletednamespace d
         cross join lateral (
                    select case when d.queue_id ~ '^[0-9]{1,10}$' then d.queue_id::bigint end as id
               ) item
         where d.namespace_id = $1
           and ",
        "
           for update of d skip locked"
    ),
);

const STATE: Sql = Sql::postgres(
    "purge.namespace_state",
    when_due!(
        "
        with now as materialized (
            select coalesce(to_timestamp($2 / 1000.0), clock_timestamp()) at time zone 'utc'
                   as utc
        )
        select ",
        "
          from now
         cross join deletednamespace d
         cross join lateral (
                    select case when d.queue_id ~ '^[0-9]{1,10}$' then d.queue_id::bigint end as id
               ) item
         where d.namespace_id = $1"
    ),
);

/// Finds at most `at_most` deleted namespaces whose time has come, with a greater id than
/// `after`, in the order of their ids. `as_of_ms` replaces the database's clock.
///
/// # Errors
///
/// [`DbError::Statement`] if the database refuses.
pub async fn due_namespaces(
    conn: &mut Conn,
    after: i64,
    at_most: u32,
    as_of_ms: Option<i64>,
) -> Result<Vec<DeletedNamespace>, DbError> {
    let params = [
        Param::Int(after),
        Param::OptInt(as_of_ms),
        Param::Int(i64::from(at_most)),
    ];
    let rows = conn.query(&DUE, &params).await?;
    let read = |row: &Row| Ok(DeletedNamespace { id: row.int(0)? });
    rows.iter().map(read).collect()
}

/// Locks the due marker of a namespace for this transaction; `false` when it has none, when
/// it is not due, or when another transaction holds it.
pub(super) async fn lock(
    conn: &mut Conn,
    namespace_id: i64,
    as_of_ms: Option<i64>,
) -> Result<bool, DbError> {
    let params = [Param::Int(namespace_id), Param::OptInt(as_of_ms)];
    Ok(conn.query_opt(&LOCK, &params).await?.is_some())
}

/// Tells whether the marker of a namespace is due; `None` when it has none.
pub(super) async fn is_due(
    conn: &mut Conn,
    namespace_id: i64,
    as_of_ms: Option<i64>,
) -> Result<Option<bool>, DbError> {
    let params = [Param::Int(namespace_id), Param::OptInt(as_of_ms)];
    let state = conn.query_opt(&STATE, &params).await?;
    state.map(|row| row.bool(0)).transpose()
}
