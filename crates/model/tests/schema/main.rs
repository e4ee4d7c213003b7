//! The schema: migrations up and down, the registry's tables beside Quay's, and the gate.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by ending"
)]

mod catalogue;
mod gate;
mod migrations;
mod narrow;
mod registry;

use quayhand_model::drift::{Drift, Kind, check, kind_of_database};
use quayhand_model::{Db, DbConfig, DbError, configure, migrate};
use quayhand_testkit::{PostgresServer, golden, unique_name};

/// A database of its own for one test.
struct Database {
    server: &'static PostgresServer,
    name: String,
    db: Db,
}

impl Database {
    /// Makes one without tables.
    async fn empty() -> Self {
        let server = PostgresServer::shared().await.unwrap();
        let name = unique_name("schema");
        server.create_database(&name).await.unwrap();
        Self::of(server, name)
    }

    /// Makes one as Quay's own migrations leave it.
    async fn quay() -> Self {
        let server = PostgresServer::shared().await.unwrap();
        let name = golden::quay_database(server).await.unwrap();
        Self::of(server, name)
    }

    /// Makes one with both of our sets.
    async fn standalone() -> Self {
        let server = PostgresServer::shared().await.unwrap();
        let template = server.template("standalone", async |url| {
            let db = configure(DbConfig::new(url))?;
            migrate::up(&db, None).await?;
            // The guard may keep the connection; a template must have none.
            drop(db);
            let end = "select pg_terminate_backend(pid, 10000) from pg_stat_activity \
                       where datname = 'standalone'";
            Ok::<(), Box<dyn std::error::Error>>(server.execute("postgres", end).await?)
        });
        let template = template.await.unwrap();
        let name = unique_name("schema");
        server.create_database_from(&name, &template).await.unwrap();
        Self::of(server, name)
    }

    fn of(server: &'static PostgresServer, name: String) -> Self {
        let db = configure(DbConfig::new(server.url(&name))).unwrap();
        Self { server, name, db }
    }

    /// Runs statements past the model, as an operator or a Quay would.
    async fn run(&self, statements: &str) {
        self.server.execute(&self.name, statements).await.unwrap();
    }

    /// Reads the first column of an answer.
    async fn read(&self, query: &str) -> Vec<String> {
        let client = self.server.connect(&self.name).await.unwrap();
        let rows = client.query(query, &[]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    async fn kind(&self) -> Kind {
        self.db
            .scope(async |conn| kind_of_database(conn).await)
            .await
            .unwrap()
    }

    async fn drift(&self) -> Result<Drift, DbError> {
        self.db.scope(async |conn| check(conn).await).await
    }
}
