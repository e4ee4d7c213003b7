//! The schema gate: compares the registry's schema with the one this program was written for.
//!
//! Quay migrates its database on its own schedule. A foreign key that we do not know, or a column
//! that is gone, means that what a destructive job takes for unreferenced may be in use; such jobs
//! stay off until somebody has looked. New tables, columns and indexes that lead nowhere near the
//! deleted rows are fine.
mod columns;
mod kind;
mod purge;
mod references;

use std::collections::BTreeMap;

use crate::db::{Conn, DbError, Param, Sql};

use columns::{USED, Used};
pub use kind::{Kind, kind_of_database};
use references::{REFERENCED, Referenced};

/// Reads the foreign keys onto some tables, whichever schema they come from.
const REFERENCES: Sql = Sql::postgres(
    "drift.references",
    "select t.relname::text,
            case when pg_table_is_visible(r.oid) then r.relname::text
                 else r.relnamespace::regnamespace::text || '.' || r.relname end,
            (select string_agg(a.attname, ',' order by k.n)
             from unnest(c.conkey) with ordinality k (attnum, n)
             join pg_attribute a on a.attrelid = c.conrelid and a.attnum = k.attnum),
            c.conname::text,
            c.confdeltype in ('a', 'r')
     from pg_constraint c
     join pg_class t on t.oid = c.confrelid
     join pg_class r on r.oid = c.conrelid
     where c.contype = 'f' and t.relname::text = any($1) and pg_table_is_visible(t.oid)
     order by 1, 2, 3",
);

/// Reads the columns of some tables with their types.
const COLUMNS: Sql = Sql::postgres(
    "drift.columns",
    "select c.relname::text, a.attname::text, format_type(a.atttypid, null)
     from pg_class c join pg_attribute a on a.attrelid = c.oid
     where c.relname::text = any($1) and c.relkind in ('r', 'p') and pg_table_is_visible(c.oid)
       and a.attnum > 0 and not a.attisdropped",
);

/// What differs from the schema this program knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drift {
    /// One sentence a difference, each naming table and column or key. Empty: the destructive jobs
    /// may run.
    pub problems: Vec<String>,
}

impl Drift {
    /// Tells whether nothing differs.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.problems.is_empty()
    }
}

/// Lists the columns that the gate watches, each as table and column.
pub fn watched_columns() -> impl Iterator<Item = (&'static str, &'static str)> {
    let of_table =
        |used: &'static Used| used.columns.iter().map(|(column, _)| (used.table, *column));
    used().flat_map(of_table)
}

/// Compares the schema with what our statements rely on. Four round trips on the catalogue, a few
/// milliseconds, read-only.
///
/// # Errors
///
/// [`DbError::Schema`] when the database is no registry's, or when a table or column of ours is
/// missing (`quayhand migrate up` makes them); [`DbError::Statement`] when the catalogue cannot be
/// read. An error means the same as a difference: destructive jobs stay off.
pub async fn check(conn: &mut Conn) -> Result<Drift, DbError> {
    let kind = kind_of_database(conn).await?;
    if !kind.is_registry() {
        return Err(DbError::Schema(no_registry(&kind)));
    }
    let columns = columns(conn).await?;
    let mut problems = Vec::new();
    for used in used() {
        let differences = compare_columns(used, &columns);
        if used.table.starts_with("quayhand_") && !differences.is_empty() {
            return Err(DbError::Schema(unmigrated(&differences)));
        }
        problems.extend(differences);
    }
    let references = references(conn).await?;
    for referenced in referenced() {
        problems.extend(compare_references(referenced, &references, &columns));
    }
    Ok(Drift { problems })
}

fn no_registry(kind: &Kind) -> String {
    let way_out = match kind {
        Kind::Empty => "for a stand-alone registry run `quayhand migrate up`",
        _ => "check the database name in the database URL",
    };
    format!("the database is {kind}, not a registry's: {way_out}")
}

fn unmigrated(differences: &[String]) -> String {
    format!(
        "{}: run `quayhand migrate up`, it makes the `quayhand_*` tables and alters no other",
        differences.join("; ")
    )
}

/// What every job uses.
fn used() -> impl Iterator<Item = &'static Used> {
    USED.iter().chain(purge::USED)
}

/// What every job deletes from.
fn referenced() -> impl Iterator<Item = &'static Referenced> {
    REFERENCED.iter().chain(purge::REFERENCED)
}

/// Type of each column, by table and column.
type Columns = BTreeMap<String, BTreeMap<String, String>>;

async fn columns(conn: &mut Conn) -> Result<Columns, DbError> {
    let mut tables: Vec<&str> = used().map(|used| used.table).collect();
    // A key that is gone is a difference only where its column is still there.
    tables.extend(referrers());
    let mut columns = Columns::new();
    for row in conn.query(&COLUMNS, &[Param::Texts(&tables)]).await? {
        let of_table = columns.entry(row.text(0)?).or_default();
        of_table.insert(row.text(1)?, row.text(2)?);
    }
    Ok(columns)
}

fn referrers() -> impl Iterator<Item = &'static str> {
    let all = referenced().flat_map(|referenced| referenced.by);
    all.filter_map(|column| column.split_once('.').map(|(table, _)| table))
}

/// A foreign key as the catalogue has it.
struct Reference {
    to: String,
    from: String,
    name: String,
    /// A delete of the referenced row fails instead of changing this one.
    refuses_delete: bool,
}

async fn references(conn: &mut Conn) -> Result<Vec<Reference>, DbError> {
    let tables: Vec<&str> = referenced().map(|referenced| referenced.table).collect();
    let rows = conn.query(&REFERENCES, &[Param::Texts(&tables)]).await?;
    let read = rows.iter().map(|row| {
        Ok(Reference {
            to: row.text(0)?,
            from: format!("{}.{}", row.text(1)?, row.text(2)?),
            name: row.text(3)?,
            refuses_delete: row.bool(4)?,
        })
    });
    read.collect()
}

fn compare_columns(used: &Used, columns: &Columns) -> Vec<String> {
    let table = used.table;
    let Some(found) = columns.get(table) else {
        return vec![format!("table `{table}` is missing")];
    };
    let differs = |(column, wanted): &(&str, &str)| match found.get(*column) {
        None => Some(format!("column `{table}.{column}` is missing")),
        Some(found) if found != wanted => Some(format!(
            "column `{table}.{column}` is `{found}`, known is `{wanted}`"
        )),
        Some(_) => None,
    };
    used.columns.iter().filter_map(differs).collect()
}

fn compare_references(
    known: &Referenced,
    references: &[Reference],
    columns: &Columns,
) -> Vec<String> {
    let table = known.table;
    let mut problems = Vec::new();
    let here = || references.iter().filter(|found| found.to == table);
    for Reference {
        from,
        name,
        refuses_delete,
        ..
    } in here()
    {
        if !known.by.contains(&from.as_str()) {
            problems.push(format!(
                "foreign key `{name}` from `{from}` to `{table}` is unknown"
            ));
        } else if !refuses_delete {
            problems.push(format!(
                "foreign key `{name}` from `{from}` to `{table}` changes rows when one is deleted"
            ));
        }
    }
    for from in known.by {
        if has_column(columns, from) && !here().any(|found| found.from == *from) {
            problems.push(format!(
                "the foreign key from `{from}` to `{table}` is missing"
            ));
        }
    }
    problems
}

fn has_column(columns: &Columns, qualified: &str) -> bool {
    let found = |(table, column)| columns.get(table).is_some_and(|of| of.contains_key(column));
    qualified.split_once('.').is_some_and(found)
}
