//! Reading a registry off a snapshot.
use super::{
    Mode, State,
    state::{Blob, Edge, Manifest, OTHERS, Owners, Repository, Table, Tag, Total, Upload, User},
};
use crate::property::snapshot::Snapshot;

impl State {
    /// Reads the rows off a snapshot.
    pub(in super::super) fn read(from: &Snapshot, mode: Mode) -> Self {
        let edges = |table: &str, start: &str, end: &str| -> Table<Edge> {
            let rows = from.table(table);
            rows.map(|(id, row)| {
                let (from, to) = (row.int(start), row.int(end));
                (id, Edge { from, to })
            })
            .collect()
        };
        let of = |table: &str, column: &str| -> Table<i64> {
            from.table(table)
                .map(|(id, row)| (id, row.int(column)))
                .collect()
        };
        let pulls = |table: &str, column: &str| {
            let rows = from.table(table);
            rows.map(|(id, row)| (id, (row.int("repository_id"), row.text(column))))
                .collect()
        };
        let others = OTHERS.iter().flat_map(|table| {
            let rows = from.table(table);
            rows.map(|(id, row)| {
                let owners = Owners {
                    repository: row.opt_int("repository_id"),
                    user: row.opt_int("user_id").or(row.opt_int("namespace_id")),
                };
                (((*table).to_owned(), id), owners)
            })
        });
        Self {
            mode,
            users: users(from),
            repositories: repositories(from),
            tags: tags(from),
            manifests: manifests(from),
            children: edges("manifestchild", "manifest_id", "child_manifest_id"),
            manifest_blobs: edges("manifestblob", "manifest_id", "blob_id"),
            manifest_labels: edges("manifestlabel", "manifest_id", "label_id"),
            labels: from.table("label").map(|(id, _)| id).collect(),
            blobs: blobs(from),
            placements: edges("imagestorageplacement", "storage_id", "location_id"),
            signatures: of("imagestoragesignature", "storage_id"),
            uploads: uploads(from),
            scans: of("manifestsecuritystatus", "manifest_id"),
            tag_pulls: pulls("tagpullstatistics", "tag_name"),
            manifest_pulls: pulls("manifestpullstatistics", "manifest_digest"),
            notes: of("tagnotificationsuccess", "tag_id"),
            repository_totals: totals(from, "quotarepositorysize", "repository_id"),
            namespace_totals: totals(from, "quotanamespacesize", "namespace_user_id"),
            others: others.collect(),
            tombstones: from.tombstones.clone(),
        }
    }
}

fn users(from: &Snapshot) -> Table<User> {
    let rows = from.table("user").map(|(id, row)| {
        let user = User {
            window_s: row.int("removed_tag_expiration_s"),
            enabled: row.flag("enabled"),
            robot: row.flag("robot"),
        };
        (id, user)
    });
    rows.collect()
}

fn repositories(from: &Snapshot) -> Table<Repository> {
    let rows = from.table("repository").map(|(id, row)| {
        let repository = Repository {
            owner: row.opt_int("namespace_user_id"),
            state: row.int("state"),
        };
        (id, repository)
    });
    rows.collect()
}

fn tags(from: &Snapshot) -> Table<Tag> {
    let rows = from.table("tag").map(|(id, row)| {
        let tag = Tag {
            repository: row.int("repository_id"),
            name: row.text("name"),
            manifest: row.opt_int("manifest_id"),
            end_ms: row.opt_int("lifetime_end_ms"),
            immutable: row.flag("immutable"),
            linked: row.opt_int("linked_tag_id"),
        };
        (id, tag)
    });
    rows.collect()
}

fn manifests(from: &Snapshot) -> Table<Manifest> {
    let rows = from.table("manifest").map(|(id, row)| {
        let manifest = Manifest {
            repository: row.int("repository_id"),
            digest: row.text("digest"),
            subject: row.opt_text("subject"),
        };
        (id, manifest)
    });
    rows.collect()
}

fn blobs(from: &Snapshot) -> Table<Blob> {
    let rows = from.table("imagestorage").map(|(id, row)| {
        let blob = Blob {
            uuid: row.text("uuid"),
            bytes: row.opt_int("image_size"),
            content_addressed: row.flag("cas_path"),
            checksum: row.opt_text("content_checksum"),
        };
        (id, blob)
    });
    rows.collect()
}

fn uploads(from: &Snapshot) -> Table<Upload> {
    let rows = from.table("uploadedblob").map(|(id, row)| {
        let upload = Upload {
            repository: row.int("repository_id"),
            blob: row.int("blob_id"),
            expires_at: row.text("expires_at"),
        };
        (id, upload)
    });
    rows.collect()
}

fn totals(from: &Snapshot, table: &str, owner: &str) -> Table<Total> {
    let rows = from.table(table).map(|(id, row)| {
        let total = Total {
            of: row.int(owner),
            bytes: row.int("size_bytes"),
            started_ms: row.opt_int("backfill_start_ms"),
            complete: row.flag("backfill_complete"),
        };
        (id, total)
    });
    rows.collect()
}
