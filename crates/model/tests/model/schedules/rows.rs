//! The inserts by which a push refers to things.

pub(super) fn manifest_row(repository: i64) -> String {
    format!(
        "insert into manifest (repository_id, digest, media_type_id, manifest_bytes)
         values ({repository}, 'sha256:' || encode(sha256(gen_random_uuid()::text::bytea), 'hex'),
                 18, '{{}}')"
    )
}

pub(super) fn blob_of(repository: i64, manifest: i64, blob: i64) -> String {
    format!(
        "insert into manifestblob (repository_id, manifest_id, blob_id)
         values ({repository}, {manifest}, {blob})"
    )
}

pub(super) fn label_of(repository: i64, manifest: i64, label: i64) -> String {
    format!(
        "insert into manifestlabel (repository_id, manifest_id, label_id)
         values ({repository}, {manifest}, {label})"
    )
}

/// A tag that ends at `end`: milliseconds since the epoch, or `null`.
pub(super) fn tag_row(repository: i64, manifest: i64, end: &str) -> String {
    format!(
        "insert into tag (name, repository_id, manifest_id, lifetime_start_ms, lifetime_end_ms,
                          tag_kind_id)
         values (gen_random_uuid(), {repository}, {manifest}, 0, {end}, 1)"
    )
}
