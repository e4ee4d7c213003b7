//! Blobs: rows, placements, and the bytes that their digests are made of.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::{
    builder::{Builder, DAY_MS, HOUR_MS, Repository},
    rows::Cell::{self, Bool, Int, Null, Text, Time},
};
use crate::objects::{digest_path, legacy_path};

/// The content of the config that every artifact without a config shares.
const EMPTY_CONFIG: &[u8] = b"{}";

/// A blob and where its content comes from.
#[derive(Debug, Clone)]
pub(super) struct Blob {
    pub(super) id: i64,
    pub(super) digest: String,
    pub(super) bytes: u64,
}

/// An object that storage should have.
#[derive(Debug)]
pub(super) struct Object {
    /// Which of the spec's locations it lies in.
    pub(super) location: usize,
    /// Its path below the location's folder.
    pub(super) path: String,
    pub(super) content: Arc<[u8]>,
}

impl Builder {
    /// Makes the blobs that the whole registry shares: the empty config and the base layers.
    pub(super) fn make_base_blobs(&mut self) {
        let bytes = EMPTY_CONFIG.len() as u64;
        self.make_blob(bytes);
        self.base_layers = (0..self.spec.base_layers.max(4))
            .map(|_| self.make_any_blob())
            .collect();
    }

    /// Makes a blob of any size the spec allows and returns its index.
    pub(super) fn make_any_blob(&mut self) -> usize {
        let bytes = self.random.within(self.spec.blob_bytes.clone()).max(64);
        self.make_blob(bytes)
    }

    /// Makes a blob: its row and its placements.
    fn make_blob(&mut self, bytes: u64) -> usize {
        let number = self.blobs.len();
        let content = content(&self.spec.prefix, self.spec.seed, number, bytes);
        let digest = digest(&content);
        let is_legacy = number > 0 && self.random.chance(self.spec.legacy_fraction);
        let uuid = self.random.uuid();
        let id = self.tables.imagestorage.add(&[
            Text(&uuid),
            Cell::size(bytes),
            Null,
            Bool(false),
            Bool(!is_legacy),
            Text(&digest),
        ]);
        let path = if is_legacy {
            Some(legacy_path(&uuid))
        } else {
            digest_path(&digest)
        };
        self.place(number, id, &content.into(), &path.unwrap_or_default());
        self.counts.blobs += 1;
        self.counts.blob_bytes += bytes;
        self.blobs.push(Blob { id, digest, bytes });
        number
    }

    /// Places a blob in the first location, every third one in all, and has its files written.
    fn place(&mut self, number: usize, storage_id: i64, content: &Arc<[u8]>, path: &str) {
        let all = self.enums.locations.len();
        let count = if number.is_multiple_of(3) {
            all
        } else {
            all.min(1)
        };
        for location in 0..count {
            let location_id = self.enums.locations[location];
            let placement = &mut self.tables.imagestorageplacement;
            placement.add(&[Int(storage_id), Int(location_id)]);
            self.counts.placements += 1;
            let object = Object {
                location,
                path: path.to_owned(),
                content: Arc::clone(content),
            };
            // A writer that is gone has failed, and says so itself.
            let _sent = self.objects.as_ref().map(|objects| objects.send(object));
        }
    }

    /// Uploads two blobs that no manifest has: one just now, one whose protection is over.
    pub(super) fn make_uploads(&mut self, repository: &Repository) {
        for (age_ms, left_ms) in [(HOUR_MS / 2, DAY_MS), (2 * DAY_MS, -DAY_MS)] {
            let blob = self.make_any_blob();
            self.tables.uploadedblob.add(&[
                Int(repository.id),
                Int(self.blobs[blob].id),
                Time(self.now_ms - age_ms),
                Time(self.now_ms + left_ms),
            ]);
        }
        self.counts.fresh_uploads += 1;
        self.counts.expired_uploads += 1;
    }
}

/// Returns the bytes of a blob: the empty config for number 0, else a line that names the blob,
/// repeated and cut.
fn content(prefix: &str, seed: u64, number: usize, bytes: u64) -> Vec<u8> {
    if number == 0 {
        return EMPTY_CONFIG.to_vec();
    }
    let line = format!("blob {number} of registry {prefix} {seed}\n");
    let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
    let mut content = line.repeat(bytes.div_ceil(line.len())).into_bytes();
    content.truncate(bytes);
    content
}

/// Returns the digest of some bytes as registries write it.
pub(super) fn digest(content: &[u8]) -> String {
    const DIGITS: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f',
    ];
    let mut text = String::with_capacity(71);
    text.push_str("sha256:");
    for byte in Sha256::digest(content) {
        text.push(DIGITS[usize::from(byte >> 4)]);
        text.push(DIGITS[usize::from(byte & 15)]);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{content, digest};

    #[test]
    fn contents_differ_and_have_their_length() {
        let (one, two) = (content("", 1, 1, 64), content("", 1, 2, 64));
        assert_ne!(one, two);
        assert_eq!((one.len(), content("", 1, 7, 500).len()), (64, 500));
        assert_eq!(content("", 1, 0, 2), b"{}");
        assert_eq!(
            digest(b"{}"),
            "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
        );
    }
}
