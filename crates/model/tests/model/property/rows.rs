//! The rows of a random repository: written, and read back.
use std::fmt::Write as _;

use super::graph::{Graph, LABELS, Life};

/// Ids a graph has for itself: its rows have ids from its base on.
pub(super) const IDS: i64 = 1_000;
/// The time at which graphs are collected, milliseconds since the epoch.
pub(super) const NOW_MS: i64 = 1_000_000_000;
/// How long tags can be restored.
const WINDOW_S: i64 = 1_000;

/// The owner of all repositories.
pub(super) const NAMESPACE: &str = r#"
    insert into "user" (id, username, email, verified, organization, robot, invoice_email,
                        last_invalid_login, removed_tag_expiration_s)
    values (1, 'org', 'org@example.com', true, true, false, false, now(), 1000)"#;

impl Graph {
    /// Writes the statements that make the repository, its id and all others from `base`.
    pub(super) fn insert(&self, base: i64) -> String {
        let mut sql = Statements(String::new());
        for (id, name) in [(base, "one"), (base + 1, "other")] {
            sql.row(
                "repository (id, namespace_user_id, name, visibility_id, badge_token)",
                &format!("{id}, 1, '{name}-{base}', 1, ''"),
            );
        }
        self.insert_manifests(base, &mut sql);
        self.insert_tags(base, &mut sql);
        self.insert_blobs(base, &mut sql);
        sql.0
    }

    fn insert_manifests(&self, base: i64, sql: &mut Statements) {
        const MANIFEST: &str =
            "manifest (id, repository_id, digest, media_type_id, manifest_bytes, subject)";
        for (at, subject) in number(&self.subjects) {
            let id = base + at;
            let subject = subject.map_or("null".to_owned(), |of| format!("'d{of}'"));
            sql.row(
                MANIFEST,
                &format!("{id}, {base}, 'd{at}', 18, '', {subject}"),
            );
        }
        // Elsewhere the same digests name other manifests.
        sql.row(
            MANIFEST,
            &format!("{}, {}, 'd0', 18, '', 'd1'", base + IDS - 1, base + 1),
        );
        for (at, (parent, child)) in number(&self.children) {
            sql.row(
                "manifestchild (id, repository_id, manifest_id, child_manifest_id)",
                &format!("{}, {base}, {base} + {parent}, {base} + {child}", base + at),
            );
        }
        for at in 0..LABELS {
            sql.row(
                "label (id, uuid, key, value, media_type_id, source_type_id)",
                &format!("{base} + {at}, '{base}-{at}', 'key', '', 1, 1"),
            );
        }
        for (at, (manifest, label)) in number(&self.labels) {
            sql.row(
                "manifestlabel (id, repository_id, manifest_id, label_id)",
                &format!(
                    "{}, {base}, {base} + {manifest}, {base} + {label}",
                    base + at
                ),
            );
        }
    }

    fn insert_tags(&self, base: i64, sql: &mut Statements) {
        for (at, tag) in number(&self.tags) {
            let end = match tag.life {
                Life::Alive => "null".to_owned(),
                Life::EndsLater => (NOW_MS + 1).to_string(),
                Life::Restorable => (NOW_MS - WINDOW_S * 1000 + 1).to_string(),
                Life::Garbage => (NOW_MS - WINDOW_S * 1000 - at / 2).to_string(),
            };
            let place =
                |of: Option<usize>| of.map_or("null".to_owned(), |of| format!("{base} + {of}"));
            sql.row(
                "tag (id, name, repository_id, manifest_id, lifetime_start_ms, lifetime_end_ms,
                      tag_kind_id, immutable, linked_tag_id)",
                &format!(
                    "{}, 'tag{at}', {base}, {}, 0, {end}, 1, {}, {}",
                    base + at,
                    place(tag.manifest),
                    tag.immutable,
                    place(tag.linked)
                ),
            );
        }
    }

    fn insert_blobs(&self, base: i64, sql: &mut Statements) {
        for (at, placed) in number(&self.placed) {
            let id = base + at;
            sql.row(
                "imagestorage (id, uuid, cas_path, content_checksum)",
                &format!("{id}, '{id}', true, 'sha256:' || lpad('{id}', 64, '0')"),
            );
            if *placed {
                sql.row(
                    "imagestorageplacement (id, storage_id, location_id)",
                    &format!("{id}, {id}, 7"),
                );
            }
        }
        let own = number(&self.blobs).map(|(at, (m, b))| (base + at, base, m.to_string(), *b));
        let last = IDS - 1;
        let foreign =
            number(&self.foreign).map(|(at, b)| (base + last - at, base + 1, last.to_string(), *b));
        for (id, repository, manifest, blob) in own.chain(foreign) {
            sql.row(
                "manifestblob (id, repository_id, manifest_id, blob_id)",
                &format!("{id}, {repository}, {base} + {manifest}, {base} + {blob}"),
            );
        }
        for (at, (blob, expired)) in number(&self.uploads) {
            let late = i64::from(!expired);
            sql.row(
                "uploadedblob (id, repository_id, blob_id, uploaded_at, expires_at)",
                &format!(
                    "{}, {base}, {base} + {blob}, 'epoch',
                     timestamp 'epoch' + {} * interval '1 ms'",
                    base + at,
                    NOW_MS + late
                ),
            );
        }
    }
}

/// Counts things as ids are.
fn number<T>(things: impl IntoIterator<Item = T>) -> impl Iterator<Item = (i64, T)> {
    (0..).zip(things)
}

struct Statements(String);

impl Statements {
    fn row(&mut self, table: &str, values: &str) {
        // A string takes everything.
        let _infallible = writeln!(self.0, "insert into {table} values ({values});");
    }
}

/// Writes the statement that reads what is left of a graph.
pub(super) fn select(base: i64) -> String {
    let table = |name| {
        format!(
            "select '{name}'::text, id::bigint - {base} from {name}
              where id between {base} and {base} + {IDS} - 1"
        )
    };
    let tables = [
        "tag",
        "manifest",
        "manifestchild",
        "manifestblob",
        "manifestlabel",
        "label",
        "imagestorage",
        "imagestorageplacement",
        "uploadedblob",
    ];
    tables.map(table).join(" union all ")
}
