//! What one viewer may do with one repository or namespace, now.
use super::{NamespaceRole, Role};
use crate::{
    Conn, DbError,
    db::{Param, Sql},
    repository::State,
};

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Viewer {
    /// The user, as logged in; `None` for somebody who is not. Whether those may read what
    /// is public is the caller's to know (Quay `FEATURE_ANONYMOUS_ACCESS`).
    pub user_id: Option<i64>,
    /// What the configuration grants the user everywhere.
    pub superuser: Superuser,
}

/// What the configuration grants a user everywhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Superuser {
    /// Nothing. Also a superuser of Quay without `FEATURE_SUPERUSERS_FULL_ACCESS`.
    #[default]
    No,
    /// Reading everything: Quay `GLOBAL_READONLY_SUPER_USERS`, also for one who is in
    /// `SUPER_USERS` as well.
    ReadsAll,
    /// Everything: Quay `SUPER_USERS` with `FEATURE_SUPERUSERS_FULL_ACCESS`.
    FullAccess,
}

impl Viewer {
    /// Somebody who is not logged in.
    pub const ANONYMOUS: Self = Self {
        user_id: None,
        superuser: Superuser::No,
    };

    /// Describes an ordinary user.
    #[must_use]
    pub fn user(user_id: i64) -> Self {
        Self {
            user_id: Some(user_id),
            superuser: Superuser::No,
        }
    }
}

impl Superuser {
    fn role(self) -> Option<Role> {
        match self {
            Self::No => None,
            Self::ReadsAll => Some(Role::Read),
            Self::FullAccess => Some(Role::Admin),
        }
    }
}

const REPOSITORY: Sql = Sql::postgres(
    "permission.access",
    r#"
    select r.state, visibility.name = 'public', p.role, n.role, coalesce(u.enabled, false)
      from repository r
      join visibility on visibility.id = r.visibility_id
      left join "user" u on u.id = $1
      left join quayhand_permission p on p.user_id = $1 and p.repository_id = r.id
      left join quayhand_namespace_permission n
             on n.user_id = $1 and n.namespace_id = r.namespace_user_id and n.role = 3
     where r.id = $2
       and r.state <> 3"#,
);

const NAMESPACE: Sql = Sql::postgres(
    "permission.namespace_access",
    r#"
    select n.role
      from "user" u
      left join quayhand_namespace_permission n on n.user_id = u.id and n.namespace_id = $2
     where u.id = $1
       and u.enabled"#,
);

const PUSHING_ROBOT: Sql = Sql::postgres(
    "permission.pushing_robot",
    "
    select case r.state when 2 then own.internal_robot_id when 4 then org.internal_robot_id end
      from repository r
      left join repomirrorconfig own on own.repository_id = r.id
      left join orgmirrorconfig org on org.organization_id = r.namespace_user_id
     where r.id = $1",
);

/// Returns the highest role of a viewer on a repository; `None` means it must look to the
/// viewer as if it did not exist.
///
/// A union of everything that grants: by name, through teams, as owner or administrator of
/// the namespace, as superuser, and to everybody what is public. A user who is disabled or
/// unknown has nothing, and nobody has a repository that is marked for deletion or unknown.
/// What a token allows at most is the caller's: `role.min(Some(cap))`. One round trip.
///
/// # Errors
///
/// Any [`DbError`].
pub async fn effective(
    conn: &mut Conn,
    viewer: Viewer,
    repository_id: i64,
) -> Result<Option<Role>, DbError> {
    let standing = standing(conn, viewer, repository_id).await?;
    Ok(standing.and_then(|(role, _)| role))
}

/// Tells whether a viewer has a role on a repository, or a higher one. See [`effective`].
///
/// Says nothing about the repository's state: an administrator of a read-only repository
/// still is one. Before a push ask [`can_push`].
///
/// # Errors
///
/// Any [`DbError`].
pub async fn can(
    conn: &mut Conn,
    viewer: Viewer,
    repository_id: i64,
    role: Role,
) -> Result<bool, DbError> {
    Ok(effective(conn, viewer, repository_id).await? >= Some(role))
}

/// Tells whether a viewer may push into a repository: who may write, as far as its state
/// allows. Into a mirror only the mirror's robot pushes, and it needs the role as well.
///
/// One round trip, two for a mirror.
///
/// # Errors
///
/// Any [`DbError`].
pub async fn can_push(
    conn: &mut Conn,
    viewer: Viewer,
    repository_id: i64,
) -> Result<bool, DbError> {
    let Some((role, state)) = standing(conn, viewer, repository_id).await? else {
        return Ok(false);
    };
    if role < Some(Role::Write) {
        return Ok(false);
    }
    match state {
        State::Normal => Ok(true),
        State::Mirror | State::OrgMirror => {
            let params = [Param::Int(repository_id)];
            let row = conn.query_opt(&PUSHING_ROBOT, &params).await?;
            let robot_id = row.map(|row| row.opt_int(0)).transpose()?.flatten();
            Ok(robot_id.is_some() && robot_id == viewer.user_id)
        }
        State::ReadOnly | State::MarkedForDeletion | State::Unknown(_) => Ok(false),
    }
}

/// Returns the highest role of a viewer in a whole namespace; `None` for a user who has
/// none, is disabled or unknown. One round trip, none for somebody who is not logged in.
///
/// # Errors
///
/// Any [`DbError`].
pub async fn namespace_role(
    conn: &mut Conn,
    viewer: Viewer,
    namespace_id: i64,
) -> Result<Option<NamespaceRole>, DbError> {
    let Some(user_id) = viewer.user_id else {
        return Ok(None);
    };
    let params = [Param::Int(user_id), Param::Int(namespace_id)];
    let Some(row) = conn.query_opt(&NAMESPACE, &params).await? else {
        return Ok(None);
    };
    let everywhere = (viewer.superuser == Superuser::FullAccess).then_some(NamespaceRole::Admin);
    Ok(row
        .opt_int(0)?
        .and_then(NamespaceRole::from_code)
        .max(everywhere))
}

/// Reads a viewer's role and the repository's state; `None` when there is no repository to
/// be seen.
async fn standing(
    conn: &mut Conn,
    viewer: Viewer,
    repository_id: i64,
) -> Result<Option<(Option<Role>, State)>, DbError> {
    let params = [Param::OptInt(viewer.user_id), Param::Int(repository_id)];
    let Some(row) = conn.query_opt(&REPOSITORY, &params).await? else {
        return Ok(None);
    };
    let state = State::from_code(row.int(0)?);
    let public = row.bool(1)?.then_some(Role::Read);
    if viewer.user_id.is_none() {
        return Ok(Some((public, state)));
    }
    if !row.bool(4)? {
        return Ok(None);
    }
    let direct = row.opt_int(2)?.and_then(Role::from_code);
    let namespace = row.opt_int(3)?.and_then(Role::from_code);
    let everywhere = viewer.superuser.role();
    Ok(Some((
        public.max(direct).max(namespace).max(everywhere),
        state,
    )))
}
