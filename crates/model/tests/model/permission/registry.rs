//! A registry of a test's own: made empty by our migrations, filled by name.
use quayhand_model::{Db, DbConfig, configure, migrate};
use quayhand_testkit::{PostgresServer, golden::Golden};
use tokio_postgres::Client;

use crate::scratch;

/// A database of its own for one test.
pub(super) struct Registry {
    pub(super) db: Db,
    /// A connection past the guard.
    pub(super) client: Client,
    server: &'static PostgresServer,
    name: String,
}

impl Registry {
    /// Makes one without users and repositories.
    pub(super) async fn empty() -> Self {
        let server = PostgresServer::shared().await.unwrap();
        let name = scratch::standalone(server, "permission").await;
        Self::of(server, name).await
    }

    /// Makes one from a golden state.
    pub(super) async fn golden(state: &str) -> Self {
        let server = PostgresServer::shared().await.unwrap();
        let name = Golden::open(state).unwrap().load(server).await.unwrap();
        let golden = Self::of(server, name).await;
        migrate::up(&golden.db, None).await.unwrap();
        golden
    }

    async fn of(server: &'static PostgresServer, name: String) -> Self {
        let db = configure(DbConfig::new(server.url(&name))).unwrap();
        let client = server.connect(&name).await.unwrap();
        Self {
            db,
            client,
            server,
            name,
        }
    }

    /// Opens another connection past the guard.
    pub(super) async fn connect(&self) -> Client {
        self.server.connect(&self.name).await.unwrap()
    }

    /// Runs statements past the guard, as Quay would.
    pub(super) async fn run(&self, statements: &str) {
        self.client.batch_execute(statements).await.unwrap();
    }

    pub(super) async fn person(&self, name: &str) -> i64 {
        self.user(name, false, false).await
    }

    pub(super) async fn organization(&self, name: &str) -> i64 {
        self.user(name, true, false).await
    }

    pub(super) async fn robot(&self, name: &str) -> i64 {
        self.user(name, false, true).await
    }

    async fn user(&self, name: &str, organization: bool, robot: bool) -> i64 {
        self.id(&format!(
            "insert into \"user\" (username, email, verified, organization, robot, invoice_email,
                 invalid_login_attempts, last_invalid_login, removed_tag_expiration_s, enabled)
             values ('{name}', '{name}', true, {organization}, {robot}, false, 0, now(), 0, true)"
        ))
        .await
    }

    pub(super) async fn repository(&self, namespace: i64, name: &str) -> i64 {
        self.id(&format!(
            "insert into repository
                 (namespace_user_id, name, visibility_id, badge_token, kind_id, trust_enabled, state)
             select {namespace}, '{name}', visibility.id, '', repositorykind.id, false, 0
               from visibility, repositorykind
              where visibility.name = 'private' and repositorykind.name = 'image'"
        ))
        .await
    }

    pub(super) async fn team(&self, organization: i64, name: &str, role: &str) -> i64 {
        self.id(&format!(
            "insert into team (name, organization_id, role_id, description)
             select '{name}', {organization}, id, '' from teamrole where name = '{role}'"
        ))
        .await
    }

    pub(super) async fn join(&self, user: i64, team: i64) {
        self.run(&format!(
            "insert into teammember (user_id, team_id) values ({user}, {team})"
        ))
        .await;
    }

    /// Grants a role; `to` is `user_id` or `team_id`.
    pub(super) async fn grant(&self, to: &str, id: i64, repository: i64, role: &str) {
        self.run(&format!(
            "insert into repositorypermission ({to}, repository_id, role_id)
             select {id}, {repository}, id from role where name = '{role}'"
        ))
        .await;
    }

    /// Runs an insert and returns the new row's id.
    async fn id(&self, insert: &str) -> i64 {
        let row = self
            .client
            .query_one(&format!("{insert} returning id"), &[])
            .await;
        row.unwrap().get::<_, i32>(0).into()
    }
}

/// An organization with a team of every role, and a repository granted to one of them.
pub(super) struct Acme {
    pub(super) registry: Registry,
    pub(super) organization: i64,
    pub(super) owner: i64,
    pub(super) creator: i64,
    pub(super) developer: i64,
    pub(super) robot: i64,
    pub(super) developers: i64,
    pub(super) creators: i64,
    /// `acme/app`: read to the developers, admin to the robot.
    pub(super) app: i64,
    /// `acme/lib`: write to the developers, read to the developer by name.
    pub(super) lib: i64,
}

impl Acme {
    /// Makes the organization; nothing is computed yet.
    pub(super) async fn new() -> Self {
        let registry = Registry::empty().await;
        let organization = registry.organization("acme").await;
        let owner = registry.person("olga").await;
        let creator = registry.person("carl").await;
        let developer = registry.person("dora").await;
        let robot = registry.robot("acme+ci").await;
        let owners = registry.team(organization, "owners", "admin").await;
        let creators = registry.team(organization, "creators", "creator").await;
        let developers = registry.team(organization, "developers", "member").await;
        for (user, team) in [
            (owner, owners),
            (creator, creators),
            (developer, developers),
        ] {
            registry.join(user, team).await;
        }
        let app = registry.repository(organization, "app").await;
        let lib = registry.repository(organization, "lib").await;
        registry.grant("team_id", developers, app, "read").await;
        registry.grant("user_id", robot, app, "admin").await;
        registry.grant("team_id", developers, lib, "write").await;
        registry.grant("user_id", developer, lib, "read").await;
        Self {
            registry,
            organization,
            owner,
            creator,
            developer,
            robot,
            developers,
            creators,
            app,
            lib,
        }
    }
}
