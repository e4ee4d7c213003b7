//! What a change touches: which users, and which of their rows.
use crate::{
    Conn, DbError,
    db::{Param, Sql},
    team,
};

/// Says what was changed, and so whose roles are computed again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// One user, everywhere: a grant to the user by name, a membership.
    User(i64),
    /// One team: its members, role or grants. Computes its whole organization, because
    /// what was removed leaves no trace of the team; a grant to a team never leads out of
    /// it. A team that is gone cannot tell its organization: everything is computed.
    Team(i64),
    /// One repository: its grants, its deletion.
    Repository(i64),
    /// One namespace, an organization's or a user's: its repositories, teams and owner.
    Organization(i64),
    /// Every user.
    All,
}

/// Which rows of a user are compared; all of them when both are `None`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Slice {
    pub(super) repository_id: Option<i64>,
    pub(super) namespace_id: Option<i64>,
}

const OF_REPOSITORY: Sql = Sql::postgres(
    "permission.users_of_repository",
    "
    select user_id::bigint from quayhand_permission where repository_id = $1
    union
    select user_id from repositorypermission where repository_id = $1 and user_id is not null
    union
    select m.user_id
      from repositorypermission g
      join teammember m on m.team_id = g.team_id
     where g.repository_id = $1
     order by 1",
);

const OF_NAMESPACE: Sql = Sql::postgres(
    "permission.users_of_namespace",
    "
    select $1::bigint
    union
    select user_id from quayhand_namespace_permission where namespace_id = $1
    union
    select m.user_id
      from team t
      join teammember m on m.team_id = t.id
     where t.organization_id = $1
    union
    select p.user_id
      from repository r
      join quayhand_permission p on p.repository_id = r.id
     where r.namespace_user_id = $1
    union
    select g.user_id
      from repository r
      join repositorypermission g on g.repository_id = r.id and g.user_id is not null
     where r.namespace_user_id = $1
    union
    select m.user_id
      from repository r
      join repositorypermission g on g.repository_id = r.id
      join teammember m on m.team_id = g.team_id
     where r.namespace_user_id = $1
     order by 1",
);

// Our own tables are asked as well: a user that Quay has deleted may have rows left.
const ANY: Sql = Sql::postgres(
    "permission.users",
    r#"
    (select id::bigint from "user" where id > $1 order by id limit $2)
    union
    (select distinct user_id from quayhand_permission where user_id > $1 order by user_id limit $2)
    union
    (select distinct user_id
       from quayhand_namespace_permission
      where user_id > $1
      order by user_id
      limit $2)
     order by 1
     limit $2"#,
);

const COUNT: Sql = Sql::postgres("permission.count_users", r#"select count(*) from "user""#);

/// Whose rows a plan computes.
#[derive(Debug)]
pub(super) enum Users {
    /// These, in ascending order.
    These(Vec<i64>),
    /// Everybody, looked up page by page.
    Everybody,
}

impl Users {
    /// Counts them.
    pub(super) async fn count(&self, conn: &mut Conn) -> Result<u64, DbError> {
        match self {
            Self::These(ids) => Ok(ids.len() as u64),
            Self::Everybody => {
                let count = conn.query_one(&COUNT, &[]).await?.int(0)?;
                Ok(count.unsigned_abs())
            }
        }
    }

    /// Returns at most `at_most` ids above `after`, in ascending order.
    pub(super) async fn page(
        &self,
        conn: &mut Conn,
        after: i64,
        at_most: usize,
    ) -> Result<Vec<i64>, DbError> {
        match self {
            Self::These(ids) => {
                let from = ids.partition_point(|id| *id <= after);
                Ok(ids[from..].iter().copied().take(at_most).collect())
            }
            Self::Everybody => {
                let at_most = i64::try_from(at_most).unwrap_or(i64::MAX);
                ids(conn, &ANY, &[Param::Int(after), Param::Int(at_most)]).await
            }
        }
    }
}

impl Scope {
    /// Replaces a team by what must be computed for it.
    pub(super) async fn resolve(self, conn: &mut Conn) -> Result<Self, DbError> {
        let Self::Team(id) = self else {
            return Ok(self);
        };
        let team = team::by_id(conn, id).await?;
        Ok(team.map_or(Self::All, |team| Self::Organization(team.organization_id)))
    }

    /// Lists whom a resolved scope touches, and which of their rows.
    pub(super) async fn expand(self, conn: &mut Conn) -> Result<(Users, Slice), DbError> {
        let mut slice = Slice::default();
        let users = match self {
            Self::User(id) => Users::These(vec![id]),
            Self::Repository(id) => {
                slice.repository_id = Some(id);
                Users::These(ids(conn, &OF_REPOSITORY, &[Param::Int(id)]).await?)
            }
            Self::Organization(id) => {
                slice.namespace_id = Some(id);
                Users::These(ids(conn, &OF_NAMESPACE, &[Param::Int(id)]).await?)
            }
            Self::Team(_) | Self::All => Users::Everybody,
        };
        Ok((users, slice))
    }
}

async fn ids(conn: &mut Conn, sql: &Sql, params: &[Param<'_>]) -> Result<Vec<i64>, DbError> {
    let rows = conn.query(sql, params).await?;
    rows.iter().map(|row| row.int(0)).collect()
}
