//! Rows as statements that insert them.
use std::{collections::BTreeMap, fmt::Write as _};

use crate::property::registry::{NOW_MS, Total};

/// In an order in which no foreign key is in the way.
const ORDER: [&str; 20] = [
    "\"user\"",
    "quotanamespacesize",
    "imagestorage",
    "imagestorageplacement",
    "imagestoragesignature",
    "label",
    "repository",
    "quotarepositorysize",
    "repositorynotification",
    "manifest",
    "manifestchild",
    "manifestblob",
    "manifestlabel",
    "manifestsecuritystatus",
    "tag",
    "tagnotificationsuccess",
    "uploadedblob",
    "tagpullstatistics",
    "manifestpullstatistics",
    "star",
];

/// Rows by their table and its columns.
#[derive(Default)]
pub(super) struct Rows {
    rows: BTreeMap<String, Vec<String>>,
    edges: usize,
}

impl Rows {
    pub(super) fn add(&mut self, table: &str, row: String) {
        self.rows.entry(table.to_owned()).or_default().push(row);
    }

    pub(super) fn add_total(&mut self, table: &str, of: usize, total: Option<&Total>) {
        if let Some(total) = total {
            let started = null_or(total.started.then_some(NOW_MS));
            let (bytes, complete) = (total.bytes, total.complete);
            self.add(
                table,
                format!("{}, {of}, {bytes}, {started}, {complete}", of + 500),
            );
        }
    }

    pub(super) fn edge(
        &mut self,
        table: &str,
        column: &str,
        repository: usize,
        from: usize,
        to: usize,
    ) {
        self.edges += 1;
        let id = self.edges;
        let table = format!("{table} (id, repository_id, manifest_id, {column})");
        self.add(&table, format!("{id}, {repository}, {from}, {to}"));
    }

    /// Adds the notification that a repository's notes of success are about, once.
    pub(super) fn add_notification(&mut self, repository: usize) {
        let table = "repositorynotification (id, uuid, repository_id, event_id, method_id, \
                     config_json, event_config_json)";
        let row = format!("{repository}, '{repository}', {repository}, 1, 1, '', ''");
        if self.rows.get(table).is_none_or(|rows| !rows.contains(&row)) {
            self.add(table, row);
        }
    }

    pub(super) fn statements(&self) -> String {
        let mut sql = String::new();
        let place = |table: &str| {
            ORDER
                .iter()
                .position(|name| table.split(' ').next() == Some(name))
        };
        let mut tables: Vec<_> = self.rows.iter().collect();
        tables.sort_by_key(|(table, _)| place(table).unwrap_or(ORDER.len()));
        for (table, rows) in tables {
            let rows = rows.join("),\n    (");
            // A string takes everything.
            let _infallible = writeln!(sql, "insert into {table} values\n    ({rows});");
        }
        sql
    }
}

pub(super) fn null_or<T: ToString>(value: Option<T>) -> String {
    value.map_or("null".to_owned(), |value| value.to_string())
}
