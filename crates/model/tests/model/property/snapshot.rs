//! Every row of every table, read back from the database.
use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tokio_postgres::Client;

/// A row by its table and id.
pub(super) type Key = (String, i64);

/// All rows, each as its table, id and JSON text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Snapshot {
    /// The registry's rows.
    pub(super) rows: BTreeMap<Key, String>,
    /// Our tombstones.
    pub(super) tombstones: Vec<Tombstone>,
}

/// An object that lost a row, as `quayhand_tombstone` has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Tombstone {
    pub(super) location_id: i64,
    /// The checksum; `text:` and the checksum when it is no sha256.
    pub(super) checksum: String,
    pub(super) legacy_uuid: Option<String>,
}

/// The columns of one row.
pub(super) struct Columns(Value);

// Our own notes come and go; a table without an id is told by its text.
const TABLES: &str = r"
    select string_agg(format(
               'select %L::text, coalesce((to_jsonb(t)->>''id'')::bigint,
                       row_number() over (order by t::text)), row_to_json(t)::text from %I t',
               relname, relname), ' union all ' order by relname)
      from pg_class
     where relnamespace = 'public'::regnamespace and relkind = 'r'
       and relname not like 'quayhand\_%'";

const TOMBSTONES: &str = "
    select location_id::bigint,
           coalesce('sha256:' || encode(digest, 'hex'), 'text:' || digest_text),
           legacy_uuid
      from quayhand_tombstone";

/// Reads snapshots of one database.
pub(super) struct Reader {
    rows: tokio_postgres::Statement,
    tombstones: tokio_postgres::Statement,
}

impl Reader {
    pub(super) async fn new(client: &Client) -> Self {
        let union: String = client.query_one(TABLES, &[]).await.unwrap().get(0);
        Self {
            rows: client.prepare(&union).await.unwrap(),
            tombstones: client.prepare(TOMBSTONES).await.unwrap(),
        }
    }

    pub(super) async fn read(&self, client: &Client) -> Snapshot {
        let rows = client.query(&self.rows, &[]).await.unwrap();
        let rows = rows
            .iter()
            .map(|row| ((row.get(0), row.get(1)), row.get(2)));
        let tombstones = client.query(&self.tombstones, &[]).await.unwrap();
        let tombstone = |row: &tokio_postgres::Row| Tombstone {
            location_id: row.get(0),
            checksum: row.get(1),
            legacy_uuid: row.get(2),
        };
        let mut tombstones: Vec<_> = tombstones.iter().map(tombstone).collect();
        tombstones.sort();
        Snapshot {
            rows: rows.collect(),
            tombstones,
        }
    }
}

impl Snapshot {
    /// Returns the rows of one table, by their ids.
    pub(super) fn table(&self, name: &str) -> impl Iterator<Item = (i64, Columns)> {
        let rows = self
            .rows
            .range((name.to_owned(), i64::MIN)..=(name.to_owned(), i64::MAX));
        rows.map(|((_, id), text)| (*id, Columns(serde_json::from_str(text).unwrap())))
    }

    /// Names the rows and tombstones that differ from what the rules leave; empty when none.
    pub(super) fn differs_from(&self, expected: &Self) -> Vec<String> {
        let keys: BTreeSet<_> = self.rows.keys().chain(expected.rows.keys()).collect();
        let mut differences = Vec::new();
        for key in keys {
            let (table, id) = key;
            let difference = match (self.rows.get(key), expected.rows.get(key)) {
                (None, Some(_)) => format!("{table} {id} went, the rules keep it"),
                (Some(_), None) => format!("{table} {id} is left, by the rules it goes"),
                (Some(left), Some(right)) if left != right => {
                    format!("{table} {id} is {left}, by the rules {right}")
                }
                _ => continue,
            };
            differences.push(difference);
        }
        if self.tombstones != expected.tombstones {
            let [left, right] = [&self.tombstones, &expected.tombstones];
            differences.push(format!("tombstones are {left:?}, by the rules {right:?}"));
        }
        differences
    }
}

impl Columns {
    pub(super) fn int(&self, column: &str) -> i64 {
        self.opt_int(column).unwrap()
    }

    pub(super) fn opt_int(&self, column: &str) -> Option<i64> {
        self.0[column].as_i64()
    }

    pub(super) fn flag(&self, column: &str) -> bool {
        self.0[column].as_bool().unwrap()
    }

    pub(super) fn text(&self, column: &str) -> String {
        self.opt_text(column).unwrap()
    }

    pub(super) fn opt_text(&self, column: &str) -> Option<String> {
        self.0[column].as_str().map(str::to_owned)
    }
}
