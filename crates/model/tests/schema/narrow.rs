//! The gate watches every column that the statements use: they work on tables that have no others.
use std::collections::{BTreeMap, BTreeSet};

use quayhand_model::drift::watched_columns;
use quayhand_model::gc::{self, Rules, Work};
use quayhand_model::purge::{self, Ending, NamespaceState};
use quayhand_model::{Conn, DbError, migrate, tombstone};
use quayhand_testkit::golden::{Golden, snapshot};
use quayhand_testkit::{PostgresServer, shared_or_skip};

use super::Database;

/// Drops the columns that the gate does not watch, of the tables that it does.
async fn narrow(database: &Database) -> usize {
    let mut watched: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (table, column) in watched_columns() {
        watched.entry(table).or_default().insert(column);
    }
    let columns = "select table_name || '.' || column_name from information_schema.columns
                   where table_schema = 'public'";
    let columns = database.read(columns).await;
    let split = columns.iter().filter_map(|column| column.split_once('.'));
    let unwatched = |(table, column): &(&str, &str)| {
        watched
            .get(table)
            .is_some_and(|of_table| !of_table.contains(column))
    };
    let drops: Vec<String> = split
        .filter(unwatched)
        .map(|(table, column)| format!("alter table \"{table}\" drop column \"{column}\" cascade"))
        .collect();
    database.run(&drops.join("; ")).await;
    drops.len()
}

/// Runs what reads and writes the registry's tables.
async fn collect(conn: &mut Conn) -> Result<(usize, u64), DbError> {
    let rules = Rules {
        immutable_stays: true,
        quota: gc::Quota::Reset,
        ..Rules::default()
    };
    let previewed = gc::preview(conn, None, &rules).await?.0.len();
    let candidates = gc::candidates(conn, &rules, 10_000).await?;
    let repositories: Vec<i64> = candidates.iter().map(|found| found.repository_id).collect();
    let work = Work {
        repositories: &repositories,
        carried: &[],
        at_most: 100_000,
    };
    let collected = gc::collect_batch(conn, work, &rules).await?;
    gc::settle_rechecks(conn, 100, &rules).await?;
    gc::count_due_rechecks(conn).await?;
    purge(conn, &rules).await?;
    let tombstones = tombstone::take(conn, 0, tombstone::Age::Any, 100).await?;
    tombstone::present(conn, &["sha256:00"]).await?;
    tombstone::fence(conn, &["sha256:00"]).await?;
    tombstone::count_stuck(conn).await?;
    assert!(!tombstones.is_empty());
    Ok((previewed, collected.tags))
}

/// Purges what is marked for deletion.
async fn purge(conn: &mut Conn, rules: &Rules) -> Result<(), DbError> {
    let marked = purge::marked_repositories(conn, 0, 100).await?;
    let marked: Vec<i64> = marked.iter().map(|found| found.id).collect();
    let due = purge::due_namespaces(conn, 0, 100, None).await?;
    let due: Vec<i64> = due.iter().map(|found| found.id).collect();
    assert!(!marked.is_empty() && !due.is_empty());
    purge::preview_repositories(conn, &marked).await?;
    purge::preview_namespaces(conn, &due).await?;
    let mut repositories = marked;
    for id in &due {
        match purge::prepare_namespace(conn, *id, 100, None).await? {
            NamespaceState::Ready(of_namespace) => repositories.extend(of_namespace),
            state => panic!("namespace {id}: {state:?}"),
        }
    }
    for id in repositories {
        gc::purge_batch(conn, id, 100_000, rules).await?;
        purge::drop_repository_rows(conn, id, 100_000).await?;
        purge::finish_repository(conn, id, rules).await?;
    }
    for id in due {
        purge::drop_namespace_rows(conn, id, 100_000, None).await?;
        purge::drop_robots(conn, id, 100_000, None).await?;
        let ending = purge::finish_namespace(conn, id, None).await?;
        assert_eq!(ending, Ending::Purged);
    }
    Ok(())
}

/// Loads a state, takes the unwatched columns away if asked, collects; returns the rows left.
async fn rows_left(narrowed: bool) -> BTreeSet<(String, i64)> {
    let server = PostgresServer::shared().await.unwrap();
    let name = Golden::open("seed1").unwrap().load(server).await.unwrap();
    let database = Database::of(server, name);
    migrate::up(&database.db, None).await.unwrap();
    if narrowed {
        let dropped = narrow(&database).await;
        assert!(dropped > 50, "{dropped} columns dropped");
        assert!(database.drift().await.unwrap().is_clean());
    }
    let done = database.db.transaction(collect).await.unwrap();
    assert!(done.0 > 100 && done.1 > 10, "{done:?}");
    let with_id: BTreeSet<&str> = watched_columns()
        .filter_map(|(table, column)| (column == "id").then_some(table))
        .collect();
    let mut left = snapshot(server, &database.name).await.unwrap();
    left.retain(|(table, _)| with_id.contains(table.as_str()));
    left
}

#[tokio::test]
async fn no_statement_needs_a_column_that_is_not_watched() {
    let _shared = shared_or_skip!();
    let (all, narrowed) = (rows_left(false).await, rows_left(true).await);
    assert!(all == narrowed, "without the others it collects the same");
}
