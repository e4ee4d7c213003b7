//! The content of a repository, and what else hangs on it.
use std::collections::BTreeSet;

use super::{BLOBS, LABEL_IDS, Rows, USERS, null_or, sha256};
use crate::property::registry::{End, Moment, NOW_MS, Registry, Repository};

impl Registry {
    pub(super) fn add_manifests(&self, repository: usize, of: &Repository, rows: &mut Rows) {
        let has_links = of.tags.iter().any(|tag| tag.linked.is_some());
        for (at, manifest) in of.manifests.iter().enumerate() {
            let id = manifest_id(repository, at);
            // A tag that another one is linked to goes a pass later, and what its manifest
            // names as its subject then depends on the order, with Quay too.
            let subject = manifest.subject.filter(|_| !has_links);
            let subject = subject.map_or("null".to_owned(), |of| format!("'{}'", sha256(of)));
            rows.add(
                "manifest (id, repository_id, digest, media_type_id, manifest_bytes, subject)",
                format!(
                    "{id}, {repository}, '{}', 18, 'no json', {subject}",
                    sha256(at)
                ),
            );
            let place = |places: &BTreeSet<usize>, n: usize| -> BTreeSet<usize> {
                places.iter().map(|place| place % n).collect()
            };
            for child in place(&manifest.children, of.manifests.len()) {
                let child = manifest_id(repository, child);
                rows.edge("manifestchild", "child_manifest_id", repository, id, child);
            }
            for blob in place(&manifest.blobs, self.blobs.len()) {
                rows.edge("manifestblob", "blob_id", repository, id, BLOBS + blob);
            }
            for label in &manifest.labels {
                rows.edge(
                    "manifestlabel",
                    "label_id",
                    repository,
                    id,
                    LABEL_IDS + label,
                );
            }
            if manifest.scanned {
                rows.add(
                    "manifestsecuritystatus (id, manifest_id, repository_id, index_status, \
                     error_json, last_indexed, indexer_hash, indexer_version, metadata_json)",
                    format!(
                        "{}, {id}, {repository}, 2, '', 'epoch', '', 4, ''",
                        id + 50_000
                    ),
                );
            }
        }
    }

    pub(super) fn add_uploads(&self, repository: usize, of: &Repository, rows: &mut Rows) {
        for (at, upload) in of.uploads.iter().enumerate() {
            let (id, blob) = (
                repository * 1_000 + at,
                BLOBS + upload.blob % self.blobs.len(),
            );
            let expires = match upload.expires {
                Moment::Now(ms) => {
                    format!("timestamp 'epoch' + {} * interval '1 ms'", NOW_MS + ms)
                }
                Moment::BeforeAll => "'-infinity'".to_owned(),
                Moment::AfterAll => "'infinity'".to_owned(),
            };
            rows.add(
                "uploadedblob (id, repository_id, blob_id, uploaded_at, expires_at)",
                format!("{id}, {repository}, {blob}, 'epoch', {expires}"),
            );
        }
    }
}

pub(super) fn add_tags(
    repository: usize,
    of: &Repository,
    end_ms: impl Fn(End) -> Option<i64>,
    rows: &mut Rows,
) {
    let mut taken = BTreeSet::new();
    for (at, tag) in of.tags.iter().enumerate() {
        let id = tag_id(repository, at);
        let mut end = end_ms(tag.end);
        while end.is_some() && !taken.insert((tag.name, end)) {
            // As Quay: the next lower millisecond that the name has not ended at.
            end = end.map(|end| end - 1);
        }
        let manifests = of.manifests.len();
        let manifest = tag.manifest.filter(|_| manifests > 0);
        let manifest = null_or(manifest.map(|at| manifest_id(repository, at % manifests)));
        let linked = null_or(
            tag.linked
                .map(|other| tag_id(repository, other % of.tags.len())),
        );
        let (name, end) = (tag.name, null_or(end));
        let (immutable, hidden) = (tag.immutable, tag.hidden);
        rows.add(
            "tag (id, name, repository_id, manifest_id, lifetime_start_ms, lifetime_end_ms, \
             tag_kind_id, immutable, hidden, linked_tag_id)",
            format!(
                "{id}, 'name{name}', {repository}, {manifest}, 0, {end}, 1, {immutable}, {hidden}, \
                 {linked}"
            ),
        );
        if tag.notified {
            rows.add_notification(repository);
            rows.add(
                "tagnotificationsuccess (id, notification_id, tag_id, method_id)",
                format!("{}, {repository}, {id}, 1", id + 50_000),
            );
        }
    }
}

pub(super) fn add_statistics(repository: usize, of: &Repository, rows: &mut Rows) {
    for name in &of.pulled_names {
        rows.add(
            "tagpullstatistics (id, repository_id, tag_name, tag_pull_count, last_tag_pull_date)",
            format!(
                "{}, {repository}, 'name{name}', 7, 'epoch'",
                repository * 10 + name
            ),
        );
    }
    for digest in &of.pulled_digests {
        rows.add(
            "manifestpullstatistics (id, repository_id, manifest_digest, manifest_pull_count, \
             last_manifest_pull_date)",
            format!(
                "{}, {repository}, '{}', 7, 'epoch'",
                repository * 10 + digest,
                sha256(*digest)
            ),
        );
    }
}

pub(super) fn add_others(repository: usize, state: i64, rows: &mut Rows) {
    rows.add_notification(repository);
    rows.add(
        "star (id, user_id, repository_id, created)",
        format!("{repository}, {USERS}, {repository}, 'epoch'"),
    );
    rows.add(
        "repositorypermission (id, user_id, repository_id, role_id)",
        format!("{repository}, {USERS}, {repository}, 1"),
    );
    if state == 3 {
        rows.add(
            "deletedrepository (id, repository_id, marked, original_name)",
            format!("{repository}, {repository}, 'epoch', 'of old'"),
        );
    }
}

fn manifest_id(repository: usize, at: usize) -> usize {
    repository * 100 + at
}

fn tag_id(repository: usize, at: usize) -> usize {
    repository * 100 + 50 + at
}
