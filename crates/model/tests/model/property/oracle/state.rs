//! A registry as plain rows, and which of them are left.
use std::collections::{BTreeMap, BTreeSet};

use super::Mode;
use crate::property::snapshot::{Key, Snapshot, Tombstone};

/// The rows of a table by their ids.
pub(super) type Table<T> = BTreeMap<i64, T>;

/// The tables whose rows go with their repository or user, and with nothing else.
pub(super) const OTHERS: [&str; 5] = [
    "repositorynotification",
    "star",
    "repositorypermission",
    "deletedrepository",
    "deletednamespace",
];

/// The rows that rules are about.
#[derive(Clone)]
pub(in super::super) struct State {
    pub(super) mode: Mode,
    pub(super) users: Table<User>,
    pub(super) repositories: Table<Repository>,
    pub(super) tags: Table<Tag>,
    pub(super) manifests: Table<Manifest>,
    /// A list and its child.
    pub(super) children: Table<Edge>,
    /// A manifest and its blob.
    pub(super) manifest_blobs: Table<Edge>,
    /// A manifest and its label.
    pub(super) manifest_labels: Table<Edge>,
    pub(super) labels: BTreeSet<i64>,
    pub(super) blobs: Table<Blob>,
    /// A blob and a location.
    pub(super) placements: Table<Edge>,
    /// Signatures, each with its blob.
    pub(super) signatures: Table<i64>,
    pub(super) uploads: Table<Upload>,
    /// Results of the scanner, each with its manifest.
    pub(super) scans: Table<i64>,
    /// Statistics of a repository and a name or digest.
    pub(super) tag_pulls: Table<(i64, String)>,
    pub(super) manifest_pulls: Table<(i64, String)>,
    /// Notes of successful notifications, each with its tag.
    pub(super) notes: Table<i64>,
    pub(super) repository_totals: Table<Total>,
    pub(super) namespace_totals: Table<Total>,
    /// Other rows, each with what it hangs on.
    pub(super) others: BTreeMap<Key, Owners>,
    pub(super) tombstones: Vec<Tombstone>,
}

#[derive(Clone, Copy)]
pub(super) struct Owners {
    pub(super) repository: Option<i64>,
    pub(super) user: Option<i64>,
}

#[derive(Clone)]
pub(super) struct User {
    pub(super) window_s: i64,
    pub(super) enabled: bool,
    pub(super) robot: bool,
}

#[derive(Clone)]
pub(super) struct Repository {
    pub(super) owner: Option<i64>,
    pub(super) state: i64,
}

#[derive(Clone)]
pub(super) struct Tag {
    pub(super) repository: i64,
    pub(super) name: String,
    pub(super) manifest: Option<i64>,
    pub(super) end_ms: Option<i64>,
    pub(super) immutable: bool,
    pub(super) linked: Option<i64>,
}

#[derive(Clone)]
pub(super) struct Manifest {
    pub(super) repository: i64,
    pub(super) digest: String,
    pub(super) subject: Option<String>,
}

#[derive(Clone, Copy)]
pub(super) struct Edge {
    pub(super) from: i64,
    pub(super) to: i64,
}

#[derive(Clone)]
pub(super) struct Blob {
    pub(super) uuid: String,
    pub(super) bytes: Option<i64>,
    pub(super) content_addressed: bool,
    pub(super) checksum: Option<String>,
}

#[derive(Clone)]
pub(super) struct Upload {
    pub(super) repository: i64,
    pub(super) blob: i64,
    pub(super) expires_at: String,
}

#[derive(Clone)]
pub(super) struct Total {
    /// The repository or the namespace.
    pub(super) of: i64,
    pub(super) bytes: i64,
    pub(super) started_ms: Option<i64>,
    pub(super) complete: bool,
}

impl State {
    /// Counts the tombstones that were written so far.
    pub(in super::super) fn tombstones(&self) -> usize {
        self.tombstones.len()
    }

    /// Returns what the database should hold: the rows that are left, with the totals' new
    /// sizes, and everything that no rule is about as it was.
    pub(in super::super) fn applied_to(&self, before: &Snapshot) -> Snapshot {
        let mut after = before.clone();
        for (table, left) in self.left() {
            let range = (table.to_owned(), i64::MIN)..=(table.to_owned(), i64::MAX);
            let gone = before
                .rows
                .range(range)
                .filter(|((_, id), _)| !left.contains(id));
            for (key, _) in gone {
                after.rows.remove(key);
            }
        }
        after
            .rows
            .retain(|key, _| !OTHERS.contains(&key.0.as_str()) || self.others.contains_key(key));
        let totals = self.repository_totals.iter().map(|(id, total)| {
            (
                ("quotarepositorysize".to_owned(), *id),
                total.text(*id, "repository_id"),
            )
        });
        after.rows.extend(totals);
        let totals = self.namespace_totals.iter().map(|(id, total)| {
            (
                ("quotanamespacesize".to_owned(), *id),
                total.text(*id, "namespace_user_id"),
            )
        });
        after.rows.extend(totals);
        after.tombstones.clone_from(&self.tombstones);
        after.tombstones.sort();
        after
    }

    fn left(&self) -> [(&'static str, BTreeSet<i64>); 18] {
        fn ids<T>(table: &Table<T>) -> BTreeSet<i64> {
            table.keys().copied().collect()
        }
        [
            ("user", ids(&self.users)),
            ("repository", ids(&self.repositories)),
            ("tag", ids(&self.tags)),
            ("manifest", ids(&self.manifests)),
            ("manifestchild", ids(&self.children)),
            ("manifestblob", ids(&self.manifest_blobs)),
            ("manifestlabel", ids(&self.manifest_labels)),
            ("label", self.labels.clone()),
            ("imagestorage", ids(&self.blobs)),
            ("imagestorageplacement", ids(&self.placements)),
            ("imagestoragesignature", ids(&self.signatures)),
            ("uploadedblob", ids(&self.uploads)),
            ("manifestsecuritystatus", ids(&self.scans)),
            ("tagpullstatistics", ids(&self.tag_pulls)),
            ("manifestpullstatistics", ids(&self.manifest_pulls)),
            ("tagnotificationsuccess", ids(&self.notes)),
            ("quotarepositorysize", ids(&self.repository_totals)),
            ("quotanamespacesize", ids(&self.namespace_totals)),
        ]
    }
}

impl Total {
    /// Writes the row as the database would.
    fn text(&self, id: i64, owner: &str) -> String {
        let (of, bytes, complete) = (self.of, self.bytes, self.complete);
        let started = self
            .started_ms
            .map_or("null".to_owned(), |ms| ms.to_string());
        format!(
            "{{\"id\":{id},\"{owner}\":{of},\"size_bytes\":{bytes},\
             \"backfill_start_ms\":{started},\"backfill_complete\":{complete}}}"
        )
    }
}
