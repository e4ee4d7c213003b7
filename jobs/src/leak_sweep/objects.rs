//! Objects in storage without a row.
use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime},
};

use futures::{StreamExt, TryStreamExt};
use model::sighting;
use quayhand_storage::{Digest, ObjectPath, Storage, StorageError, StoredObject};

use super::{BURIED, Sweep};
use crate::{Doomed, prelude::*};

/// Objects that the database is asked about together.
const PAGE: u32 = 1_000;
/// With more objects than this, of which more than half have no row, the daemon takes none:
/// that looks like another registry's storage, or a database that was restored.
const FEW: u64 = 100;

/// What a listing came to.
#[derive(Default)]
struct Listed {
    blobs: u64,
    rowless: u64,
}

impl Sweep<'_> {
    /// Looks at every object of every location; buries what is due.
    pub(super) async fn objects(&mut self) -> Result<(), JobError> {
        let Some(storage) = self.ctx.storage.clone() else {
            tracing::warn!("no storage is configured: objects without a row are not looked for");
            return Ok(());
        };
        let locations: Vec<_> = storage.locations().map(str::to_owned).collect();
        for location in locations {
            let listed = match self.list(&storage, &location).await? {
                Ok(Some(listed)) => listed,
                Ok(None) => return Ok(()),
                Err(error) => {
                    self.left.insert(error.to_string());
                    continue;
                }
            };
            if !self.is_dry() {
                self.settle(&location, &listed).await?;
            }
        }
        Ok(())
    }

    /// Writes down which objects of a location have no row, or shows which would go. `None`
    /// when the run had to end; the inner error is the storage's.
    async fn list(
        &mut self,
        storage: &Storage,
        location: &str,
    ) -> Result<Result<Option<Listed>, StorageError>, JobError> {
        let mut listed = Listed::default();
        let listing = match storage.list(location).await {
            Ok(listing) => listing,
            Err(error) => return Ok(Err(error)),
        };
        let mut pages = listing.try_chunks(PAGE as usize);
        while let Some(page) = pages.next().await {
            let page = match page {
                Ok(page) => page,
                Err(error) => return Ok(Err(error.1)),
            };
            if !self.may_go_on() {
                return Ok(Ok(None));
            }
            let digests: Vec<_> = page.iter().filter_map(blob).collect();
            listed.blobs += digests.len() as u64;
            let old = self.old(&digests);
            let rowless = self.rowless(location, &old).await?;
            listed.rowless += rowless.len() as u64;
            self.sight_objects(location, &rowless).await?;
            self.report();
        }
        Ok(Ok(Some(listed)))
    }

    /// Picks the objects that were last written before the grace: a younger one may get its
    /// row any moment.
    fn old(&self, digests: &[(Digest, SystemTime)]) -> Vec<String> {
        let cut_ms = u64::try_from(self.since.cut_ms).unwrap_or_default();
        let cut = SystemTime::UNIX_EPOCH + Duration::from_millis(cut_ms);
        let old = digests.iter().filter(|(_, modified)| *modified <= cut);
        old.map(|(digest, _)| digest.to_string()).collect()
    }

    async fn rowless(
        &self,
        location: &str,
        checksums: &[String],
    ) -> Result<BTreeSet<String>, JobError> {
        let checksums: Vec<_> = checksums.iter().map(String::as_str).collect();
        let ask =
            async |conn: &mut model::Conn| sighting::rowless(conn, location, &checksums).await;
        Ok(self.ctx.db.scope(ask).await?)
    }

    /// Writes down that these have no row; a dry run shows those that would go.
    async fn sight_objects(
        &mut self,
        location: &str,
        rowless: &BTreeSet<String>,
    ) -> Result<(), JobError> {
        if rowless.is_empty() {
            return Ok(());
        }
        self.done.add("leaks seen", rowless.len() as u64);
        let checksums: Vec<_> = rowless.iter().map(String::as_str).collect();
        let since = self.since;
        let Some(preview) = &self.ctx.options.preview else {
            let note = async |conn: &mut model::Conn| {
                sighting::note_objects(conn, location, &checksums, since.sweep_ms).await
            };
            return Ok(self.ctx.db.scope(note).await?);
        };
        let ask = async |conn: &mut model::Conn| {
            sighting::due_of_objects(conn, location, &checksums, since).await
        };
        for checksum in self.ctx.db.scope(ask).await? {
            if let Ok(digest) = checksum.parse::<Digest>() {
                let path = &ObjectPath::cas(&digest).to_string();
                preview.show(&Doomed::Object { location, path });
                self.done.add("objects", 1);
            }
        }
        Ok(())
    }

    /// Forgets what was not seen again and buries what is due, unless too much looks leaked.
    async fn settle(&mut self, location: &str, listed: &Listed) -> Result<(), JobError> {
        let since = self.since;
        let forget = async |conn: &mut model::Conn| {
            sighting::forget_unseen_objects(conn, location, since.sweep_ms).await
        };
        self.ctx.db.scope(forget).await?;
        let is_suspicious = listed.blobs > FEW && listed.rowless * 2 > listed.blobs;
        if is_suspicious && !self.ctx.options.by_hand {
            self.left.insert(format!(
                "storage location `{location}`: {} of {} objects have no row, so none is taken; if \
                 this is the registry's own storage, run `quayhand job run leak_sweep --all`",
                listed.rowless, listed.blobs
            ));
            return Ok(());
        }
        self.bury(location).await
    }

    /// Writes a tombstone for each object that was seen before, long ago enough.
    async fn bury(&mut self, location: &str) -> Result<(), JobError> {
        let mut after = String::new();
        while self.may_go_on() {
            let room = self.ctx.settings.max_objects_per_run - self.removed();
            let at_most = u32::try_from(room).unwrap_or(PAGE).min(PAGE);
            let since = self.since;
            let bury = async |conn: &mut model::Conn| {
                let due = sighting::due_objects(conn, location, &after, since, at_most).await?;
                let checksums: Vec<_> = due.iter().map(String::as_str).collect();
                let buried = sighting::bury(conn, location, &checksums).await?;
                Ok::<_, model::DbError>((due, buried))
            };
            let (due, buried) = self.ctx.db.scope(bury).await?;
            self.done.add(BURIED, buried);
            self.report();
            let Some(last) = due.last() else { break };
            after.clone_from(last);
        }
        Ok(())
    }
}

/// Returns the digest of a blob's object and when it was last written; `None` for everything
/// else, and for the empty layer, which never goes.
fn blob(object: &StoredObject) -> Option<(Digest, SystemTime)> {
    let path = object.path.filter(|path| !path.is_empty_layer())?;
    Some((*path.digest()?, object.modified))
}
