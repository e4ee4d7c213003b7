//! What a purge would delete, computed without deleting or locking anything.
//!
//! Our own tables are not listed: their rows follow from Quay's.
use std::collections::BTreeSet;

use super::{namespace_rows, repository_rows, robot, rows::Step};
use crate::{
    Conn, DbError,
    db::{Param, Sql},
    gc::{self, Doomed, DoomedObject},
};

/// Robots of one namespace that a preview lists at most.
const ROBOTS: i64 = 1_000_000;

const MARKED: Sql = Sql::postgres(
    "purge.preview_marked",
    "select id from repository where id = any($1) and state = 3 order by id",
);

const MARKERS: Sql = Sql::postgres(
    "purge.preview_markers",
    "select id from deletedrepository where repository_id = any($1)",
);

const REPOSITORIES: Sql = Sql::postgres(
    "purge.preview_repositories",
    "select id from repository where namespace_user_id = any($1) order by id",
);

const NAMESPACES: Sql = Sql::postgres(
    "purge.preview_namespaces",
    r#"
    select 'deletednamespace', id from deletednamespace where namespace_id = any($1)
    union all
    select 'queueitem', q.id
      from "user" ns
      join queueitem q
        on starts_with(q.queue_name, 'dockerfilebuild/' || ns.username || '/')
        or starts_with(q.queue_name, 'notification/' || ns.username || '/')
        or starts_with(q.queue_name, 'repositorygc/' || ns.username || '/')
     where ns.id = any($1)"#,
);

/// The rows and objects that would go.
pub type Loss = (Vec<Doomed>, Vec<DoomedObject>);

/// Computes what the purge of those of the repositories would delete that are marked for
/// deletion: the rows of Quay's tables, and the objects that `blob_gc` would remove.
///
/// Call it inside [`Db::read_only_transaction`](crate::Db::read_only_transaction). Holds all
/// ids in memory.
///
/// # Errors
///
/// [`DbError::Statement`] if the database refuses.
pub async fn preview_repositories(conn: &mut Conn, repositories: &[i64]) -> Result<Loss, DbError> {
    let marked = ids(conn, &MARKED, repositories).await?;
    of_repositories(conn, &marked).await
}

/// Computes what the purge of deleted namespaces would delete, as [`preview_repositories`].
/// Whether they are due is the caller's question.
///
/// # Errors
///
/// [`DbError::Statement`] if the database refuses.
pub async fn preview_namespaces(conn: &mut Conn, namespaces: &[i64]) -> Result<Loss, DbError> {
    let repositories = ids(conn, &REPOSITORIES, namespaces).await?;
    let (rows, objects) = of_repositories(conn, &repositories).await?;
    let mut rows: BTreeSet<_> = rows.into_iter().collect();
    let mut users = namespaces.to_vec();
    for id in namespaces {
        users.extend(robot::find(conn, *id, ROBOTS).await?);
    }
    list(conn, namespace_rows::STEPS, &users, &mut rows).await?;
    for row in conn.query(&NAMESPACES, &[Param::Ints(namespaces)]).await? {
        let queued = row.text(0)? == "queueitem";
        let table = if queued {
            "queueitem"
        } else {
            "deletednamespace"
        };
        rows.insert(Doomed {
            table,
            id: row.int(1)?,
        });
    }
    rows.extend(users.into_iter().map(|id| Doomed { table: "user", id }));
    Ok((rows.into_iter().collect(), objects))
}

async fn of_repositories(conn: &mut Conn, repositories: &[i64]) -> Result<Loss, DbError> {
    let (rows, objects) = gc::preview_content(conn, repositories).await?;
    let mut rows: BTreeSet<_> = rows.into_iter().collect();
    list(conn, repository_rows::STEPS, repositories, &mut rows).await?;
    for id in ids(conn, &MARKERS, repositories).await? {
        rows.insert(Doomed {
            table: "deletedrepository",
            id,
        });
    }
    let gone = repositories.iter().copied();
    rows.extend(gone.map(|id| Doomed {
        table: "repository",
        id,
    }));
    Ok((rows.into_iter().collect(), objects))
}

/// Adds the rows that the steps would delete.
async fn list(
    conn: &mut Conn,
    steps: &[Step],
    of: &[i64],
    rows: &mut BTreeSet<Doomed>,
) -> Result<(), DbError> {
    for step in steps {
        let Some(sql) = &step.list else { continue };
        for id in ids(conn, sql, of).await? {
            rows.insert(Doomed {
                table: step.table,
                id,
            });
        }
    }
    Ok(())
}

async fn ids(conn: &mut Conn, sql: &Sql, of: &[i64]) -> Result<Vec<i64>, DbError> {
    let rows = conn.query(sql, &[Param::Ints(of)]).await?;
    rows.iter().map(|row| row.int(0)).collect()
}
