//! One change of the grants changes the rows it should and no other.
use std::collections::BTreeMap;

use quayhand_model::permission::{Plan, Scope};

use super::{Tables, differing, recompute, registry::Acme};

/// Role before and after by user and place; 0 is no row.
type Expected<'a> = &'a [((i64, i64), (i16, i16))];

impl Acme {
    /// Changes the registry, computes a scope, and compares both tables whole.
    async fn expect(&self, change: &str, scope: Scope, rows: Expected<'_>, spaces: Expected<'_>) {
        let registry = &self.registry;
        recompute(&registry.db, Scope::All).await;
        let before = Tables::read(&registry.client).await;
        registry.run(change).await;
        let written = recompute(&registry.db, scope).await;
        let after = Tables::read(&registry.client).await;
        let map = |expected: Expected<'_>| expected.iter().copied().collect::<BTreeMap<_, _>>();
        let repositories = differing(&before.repositories, &after.repositories);
        assert_eq!(repositories, map(rows), "{change}");
        let namespaces = differing(&before.namespaces, &after.namespaces);
        assert_eq!(namespaces, map(spaces), "{change}");
        assert_eq!(written.rows(), (rows.len() + spaces.len()) as u64);
        let again = recompute(&registry.db, Scope::All).await;
        assert_eq!(again.rows(), 0, "the scope was all that changed");
    }
}

#[tokio::test]
async fn starts_from_the_grants() {
    let acme = Acme::new().await;
    recompute(&acme.registry.db, Scope::All).await;
    let tables = Tables::read(&acme.registry.client).await;
    let rows = [
        ((acme.developer, acme.app), 1),
        ((acme.developer, acme.lib), 2),
        ((acme.robot, acme.app), 3),
    ];
    assert_eq!(tables.repositories, rows.into(), "the highest grant wins");
    let namespaces = [
        ((acme.owner, acme.owner), 3),
        ((acme.creator, acme.creator), 3),
        ((acme.developer, acme.developer), 3),
        ((acme.owner, acme.organization), 3),
        ((acme.creator, acme.organization), 1),
    ];
    assert_eq!(tables.namespaces, namespaces.into());
}

#[tokio::test]
async fn revokes_a_grant() {
    for scope in [
        |a: &Acme| Scope::User(a.robot),
        |a: &Acme| Scope::Repository(a.app),
    ] {
        let acme = Acme::new().await;
        let revoke = format!(
            "delete from repositorypermission where user_id = {}",
            acme.robot
        );
        let gone = [((acme.robot, acme.app), (3, 0))];
        acme.expect(&revoke, scope(&acme), &gone, &[]).await;
    }
}

#[tokio::test]
async fn falls_back_to_the_grant_that_is_left() {
    let acme = Acme::new().await;
    let revoke = format!(
        "delete from repositorypermission where team_id = {} and repository_id = {}",
        acme.developers, acme.lib
    );
    let lower = [((acme.developer, acme.lib), (2, 1))];
    acme.expect(&revoke, Scope::Team(acme.developers), &lower, &[])
        .await;
}

#[tokio::test]
async fn removes_a_member_from_a_team() {
    type ScopeOf = fn(&Acme) -> Scope;
    let scopes: [ScopeOf; 4] = [
        |a| Scope::User(a.developer),
        |a| Scope::Team(a.developers),
        |a| Scope::Organization(a.organization),
        |_| Scope::All,
    ];
    for scope in scopes {
        let acme = Acme::new().await;
        let leave = format!("delete from teammember where user_id = {}", acme.developer);
        let rows = [
            ((acme.developer, acme.app), (1, 0)),
            ((acme.developer, acme.lib), (2, 1)),
        ];
        acme.expect(&leave, scope(&acme), &rows, &[]).await;
    }
}

#[tokio::test]
async fn removes_a_whole_team() {
    let acme = Acme::new().await;
    let team = acme.developers;
    let remove = format!(
        "delete from repositorypermission where team_id = {team};
         delete from teammember where team_id = {team};
         delete from team where id = {team}"
    );
    let rows = [
        ((acme.developer, acme.app), (1, 0)),
        ((acme.developer, acme.lib), (2, 1)),
    ];
    acme.expect(&remove, Scope::Team(team), &rows, &[]).await;
}

#[tokio::test]
async fn changes_the_role_of_a_team() {
    let acme = Acme::new().await;
    let promote = format!(
        "update team set role_id = (select id from teamrole where name = 'admin') where id = {}",
        acme.creators
    );
    let spaces = [((acme.creator, acme.organization), (1, 3))];
    acme.expect(&promote, Scope::Team(acme.creators), &[], &spaces)
        .await;
}

#[tokio::test]
async fn drops_the_rows_of_a_deleted_repository_and_brings_them_back() {
    let acme = Acme::new().await;
    let delete = format!("update repository set state = 3 where id = {}", acme.app);
    let gone = [
        ((acme.developer, acme.app), (1, 0)),
        ((acme.robot, acme.app), (3, 0)),
    ];
    acme.expect(&delete, Scope::Repository(acme.app), &gone, &[])
        .await;
    let restore = delete.replace("state = 3", "state = 1");
    let back = gone.map(|(key, (before, after))| (key, (after, before)));
    acme.expect(&restore, Scope::Repository(acme.app), &back, &[])
        .await;
}

#[tokio::test]
async fn drops_the_rows_of_users_and_a_repository_that_quay_purged() {
    let acme = Acme::new().await;
    // One with rows in both tables, one with rows in each alone.
    let purge = format!(
        "delete from repositorypermission;
         delete from repository where id = {app};
         delete from teammember where user_id in ({developer}, {creator});
         delete from \"user\" where id in ({developer}, {creator}, {robot})",
        app = acme.app,
        developer = acme.developer,
        creator = acme.creator,
        robot = acme.robot
    );
    let rows = [
        ((acme.developer, acme.app), (1, 0)),
        ((acme.developer, acme.lib), (2, 0)),
        ((acme.robot, acme.app), (3, 0)),
    ];
    let spaces = [
        ((acme.developer, acme.developer), (3, 0)),
        ((acme.creator, acme.creator), (3, 0)),
        ((acme.creator, acme.organization), (1, 0)),
    ];
    acme.expect(&purge, Scope::All, &rows, &spaces).await;
}

#[tokio::test]
async fn disabling_a_user_changes_no_row() {
    let acme = Acme::new().await;
    let disable = format!(
        "update \"user\" set enabled = false where id = {}",
        acme.developer
    );
    acme.expect(&disable, Scope::User(acme.developer), &[], &[])
        .await;
}

#[tokio::test]
async fn previews_what_it_would_write_and_writes_nothing() {
    let acme = Acme::new().await;
    let registry = &acme.registry;
    recompute(&registry.db, Scope::All).await;
    registry
        .run(&format!(
            "delete from teammember where user_id = {}",
            acme.developer
        ))
        .await;
    let before = Tables::read(&registry.client).await;
    let previewed = registry
        .db
        .scope(async |conn| {
            let plan = Plan::new(conn, Scope::All).await?;
            plan.preview(conn, plan.start()).await
        })
        .await
        .unwrap();
    let shown: Vec<_> = previewed
        .changes
        .iter()
        .map(|c| (c.user_id, c.place.table(), c.before(), c.after()))
        .collect();
    let table = "quayhand_permission";
    let expected = [
        (acme.developer, table, Some("read"), None),
        (acme.developer, table, Some("write"), Some("read")),
    ];
    assert_eq!(shown, expected);
    assert_eq!(Tables::read(&registry.client).await, before);
    assert_eq!(recompute(&registry.db, Scope::All).await.rows(), 2);
}
