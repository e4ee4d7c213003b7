//! The registry set builds what Quay's own migrations build.
use std::collections::BTreeSet;
use std::path::Path;

use quayhand_testkit::shared_or_skip;

use super::Database;
use super::catalogue::foreign_lines;

/// The one default that is not Quay's: there it is the moment at which Quay's migration ran.
const MOMENT: &str = "blobupload\tcreated\t";

/// Reads a file of facts, one tab-separated line each, without its heading and Quay's own
/// bookkeeping.
fn facts(shared: &Path, file: &str) -> BTreeSet<String> {
    let text = std::fs::read_to_string(shared.join("quay-schema").join(file)).unwrap();
    let lines = text.lines().skip(1).map(str::to_owned);
    let facts: BTreeSet<String> = lines
        .filter(|line| !line.contains("alembic_version"))
        .collect();
    assert!(facts.len() > 100, "{file} has {} facts", facts.len());
    facts
}

/// Shows what one side has and the other has not.
#[track_caller]
fn assert_same(what: &str, ours: &BTreeSet<String>, quays: &BTreeSet<String>) {
    let missing: Vec<_> = quays.difference(ours).collect();
    let extra: Vec<_> = ours.difference(quays).collect();
    assert!(
        missing.is_empty() && extra.is_empty(),
        "{what}: missing {missing:#?}, extra {extra:#?}"
    );
}

async fn ours(query: &str) -> BTreeSet<String> {
    let database = Database::standalone().await;
    let lines = database.read(query).await.into_iter();
    lines.filter(|line| !line.contains("quayhand_")).collect()
}

#[tokio::test]
async fn has_every_column_with_its_type_and_default() {
    let shared = shared_or_skip!();
    let without_place = |line: &String| {
        let fields: Vec<&str> = line.split('\t').collect();
        [&fields[..1], &fields[2..]].concat().join("\t")
    };
    let quays: BTreeSet<_> = facts(&shared, "columns.tsv")
        .iter()
        .map(without_place)
        .collect();
    let ours = ours(
        "select concat_ws(e'\\t', table_name, column_name, data_type, is_nullable,
                          coalesce(column_default, ''), coalesce(character_maximum_length::text, ''))
         from information_schema.columns where table_schema = 'public'",
    )
    .await;
    let but_one = |mut facts: BTreeSet<String>| {
        let before = facts.len();
        facts.retain(|fact| !fact.starts_with(MOMENT));
        assert_eq!(facts.len(), before - 1);
        facts
    };
    assert_same("columns", &but_one(ours), &but_one(quays));
}

#[tokio::test]
async fn has_every_index() {
    let shared = shared_or_skip!();
    let ours = ours(
        "select concat_ws(e'\\t', t.relname, i.relname, x.indisunique, x.indisprimary, m.amname,
                (select string_agg(a.attname, ',' order by k.n)
                 from unnest(x.indkey::int2[]) with ordinality k (attnum, n)
                 join pg_attribute a on a.attrelid = t.oid and a.attnum = k.attnum),
                coalesce(pg_get_expr(x.indpred, t.oid), ''))
         from pg_index x join pg_class i on i.oid = x.indexrelid
         join pg_class t on t.oid = x.indrelid join pg_am m on m.oid = i.relam
         where t.relnamespace = 'public'::regnamespace",
    )
    .await;
    assert_same("indexes", &ours, &facts(&shared, "indexes.tsv"));
}

#[tokio::test]
async fn has_every_foreign_key_under_its_name() {
    let shared = shared_or_skip!();
    let ours = ours(
        "select concat_ws(e'\\t', c.conname, t.relname, a.attname, r.relname, b.attname, 'NO ACTION')
         from pg_constraint c join pg_class t on t.oid = c.conrelid
         join pg_class r on r.oid = c.confrelid
         join pg_attribute a on a.attrelid = t.oid and a.attnum = c.conkey[1]
         join pg_attribute b on b.attrelid = r.oid and b.attnum = c.confkey[1]
         where c.contype = 'f' and c.confdeltype = 'a' and cardinality(c.conkey) = 1",
    )
    .await;
    assert_same("foreign keys", &ours, &facts(&shared, "fks.tsv"));
}

#[tokio::test]
async fn has_every_fixed_row_under_its_id() {
    let shared = shared_or_skip!();
    let database = Database::standalone().await;
    let quays = facts(&shared, "enum_rows.tsv");
    let tables: BTreeSet<&str> = quays
        .iter()
        .filter_map(|row| Some(row.split_once('\t')?.0))
        .collect();
    let mut ours = BTreeSet::new();
    for table in tables {
        let rows = format!("select row_to_json(t)::text from \"{table}\" t");
        let rows = database.read(&rows).await.into_iter();
        ours.extend(rows.map(|row| format!("{table}\t{row}")));
        let next = format!(
            "select (nextval(pg_get_serial_sequence('{table}', 'id')) > max(id))::text from {table}"
        );
        assert_eq!(
            database.read(&next).await,
            ["true"],
            "the next id of {table} is free"
        );
    }
    assert_same("rows", &ours, &quays);
}

#[tokio::test]
async fn equals_quays_schema_in_every_definition() {
    let _shared = shared_or_skip!();
    let mut quays = foreign_lines(&Database::quay().await).await;
    let mut ours = foreign_lines(&Database::standalone().await).await;
    quays.retain(|line| !line.contains("alembic_version"));
    for lines in [&mut quays, &mut ours] {
        lines.retain(|line| !line.contains(" blobupload.created "));
    }
    assert!(ours.len() > 1_000, "{} definitions", ours.len());
    assert_same("definitions", &ours, &quays);
}
