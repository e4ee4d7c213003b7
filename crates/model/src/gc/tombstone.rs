//! What a batch leaves behind for each object that lost its last row.
use crate::{
    Conn, DbError,
    db::{Param, Sql},
    tombstone::{EMPTY_LAYER, sha256_bytes},
};

// Written for every placement, also when another row has the same checksum: a second
// collector may be deleting that very row now. `blob_gc` decides, when both have committed.
const WRITE: Sql = Sql::postgres(
    "gc.write_tombstones",
    "
    insert into quayhand_tombstone (location_id, digest, digest_text, legacy_uuid)
    select *
      from unnest($1::bigint[], $2::bytea[], $3::text[], $4::text[])",
);

/// The object of a row in `imagestorage`.
pub(super) struct Object {
    pub(super) uuid: String,
    pub(super) content_addressed: bool,
    pub(super) checksum: Option<String>,
}

/// A line for `quayhand_tombstone`.
pub(super) struct Line {
    location_id: i64,
    digest: Option<[u8; 32]>,
    digest_text: Option<String>,
    legacy_uuid: Option<String>,
}

impl Object {
    /// Returns the tombstone of the object at one location.
    ///
    /// `None` when its object must never be removed: without a checksum nothing could
    /// fence the delete against a writer, and the empty layer is shared by everything
    /// (Quay keeps both). A checksum that is no sha256 is kept as text, and its object
    /// with it.
    pub(super) fn tombstone(&self, location_id: i64) -> Option<Line> {
        let checksum = self.checksum.as_deref().filter(|text| !text.is_empty())?;
        if checksum == EMPTY_LAYER {
            return None;
        }
        let digest = sha256_bytes(checksum);
        Some(Line {
            location_id,
            digest,
            digest_text: digest.is_none().then(|| checksum.to_owned()),
            legacy_uuid: (!self.content_addressed).then(|| self.uuid.clone()),
        })
    }
}

/// Writes tombstones inside the batch's transaction; returns how many. One statement.
pub(super) async fn write(conn: &mut Conn, lines: &[Line]) -> Result<u64, DbError> {
    if lines.is_empty() {
        return Ok(0);
    }
    let locations: Vec<_> = lines.iter().map(|line| line.location_id).collect();
    let digests: Vec<_> = lines
        .iter()
        .map(|line| line.digest.as_ref().map(<[u8; 32]>::as_slice))
        .collect();
    let texts: Vec<_> = lines
        .iter()
        .map(|line| line.digest_text.as_deref())
        .collect();
    let uuids: Vec<_> = lines
        .iter()
        .map(|line| line.legacy_uuid.as_deref())
        .collect();
    let params = [
        Param::Ints(&locations),
        Param::OptBytes(&digests),
        Param::OptTexts(&texts),
        Param::OptTexts(&uuids),
    ];
    conn.execute(&WRITE, &params).await
}
