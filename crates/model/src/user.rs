//! Users, organizations and robots: one table, told apart by two flags.
use crate::{
    Conn, DbError,
    db::{Param, Row, Sql},
};

/// A row of `user`, as far as jobs and permission checks need it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// `user.id`; also the id of the namespace of this name.
    pub id: i64,
    /// Unique; `<owner>+<short name>` for a robot, random for a deleted namespace.
    pub username: String,
    /// What the row stands for.
    pub kind: Kind,
    /// A disabled user cannot log in; a deleted namespace is disabled.
    pub enabled: bool,
}

/// Says what a row of `user` stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A person.
    Person,
    /// An organization: owns repositories and teams, never logs in.
    Organization,
    /// A robot account: logs in, owns nothing.
    Robot,
}

const BY_NAME: Sql = Sql::postgres(
    "user.by_name",
    r#"select id, username, organization, robot, enabled from "user" where username = $1"#,
);

const BY_ID: Sql = Sql::postgres(
    "user.by_id",
    r#"select id, username, organization, robot, enabled from "user" where id = $1"#,
);

/// Finds a user, an organization or a robot by its name. One round trip.
///
/// # Errors
///
/// Any [`DbError`].
pub async fn by_name(conn: &mut Conn, username: &str) -> Result<Option<User>, DbError> {
    let row = conn.query_opt(&BY_NAME, &[Param::Text(username)]).await?;
    row.as_ref().map(read).transpose()
}

/// Finds a user, an organization or a robot by its id. One round trip.
///
/// # Errors
///
/// Any [`DbError`].
pub async fn by_id(conn: &mut Conn, id: i64) -> Result<Option<User>, DbError> {
    let row = conn.query_opt(&BY_ID, &[Param::Int(id)]).await?;
    row.as_ref().map(read).transpose()
}

fn read(row: &Row) -> Result<User, DbError> {
    let kind = match (row.bool(2)?, row.bool(3)?) {
        (_, true) => Kind::Robot,
        (true, false) => Kind::Organization,
        (false, false) => Kind::Person,
    };
    Ok(User {
        id: row.int(0)?,
        username: row.text(1)?,
        kind,
        enabled: row.bool(4)?,
    })
}
