//! The registry of the benchmark: generated once, copied for every run.
use std::{cell::Cell, time::Instant};

use quayhand_model::{DbConfig, configure, migrate};
use quayhand_testkit::{
    PostgresServer,
    registry::{self, RegistrySpec},
    unique_name,
};

use super::{Way, figures::Figures};

const TEMPLATE: &str = "bench_template";
const BY_HAND: &str = include_str!("baseline.sql");

/// Rows that a run left behind.
type Survivors = [i64; 5];

/// A server with a generated registry to copy.
pub(crate) struct Snapshot {
    pub(crate) server: PostgresServer,
    pub(crate) rows: u64,
    pub(crate) tags: u64,
    pub(crate) garbage: u64,
    survivors: Cell<Option<Survivors>>,
}

impl Snapshot {
    /// Generates a registry of about `tags` tags on a server with PostgreSQL's defaults.
    pub(crate) async fn make(tags: u32) -> Self {
        let server = PostgresServer::start().await.unwrap();
        server.create_database(TEMPLATE).await.unwrap();
        let db = configure(DbConfig::new(server.url(TEMPLATE))).unwrap();
        migrate::up(&db, None).await.unwrap();
        db.close().await;
        let spec = RegistrySpec {
            repositories: (tags / 50).max(20),
            tags,
            ..RegistrySpec::demo(1001)
        };
        let counts = registry::load(&server, TEMPLATE, &spec, None)
            .await
            .unwrap();
        server.execute(TEMPLATE, "vacuum analyze").await.unwrap();
        Self {
            server,
            rows: counts.rows,
            tags: counts.tags,
            garbage: counts.garbage_tags,
            survivors: Cell::new(None),
        }
    }

    /// Copies the registry; returns the copy's name.
    pub(crate) async fn copy(&self) -> String {
        let name = unique_name("bench");
        let copied = self.server.create_database_from(&name, TEMPLATE).await;
        copied.unwrap();
        self.server.execute(&name, "checkpoint").await.unwrap();
        name
    }

    /// Collects a copy by the hand-written transaction.
    pub(crate) async fn by_hand(&self, database: &str) -> Figures {
        let client = self.server.connect(database).await.unwrap();
        let started = Instant::now();
        client.batch_execute(BY_HAND).await.unwrap();
        Figures {
            seconds: started.elapsed().as_secs_f64(),
            ..Figures::default()
        }
    }

    /// Counts what a run left.
    pub(crate) async fn survivors(&self, database: &str) -> Survivors {
        let client = self.server.connect(database).await.unwrap();
        let tables = [
            "tag",
            "manifest",
            "imagestorage",
            "label",
            "quayhand_tombstone",
        ];
        let mut left = [0; 5];
        for (left, table) in left.iter_mut().zip(tables) {
            let count = format!("select count(*) from {table}");
            *left = client.query_one(&count, &[]).await.unwrap().get(0);
        }
        left
    }

    /// Ends the benchmark when two ways did not do the same work.
    pub(crate) fn agree(&self, way: Way, survivors: Survivors) {
        let expected = self.survivors.get().unwrap_or(survivors);
        assert_eq!(
            survivors, expected,
            "{way:?} left other rows than the first way"
        );
        self.survivors.set(Some(expected));
    }

    /// Removes a copy.
    pub(crate) async fn drop(&self, database: &str) {
        let drop = format!("drop database {database} with (force)");
        self.server.execute("postgres", &drop).await.unwrap();
    }
}
