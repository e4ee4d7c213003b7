//! The rules, written plainly: tables are fetched whole, and every user is held against every
//! repository. No statement here joins anything.
use std::collections::{BTreeMap, BTreeSet};

use tokio_postgres::{Client, Row};

/// Role by (user, repository) or (user, namespace): 1 read or creator, 2 write, 3 admin.
pub(super) type Roles = BTreeMap<(i64, i64), i16>;

pub(super) struct User {
    pub(super) id: i64,
    username: String,
    organization: bool,
    robot: bool,
    pub(super) enabled: bool,
}

pub(super) struct Repository {
    pub(super) id: i64,
    pub(super) namespace: i64,
    pub(super) public: bool,
    pub(super) state: i64,
}

struct Team {
    id: i64,
    organization: i64,
    role: String,
}

struct Grant {
    team: Option<i64>,
    user: Option<i64>,
    repository: i64,
    role: String,
}

/// The registry's own tables.
pub(super) struct Base {
    pub(super) users: Vec<User>,
    pub(super) repositories: Vec<Repository>,
    teams: Vec<Team>,
    members: BTreeSet<(i64, i64)>,
    grants: Vec<Grant>,
}

impl Base {
    pub(super) async fn read(client: &Client) -> Self {
        let roles = names(client, "role").await;
        let team_roles = names(client, "teamrole").await;
        let visibilities = names(client, "visibility").await;
        let text = "select id, username, organization, robot, enabled from \"user\"";
        let users = rows(client, text, |row| User {
            id: int(row, 0),
            username: row.get(1),
            organization: row.get(2),
            robot: row.get(3),
            enabled: row.get(4),
        });
        let text = "select id, namespace_user_id, visibility_id, state from repository";
        let repositories = rows(client, text, |row| Repository {
            id: int(row, 0),
            namespace: int(row, 1),
            public: visibilities[&int(row, 2)] == "public",
            state: int(row, 3),
        });
        let text = "select id, organization_id, role_id from team";
        let teams = rows(client, text, |row| Team {
            id: int(row, 0),
            organization: int(row, 1),
            role: team_roles[&int(row, 2)].clone(),
        });
        let text = "select user_id, team_id from teammember";
        let members = rows(client, text, |row| (int(row, 0), int(row, 1)));
        let text = "select team_id, user_id, repository_id, role_id from repositorypermission";
        let grants = rows(client, text, |row| Grant {
            team: row.get::<_, Option<i32>>(0).map(i64::from),
            user: row.get::<_, Option<i32>>(1).map(i64::from),
            repository: int(row, 2),
            role: roles[&int(row, 3)].clone(),
        });
        Self {
            users: users.await,
            repositories: repositories.await,
            teams: teams.await,
            members: members.await.into_iter().collect(),
            grants: grants.await,
        }
    }

    /// What every user was granted on every repository, by name or through a team.
    pub(super) fn repository_roles(&self) -> Roles {
        let mut all = Roles::new();
        for user in &self.users {
            for repository in &self.repositories {
                let role = self.granted(user, repository);
                if role > 0 && repository.state != 3 {
                    all.insert((user.id, repository.id), role);
                }
            }
        }
        all
    }

    /// What every user is in every namespace.
    pub(super) fn namespace_roles(&self) -> Roles {
        let mut all = Roles::new();
        for user in &self.users {
            for namespace in &self.users {
                let role = self.in_namespace(user, namespace);
                if role > 0 {
                    all.insert((user.id, namespace.id), role);
                }
            }
        }
        all
    }

    /// What a user, once logged in, may do with a repository.
    pub(super) fn effective(&self, user: &User, repository: &Repository) -> i16 {
        if !user.enabled || repository.state == 3 {
            return 0;
        }
        let namespace = self.users.iter().find(|u| u.id == repository.namespace);
        let administers = namespace.is_some_and(|n| self.in_namespace(user, n) == 3);
        let from_namespace = if administers { 3 } else { 0 };
        self.granted(user, repository)
            .max(from_namespace)
            .max(i16::from(repository.public))
    }

    fn granted(&self, user: &User, repository: &Repository) -> i16 {
        let mut highest = 0;
        for grant in &self.grants {
            let to_user = grant.user == Some(user.id);
            let to_team = grant
                .team
                .is_some_and(|team| self.members.contains(&(user.id, team)));
            if grant.repository == repository.id && (to_user || to_team) {
                highest = highest.max(match grant.role.as_str() {
                    "admin" => 3,
                    "write" => 2,
                    "read" => 1,
                    _ => 0,
                });
            }
        }
        highest
    }

    fn in_namespace(&self, user: &User, namespace: &User) -> i16 {
        let owns = user.username == namespace.username && !user.organization && !user.robot;
        let mut highest = if owns { 3 } else { 0 };
        for team in &self.teams {
            if team.organization == namespace.id && self.members.contains(&(user.id, team.id)) {
                highest = highest.max(match team.role.as_str() {
                    "admin" => 3,
                    "creator" => 1,
                    _ => 0,
                });
            }
        }
        highest
    }
}

impl Base {
    /// The organization of every team.
    pub(super) fn teams(&self) -> Vec<(i64, i64)> {
        let pairs = self.teams.iter().map(|team| (team.id, team.organization));
        pairs.collect()
    }
}

async fn names(client: &Client, table: &str) -> BTreeMap<i64, String> {
    let text = format!("select id, name from {table}");
    let named = rows(client, &text, |row| (int(row, 0), row.get(1))).await;
    named.into_iter().collect()
}

async fn rows<T>(client: &Client, text: &str, read: impl Fn(&Row) -> T) -> Vec<T> {
    client
        .query(text, &[])
        .await
        .unwrap()
        .iter()
        .map(read)
        .collect()
}

fn int(row: &Row, column: usize) -> i64 {
    row.get::<_, i32>(column).into()
}
