//! Every foreign key onto a repository or a user, by the catalogue: a row that holds one does
//! not stop a purge.
use std::collections::BTreeSet;

use quayhand_model::purge::Ending;

use super::{namespace::mark, place::Place};

/// Content, which goes before; and rows that a repository cannot have without content.
const CONTENT: [&str; 7] = [
    "tag",
    "manifest",
    "manifestblob",
    "manifestchild",
    "manifestlabel",
    "manifestsecuritystatus",
    "uploadedblob",
];

/// Lists `table.column` of every foreign key onto a table.
async fn referrers(place: &Place, table: &str) -> Vec<(String, String)> {
    let lines = place
        .texts(&format!(
            "select c.conrelid::regclass || '.' || a.attname
               from pg_constraint c
               join pg_attribute a on a.attrelid = c.conrelid and a.attnum = c.conkey[1]
              where c.contype = 'f' and c.confrelid = '\"{table}\"'::regclass
              order by 1"
        ))
        .await;
    let pair = |line: String| {
        let (table, column) = line.split_once('.').unwrap();
        (table.to_owned(), column.to_owned())
    };
    lines.into_iter().map(pair).collect()
}

/// Inserts a row whose column names an id, with something in every other column that needs it.
async fn insert(place: &Place, table: &str, column: &str, id: i64) {
    let needed = place
        .texts(&format!(
            "select column_name || ' ' || data_type from information_schema.columns
              where table_schema = 'public' and table_name = '{table}'
                and is_nullable = 'NO' and column_default is null and is_identity = 'NO'
                and column_name <> '{column}'"
        ))
        .await;
    let (mut names, mut values) = (vec![column.to_owned()], vec![id.to_string()]);
    for line in needed {
        let (name, kind) = line.split_once(' ').unwrap();
        names.push(name.to_owned());
        values.push(
            match kind {
                "integer" | "bigint" | "smallint" => "-1",
                "double precision" => "0",
                "boolean" => "false",
                "date" | "timestamp without time zone" => "now()",
                _ => "left(gen_random_uuid()::text, 20)",
            }
            .to_owned(),
        );
    }
    place
        .run(&format!(
            "set session_replication_role = replica;
             insert into {table} ({}) values ({});
             set session_replication_role = origin",
            names.join(", "),
            values.join(", ")
        ))
        .await;
}

#[tokio::test]
async fn no_row_that_hangs_on_a_repository_stops_its_purge() {
    let place = Place::new().await;
    let owner = place.user("org", false, "now()").await;
    let repository = place.repository(owner, "app").await;
    let mut tables = BTreeSet::new();
    for (table, column) in referrers(&place, "repository").await {
        if CONTENT.contains(&table.as_str()) {
            continue;
        }
        insert(&place, &table, &column, repository).await;
        tables.insert(table);
    }
    assert!(tables.len() >= 20, "{tables:?}");
    let mark = format!("update repository set state = 3 where id = {repository}");
    place.run(&mark).await;
    assert_eq!(place.purge(repository, 1).await.unwrap(), Ending::Purged);
    for table in tables {
        assert_eq!(place.count(&table).await, 0, "{table}");
    }
}

#[tokio::test]
async fn no_row_that_hangs_on_a_namespace_stops_its_purge() {
    let place = Place::new().await;
    let id = place.user("org", false, "now()").await;
    let mut tables = BTreeSet::new();
    for (table, column) in referrers(&place, "user").await {
        let elsewhere = ["repository", "deletednamespace"].contains(&table.as_str());
        if elsewhere || column == "internal_robot_id" {
            continue;
        }
        insert(&place, &table, &column, id).await;
        if column != "pull_robot_id" {
            tables.insert(table);
        }
    }
    assert!(tables.len() >= 30, "{tables:?}");
    mark(&place, id, "org", "now() - interval '40 days'", "null").await;
    assert_eq!(place.purge_namespace(id).await.unwrap(), Ending::Purged);
    assert_eq!(place.count("user").await, 0);
    tables.remove("repositorybuildtrigger"); // the one with a pull robot stays, without it
    for table in tables {
        assert_eq!(place.count(&table).await, 0, "{table}");
    }
    let robots = "select count(*) from repositorybuild where pull_robot_id is not null";
    assert_eq!(place.number(robots).await, 0);
    assert_eq!(
        place.count("repositorybuild").await,
        1,
        "a build outlives its robot"
    );
}
