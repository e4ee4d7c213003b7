//! Repositories: finding one by what people call it.
use crate::{
    Conn, DbError,
    db::{Param, Row, Sql},
};

/// A repository, as far as jobs and permission checks need it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    /// `repository.id`.
    pub id: i64,
    /// Its namespace in `user`; `None` for a repository that lost its owner.
    pub namespace_id: Option<i64>,
    /// Its name within the namespace. A deleted repository has a random one.
    pub name: String,
    /// What may happen to its content.
    pub state: State,
}

/// Says what may happen to a repository's content (Quay `repository.state`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Whoever may write pushes.
    Normal,
    /// Nobody pushes.
    ReadOnly,
    /// Only the robot of its mirror configuration pushes.
    Mirror,
    /// Deleted, its content not yet: invisible to everybody.
    MarkedForDeletion,
    /// Only the robot of its organization's mirror configuration pushes.
    OrgMirror,
    /// A number that this version does not know. Nobody pushes.
    Unknown(i64),
}

impl State {
    /// Reads Quay's number.
    pub(crate) fn from_code(code: i64) -> Self {
        match code {
            0 => Self::Normal,
            1 => Self::ReadOnly,
            2 => Self::Mirror,
            3 => Self::MarkedForDeletion,
            4 => Self::OrgMirror,
            other => Self::Unknown(other),
        }
    }
}

const BY_NAME: Sql = Sql::postgres(
    "repository.by_name",
    r#"
    select r.id, r.namespace_user_id, r.name, r.state
      from "user" ns
      join repository r on r.namespace_user_id = ns.id
     where ns.username = $1
       and r.name = $2
       and r.state <> 3"#,
);

const BY_ID: Sql = Sql::postgres(
    "repository.by_id",
    "select id, namespace_user_id, name, state from repository where id = $1",
);

/// Finds a repository by its path, `namespace/name`; the name may contain slashes itself.
///
/// A repository that is marked for deletion is not found. One round trip.
///
/// # Errors
///
/// [`DbError::Refused`] for a path without a namespace; any other [`DbError`].
pub async fn by_path(conn: &mut Conn, path: &str) -> Result<Option<Repository>, DbError> {
    match path.split_once('/') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() => {
            by_name(conn, namespace, name).await
        }
        _ => Err(DbError::Refused(format!(
            "`{path}` names no repository: write `namespace/name`"
        ))),
    }
}

/// Finds a repository by its namespace's name and its own.
///
/// A repository that is marked for deletion is not found. One round trip.
///
/// # Errors
///
/// Any [`DbError`].
pub async fn by_name(
    conn: &mut Conn,
    namespace: &str,
    name: &str,
) -> Result<Option<Repository>, DbError> {
    let params = [Param::Text(namespace), Param::Text(name)];
    let row = conn.query_opt(&BY_NAME, &params).await?;
    row.as_ref().map(read).transpose()
}

/// Finds a repository by its id, in whatever state it is. One round trip.
///
/// # Errors
///
/// Any [`DbError`].
pub async fn by_id(conn: &mut Conn, id: i64) -> Result<Option<Repository>, DbError> {
    let row = conn.query_opt(&BY_ID, &[Param::Int(id)]).await?;
    row.as_ref().map(read).transpose()
}

fn read(row: &Row) -> Result<Repository, DbError> {
    Ok(Repository {
        id: row.int(0)?,
        namespace_id: row.opt_int(1)?,
        name: row.text(2)?,
        state: State::from_code(row.int(3)?),
    })
}
