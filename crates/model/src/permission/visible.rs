//! Which repositories a viewer can see.
use super::{Superuser, Viewer};
use crate::{
    Conn, DbError,
    db::{Param, Sql},
};

/// Says which page of which repositories is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Visible {
    /// Also what everybody may read. Without it only what the viewer was granted.
    pub public: bool,
    /// Of this namespace only.
    pub namespace_id: Option<i64>,
    /// Goes on after this repository; 0 starts.
    pub after_repository_id: i64,
    /// Repositories at most; 0 gives none.
    pub at_most: u32,
}

// Every branch is cut to the page by itself, so that a page of a viewer of much costs a page.
const PAGE: Sql = Sql::postgres(
    "permission.visible",
    r#"
    select id
      from ((select r.id
               from quayhand_permission p
               join repository r on r.id = p.repository_id
              where p.user_id = $1
                and p.repository_id > $2
                and r.state <> 3
                and ($3::bigint is null or r.namespace_user_id = $3)
              order by p.repository_id
              limit $4)
             union
            (select r.id
               from quayhand_namespace_permission n
               join repository r on r.namespace_user_id = n.namespace_id
              where n.user_id = $1
                and n.role = 3
                and r.id > $2
                and r.state <> 3
                and ($3::bigint is null or n.namespace_id = $3)
              order by r.id
              limit $4)
             union
            (select r.id
               from repository r
              where $5
                and r.visibility_id = (select id from visibility where name = 'public')
                and r.id > $2
                and r.state <> 3
                and ($3::bigint is null or r.namespace_user_id = $3)
              order by r.id
              limit $4)
             union
            (select r.id
               from repository r
              where $6
                and r.namespace_user_id = $3
                and r.id > $2
                and r.state <> 3
              order by r.id
              limit $4)) as visible
     where $1::bigint is null
        or exists (select from "user" where id = $1 and enabled)
     order by id
     limit $4"#,
);

/// Lists the ids of the repositories a viewer can see, in ascending order; an empty page is
/// the end.
///
/// Those are the repositories on which [`effective`](super::effective) gives a role, with
/// two exceptions: what is only public counts when asked for, and what a superuser sees
/// only as such counts within a namespace. Unlike Quay's own list it also has a repository
/// whose owner lost the grant that its creation gave. One round trip.
///
/// # Errors
///
/// Any [`DbError`].
pub async fn visible_repositories(
    conn: &mut Conn,
    viewer: Viewer,
    page: Visible,
) -> Result<Vec<i64>, DbError> {
    let sees_all = viewer.superuser != Superuser::No && viewer.user_id.is_some();
    let params = [
        Param::OptInt(viewer.user_id),
        Param::Int(page.after_repository_id),
        Param::OptInt(page.namespace_id),
        Param::Int(i64::from(page.at_most)),
        Param::Bool(page.public),
        Param::Bool(sees_all && page.namespace_id.is_some()),
    ];
    let rows = conn.query(&PAGE, &params).await?;
    rows.iter().map(|row| row.int(0)).collect()
}
