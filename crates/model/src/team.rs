//! Teams: named groups of users within an organization.
use crate::{
    Conn, DbError,
    db::{Param, Row, Sql},
};

/// A team.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Team {
    /// `team.id`.
    pub id: i64,
    /// The organization it belongs to, in `user`.
    pub organization_id: i64,
    /// Unique within the organization.
    pub name: String,
}

const BY_NAME: Sql = Sql::postgres(
    "team.by_name",
    r#"
    select t.id, t.organization_id, t.name
      from "user" org
      join team t on t.organization_id = org.id
     where org.username = $1
       and t.name = $2"#,
);

const BY_ID: Sql = Sql::postgres(
    "team.by_id",
    "select id, organization_id, name from team where id = $1",
);

/// Finds a team by its organization's name and its own. One round trip.
///
/// # Errors
///
/// Any [`DbError`].
pub async fn by_name(
    conn: &mut Conn,
    organization: &str,
    name: &str,
) -> Result<Option<Team>, DbError> {
    let params = [Param::Text(organization), Param::Text(name)];
    let row = conn.query_opt(&BY_NAME, &params).await?;
    row.as_ref().map(read).transpose()
}

/// Finds a team by its id. One round trip.
///
/// # Errors
///
/// Any [`DbError`].
pub async fn by_id(conn: &mut Conn, id: i64) -> Result<Option<Team>, DbError> {
    let row = conn.query_opt(&BY_ID, &[Param::Int(id)]).await?;
    row.as_ref().map(read).transpose()
}

fn read(row: &Row) -> Result<Team, DbError> {
    Ok(Team {
        id: row.int(0)?,
        organization_id: row.int(1)?,
        name: row.text(2)?,
    })
}
