//! Any small repository: the collector leaves what a slow reading of the rules leaves,
//! whatever the size of its batches.
mod graph;
mod rows;
mod rules;

use std::{
    cell::Cell,
    collections::BTreeSet,
    time::{Duration, Instant},
};

use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use quayhand_model::{
    Db, DbConfig, configure,
    gc::{self, Rules},
};
use quayhand_testkit::PostgresServer;
use tokio_postgres::Client;

use crate::{scratch, sweep};
use graph::Graph;
use rows::IDS;

/// After this time no further graph is tried.
const BUDGET: Duration = Duration::from_secs(15);
const MOST_GRAPHS: u32 = 1_000;

/// A row by its table and its place in the graph.
type Row = (String, i64);

/// A database that takes one graph after the other.
struct Laboratory {
    db: Db,
    client: Client,
    /// How many graphs were put into the database.
    used: Cell<i64>,
}

impl Laboratory {
    async fn new() -> Self {
        let server = PostgresServer::shared().await.unwrap();
        let database = scratch::standalone(server, "property").await;
        let client = server.connect(&database).await.unwrap();
        client.batch_execute(rows::NAMESPACE).await.unwrap();
        Self {
            db: configure(DbConfig::new(server.url(&database))).unwrap(),
            client,
            used: Cell::new(0),
        }
    }

    /// Puts a graph into a repository of its own, previews and collects it; returns the
    /// rows that are left and those that were announced to stay.
    async fn collect(&self, graph: &Graph, at_most: u32, stays: bool) -> [BTreeSet<Row>; 2] {
        self.used.set(self.used.get() + 1);
        let base = self.used.get() * IDS;
        self.client
            .batch_execute(&graph.insert(base))
            .await
            .unwrap();
        let rules = Rules {
            immutable_stays: stays,
            as_of_ms: Some(rows::NOW_MS),
            ..Rules::default()
        };
        let before = self.rows(base).await;
        let preview = self
            .db
            .read_only_transaction(async |tx| gc::preview(tx, Some(&[base]), &rules).await);
        let mut announced = before;
        for doomed in preview.await.unwrap().0 {
            announced.remove(&(doomed.table.to_owned(), doomed.id - base));
        }
        while sweep::exhaust(&self.db, &rules, &[base], at_most)
            .await
            .unwrap()
            .rows()
            > 0
        {}
        [self.rows(base).await, announced]
    }

    /// Reads the rows of one graph, and the tombstones for its blobs.
    async fn rows(&self, base: i64) -> BTreeSet<Row> {
        let rows = self.client.query(&rows::select(base), &[]).await.unwrap();
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "the figure is there to be read")]
fn leaves_what_the_rules_leave_whatever_the_batch() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let laboratory = runtime.block_on(Laboratory::new());
    let started = Instant::now();
    let mut runner = TestRunner::new(Config {
        cases: MOST_GRAPHS,
        failure_persistence: None,
        max_shrink_time: 60_000,
        ..Config::default()
    });
    let tried = Cell::new(0);
    let outcome = runner.run(
        &(Graph::any(), 2..6_u32, any::<bool>()),
        |(graph, size, stays)| {
            if started.elapsed() > BUDGET {
                return Ok(());
            }
            tried.set(tried.get() + 1);
            let expected = rules::survivors(&graph, stays);
            for at_most in [1, size, 1_000] {
                let collect = laboratory.collect(&graph, at_most, stays);
                let [left, announced] = runtime.block_on(collect);
                prop_assert_eq!(&left, &expected, "batches of {}", at_most);
                prop_assert_eq!(&announced, &expected, "preview");
            }
            Ok(())
        },
    );
    println!("{} graphs, {:?}", tried.get(), started.elapsed());
    outcome.unwrap_or_else(|error| panic!("{error}"));
}
