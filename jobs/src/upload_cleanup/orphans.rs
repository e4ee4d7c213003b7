//! Chunks in storage that no upload knows.
use std::time::SystemTime;

use futures::TryStreamExt;
use model::upload;
use quayhand_storage::{ObjectPath, StoredObject};

use super::{BATCH, Cleanup};
use crate::prelude::*;

impl Cleanup<'_> {
    /// Removes what lies below `uploads/` at the preferred location, is old enough and belongs
    /// to no upload.
    pub(super) async fn remove_orphans(&mut self) -> Result<(), JobError> {
        let Some(location) = self.storage.preference().first().cloned() else {
            return Ok(());
        };
        let Some(oldest) = self.oldest_kept(self.age).await? else {
            return Ok(());
        };
        let mut listing = match self.storage.list_uploads(&location).await {
            Ok(listing) => listing,
            Err(error) => {
                self.left.insert(error.to_string());
                return Ok(());
            }
        };
        loop {
            let mut page = Vec::new();
            while page.len() < BATCH as usize {
                match listing.try_next().await {
                    Ok(Some(object)) => page.extend(old(&object, oldest)),
                    Ok(None) => break,
                    Err(error) => {
                        self.left.insert(error.to_string());
                        return Ok(());
                    }
                }
            }
            if page.is_empty() || !self.may_go_on() {
                return Ok(());
            }
            self.remove_unknown(&location, page).await?;
        }
    }

    /// Returns the time before which something must have been written to have this age, by the
    /// database's clock; `None` for a time before 1970.
    pub(super) async fn oldest_kept(&self, age: Duration) -> Result<Option<SystemTime>, JobError> {
        let now_ms = match self.ctx.options.as_of_ms {
            Some(now_ms) => now_ms,
            None => self.ctx.db.scope(model::clock::now_ms).await?,
        };
        let now = u64::try_from(now_ms).map(Duration::from_millis);
        let before = now.ok().and_then(|now| now.checked_sub(age));
        Ok(before.map(|before| SystemTime::UNIX_EPOCH + before))
    }

    /// Removes the chunks of a page that no upload knows.
    async fn remove_unknown(
        &mut self,
        location: &str,
        page: Vec<(String, ObjectPath)>,
    ) -> Result<(), JobError> {
        let names: Vec<_> = page.iter().map(|(name, _)| name.as_str()).collect();
        let known = async |conn: &mut model::Conn| upload::in_progress(conn, &names).await;
        let known = self.ctx.db.scope(known).await?;
        let unknown = page.iter().filter(|(name, _)| !known.contains(name));
        let paths: Vec<_> = unknown.map(|(_, path)| *path).collect();
        self.remove(location, &paths).await?;
        self.report();
        Ok(())
    }
}

/// Returns name and path of a chunk that is old enough.
fn old(object: &StoredObject, oldest: SystemTime) -> Option<(String, ObjectPath)> {
    let name = object.key.strip_prefix("uploads/")?;
    let path = object.path.filter(|_| object.modified <= oldest)?;
    Some((name.to_owned(), path))
}
