//! What lost its last manifest and upload: blobs, and the objects behind them.
use std::collections::BTreeSet;

use super::{Rule, State, state::Blob};
use crate::property::snapshot::Tombstone;

const EMPTY_LAYER: &str = "sha256:a3ed95caeb02ffe68cdd9fd84406680ae93d633cb16422d00e8a7c22955b46d4";

impl State {
    /// Collects the orphans among blobs and takes them out of the set.
    pub(super) fn collect_blobs(&mut self, candidates: &mut BTreeSet<i64>) {
        for blob in candidates.clone() {
            if self.blobs.contains_key(&blob) && self.is_orphan(blob) {
                self.delete_blob(blob);
                candidates.remove(&blob);
            }
        }
    }

    fn is_orphan(&self, id: i64) -> bool {
        let held = self.manifest_blobs.values().any(|edge| edge.to == id);
        let uploaded = self.uploads.values().any(|upload| upload.blob == id);
        let placed = self.placements.values().any(|edge| edge.from == id);
        let is_used = held && self.mode.has(Rule::OthersShareBlobs)
            || uploaded && self.mode.has(Rule::UploadsProtect);
        !is_used && (placed || !self.mode.has(Rule::PlaceholdersStay))
    }

    fn delete_blob(&mut self, id: i64) {
        let blob = self.blobs.remove(&id).unwrap();
        let locations = self.placements.values().filter(|edge| edge.from == id);
        let locations: Vec<_> = locations.map(|edge| edge.to).collect();
        self.placements.retain(|_, edge| edge.from != id);
        self.signatures.retain(|_, of| *of != id);
        for location in locations {
            self.bury(&blob, location);
        }
    }

    /// Writes a tombstone, unless the object stays whatever becomes of its rows: without a
    /// checksum, and that of the empty layer.
    fn bury(&mut self, blob: &Blob, location_id: i64) {
        let Some(checksum) = blob.checksum.clone().filter(|text| !text.is_empty()) else {
            return;
        };
        if checksum == EMPTY_LAYER && self.mode.has(Rule::TheEmptyLayerStays) {
            return;
        }
        self.tombstones.push(Tombstone {
            location_id,
            checksum: if is_sha256(&checksum) {
                checksum
            } else {
                format!("text:{checksum}")
            },
            legacy_uuid: (!blob.content_addressed).then(|| blob.uuid.clone()),
        });
    }

    /// Returns the objects that go once their tombstones, without the first so many, are old
    /// enough: those whose checksum is a sha256 that no row has any more, and whose path is
    /// known.
    pub(in super::super) fn objects_that_go(&self, first: usize) -> BTreeSet<Tombstone> {
        let in_use = |tombstone: &&Tombstone| {
            let mut rows = self.blobs.values();
            rows.any(|blob| blob.checksum.as_ref() == Some(&tombstone.checksum))
        };
        let usable = self
            .tombstones
            .iter()
            .skip(first)
            .filter(|one| !one.checksum.starts_with("text:"))
            .filter(|one| one.legacy_uuid.as_deref().is_none_or(is_uuid));
        usable.filter(|one| !in_use(one)).cloned().collect()
    }
}

/// Tells whether a text is a uuid as the registry writes them.
fn is_uuid(text: &str) -> bool {
    let parts: Vec<_> = text.split('-').collect();
    let lengths: Vec<_> = parts.iter().map(|part| part.len()).collect();
    let digits = parts.concat();
    lengths == [8, 4, 4, 4, 12] && digits.chars().all(|c| "0123456789abcdef".contains(c))
}

/// Tells whether a checksum is one whose object may be removed.
fn is_sha256(checksum: &str) -> bool {
    let digits = checksum.strip_prefix("sha256:").unwrap_or_default();
    digits.len() == 64 && digits.chars().all(|c| "0123456789abcdef".contains(c))
}
