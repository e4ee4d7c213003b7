//! What is to be removed under one hold, and what became of it.
use std::collections::{BTreeMap, BTreeSet};

use quayhand_model::tombstone::Tombstone;
use quayhand_storage::{Deleted, Digest, LegacyUuid, ObjectPath};

/// Everything that lies at one path.
pub(super) struct Doom {
    pub(super) ids: Vec<i64>,
    pub(super) digest: Digest,
}

/// The objects of every location, by path.
pub(super) type Locations = BTreeMap<String, BTreeMap<ObjectPath, Doom>>;

/// What became of one hold.
#[derive(Default)]
pub(super) struct Outcome {
    /// Objects that storage confirmed.
    pub(super) removed: Vec<Removed>,
    /// Objects that were gone already.
    pub(super) missing: u64,
    /// Tombstones of objects that are certainly not there.
    pub(super) gone: Vec<i64>,
    /// Tombstones whose digest has a row again.
    pub(super) in_use: Vec<i64>,
    /// Tombstones whose digest another process holds, or took meanwhile.
    pub(super) busy: u64,
    /// What was left, each with its reason.
    pub(super) left: BTreeSet<String>,
}

/// A line of the audit.
pub(super) struct Removed {
    pub(super) location: String,
    pub(super) path: String,
    pub(super) digest: String,
}

impl Outcome {
    /// Notes what storage said about one object.
    pub(super) fn note(&mut self, location: &str, path: ObjectPath, doom: Doom, answer: Deleted) {
        match answer {
            Deleted::Removed => {
                self.gone.extend(doom.ids);
                self.removed.push(Removed {
                    location: location.to_owned(),
                    path: path.to_string(),
                    digest: doom.digest.to_string(),
                });
            }
            Deleted::NotFound => {
                self.gone.extend(doom.ids);
                self.missing += 1;
            }
            Deleted::Failed(reason) | Deleted::Unknown(reason) => {
                self.left.insert(format!("{location}: {path}: {reason}"));
            }
        }
    }

    /// Sorts tombstones by location and path, as many as there is `room` for. Those whose
    /// digest is `present` go without their object; those whose path cannot be told keep
    /// both.
    pub(super) fn sort(
        &mut self,
        tombstones: &[Tombstone],
        present: &BTreeSet<String>,
        room: u64,
    ) -> Locations {
        let mut locations = Locations::new();
        for (nth, tombstone) in (0..).zip(tombstones) {
            if present.contains(&checksum(tombstone)) {
                self.in_use.push(tombstone.id);
            } else if nth >= room {
                self.left
                    .insert("the cap on objects per run was reached".to_owned());
            } else if let Some(path) = path(tombstone) {
                let paths = locations.entry(tombstone.location.clone()).or_default();
                let digest = Digest::from_bytes(tombstone.digest);
                let ids = Vec::new();
                let doom = paths.entry(path).or_insert(Doom { ids, digest });
                doom.ids.push(tombstone.id);
            } else {
                self.left.insert(format!(
                    "tombstone {}: its uuid is none, so its path is unknown",
                    tombstone.id
                ));
            }
        }
        locations
    }
}

/// Returns the digest as the registry writes it.
pub(super) fn checksum(tombstone: &Tombstone) -> String {
    Digest::from_bytes(tombstone.digest).to_string()
}

/// Returns the digests, each once.
pub(super) fn checksums(tombstones: &[Tombstone]) -> BTreeSet<String> {
    tombstones.iter().map(checksum).collect()
}

/// Returns where the object lies; `None` when the tombstone does not say.
pub(super) fn path(tombstone: &Tombstone) -> Option<ObjectPath> {
    let Some(uuid) = &tombstone.legacy_uuid else {
        return Some(ObjectPath::cas(&Digest::from_bytes(tombstone.digest)));
    };
    let uuid: LegacyUuid = uuid.parse().ok()?;
    Some(ObjectPath::legacy(&uuid))
}
