//! Namespaces that were deleted: which are due, what is done first, and the last transaction.
//!
//! Quay's web tier disables and renames the namespace, leaves a marker in `deletednamespace`
//! and a row in `queueitem` that says when the purge may begin at the earliest. Nothing
//! here happens before that. A marker that
//!
//! - names a queue item which is there still is due when that item is;
//! - names one that is gone is due: nobody removes an item before it was first available;
//! - names none, or nothing that is a number (the web tier died in between, and perhaps a period of grace was
//!   meant) is due after 30 days, unless an item is queued under its id.
use super::{Ending, namespace_rows, robot, rows};
use crate::{
    Conn, DbError,
    db::{Param, Row, Sql},
};

/// Rows that the last transaction may still have to delete.
const LAST_ROWS: u32 = 1_000;

/// A deleted namespace whose time has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeletedNamespace {
    /// Its row in `user`.
    pub id: i64,
}

/// Says how far the purge of a namespace is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NamespaceState {
    /// It has no marker: it was purged already, or never deleted.
    NotMarked,
    /// Its marker is not due yet; nothing was changed.
    NotDue,
    /// Another transaction holds the marker; nothing was changed.
    Busy,
    /// It is disabled, and these of its repositories are marked for deletion and have to be
    /// purged. Empty: none is left.
    Ready(Vec<i64>),
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
                    select case when d.queue_id ~ '^[0-9]{1,9}$' then d.queue_id::int end as id
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
                    select case when d.queue_id ~ '^[0-9]{1,9}$' then d.queue_id::int end as id
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
                    select case when d.queue_id ~ '^[0-9]{1,9}$' then d.queue_id::int end as id
               ) item
         where d.namespace_id = $1"
    ),
);

const DISABLE: Sql = Sql::postgres(
    "purge.disable_namespace",
    r#"update "user" set enabled = false where id = $1 and enabled"#,
);

// Under its present name, which nobody else has; what is queued under the old one may be a
// new owner's.
const DROP_QUEUED: Sql = Sql::postgres(
    "purge.drop_queued",
    r#"
    delete from queueitem q
     using "user" ns
     where ns.id = $1
       and (starts_with(q.queue_name, 'dockerfilebuild/' || ns.username || '/')
            or starts_with(q.queue_name, 'notification/' || ns.username || '/')
            or starts_with(q.queue_name, 'repositorygc/' || ns.username || '/'))"#,
);

const MARK: Sql = Sql::postgres(
    "purge.mark_repositories",
    "
    update repository set state = 3
     where id in (select id from repository
                   where namespace_user_id = $1 and state <> 3
                   order by id
                   limit $2
                     for no key update)",
);

const REPOSITORIES: Sql = Sql::postgres(
    "purge.repositories_of_namespace",
    "select id from repository where namespace_user_id = $1 and state = 3 order by id limit $2",
);

const LOCK_USER: Sql = Sql::postgres(
    "purge.lock_user",
    r#"select id from "user" where id = $1 and not enabled for update skip locked"#,
);

const LEFT: Sql = Sql::postgres(
    "purge.namespace_left",
    "
    select 'repository' where exists (select 1 from repository where namespace_user_id = $1)
    union all
    select 'repomirrorconfig'
     where exists (select 1 from repomirrorconfig where internal_robot_id = $1)
    union all
    select 'orgmirrorconfig'
     where exists (select 1 from orgmirrorconfig
                    where internal_robot_id = $1 and organization_id <> $1)",
);

// One statement: the foreign key of the marker is looked at when both are gone.
const DELETE: Sql = Sql::postgres(
    "purge.delete_namespace",
    r#"
    with marker as (
        delete from deletednamespace where namespace_id = $1
    )
    delete from "user" where id = $1 and not enabled"#,
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

/// Begins or resumes the purge of a namespace inside the caller's transaction: disables it,
/// drops what is queued under its present name, and marks its repositories for deletion.
///
/// Returns at most `at_most` repositories to purge; call it again when they are gone.
///
/// # Errors
///
/// [`DbError::Statement`] if the database refuses.
pub async fn prepare_namespace(
    conn: &mut Conn,
    namespace_id: i64,
    at_most: u32,
    as_of_ms: Option<i64>,
) -> Result<NamespaceState, DbError> {
    let id = Param::Int(namespace_id);
    if !lock(conn, namespace_id, as_of_ms).await? {
        let state = conn
            .query_opt(&STATE, &[id, Param::OptInt(as_of_ms)])
            .await?;
        return Ok(match state.map(|row| row.bool(0)).transpose()? {
            None => NamespaceState::NotMarked,
            Some(false) => NamespaceState::NotDue,
            Some(true) => NamespaceState::Busy,
        });
    }
    let limit = Param::Int(i64::from(at_most));
    conn.execute(&DISABLE, &[id]).await?;
    conn.execute(&DROP_QUEUED, &[id]).await?;
    conn.execute(&MARK, &[id, limit]).await?;
    let rows = conn.query(&REPOSITORIES, &[id, limit]).await?;
    let repositories: Result<Vec<_>, _> = rows.iter().map(|row| row.int(0)).collect();
    Ok(NamespaceState::Ready(repositories?))
}

/// Deletes a namespace that has no repositories any more, and its marker with it, inside the
/// caller's transaction. Rows that were written meanwhile go as well.
///
/// # Errors
///
/// As [`finish_repository`](super::finish_repository).
pub async fn finish_namespace(
    conn: &mut Conn,
    namespace_id: i64,
    as_of_ms: Option<i64>,
) -> Result<Ending, DbError> {
    let id = [Param::Int(namespace_id)];
    if !lock(conn, namespace_id, as_of_ms).await? {
        let state = [id[0], Param::OptInt(as_of_ms)];
        let state = conn.query_opt(&STATE, &state).await?;
        let due = state.map_or(Ok(false), |row| row.bool(0))?;
        return Ok(if due { Ending::Busy } else { Ending::NotMarked });
    }
    if conn.query_opt(&LOCK_USER, &id).await?.is_none() {
        return Ok(Ending::Busy);
    }
    let mut left = rows::names_left(conn, &LEFT, namespace_id).await?;
    if !robot::find(conn, namespace_id, 1).await?.is_empty() {
        left.push("user (its robots)".to_owned());
    }
    if !left.is_empty() {
        return Ok(Ending::Left(left));
    }
    let ids = [namespace_id];
    let gone = rows::run(conn, namespace_rows::STEPS, &ids, LAST_ROWS).await?;
    if gone >= u64::from(LAST_ROWS) {
        return Ok(Ending::Left(vec!["further rows".to_owned()]));
    }
    conn.execute(&DELETE, &id).await?;
    Ok(Ending::Purged)
}
