//! What is applied on read: visibility, state, disabled users, superusers.
use quayhand_model::permission::{
    NamespaceRole, Role, Scope, Superuser, Viewer, Visible, can, can_push, effective,
    namespace_role, visible_repositories,
};

use super::{recompute, registry::Acme};

impl Acme {
    async fn computed() -> Self {
        let acme = Self::new().await;
        recompute(&acme.registry.db, Scope::All).await;
        acme
    }

    async fn set_state(&self, repository: i64, state: i64) {
        let text = format!("update repository set state = {state} where id = {repository}");
        self.registry.run(&text).await;
    }

    async fn effective(&self, viewer: Viewer, repository: i64) -> Option<Role> {
        let db = &self.registry.db;
        db.scope(async |conn| effective(conn, viewer, repository).await)
            .await
            .unwrap()
    }

    async fn can_push(&self, user: i64, repository: i64) -> bool {
        let (db, viewer) = (&self.registry.db, Viewer::user(user));
        db.scope(async |conn| can_push(conn, viewer, repository).await)
            .await
            .unwrap()
    }

    async fn visible(&self, viewer: Viewer, public: bool, namespace: Option<i64>) -> Vec<i64> {
        let page = Visible {
            public,
            namespace_id: namespace,
            after_repository_id: 0,
            at_most: 100,
        };
        let db = &self.registry.db;
        db.scope(async |conn| visible_repositories(conn, viewer, page).await)
            .await
            .unwrap()
    }
}

#[tokio::test]
async fn everybody_reads_what_is_public() {
    let acme = Acme::computed().await;
    let stranger = Viewer::user(acme.registry.person("sam").await);
    for viewer in [Viewer::ANONYMOUS, stranger] {
        assert_eq!(acme.effective(viewer, acme.app).await, None);
        assert!(acme.visible(viewer, true, None).await.is_empty());
    }
    let publish = "update repository set visibility_id = (select id from visibility \
                   where name = 'public') where name = 'app'";
    acme.registry.run(publish).await;
    for viewer in [Viewer::ANONYMOUS, stranger] {
        assert_eq!(acme.effective(viewer, acme.app).await, Some(Role::Read));
        assert_eq!(acme.visible(viewer, true, None).await, [acme.app]);
        assert!(acme.visible(viewer, false, None).await.is_empty());
    }
    let robot = Viewer::user(acme.robot);
    assert_eq!(acme.effective(robot, acme.app).await, Some(Role::Admin));
}

#[tokio::test]
async fn a_disabled_or_unknown_user_has_nothing() {
    let acme = Acme::computed().await;
    let publish = "update repository set visibility_id = (select id from visibility \
                   where name = 'public') where name = 'app'";
    acme.registry.run(publish).await;
    acme.registry
        .run("update \"user\" set enabled = false")
        .await;
    for id in [acme.owner, acme.developer, acme.robot, -1] {
        let viewers = [Superuser::No, Superuser::ReadsAll, Superuser::FullAccess];
        for superuser in viewers {
            let viewer = Viewer {
                user_id: Some(id),
                superuser,
            };
            assert_eq!(acme.effective(viewer, acme.app).await, None);
            let all = acme.visible(viewer, true, Some(acme.organization)).await;
            assert!(all.is_empty());
        }
    }
    acme.registry
        .run("update \"user\" set enabled = true")
        .await;
    let developer = Viewer::user(acme.developer);
    assert_eq!(
        acme.effective(developer, acme.lib).await,
        Some(Role::Write),
        "at once"
    );
}

#[tokio::test]
async fn nobody_sees_a_repository_marked_for_deletion() {
    let acme = Acme::computed().await;
    // Not computed again: a stale row must not show it.
    acme.set_state(acme.app, 3).await;
    let full = Viewer {
        user_id: Some(acme.owner),
        superuser: Superuser::FullAccess,
    };
    for viewer in [full, Viewer::user(acme.owner), Viewer::user(acme.robot)] {
        assert_eq!(acme.effective(viewer, acme.app).await, None);
        let all = acme.visible(viewer, true, Some(acme.organization)).await;
        assert!(!all.contains(&acme.app));
    }
}

#[tokio::test]
async fn superusers_are_what_the_configuration_says() {
    let acme = Acme::computed().await;
    let sam = acme.registry.person("sam").await;
    let expected = [
        (Superuser::No, None, vec![]),
        (
            Superuser::ReadsAll,
            Some(Role::Read),
            vec![acme.app, acme.lib],
        ),
        (
            Superuser::FullAccess,
            Some(Role::Admin),
            vec![acme.app, acme.lib],
        ),
    ];
    for (superuser, role, visible) in expected {
        let viewer = Viewer {
            user_id: Some(sam),
            superuser,
        };
        assert_eq!(acme.effective(viewer, acme.app).await, role);
        assert_eq!(
            acme.visible(viewer, true, Some(acme.organization)).await,
            visible
        );
        assert!(acme.visible(viewer, true, None).await.is_empty());
        let namespace = namespace(&acme, viewer).await;
        assert_eq!(
            namespace == Some(NamespaceRole::Admin),
            role == Some(Role::Admin)
        );
    }
    // Reading everything takes no grant away.
    let viewer = Viewer {
        user_id: Some(acme.developer),
        superuser: Superuser::ReadsAll,
    };
    assert_eq!(acme.effective(viewer, acme.lib).await, Some(Role::Write));
}

#[tokio::test]
async fn namespaces_have_administrators_and_creators() {
    let acme = Acme::computed().await;
    let roles = [
        (acme.owner, Some(NamespaceRole::Admin)),
        (acme.creator, Some(NamespaceRole::Creator)),
        (acme.developer, None),
        (acme.robot, None),
    ];
    for (user, role) in roles {
        assert_eq!(namespace(&acme, Viewer::user(user)).await, role);
    }
    assert_eq!(namespace(&acme, Viewer::ANONYMOUS).await, None);
    let owner = Viewer::user(acme.owner);
    assert_eq!(acme.effective(owner, acme.app).await, Some(Role::Admin));
    assert_eq!(acme.visible(owner, false, None).await, [acme.app, acme.lib]);
    let creator = Viewer::user(acme.creator);
    assert_eq!(
        acme.effective(creator, acme.app).await,
        None,
        "creates, no more"
    );
}

#[tokio::test]
async fn a_role_includes_the_lower_ones() {
    let acme = Acme::computed().await;
    let viewer = Viewer::user(acme.developer);
    for (role, expected) in [
        (Role::Read, true),
        (Role::Write, true),
        (Role::Admin, false),
    ] {
        let db = &acme.registry.db;
        let answer = db
            .scope(async |conn| can(conn, viewer, acme.lib, role).await)
            .await;
        assert_eq!(answer.unwrap(), expected, "{role}");
    }
}

#[tokio::test]
async fn the_state_says_who_pushes() {
    let acme = Acme::computed().await;
    let mirror = acme.registry.robot("acme+mirror").await;
    let other = acme.registry.robot("acme+other").await;
    acme.registry
        .grant("user_id", mirror, acme.lib, "write")
        .await;
    acme.registry.run(&mirrors(&acme, mirror, other)).await;
    recompute(&acme.registry.db, Scope::All).await;
    let reader = acme.registry.person("rita").await;
    // Pushers by state: the developer, the mirror's robot, the organization's mirror's robot.
    let expected = [
        (0, [true, true, false]),
        (1, [false, false, false]),
        (2, [false, true, false]),
        (3, [false, false, false]),
        (4, [false, false, false]),
        (9, [false, false, false]),
    ];
    for (state, pushers) in expected {
        acme.set_state(acme.lib, state).await;
        for (user, pushes) in [acme.developer, mirror, other].into_iter().zip(pushers) {
            assert_eq!(acme.can_push(user, acme.lib).await, pushes, "state {state}");
        }
        assert!(!acme.can_push(reader, acme.lib).await);
    }
    acme.set_state(acme.lib, 4).await;
    acme.registry
        .grant("user_id", other, acme.lib, "write")
        .await;
    recompute(&acme.registry.db, Scope::User(other)).await;
    assert!(
        acme.can_push(other, acme.lib).await,
        "the robot and the role"
    );
}

async fn namespace(acme: &Acme, viewer: Viewer) -> Option<NamespaceRole> {
    let (db, id) = (&acme.registry.db, acme.organization);
    db.scope(async |conn| namespace_role(conn, viewer, id).await)
        .await
        .unwrap()
}

/// Configures a mirror of `acme/lib` and one of the whole organization.
fn mirrors(acme: &Acme, robot: i64, organization_robot: i64) -> String {
    format!(
        "with rule as (
             insert into repomirrorrule (uuid, repository_id, creation_date, rule_type, rule_value)
             values ('u', {lib}, now(), 1, '[]') returning id
         )
         insert into repomirrorconfig (repository_id, creation_date, is_enabled, mirror_type,
             internal_robot_id, external_reference, external_registry_config, sync_interval,
             sync_retries_remaining, sync_status, sync_transaction_id, root_rule_id, skopeo_timeout)
         select {lib}, now(), true, 1, {robot}, 'x', '{{}}', 1, 3, 0, 'u', id, 300 from rule;
         insert into orgmirrorconfig (organization_id, creation_date, is_enabled, mirror_type,
             external_registry_type, external_registry_url, external_namespace,
             external_registry_config, internal_robot_id, repository_filters, visibility_id,
             delete_stale_repos, sync_interval, sync_retries_remaining, sync_status,
             sync_transaction_id, skopeo_timeout, architecture_filter)
         select {org}, now(), true, 1, 1, 'x', 'x', '{{}}', {organization_robot}, '[]', id,
                false, 1, 3, 0, 'u', 300, '[]' from visibility where name = 'private'",
        lib = acme.lib,
        org = acme.organization,
    )
}
