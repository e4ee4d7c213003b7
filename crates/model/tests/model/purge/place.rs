//! A registry built by hand, and the purge of it driven to the end.
use quayhand_model::{
    Db, DbConfig, DbError, configure,
    gc::{self, Rules},
    purge::{self, Ending, NamespaceState},
};
use quayhand_testkit::PostgresServer;
use tokio_postgres::Client;

use crate::scratch;

/// A database with the tables of a registry and nobody in it.
pub(crate) struct Place {
    pub(crate) server: &'static PostgresServer,
    pub(crate) database: String,
    pub(crate) db: Db,
    client: Client,
}

impl Place {
    pub(crate) async fn new() -> Self {
        let server = PostgresServer::shared().await.unwrap();
        let database = scratch::standalone(server, "purge").await;
        Self {
            server,
            db: configure(DbConfig::new(server.url(&database))).unwrap(),
            client: server.connect(&database).await.unwrap(),
            database,
        }
    }

    /// Opens a connection of somebody else.
    pub(crate) async fn other(&self) -> Client {
        self.server.connect(&self.database).await.unwrap()
    }

    /// Runs an insert; returns the row's id.
    pub(crate) async fn insert(&self, statement: &str) -> i64 {
        self.number(&format!("{statement} returning id::bigint"))
            .await
    }

    pub(crate) async fn run(&self, statements: &str) {
        let done = self.client.batch_execute(statements).await;
        done.unwrap_or_else(|error| panic!("`{statements}`: {error:?}"));
    }

    pub(crate) async fn number(&self, statement: &str) -> i64 {
        let row = self.client.query_one(statement, &[]).await;
        row.unwrap_or_else(|error| panic!("`{statement}`: {error:?}"))
            .get(0)
    }

    pub(crate) async fn texts(&self, statement: &str) -> Vec<String> {
        let rows = self.client.query(statement, &[]).await;
        let rows = rows.unwrap_or_else(|error| panic!("`{statement}`: {error:?}"));
        rows.iter().map(|row| row.get(0)).collect()
    }

    pub(crate) async fn count(&self, table: &str) -> i64 {
        self.number(&format!("select count(*) from \"{table}\""))
            .await
    }

    pub(crate) async fn has(&self, table: &str, id: i64) -> bool {
        let count = format!("select count(*) from \"{table}\" where id = {id}");
        self.number(&count).await == 1
    }

    /// Makes a user of this name, made on this day (null: nobody knows).
    pub(crate) async fn user(&self, name: &str, robot: bool, created: &str) -> i64 {
        self.insert(&format!(
            r#"insert into "user" (username, email, verified, organization, robot, invoice_email,
                   last_invalid_login, removed_tag_expiration_s, creation_date)
               values ('{name}', '{name}@example.com', true, false, {robot}, false, now(), 0,
                       {created})"#
        ))
        .await
    }

    pub(crate) async fn repository(&self, namespace: i64, name: &str) -> i64 {
        self.insert(&format!(
            "insert into repository (namespace_user_id, name, visibility_id, badge_token)
             values ({namespace}, '{name}', 1, '')"
        ))
        .await
    }

    /// Deletes a repository as Quay's web tier does.
    pub(crate) async fn mark(&self, repository: i64) {
        self.run(&format!(
            "update repository set name = gen_random_uuid(), state = 3 where id = {repository};
             insert into deletedrepository (repository_id, marked, original_name)
             values ({repository}, now(), 'app')"
        ))
        .await;
    }

    /// Makes a manifest with a blob of its own; returns both.
    pub(crate) async fn manifest(&self, repository: i64, subject: Option<&str>) -> i64 {
        let subject = subject.map_or_else(|| "null".to_owned(), |digest| format!("'{digest}'"));
        let manifest = self
            .insert(&format!(
                "insert into manifest (repository_id, digest, media_type_id, manifest_bytes, subject)
                 values ({repository}, 'sha256:' || gen_random_uuid(), 1, '', {subject})"
            ))
            .await;
        let blob = self
            .insert(
                "insert into imagestorage (uuid, cas_path, content_checksum)
                 values (gen_random_uuid(), true,
                         'sha256:' || encode(sha256(gen_random_uuid()::text::bytea), 'hex'))",
            )
            .await;
        self.run(&format!(
            "insert into imagestorageplacement (storage_id, location_id) values ({blob}, 7);
             insert into manifestblob (repository_id, manifest_id, blob_id)
             values ({repository}, {manifest}, {blob})"
        ))
        .await;
        manifest
    }

    /// Makes a tag that never ends.
    pub(crate) async fn tag(&self, repository: i64, manifest: i64) -> i64 {
        self.insert(&tag_of(repository, manifest)).await
    }

    /// Makes a list of one manifest.
    pub(crate) async fn child(&self, repository: i64, list: i64, child: i64) {
        self.run(&format!(
            "insert into manifestchild (repository_id, manifest_id, child_manifest_id)
             values ({repository}, {list}, {child})"
        ))
        .await;
    }

    /// Makes a repository's mirror, by a rule of some repository, that pulls as a robot;
    /// returns the rule.
    pub(crate) async fn mirror(&self, repository: i64, rule_of: i64, robot: i64) -> i64 {
        let rule = format!(
            "insert into repomirrorrule (uuid, repository_id, creation_date, rule_type, rule_value)
             values (gen_random_uuid(), {rule_of}, now(), 1, '[]')"
        );
        let rule = self.insert(&rule).await;
        self.run(&format!(
            "insert into repomirrorconfig (repository_id, creation_date, is_enabled, mirror_type,
                 internal_robot_id, external_registry_config, sync_interval,
                 sync_retries_remaining, sync_status, root_rule_id, external_reference,
                 skopeo_timeout)
             values ({repository}, now(), true, 1, {robot}, '{{}}', 60, 3, 0, {rule},
                     'quay.io/x/y', 300)"
        ))
        .await;
        rule
    }

    /// Purges a repository, as often as it takes, but not without end.
    pub(crate) async fn purge(&self, id: i64, at_most: u32) -> Result<Ending, DbError> {
        let rules = Rules::default();
        let mut ending = Ending::NotMarked;
        for _ in 0..200 {
            let batch = self
                .db
                .transaction(async |tx| gc::purge_batch(tx, id, at_most, &rules).await)
                .await?;
            if batch.is_some_and(|batch| !batch.is_empty()) {
                continue;
            }
            let rows = self
                .db
                .transaction(async |tx| purge::drop_repository_rows(tx, id, at_most).await)
                .await?;
            ending = self
                .db
                .transaction(async |tx| purge::finish_repository(tx, id, &rules).await)
                .await?;
            if rows == 0 || ending == Ending::Purged {
                return Ok(ending);
            }
        }
        panic!("repository {id} is purged without end: {ending:?}");
    }

    /// Purges a namespace with its repositories.
    pub(crate) async fn purge_namespace(&self, id: i64) -> Result<Ending, DbError> {
        loop {
            match self.prepare(id).await? {
                NamespaceState::Ready(repositories) if !repositories.is_empty() => {
                    for repository in repositories {
                        assert_eq!(self.purge(repository, 100).await?, Ending::Purged);
                    }
                }
                NamespaceState::Ready(_) => break,
                _ => return Ok(Ending::NotMarked),
            }
        }
        let drop_rows =
            async |tx: &mut _| Ok::<_, DbError>(purge::drop_namespace_rows(tx, id, 3, None).await?);
        while self.db.transaction(drop_rows).await? > 0 {}
        let robots = async |tx: &mut _| purge::drop_robots(tx, id, 100, None).await;
        while self.db.transaction(robots).await? > 0 {}
        self.db
            .transaction(async |tx| purge::finish_namespace(tx, id, None).await)
            .await
    }

    pub(crate) async fn prepare(&self, id: i64) -> Result<NamespaceState, DbError> {
        self.db
            .transaction(async |tx| purge::prepare_namespace(tx, id, 2, None).await)
            .await
    }
}

/// The insert of a tag that never ends.
pub(crate) fn tag_of(repository: i64, manifest: i64) -> String {
    format!(
        "insert into tag (name, repository_id, manifest_id, lifetime_start_ms, hidden, reversion,
                          tag_kind_id, immutable)
         values (gen_random_uuid(), {repository}, {manifest}, 1, false, false, 1, true)"
    )
}
