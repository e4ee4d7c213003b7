//! The two tables: what they should hold, how that differs from what they hold, and the
//! statements that make it so.
//!
//! The difference comes back to the client before anything is written: nothing is written
//! when nothing differs, and a preview sees exactly what a run would write.
use super::{
    change::{Change, Place, Written},
    scope::Slice,
};
use crate::{
    Conn, DbError,
    db::{Param, Sql},
};

/// One of the two tables.
pub(super) struct Table {
    place: fn(i64) -> Place,
    compare: Sql,
    delete: Sql,
    put: Sql,
}

/// Roles on repositories.
pub(super) const REPOSITORIES: Table = Table {
    place: Place::Repository,
    // A parameter that is null takes its condition out of the plan: unnamed statements are
    // planned for their values.
    compare: Sql::postgres(
        "permission.compare",
        "
        with granted as (
            select user_id, repository_id, role_id
              from repositorypermission
             where user_id = any($1)
             union all
            select m.user_id, g.repository_id, g.role_id
              from teammember m
              join repositorypermission g on g.team_id = m.team_id
             where m.user_id = any($1)
        ),
        wanted as (
            select g.user_id::bigint as user_id,
                   g.repository_id::bigint as repository_id,
                   max(case role.name when 'admin' then 3 when 'write' then 2 else 1 end) as role
              from granted g
              join role on role.id = g.role_id and role.name in ('admin', 'write', 'read')
              join repository r on r.id = g.repository_id
             where r.state <> 3
               and ($2::bigint is null or g.repository_id = $2)
               and ($3::bigint is null or r.namespace_user_id = $3)
             group by g.user_id, g.repository_id
        ),
        stored as (
            select user_id, repository_id, role
              from quayhand_permission
             where user_id = any($1)
               and ($2::bigint is null or repository_id = $2)
               and ($3::bigint is null
                    or repository_id in (select id from repository where namespace_user_id = $3))
        )
        select user_id, repository_id, stored.role, wanted.role
          from stored
          full join wanted using (user_id, repository_id)
         where stored.role is distinct from wanted.role
         limit $4",
    ),
    delete: Sql::postgres(
        "permission.delete",
        "
        delete from quayhand_permission p
         using unnest($1::bigint[], $2::bigint[]) as gone (user_id, repository_id)
         where p.user_id = gone.user_id
           and p.repository_id = gone.repository_id",
    ),
    put: Sql::postgres(
        "permission.put",
        "
        insert into quayhand_permission (user_id, repository_id, role)
        select * from unnest($1::bigint[], $2::bigint[], $3::bigint[])
            on conflict (user_id, repository_id) do update set role = excluded.role",
    ),
};

/// Roles in namespaces.
pub(super) const NAMESPACES: Table = Table {
    place: Place::Namespace,
    compare: Sql::postgres(
        "permission.compare_namespaces",
        r#"
        with granted as (
            select id as user_id, id as namespace_id, 3 as role
              from "user"
             where id = any($1)
               and not organization
               and not robot
             union all
            select m.user_id, t.organization_id, case teamrole.name when 'admin' then 3 else 1 end
              from teammember m
              join team t on t.id = m.team_id
              join teamrole on teamrole.id = t.role_id and teamrole.name in ('admin', 'creator')
             where m.user_id = any($1)
        ),
        wanted as (
            select user_id::bigint as user_id, namespace_id::bigint as namespace_id, max(role) as role
              from granted
             where $3::bigint is null or namespace_id = $3
             group by user_id, namespace_id
        ),
        stored as (
            select user_id, namespace_id, role
              from quayhand_namespace_permission
             where user_id = any($1)
               and ($3::bigint is null or namespace_id = $3)
        )
        select user_id, namespace_id, stored.role, wanted.role
          from stored
          full join wanted using (user_id, namespace_id)
         where $2::bigint is null
           and stored.role is distinct from wanted.role
         limit $4"#,
    ),
    delete: Sql::postgres(
        "permission.delete_namespaces",
        "
        delete from quayhand_namespace_permission p
         using unnest($1::bigint[], $2::bigint[]) as gone (user_id, namespace_id)
         where p.user_id = gone.user_id
           and p.namespace_id = gone.namespace_id",
    ),
    put: Sql::postgres(
        "permission.put_namespaces",
        "
        insert into quayhand_namespace_permission (user_id, namespace_id, role)
        select * from unnest($1::bigint[], $2::bigint[], $3::bigint[])
            on conflict (user_id, namespace_id) do update set role = excluded.role",
    ),
};

impl Table {
    /// Finds rows of some users that differ from the grants, in the order of their keys; at
    /// most `at_most` of them, `None` for all.
    pub(super) async fn differences(
        &self,
        conn: &mut Conn,
        user_ids: &[i64],
        slice: Slice,
        at_most: Option<i64>,
    ) -> Result<Vec<Change>, DbError> {
        let params = [
            Param::Ints(user_ids),
            Param::OptInt(slice.repository_id),
            Param::OptInt(slice.namespace_id),
            Param::OptInt(at_most),
        ];
        let mut changes = Vec::new();
        for row in conn.query(&self.compare, &params).await? {
            changes.push(Change {
                user_id: row.int(0)?,
                place: (self.place)(row.int(1)?),
                before: row.opt_int(2)?,
                after: row.opt_int(3)?,
            });
        }
        // Rows written in the order of the index share its pages.
        changes.sort_unstable();
        Ok(changes)
    }

    /// Makes the rows what they should be. Nothing differs, nothing is sent.
    pub(super) async fn write(
        &self,
        conn: &mut Conn,
        changes: &[Change],
    ) -> Result<Written, DbError> {
        let (mut gone, mut put) = (Keys::default(), Keys::default());
        let mut roles = Vec::new();
        for change in changes {
            match change.after {
                None => gone.push(change),
                Some(role) => {
                    put.push(change);
                    roles.push(role);
                }
            }
        }
        if !gone.users.is_empty() {
            let params = [Param::Ints(&gone.users), Param::Ints(&gone.places)];
            conn.execute(&self.delete, &params).await?;
        }
        if !put.users.is_empty() {
            let params = [
                Param::Ints(&put.users),
                Param::Ints(&put.places),
                Param::Ints(&roles),
            ];
            conn.execute(&self.put, &params).await?;
        }
        Ok(Written::of(changes))
    }
}

/// Keys of rows, a list a column.
#[derive(Default)]
struct Keys {
    users: Vec<i64>,
    places: Vec<i64>,
}

impl Keys {
    fn push(&mut self, change: &Change) {
        self.users.push(change.user_id);
        self.places.push(change.place.id());
    }
}
