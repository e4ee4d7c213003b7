//! Namespaces that were deleted: what is done first, and the last transaction.
use super::{
    Ending,
    due::{is_due, lock},
    namespace_rows, robot, rows,
};
use crate::{
    Conn, DbError,
    db::{Param, Sql},
};

/// Rows that the last transaction may still have to delete.
const LAST_ROWS: u32 = 1_000;

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
        return Ok(match is_due(conn, namespace_id, as_of_ms).await? {
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
        let is_due = is_due(conn, namespace_id, as_of_ms).await?;
        return Ok(if is_due == Some(true) {
            Ending::Busy
        } else {
            Ending::NotMarked
        });
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
