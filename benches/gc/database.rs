//! The registry of the benchmark: generated once, copied for every run.
use std::{cell::Cell, time::Instant};

use quayhand_model::{DbConfig, configure, migrate};
use quayhand_testkit::{
    PostgresServer,
    golden::Golden,
    registry::{self, RegistrySpec},
    shared_dir, unique_name,
};

use super::{figures::Figures, size::Size, way::Way};

const TEMPLATE: &str = "bench_template";
const GOLDEN: &str = "medium-1001";
const BY_HAND: &str = include_str!("baseline.sql");
/// Counts the rows of all tables of a registry.
const ROWS: &str = "
    select sum((xpath('//n/text()', query_to_xml(
               format('select count(*) as n from %I', tablename), false, true, '')))[1]
               ::text::bigint)::bigint
      from pg_tables
     where schemaname = 'public' and tablename not like 'quayhand%'";
/// Tags past their window.
const GARBAGE: &str = "
    select count(*)
      from tag t
      join repository r on r.id = t.repository_id
      join \"user\" ns on ns.id = r.namespace_user_id
     where r.state <> 3 and ns.enabled
       and t.lifetime_end_ms <= floor(extract(epoch from clock_timestamp()) * 1000)
                                - ns.removed_tag_expiration_s * 1000";

/// Rows that a run left behind: tags, manifests, blobs, labels, tombstones, all of Quay's.
type Survivors = [i64; 6];

/// A server with a registry to copy.
pub(crate) struct Snapshot {
    pub(crate) server: PostgresServer,
    /// Tags that a run collects.
    pub(crate) garbage: u64,
    template: String,
    rows: u64,
    survivors: Cell<Option<Survivors>>,
}

impl Snapshot {
    /// Makes a registry on a server with PostgreSQL's defaults; `None` when it is one that is
    /// not here.
    pub(crate) async fn make(size: Size) -> Option<Self> {
        if size == Size::Golden && shared_dir().is_none() {
            println!("SKIPPED: `{GOLDEN}` is missing");
            return None;
        }
        let server = PostgresServer::start().await.unwrap();
        let template = if size == Size::Golden {
            Golden::open(GOLDEN).unwrap().load(&server).await.unwrap()
        } else {
            server.create_database(TEMPLATE).await.unwrap();
            TEMPLATE.to_owned()
        };
        let db = configure(DbConfig::new(server.url(&template))).unwrap();
        migrate::up(&db, None).await.unwrap();
        db.close().await;
        if size != Size::Golden {
            let spec = RegistrySpec {
                repositories: (size.tags() / 50).max(20),
                tags: size.tags(),
                ..RegistrySpec::demo(1001)
            };
            registry::load(&server, &template, &spec, None)
                .await
                .unwrap();
        }
        server.execute(&template, "vacuum analyze").await.unwrap();
        let garbage = number(&server, &template, GARBAGE).await.unsigned_abs();
        let rows = number(&server, &template, ROWS).await.unsigned_abs();
        // A template must have no connections.
        let end = format!(
            "select pg_terminate_backend(pid, 10000) from pg_stat_activity
              where datname = '{template}'"
        );
        server.execute("postgres", &end).await.unwrap();
        Some(Self {
            server,
            garbage,
            template,
            rows,
            survivors: Cell::new(None),
        })
    }

    /// Says how large the registry is.
    pub(crate) fn describe(&self) -> String {
        format!(
            "{} rows, {} tags past their window",
            self.rows, self.garbage
        )
    }

    /// Rows of Quay's tables that a run deletes.
    pub(crate) fn rows_gone(&self) -> u64 {
        let left = self.survivors.get().map_or(0, |survivors| survivors[5]);
        self.rows.saturating_sub(left.unsigned_abs())
    }

    /// Copies the registry, file by file: through the write-ahead log a large one takes longer
    /// than what is measured. Returns the copy's name.
    pub(crate) async fn copy(&self) -> String {
        let name = unique_name("bench");
        let template = &self.template;
        let copy = format!("create database {name} template \"{template}\" strategy file_copy");
        self.server.execute("postgres", &copy).await.unwrap();
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

    /// Ends the benchmark when a way did not do the same work as the others.
    pub(crate) async fn agree(&self, way: Way, database: &str) {
        let survivors = [
            self.count(database, "tag").await,
            self.count(database, "manifest").await,
            self.count(database, "imagestorage").await,
            self.count(database, "label").await,
            self.count(database, "quayhand_tombstone").await,
            number(&self.server, database, ROWS).await,
        ];
        let expected = self.survivors.get().unwrap_or(survivors);
        assert_eq!(survivors, expected, "{way} left other rows than the others");
        self.survivors.set(Some(expected));
    }

    /// Counts the tags that a run has not collected yet.
    pub(crate) async fn garbage_left(&self, database: &str) -> i64 {
        number(&self.server, database, GARBAGE).await
    }

    async fn count(&self, database: &str, table: &str) -> i64 {
        let count = format!("select count(*) from {table}");
        number(&self.server, database, &count).await
    }

    /// Removes a copy.
    pub(crate) async fn drop(&self, database: &str) {
        let drop = format!("drop database {database} with (force)");
        self.server.execute("postgres", &drop).await.unwrap();
    }
}

async fn number(server: &PostgresServer, database: &str, statement: &str) -> i64 {
    let client = server.connect(database).await.unwrap();
    client.query_one(statement, &[]).await.unwrap().get(0)
}
