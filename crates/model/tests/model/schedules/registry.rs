//! A registry of a few rows, built by hand, and what became of them.
use std::time::Duration;

use quayhand_model::{
    Db, DbConfig, configure,
    gc::{self, Collected, LeakKind, Rules},
};
use quayhand_testkit::{PostgresServer, wait_for};
use tokio_postgres::Client;

use super::{
    actors::COLLECTOR,
    rows::{blob_of, label_of, manifest_row, tag_row},
};
use crate::{
    scratch,
    sweep::{self, Sweep},
};

/// No event of a schedule takes longer.
pub(super) const DEADLINE: Duration = Duration::from_secs(20);

/// A database with one namespace, whose ended tags are past recovery at once.
pub(super) struct Registry {
    pub(super) server: &'static PostgresServer,
    pub(super) database: String,
    pub(super) db: Db,
    client: Client,
    namespace: i64,
}

impl Registry {
    pub(super) async fn empty() -> Self {
        let server = PostgresServer::shared().await.unwrap();
        let database = scratch::standalone(server, "schedule").await;
        // Only pushers end deadlocks here, so that a schedule shows whom one would hit.
        let patient = format!("alter database {database} set deadlock_timeout = '1min'");
        server.execute("postgres", &patient).await.unwrap();
        let client = server.connect(&database).await.unwrap();
        client
            .batch_execute("create table stored_object (digest text, location_id bigint)")
            .await
            .unwrap();
        let mut registry = Self {
            server,
            db: configure(DbConfig::new(server.url(&database))).unwrap(),
            database,
            client,
            namespace: 0,
        };
        registry.namespace = registry
            .insert(
                r#"insert into "user" (username, email, verified, organization, robot,
                       invoice_email, last_invalid_login, removed_tag_expiration_s)
                   values ('org', 'org@example.com', true, true, false, false, now(), 0)"#,
            )
            .await;
        registry
    }

    /// Runs an insert; returns the row's id.
    pub(super) async fn insert(&self, statement: &str) -> i64 {
        self.number(&format!("{statement} returning id::bigint"))
            .await
    }

    /// Runs statements that give nothing.
    pub(super) async fn changes(&self, statements: &str) {
        let done = self.client.batch_execute(statements).await;
        done.unwrap_or_else(|error| panic!("`{statements}`: {error:?}"));
    }

    /// Runs a statement that gives one number.
    pub(super) async fn number(&self, statement: &str) -> i64 {
        let row = self.client.query_one(statement, &[]).await;
        row.unwrap_or_else(|error| panic!("`{statement}`: {error:?}"))
            .get(0)
    }

    /// Runs a statement that gives one text.
    pub(super) async fn text(&self, statement: &str) -> String {
        self.client.query_one(statement, &[]).await.unwrap().get(0)
    }

    pub(super) async fn repository(&self) -> i64 {
        let namespace = self.namespace;
        self.insert(&format!(
            "insert into repository (namespace_user_id, name, visibility_id, badge_token)
             values ({namespace}, gen_random_uuid(), 1, '')"
        ))
        .await
    }

    /// Makes a blob with an object in one location.
    pub(super) async fn blob(&self) -> i64 {
        let blob = self
            .insert(
                "insert into imagestorage (uuid, cas_path, content_checksum)
                 values (gen_random_uuid(), true,
                         'sha256:' || encode(sha256(gen_random_uuid()::text::bytea), 'hex'))",
            )
            .await;
        self.insert(&format!(
            "insert into imagestorageplacement (storage_id, location_id) values ({blob}, 7)"
        ))
        .await;
        self.changes(&format!(
            "insert into stored_object select content_checksum, 7 from imagestorage
              where id = {blob}"
        ))
        .await;
        blob
    }

    pub(super) async fn blobs(&self) -> [i64; 3] {
        [self.blob().await, self.blob().await, self.blob().await]
    }

    pub(super) async fn manifest(&self, repository: i64, blobs: &[i64]) -> i64 {
        let manifest = self.insert(&manifest_row(repository)).await;
        for blob in blobs {
            self.insert(&blob_of(repository, manifest, *blob)).await;
        }
        manifest
    }

    /// Makes a tag that ended long ago.
    pub(super) async fn dead_tag(&self, repository: i64, manifest: i64) -> i64 {
        self.insert(&tag_row(repository, manifest, "1")).await
    }

    /// Makes a repository whose only tag is past recovery and holds the only reference to
    /// a manifest of these blobs.
    pub(super) async fn garbage(&self, blobs: &[i64]) -> Garbage {
        let repository = self.repository().await;
        let manifest = self.manifest(repository, blobs).await;
        let tag = self.dead_tag(repository, manifest).await;
        Garbage {
            repository,
            manifest,
            tag,
        }
    }

    pub(super) async fn label(&self, manifests: &[Garbage]) -> i64 {
        let label = self
            .insert(
                "insert into label (uuid, key, value, media_type_id, source_type_id)
                 values (gen_random_uuid(), 'key', 'value', 1, 1)",
            )
            .await;
        for of in manifests {
            self.insert(&label_of(of.repository, of.manifest, label))
                .await;
        }
        label
    }

    /// Collects everything that is left, with all locks in place.
    pub(super) async fn sweep(&self) -> Sweep {
        let rules = rules();
        let mut swept = sweep::everything(&self.db, &rules, 1_000).await;
        loop {
            let settled = self.settle().await;
            let again = settled.more;
            swept += &settled;
            if !again {
                return swept;
            }
        }
    }

    /// Looks once at what was postponed.
    pub(super) async fn settle(&self) -> Collected {
        let rules = rules();
        let settled = self
            .db
            .transaction(async |tx| gc::settle_rechecks(tx, 1_000, &rules).await);
        settled.await.unwrap()
    }

    pub(super) async fn rechecks(&self) -> i64 {
        self.number("select count(*) from quayhand_recheck").await
    }

    /// Collects everything, and what nothing leads to.
    pub(super) async fn sweep_all(&self) {
        self.sweep().await;
        self.sweep_leaks().await;
    }

    /// Collects what nothing leads to, until there is none.
    async fn sweep_leaks(&self) {
        let rules = rules();
        for kind in LeakKind::ALL {
            let find = self
                .db
                .scope(async |conn| gc::find_leaks(conn, kind, 0).await);
            let ids = find.await.unwrap().ids;
            let collect = self
                .db
                .transaction(async |tx| gc::collect_leaks(tx, kind, &ids, &rules).await);
            collect.await.unwrap();
        }
    }

    /// Tells whether a batch waits for a lock.
    pub(super) async fn a_collector_waits(&self) -> bool {
        self.count_waiting(COLLECTOR).await > 0
    }

    /// Waits until a batch waits for a lock.
    pub(super) async fn until_a_collector_waits(&self) {
        wait_for("a batch that waits for a lock", DEADLINE, async || {
            self.a_collector_waits().await.then_some(())
        })
        .await;
    }

    /// Counts the connections that wait for a lock and fit a condition.
    pub(super) async fn count_waiting(&self, condition: &str) -> i64 {
        self.number(&format!(
            "select count(*) from pg_stat_activity
              where datname = current_database() and wait_event_type = 'Lock' and {condition}"
        ))
        .await
    }
}

/// What a repository of one expired tag consists of.
#[derive(Clone, Copy)]
pub(super) struct Garbage {
    pub(super) repository: i64,
    pub(super) manifest: i64,
    pub(super) tag: i64,
}

/// Rules of a batch: nothing of them varies but the switches.
pub(super) fn rules() -> Rules {
    Rules {
        quota: gc::Quota::Reset,
        ..Rules::default()
    }
}
