//! The demo's figures, counted from the database and from the disk.
use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, TryStreamExt, stream};
use quayhand_model::{
    census::{self, Census, Placed},
    tombstone::{EMPTY_LAYER, sha256_bytes},
};
use quayhand_storage::{Digest, ObjectPath};

use super::scene::Scene;
use crate::cli::Failure;

/// Files that are read at once.
const READS: usize = 32;

/// What there is at one moment.
pub(super) struct Figures {
    pub(super) census: Census,
    pub(super) files: u64,
    pub(super) bytes: u64,
    violations: Vec<(String, u64)>,
}

/// A rule and how many things break it.
pub(super) struct Check {
    pub(super) rule: String,
    pub(super) looked_at: u64,
    pub(super) broken: u64,
}

impl Figures {
    pub(super) async fn count(scene: &Scene) -> Result<Self, Failure> {
        let census = scene.db.scope(census::count).await?;
        let violations = scene.db.scope(census::violations).await?;
        let (mut files, mut bytes) = (0, 0);
        for location in scene.storage.locations() {
            let mut objects = scene.storage.list(location).await?;
            while let Some(object) = objects.try_next().await? {
                files += 1;
                bytes += object.size_bytes;
            }
        }
        Ok(Self {
            census,
            files,
            bytes,
            violations,
        })
    }
}

/// Checks the registry that is left: its rows, and every file byte for byte.
///
/// What broke a rule before the daemon started is not the daemon's doing, and is taken off.
pub(super) async fn check(scene: &Scene, before: &Figures) -> Result<Vec<Check>, Failure> {
    let violations = scene.db.scope(census::violations).await?;
    let mut checks: Vec<_> = violations
        .into_iter()
        .zip(&before.violations)
        .map(|((rule, broken), (_, before))| Check {
            rule,
            looked_at: 0,
            broken: broken.saturating_sub(*before),
        })
        .collect();
    let placed = placed(scene).await?;
    checks.push(hash_all(scene, &placed).await?);
    checks.push(strangers(scene, &placed).await?);
    Ok(checks)
}

/// Returns the digest of every object that the database says exists, by location and path.
async fn placed(scene: &Scene) -> Result<BTreeMap<(String, ObjectPath), Digest>, Failure> {
    let mut placed = BTreeMap::new();
    let mut after = 0;
    loop {
        let page = scene
            .db
            .scope(async |conn| census::placed(conn, after, 10_000).await)
            .await?;
        let Some(last) = page.last() else {
            return Ok(placed);
        };
        after = last.id;
        placed.extend(page.into_iter().filter_map(object));
    }
}

fn object(placed: Placed) -> Option<((String, ObjectPath), Digest)> {
    let digest = Digest::from_bytes(sha256_bytes(&placed.checksum?)?);
    let path = match placed.legacy_uuid {
        Some(uuid) => ObjectPath::legacy(&uuid.parse().ok()?),
        None => ObjectPath::cas(&digest),
    };
    Some(((placed.location, path), digest))
}

async fn hash_all(
    scene: &Scene,
    placed: &BTreeMap<(String, ObjectPath), Digest>,
) -> Result<Check, Failure> {
    let reads = placed.iter().map(async |((location, path), digest)| {
        let found = scene.storage.hash(location, path).await?;
        Ok::<_, Failure>(found.as_ref() != Some(digest))
    });
    let mut broken = 0;
    let mut reading = stream::iter(reads).buffer_unordered(READS);
    while let Some(differs) = reading.try_next().await? {
        broken += u64::from(differs);
    }
    Ok(Check {
        rule: "kept files that are missing or have other bytes".to_owned(),
        looked_at: placed.len() as u64,
        broken,
    })
}

/// Counts files that no row names. The empty layer's file outlives its row on purpose.
async fn strangers(
    scene: &Scene,
    placed: &BTreeMap<(String, ObjectPath), Digest>,
) -> Result<Check, Failure> {
    let known: BTreeSet<_> = placed.keys().collect();
    let (mut looked_at, mut broken) = (0, 0);
    for location in scene.storage.locations() {
        let mut objects = scene.storage.list(location).await?;
        while let Some(object) = objects.try_next().await? {
            looked_at += 1;
            let named = object.path.is_some_and(|path| {
                known.contains(&(location.to_owned(), path)) || is_empty_layer(&path)
            });
            broken += u64::from(!named);
        }
    }
    Ok(Check {
        rule: "files that no row names".to_owned(),
        looked_at,
        broken,
    })
}

fn is_empty_layer(path: &ObjectPath) -> bool {
    path.digest()
        .is_some_and(|digest| digest.to_string() == EMPTY_LAYER)
}
