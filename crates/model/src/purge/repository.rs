//! Repositories that are marked for deletion: finding them, and their last transaction.
use super::{Ending, repository_rows, rows};
use crate::{
    Conn, DbError,
    db::{Param, Sql},
    gc::{Lock, Rules},
};

/// Rows that the last transaction may still have to delete; more means that it is not the
/// last one.
const LAST_ROWS: u32 = 1_000;

/// A repository that is marked for deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MarkedRepository {
    /// The repository.
    pub id: i64,
    /// Its owner's row in `user`; 0 when it has none.
    pub namespace_id: i64,
}

// The state alone decides: a marker or a queue item that was lost changes nothing.
const MARKED: Sql = Sql::postgres(
    "purge.marked_repositories",
    "
    select id, coalesce(namespace_user_id, 0)
      from repository
     where state = 3
       and id > $1
     order by id
     limit $2",
);

const LOCK: Sql = Sql::postgres(
    "purge.lock_repository",
    "
    select id from repository
     where id = $1 and state = 3
       for no key update skip locked",
);

// Stronger than the lock of a batch: nobody can begin to refer to the row any more.
const LOCK_LAST: Sql = Sql::postgres(
    "purge.lock_repository_last",
    "
    select id from repository
     where id = $1 and state = 3
       for update skip locked",
);

const STATE: Sql = Sql::postgres(
    "purge.repository_state",
    "select state = 3 from repository where id = $1",
);

// The tables of the content, those whose rows may hang on it by an inconsistency, and the
// rules that another repository's mirror works by.
const CONTENT_LEFT: Sql = Sql::postgres(
    "purge.content_left",
    "
    select 'tag' where exists (select 1 from tag where repository_id = $1)
    union all
    select 'manifest' where exists (select 1 from manifest where repository_id = $1)
    union all
    select 'uploadedblob' where exists (select 1 from uploadedblob where repository_id = $1)
    union all
    select 'manifestblob' where exists (select 1 from manifestblob where repository_id = $1)
    union all
    select 'manifestchild' where exists (select 1 from manifestchild where repository_id = $1)
    union all
    select 'manifestlabel' where exists (select 1 from manifestlabel where repository_id = $1)
    union all
    select 'manifestsecuritystatus'
     where exists (select 1 from manifestsecuritystatus where repository_id = $1)
    union all
    select 'repomirrorrule'
     where exists (select 1
                     from repomirrorrule r
                     join repomirrorconfig c on c.root_rule_id = r.id
                    where r.repository_id = $1 and c.repository_id <> $1)",
);

// One statement: the foreign key of the marker is looked at when both are gone.
const DELETE: Sql = Sql::postgres(
    "purge.delete_repository",
    "
    with marker as (
        delete from deletedrepository where repository_id = $1
    )
    delete from repository where id = $1 and state = 3",
);

/// Finds at most `at_most` repositories that are marked for deletion, with a greater id than
/// `after`, in the order of their ids; with or without a marker in `deletedrepository`.
///
/// # Errors
///
/// [`DbError::Statement`] if the database refuses.
pub async fn marked_repositories(
    conn: &mut Conn,
    after: i64,
    at_most: u32,
) -> Result<Vec<MarkedRepository>, DbError> {
    let params = [Param::Int(after), Param::Int(i64::from(at_most))];
    let rows = conn.query(&MARKED, &params).await?;
    let read = |row: &crate::db::Row| {
        Ok(MarkedRepository {
            id: row.int(0)?,
            namespace_id: row.int(1)?,
        })
    };
    rows.iter().map(read).collect()
}

/// Locks a marked repository as a batch does; `false` when it is held, gone or not marked.
pub(super) async fn lock(conn: &mut Conn, repository_id: i64) -> Result<bool, DbError> {
    let locked = conn.query_opt(&LOCK, &[Param::Int(repository_id)]).await?;
    Ok(locked.is_some())
}

/// Deletes a repository whose content is gone, and its marker with it, inside the caller's
/// transaction. Rows that were written meanwhile (counters, permissions) go as well.
///
/// [`Ending::Left`] names what has to go first. Rows that only another transaction sees make
/// the statement fail with [`DbError::is_contention`]; the caller then tries again.
///
/// # Errors
///
/// [`DbError::Statement`] if the database refuses.
pub async fn finish_repository(
    conn: &mut Conn,
    repository_id: i64,
    rules: &Rules,
) -> Result<Ending, DbError> {
    let id = [Param::Int(repository_id)];
    let clause = "for update skip locked";
    let switches = &rules.switches;
    let text = switches.text(Lock::PurgedLast, clause, LOCK_LAST.postgres);
    let locked = conn.query_text(LOCK_LAST.name, &text, &id).await?;
    switches.pause("repository locked").await;
    if locked.is_empty() {
        let state = conn.query_opt(&STATE, &id).await?;
        let marked = state.map_or(Ok(false), |row| row.bool(0))?;
        return Ok(if marked {
            Ending::Busy
        } else {
            Ending::NotMarked
        });
    }
    let left = rows::names_left(conn, &CONTENT_LEFT, repository_id).await?;
    if !left.is_empty() {
        return Ok(Ending::Left(left));
    }
    let ids = [repository_id];
    let gone = rows::run(conn, repository_rows::STEPS, &ids, LAST_ROWS).await?;
    if gone >= u64::from(LAST_ROWS) {
        return Ok(Ending::Left(vec!["further rows".to_owned()]));
    }
    conn.execute(&DELETE, &id).await?;
    Ok(Ending::Purged)
}
