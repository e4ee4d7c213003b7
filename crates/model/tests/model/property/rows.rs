//! The rows of a random registry, as statements that make it.
//!
//! A registry that fails is shown as these: they can be read, and be given to `psql`.
mod content;
mod table;

use std::fmt;

use super::registry::{Checksum, LABELS, Registry, Repository};
use table::{Rows, null_or};

/// The storage locations that blobs lie in.
const LOCATIONS: [i64; 2] = [1, 7];
const EMPTY_LAYER: &str = "sha256:a3ed95caeb02ffe68cdd9fd84406680ae93d633cb16422d00e8a7c22955b46d4";

// Ids of each table begin elsewhere: an id of the wrong table finds nothing.
const USERS: usize = 100;
const REPOSITORIES: usize = 200;
const BLOBS: usize = 300;
const LABEL_IDS: usize = 400;

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("as these rows:\n")?;
        f.write_str(&self.statements())
    }
}

impl Registry {
    /// Writes the statements that make this registry in an empty database.
    pub(super) fn statements(&self) -> String {
        let mut rows = Rows::default();
        self.add_namespaces(&mut rows);
        self.add_blobs(&mut rows);
        for at in 0..LABELS {
            let id = LABEL_IDS + at;
            rows.add(
                "label (id, uuid, key, value, media_type_id, source_type_id)",
                format!("{id}, 'label-{at}', 'key', '', 1, 1"),
            );
        }
        for (at, repository) in self.repositories.iter().enumerate() {
            self.add_repository(at, repository, &mut rows);
        }
        rows.statements()
    }

    fn add_namespaces(&self, rows: &mut Rows) {
        for (at, namespace) in self.namespaces.iter().enumerate() {
            let (id, window_s) = (USERS + at, namespace.window_s);
            let (enabled, robot) = (namespace.enabled, namespace.robot);
            rows.add(
                "\"user\" (id, username, email, verified, organization, robot, invoice_email, \
                 last_invalid_login, removed_tag_expiration_s, enabled)",
                format!(
                    "{id}, 'org{at}', 'org{at}@example.com', true, true, {robot}, false, 'epoch', \
                     {window_s}, {enabled}"
                ),
            );
            let table = "quotanamespacesize (id, namespace_user_id, size_bytes, \
                         backfill_start_ms, backfill_complete)";
            rows.add_total(table, id, namespace.total.as_ref());
            if namespace.deleted {
                rows.add(
                    "deletednamespace (id, namespace_id, marked, original_username, \
                     original_email)",
                    format!("{id}, {id}, 'epoch', 'was{at}', 'was{at}@example.com'"),
                );
            }
        }
    }

    fn add_blobs(&self, rows: &mut Rows) {
        for (at, blob) in self.blobs.iter().enumerate() {
            let id = BLOBS + at;
            let (checksum, cas) = (self.checksum(blob.checksum, at), blob.content_addressed);
            let bytes = blob
                .bytes
                .map_or("null".to_owned(), |bytes| bytes.to_string());
            rows.add(
                "imagestorage (id, uuid, image_size, cas_path, content_checksum)",
                format!("{id}, '{}', {bytes}, {cas}, {checksum}", uuid(at)),
            );
            for location in &blob.locations {
                let (placement, location) = (id * 10 + location, LOCATIONS[*location]);
                rows.add(
                    "imagestorageplacement (id, storage_id, location_id)",
                    format!("{placement}, {id}, {location}"),
                );
            }
            if blob.signed {
                rows.add(
                    "imagestoragesignature (id, storage_id, kind_id)",
                    format!("{}, {id}, 1", id + 5_000),
                );
            }
        }
    }

    fn checksum(&self, checksum: Checksum, at: usize) -> String {
        match checksum {
            Checksum::Own => format!("'{}'", sha256(at)),
            Checksum::Of(other) => format!("'{}'", sha256(other % self.blobs.len())),
            Checksum::EmptyLayer => format!("'{EMPTY_LAYER}'"),
            Checksum::None => "null".to_owned(),
            Checksum::EmptyText => "''".to_owned(),
            Checksum::UpperCase => format!("'sha256:{at:0>63}F'"),
            Checksum::Path => "'sha256:../../etc/passwd'".to_owned(),
        }
    }

    fn add_repository(&self, at: usize, repository: &Repository, rows: &mut Rows) {
        let id = REPOSITORIES + at;
        let owner = repository.owner.map(|owner| owner % self.namespaces.len());
        let owner_id = null_or(owner.map(|owner| USERS + owner));
        let state = repository.state;
        rows.add(
            "repository (id, namespace_user_id, name, visibility_id, badge_token, state)",
            format!("{id}, {owner_id}, 'repository-{at}', 1, '', {state}"),
        );
        let table = "quotarepositorysize (id, repository_id, size_bytes, backfill_start_ms, \
                     backfill_complete)";
        rows.add_total(table, id, repository.total.as_ref());
        self.add_manifests(id, repository, rows);
        // Whoever has no namespace has its window in none.
        let namespace = &self.namespaces[owner.unwrap_or_default()];
        let end_ms = |end| namespace.end_ms(end);
        content::add_tags(id, repository, end_ms, rows);
        self.add_uploads(id, repository, rows);
        content::add_statistics(id, repository, rows);
        if repository.has_others {
            content::add_others(id, repository.state, rows);
        }
    }
}

/// Returns a uuid; every second is none, and leads to no path.
fn uuid(number: usize) -> String {
    if number % 2 == 1 {
        format!("UUID-{number}")
    } else {
        format!("00000000-0000-4000-8000-{number:012}")
    }
}

fn sha256(number: usize) -> String {
    format!("sha256:{number:0>64}")
}
