//! The tables that hang on a repository, besides its content.
//!
//! Every foreign key onto `repository` is here or in [`gc::purge_batch`](crate::gc), as a
//! test holds against the catalogue. What can be null in a row of somebody else is set null,
//! as Quay does; what cannot makes the purge say so.
use super::rows::{self, Step, step};
use crate::{Conn, DbError, db::Sql};

/// Joins the rules that a mirror works by, those below its root too, to a statement over the
/// rules of the repositories `$1`: `used`. A mirror of another repository keeps its rules.
macro_rules! unused_rules {
    ($columns:literal, $after:literal) => {
        concat!(
            "
            select ",
            $columns,
            "
              from repomirrorrule
             where repository_id = any($1)
               and id not in (
                   with recursive used (id) as (
                       select c.root_rule_id
                         from repomirrorrule r
                         join repomirrorconfig c on c.root_rule_id = r.id
                        where r.repository_id = any($1)
                          and not (c.repository_id = any($1))
                       union
                       select below.id
                         from used
                         join repomirrorrule r on r.id = used.id
                        cross join lateral (values (r.left_child_id), (r.right_child_id))
                                   as below (id)
                        where below.id is not null
                   )
                   select id from used)",
            $after
        )
    };
}

/// In an order in which no foreign key is in the way.
pub(super) const STEPS: &[Step] = &[
    step!(quotarepositorysize.repository_id),
    step!(repositoryautoprunepolicy.repository_id),
    step!(repositoryimmutabilitypolicy.repository_id),
    step!(repositorypermission.repository_id),
    step!(repositorybuild.repository_id),
    step!(
        repositorybuildtrigger.repository_id,
        "
        with doomed as materialized (
            select id from repositorybuildtrigger
             where repository_id = any($1)
             limit $2
               for update skip locked
        ),
        unlinked as (
            update repositorybuild set trigger_id = null
             where trigger_id in (select id from doomed)
        )
        delete from repositorybuildtrigger where id in (select id from doomed)"
    ),
    step!(repositoryactioncount.repository_id),
    step!(star.repository_id),
    step!(
        accesstoken.repository_id,
        "
        with doomed as materialized (
            select id from accesstoken
             where repository_id = any($1)
             limit $2
               for update skip locked
        ),
        unlinked as (
            update repositorybuildtrigger set write_token_id = null
             where write_token_id in (select id from doomed)
        )
        delete from accesstoken where id in (select id from doomed)"
    ),
    step!(
        repositorynotification.repository_id,
        "
        with doomed as materialized (
            select id from repositorynotification
             where repository_id = any($1)
             limit $2
               for update skip locked
        ),
        notes as (
            delete from tagnotificationsuccess
             where notification_id in (select id from doomed)
        )
        delete from repositorynotification where id in (select id from doomed)"
    ),
    step!(blobupload.repository_id),
    step!(repomirrorconfig.repository_id),
    step!(
        repomirrorrule.repository_id,
        concat!(
            "
        with doomed as materialized (",
            unused_rules!(
                "id",
                "
             limit $2
               for update skip locked"
            ),
            "
        ),
        unlinked as (
            update repomirrorrule
               set left_child_id = case when left_child_id in (select id from doomed)
                                        then null else left_child_id end,
                   right_child_id = case when right_child_id in (select id from doomed)
                                         then null else right_child_id end
             where id not in (select id from doomed)
               and (left_child_id in (select id from doomed)
                    or right_child_id in (select id from doomed))
        )
        delete from repomirrorrule where id in (select id from doomed)"
        ),
        Some(Sql::postgres(
            "purge.list.repomirrorrule.repository_id",
            unused_rules!("id", "")
        ))
    ),
    step!(orgmirrorrepository.repository_id),
    step!(repositoryauthorizedemail.repository_id),
    step!(tagpullstatistics.repository_id),
    step!(manifestpullstatistics.repository_id),
    step!(repositorysearchscore.repository_id),
    step!(
        apprtag.repository_id,
        "
        with doomed as materialized (
            select id from apprtag
             where repository_id = any($1)
             limit $2
               for update skip locked
        ),
        unlinked as (
            update apprtag set linked_tag_id = null
             where linked_tag_id in (select id from doomed)
               and id not in (select id from doomed)
        )
        delete from apprtag where id in (select id from doomed)"
    ),
    step!(
        quayhand_permission.repository_id,
        "
        delete from quayhand_permission
         where (user_id, repository_id) in (select user_id, repository_id
                                              from quayhand_permission
                                             where repository_id = any($1)
                                             limit $2
                                               for update skip locked)",
        None
    ),
];

/// Deletes rows that hang on a repository besides its content, about `at_most` of them,
/// inside the caller's transaction; returns how many went.
///
/// Fewer than `at_most` means that nothing is left but what other transactions hold. Zero,
/// too, when the repository is not marked for deletion or is held by another batch. At most
/// 20 statements.
///
/// # Errors
///
/// [`DbError::Statement`] if the database refuses.
pub async fn drop_repository_rows(
    conn: &mut Conn,
    repository_id: i64,
    at_most: u32,
) -> Result<u64, DbError> {
    if !super::repository::lock(conn, repository_id).await? {
        return Ok(0);
    }
    rows::run(conn, STEPS, &[repository_id], at_most).await
}
