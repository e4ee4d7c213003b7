//! Objects against rows: what the database says is in storage, and what storage holds.
use std::collections::BTreeSet;

use futures::{StreamExt, TryStreamExt, stream};
use quayhand_model::{
    Db, sighting,
    tombstone::sha256_bytes,
    verify::{self, Invariant, Placed},
};
use quayhand_storage::{Digest, ObjectPath, Storage, StorageError, StoredObject};

use super::{Failure, Report};

/// Placements of one page.
const PAGE: u32 = 1_000;
/// Objects that are looked at at once.
const LOOKS: usize = 16;

/// Looks at objects.
pub(super) struct Objects<'a> {
    pub(super) db: &'a Db,
    pub(super) storage: &'a Storage,
    pub(super) hash: bool,
    pub(super) report: &'a mut Report,
}

impl Objects<'_> {
    /// Looks whether everything that is referred to is where its row says.
    pub(super) async fn placed(&mut self) -> Result<(), Failure> {
        let mut after = 0;
        loop {
            let db = self.db;
            let page = db
                .scope(async |conn| verify::placed(conn, after, PAGE).await)
                .await?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = last.id;
            let referred: Vec<_> = page.into_iter().filter(|p| p.is_referred).collect();
            self.report.looked_at("objects", referred.len() as u64);
            let suspects = self.suspects(referred).await?;
            self.report_lasting(suspects).await?;
        }
    }

    /// Returns the placements whose object is not as it should be, each with what is wrong.
    async fn suspects(&self, page: Vec<Placed>) -> Result<Vec<(Placed, String)>, StorageError> {
        let (storage, hash) = (self.storage, self.hash);
        let looks = page.into_iter().map(async |placed| {
            let problem = look(storage, hash, &placed).await?;
            Ok::<_, StorageError>(problem.map(|problem| (placed, problem)))
        });
        let found = stream::iter(looks).buffered(LOOKS);
        found
            .try_filter_map(async |found| Ok(found))
            .try_collect()
            .await
    }

    /// Reports what is wrong still: a blob may have been collected since its page was read.
    async fn report_lasting(&mut self, suspects: Vec<(Placed, String)>) -> Result<(), Failure> {
        if suspects.is_empty() {
            return Ok(());
        }
        let ids: Vec<_> = suspects.iter().map(|(placed, _)| placed.id).collect();
        let db = self.db;
        let lasting = db
            .scope(async |conn| verify::still_placed(conn, &ids).await)
            .await?;
        for (placed, problem) in suspects {
            if lasting.contains(&placed.id) {
                let subject = format!("blob {} in `{}`", placed.blob_id, placed.location);
                self.report.object(Invariant::Objects, subject, problem)?;
            }
        }
        Ok(())
    }

    /// Looks for objects that no row names. Objects on the path of old are left out: those
    /// whose row had no checksum stay for ever, as with Quay.
    pub(super) async fn listed(&mut self) -> Result<(), Failure> {
        let locations: Vec<_> = self.storage.locations().map(str::to_owned).collect();
        for location in locations {
            let listing = self.storage.list(&location).await?;
            let mut pages = listing.try_chunks(PAGE as usize);
            while let Some(page) = pages.next().await {
                let page = page.map_err(|error| error.1)?;
                let digests: Vec<_> = page.iter().filter_map(digest).collect();
                self.report.looked_at("objects listed", page.len() as u64);
                self.report_rowless(&location, &digests).await?;
            }
        }
        Ok(())
    }

    async fn report_rowless(&mut self, location: &str, digests: &[String]) -> Result<(), Failure> {
        let checksums: Vec<_> = digests.iter().map(String::as_str).collect();
        let db = self.db;
        let rowless: BTreeSet<String> = db
            .scope(async |conn| sighting::rowless(conn, location, &checksums).await)
            .await?;
        for checksum in rowless {
            let subject = format!("object {checksum} in `{location}`");
            let problem = "is left behind: no row names it".to_owned();
            self.report.object(Invariant::Leaks, subject, problem)?;
        }
        Ok(())
    }
}

/// Says what is wrong with the object of a placement, if anything is.
async fn look(
    storage: &Storage,
    hash: bool,
    placed: &Placed,
) -> Result<Option<String>, StorageError> {
    let location = placed.location.as_str();
    if !storage.locations().any(|known| known == location) {
        return Ok(Some("is at a location that is not configured".to_owned()));
    }
    let digest = placed.checksum.as_deref().and_then(sha256_bytes);
    let Some(path) = path(placed, digest.map(Digest::from_bytes)) else {
        return Ok(Some("has a checksum that leads to no object".to_owned()));
    };
    let Some(size_bytes) = storage.size_bytes(location, &path).await? else {
        return Ok(Some(format!("is missing: there is no `{path}`")));
    };
    let expected = placed.size_bytes.and_then(|size| u64::try_from(size).ok());
    if expected.is_some_and(|expected| expected != size_bytes) {
        return Ok(Some(format!(
            "has {size_bytes} bytes in storage and {} by its row",
            expected.unwrap_or_default()
        )));
    }
    let (true, Some(digest)) = (hash, digest) else {
        return Ok(None);
    };
    let found = storage.hash(location, &path).await?;
    let differs = found.filter(|found| *found.as_bytes() != digest);
    Ok(differs.map(|found| format!("holds other bytes: their digest is {found}")))
}

/// Returns where the object lies, if its row tells.
fn path(placed: &Placed, digest: Option<Digest>) -> Option<ObjectPath> {
    match &placed.legacy_uuid {
        Some(uuid) => Some(ObjectPath::legacy(&uuid.parse().ok()?)),
        None => Some(ObjectPath::cas(&digest?)),
    }
}

/// Returns the checksum that an object's path promises; `None` for other objects and for the
/// empty layer, which outlives its rows on purpose.
fn digest(object: &StoredObject) -> Option<String> {
    let path = object.path.filter(|path| !path.is_empty_layer())?;
    path.digest().map(ToString::to_string)
}
