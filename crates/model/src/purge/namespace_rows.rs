//! The tables that hang on a user: on a namespace, or on one of its robots.
//!
//! Every foreign key onto `user` is here, but for those of repositories (which go first), of
//! the marker (which goes last) and of mirrors that pull as a robot: a robot that somebody
//! else's mirror needs stays.
use super::{
    due,
    rows::{self, Step, step},
};
use crate::{Conn, DbError, db::Sql};

/// Writes a step: rows that hang on a row of another table, which hangs on one of the ids.
macro_rules! below {
    ($table:ident . $column:ident -> $parent:ident . $owner:ident) => {
        step!(
            $table.$column,
            concat!(
                "delete from ",
                stringify!($table),
                " where id in (select below.id from ",
                stringify!($table),
                " below join ",
                stringify!($parent),
                " parent on parent.id = below.",
                stringify!($column),
                " where parent.",
                stringify!($owner),
                " = any($1) limit $2 for update of below skip locked)"
            ),
            Some(Sql::postgres(
                concat!("purge.list.", stringify!($table), ".", stringify!($column)),
                concat!(
                    "select below.id from ",
                    stringify!($table),
                    " below join ",
                    stringify!($parent),
                    " parent on parent.id = below.",
                    stringify!($column),
                    " where parent.",
                    stringify!($owner),
                    " = any($1)"
                ),
            ))
        )
    };
}

/// Writes a step: a column of somebody else's row becomes null.
macro_rules! unlink {
    ($table:ident . $column:ident) => {
        step!(
            $table.$column,
            concat!(
                "update ",
                stringify!($table),
                " set ",
                stringify!($column),
                " = null where id in (select id from ",
                stringify!($table),
                " where ",
                stringify!($column),
                " = any($1) limit $2 for update skip locked)"
            ),
            None
        )
    };
}

/// In an order in which no foreign key is in the way.
pub(super) const STEPS: &[Step] = &[
    below!(teammember.team_id -> team.organization_id),
    below!(teammemberinvite.team_id -> team.organization_id),
    below!(teamsync.team_id -> team.organization_id),
    below!(repositorypermission.team_id -> team.organization_id),
    below!(permissionprototype.delegate_team_id -> team.organization_id),
    step!(permissionprototype.org_id),
    step!(permissionprototype.activating_user_id),
    step!(permissionprototype.delegate_user_id),
    step!(team.organization_id),
    step!(teammember.user_id),
    step!(teammemberinvite.user_id),
    step!(teammemberinvite.inviter_id),
    below!(oauthassignedtoken.application_id -> oauthapplication.organization_id),
    below!(oauthaccesstoken.application_id -> oauthapplication.organization_id),
    below!(oauthauthorizationcode.application_id -> oauthapplication.organization_id),
    step!(oauthapplication.organization_id),
    step!(oauthassignedtoken.assigned_user_id),
    step!(oauthaccesstoken.authorized_user_id),
    step!(
        repositorybuildtrigger.connected_user_id,
        "
        with doomed as materialized (
            select id from repositorybuildtrigger
             where connected_user_id = any($1)
             limit $2
               for update skip locked
        ),
        unlinked as (
            update repositorybuild set trigger_id = null
             where trigger_id in (select id from doomed)
        )
        delete from repositorybuildtrigger where id in (select id from doomed)"
    ),
    unlink!(repositorybuildtrigger.pull_robot_id),
    unlink!(repositorybuild.pull_robot_id),
    unlink!(servicekeyapproval.approver_id),
    below!(quotalimits.quota_id -> userorganizationquota.namespace_id),
    step!(userorganizationquota.namespace_id),
    step!(quotanotificationstate.namespace_id),
    step!(quotanamespacesize.namespace_user_id),
    below!(orgmirrorrepository.org_mirror_config_id -> orgmirrorconfig.organization_id),
    step!(orgmirrorconfig.organization_id),
    step!(proxycacheconfig.organization_id),
    step!(organizationcontactemail.organization_id),
    step!(organizationrhskus.org_id),
    step!(organizationrhskus.user_id),
    step!(redhatsubscriptions.user_id),
    step!(autoprunetaskstatus.namespace_id),
    step!(namespaceautoprunepolicy.namespace_id),
    step!(namespaceimmutabilitypolicy.namespace_id),
    step!(repositoryautoprunepolicy.namespace_id),
    step!(repositoryimmutabilitypolicy.namespace_id),
    step!(namespacenotification.namespace_id),
    step!(notification.target_id),
    step!(repositorypermission.user_id),
    step!(star.user_id),
    step!(federatedlogin.user_id),
    step!(appspecificauthtoken.user_id),
    step!(emailconfirmation.user_id),
    step!(userprompt.user_id),
    step!(userregion.user_id),
    step!(robotaccountmetadata.robot_account_id),
    step!(robotaccounttoken.robot_account_id),
    step!(
        quayhand_permission.user_id,
        "
        delete from quayhand_permission
         where (user_id, repository_id) in (select user_id, repository_id
                                              from quayhand_permission
                                             where user_id = any($1)
                                             limit $2
                                               for update skip locked)",
        None
    ),
    step!(
        quayhand_namespace_permission.user_id,
        "
        delete from quayhand_namespace_permission
         where (user_id, namespace_id) in (select user_id, namespace_id
                                             from quayhand_namespace_permission
                                            where user_id = any($1) or namespace_id = any($1)
                                            limit $2
                                              for update skip locked)",
        None
    ),
];

/// Deletes rows that hang on a deleted namespace, about `at_most` of them, inside the
/// caller's transaction; returns how many went. Its repositories and robots are not touched.
///
/// Fewer than `at_most` means that nothing is left but what other transactions hold. Zero,
/// too, when the namespace has no due marker or another transaction holds it. At most 55
/// statements.
///
/// # Errors
///
/// [`DbError::Statement`] if the database refuses.
pub async fn drop_namespace_rows(
    conn: &mut Conn,
    namespace_id: i64,
    at_most: u32,
    as_of_ms: Option<i64>,
) -> Result<u64, DbError> {
    if !due::lock(conn, namespace_id, as_of_ms).await? {
        return Ok(0);
    }
    rows::run(conn, STEPS, &[namespace_id], at_most).await
}
