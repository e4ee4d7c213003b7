//! On states of a Quay database: every row beside the rules, every scope beside everything.
use quayhand_model::permission::{
    NamespaceRole, Role, Scope, Viewer, Visible, effective, namespace_role, visible_repositories,
};
use quayhand_testkit::shared_or_skip;

use super::{
    Tables,
    oracle::{Base, Roles},
    recompute,
    registry::Registry,
};

const STATES: [&str; 3] = ["seed1", "seed2", "seed3"];

#[tokio::test]
#[expect(clippy::print_stdout, reason = "says how much was compared")]
async fn computes_what_the_rules_say_row_by_row() {
    shared_or_skip!();
    for state in STATES {
        let registry = Registry::golden(state).await;
        let written = recompute(&registry.db, Scope::All).await;
        let base = Base::read(&registry.client).await;
        let expected = Tables {
            repositories: base.repository_roles(),
            namespaces: base.namespace_roles(),
        };
        assert_eq!(Tables::read(&registry.client).await, expected, "{state}");
        let rows = expected.repositories.len() + expected.namespaces.len();
        assert_eq!(written.granted, rows as u64);
        let roles: std::collections::BTreeSet<i16> =
            expected.repositories.values().copied().collect();
        assert_eq!(roles.len(), 3, "{state} has a grant of every role");
        println!(
            "{state}: {} users x {} repositories: {} roles on repositories, {} in namespaces",
            base.users.len(),
            base.repositories.len(),
            expected.repositories.len(),
            expected.namespaces.len()
        );
    }
}

#[tokio::test]
async fn answers_what_the_rules_say_for_everybody_about_everything() {
    shared_or_skip!();
    for state in STATES {
        let registry = Registry::golden(state).await;
        recompute(&registry.db, Scope::All).await;
        let base = Base::read(&registry.client).await;
        let namespaces = base.namespace_roles();
        for user in &base.users {
            let viewer = Viewer::user(user.id);
            let mut visible = Vec::new();
            registry
                .db
                .scope(async |conn| {
                    for repository in &base.repositories {
                        let role = effective(conn, viewer, repository.id).await?;
                        let expected = base.effective(user, repository);
                        let place =
                            format!("{state}: user {}, repository {}", user.id, repository.id);
                        assert_eq!(role.map_or(0, number), expected, "{place}");
                        visible.extend((expected > 0).then_some(repository.id));
                    }
                    for namespace in &base.users {
                        let role = namespace_role(conn, viewer, namespace.id).await?;
                        let granted = namespaces.get(&(user.id, namespace.id)).copied();
                        let expected = granted.filter(|_| user.enabled).unwrap_or(0);
                        assert_eq!(role.map_or(0, namespace_number), expected);
                    }
                    visible.sort_unstable();
                    assert_eq!(pages(conn, viewer).await?, visible, "{state}: {}", user.id);
                    Ok::<_, quayhand_model::DbError>(())
                })
                .await
                .unwrap();
        }
    }
}

#[tokio::test]
async fn writes_nothing_the_second_time() {
    shared_or_skip!();
    for state in STATES {
        let registry = Registry::golden(state).await;
        assert!(recompute(&registry.db, Scope::All).await.rows() > 0);
        let before = versions(&registry).await;
        let base = Base::read(&registry.client).await;
        let mut scopes = vec![Scope::All];
        scopes.extend(base.users.iter().map(|user| Scope::User(user.id)));
        scopes.extend(base.users.iter().map(|user| Scope::Organization(user.id)));
        scopes.extend(base.repositories.iter().map(|r| Scope::Repository(r.id)));
        scopes.extend(base.teams().iter().map(|(team, _)| Scope::Team(*team)));
        for scope in scopes {
            let written = recompute(&registry.db, scope).await;
            assert_eq!(written.rows(), 0, "{state}: {scope:?}");
        }
        assert_eq!(versions(&registry).await, before, "{state}");
    }
}

#[tokio::test]
async fn mends_within_each_scope_what_a_run_over_everything_would_and_nothing_else() {
    shared_or_skip!();
    let registry = Registry::golden("seed2").await;
    recompute(&registry.db, Scope::All).await;
    let right = Tables::read(&registry.client).await;
    let base = Base::read(&registry.client).await;
    let wrong = Tables {
        repositories: spoilt(&right.repositories, &base, |base| {
            base.repositories.iter().map(|r| r.id).collect()
        }),
        namespaces: spoilt(&right.namespaces, &base, |base| {
            base.users.iter().map(|u| u.id).collect()
        }),
    };
    let namespace_of = |id: i64| {
        base.repositories
            .iter()
            .find(|r| r.id == id)
            .unwrap()
            .namespace
    };
    for (scope, organization) in scopes(&base) {
        wrong.store(&registry.client).await;
        let written = recompute(&registry.db, scope).await;
        let within = |user: i64, repository: Option<i64>, namespace: i64| match scope {
            Scope::All => true,
            Scope::User(id) => user == id,
            Scope::Repository(id) => repository == Some(id),
            Scope::Organization(_) | Scope::Team(_) => namespace == organization,
        };
        let expected = Tables {
            repositories: mended(&wrong.repositories, &right.repositories, |user, id| {
                within(user, Some(id), namespace_of(id))
            }),
            namespaces: mended(&wrong.namespaces, &right.namespaces, |user, id| {
                within(user, None, id)
            }),
        };
        let found = Tables::read(&registry.client).await;
        assert_eq!(found, expected, "{scope:?}");
        let changed = super::differing(&wrong.repositories, &found.repositories).len()
            + super::differing(&wrong.namespaces, &found.namespaces).len();
        assert_eq!(written.rows(), changed as u64, "{scope:?}");
    }
}

/// Every scope of a state, with the organization of a team or namespace.
fn scopes(base: &Base) -> Vec<(Scope, i64)> {
    let mut scopes = vec![(Scope::All, 0)];
    for user in &base.users {
        scopes.push((Scope::User(user.id), 0));
        scopes.push((Scope::Organization(user.id), user.id));
    }
    scopes.extend(
        base.repositories
            .iter()
            .map(|r| (Scope::Repository(r.id), 0)),
    );
    let teams = base.teams().into_iter();
    scopes.extend(teams.map(|(team, organization)| (Scope::Team(team), organization)));
    scopes
}

/// Takes a third of the rows away, changes a third, and adds rows that nobody granted.
fn spoilt(right: &Roles, base: &Base, places: impl Fn(&Base) -> Vec<i64>) -> Roles {
    let mut wrong = Roles::new();
    for (at, (key, role)) in right.iter().enumerate() {
        match at % 3 {
            0 => {}
            1 => drop(wrong.insert(*key, if *role == 3 { 1 } else { 3 })),
            _ => drop(wrong.insert(*key, *role)),
        }
    }
    for (at, place) in places(base).into_iter().enumerate() {
        let user = base.users[at * 7 % base.users.len()].id;
        if !right.contains_key(&(user, place)) {
            wrong.insert((user, place), 1);
        }
    }
    wrong
}

/// Takes the right rows within a slice and the wrong ones outside of it.
fn mended(wrong: &Roles, right: &Roles, within: impl Fn(i64, i64) -> bool) -> Roles {
    let outside = wrong
        .iter()
        .filter(|((user, place), _)| !within(*user, *place));
    let inside = right
        .iter()
        .filter(|((user, place), _)| within(*user, *place));
    outside
        .chain(inside)
        .map(|(key, role)| (*key, *role))
        .collect()
}

/// Reads which transaction wrote each row.
async fn versions(registry: &Registry) -> Vec<(String, String)> {
    let text = "select ctid::text, xmin::text from quayhand_permission
                union all
                select 'n' || ctid::text, xmin::text from quayhand_namespace_permission order by 1";
    let rows = registry.client.query(text, &[]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// Reads everything a viewer can see, in pages that do not divide it evenly.
async fn pages(
    conn: &mut quayhand_model::Conn,
    viewer: Viewer,
) -> Result<Vec<i64>, quayhand_model::DbError> {
    let mut all: Vec<i64> = Vec::new();
    loop {
        let page = Visible {
            public: true,
            namespace_id: None,
            after_repository_id: all.last().copied().unwrap_or(0),
            at_most: 7,
        };
        let ids = visible_repositories(conn, viewer, page).await?;
        if ids.is_empty() {
            return Ok(all);
        }
        all.extend(ids);
    }
}

fn number(role: Role) -> i16 {
    match role {
        Role::Read => 1,
        Role::Write => 2,
        Role::Admin => 3,
    }
}

fn namespace_number(role: NamespaceRole) -> i16 {
    match role {
        NamespaceRole::Creator => 1,
        NamespaceRole::Admin => 3,
    }
}
