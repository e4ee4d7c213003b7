//! Multipart uploads that nobody completed: parts in a bucket that belong to no object.
use std::time::SystemTime;

use futures::{StreamExt, TryStreamExt, stream};
use model::upload;
use quayhand_storage::{MultipartUpload, ObjectPath};

use super::{BATCH, Cleanup};
use crate::{Doomed, prelude::*};

/// Age from which Quay gives a multipart upload up; there is no setting for it.
const AGE: Duration = Duration::from_hours(24);
/// Uploads that are aborted at once.
const SIDE_BY_SIDE: usize = 8;
/// What is counted.
const COUNTED: &str = "multipart uploads";

impl Cleanup<'_> {
    /// Aborts what was begun too long ago at the preferred location and would become an object
    /// of the registry, unless an upload in progress names it. No object is touched.
    pub(super) async fn abort_stale(&mut self) -> Result<(), JobError> {
        let Some(location) = self.storage.preference().first().cloned() else {
            return Ok(());
        };
        let Some(oldest) = self.oldest_kept(AGE).await? else {
            return Ok(());
        };
        let mut listing = self.storage.list_multipart_uploads(&location)?;
        loop {
            let mut page = Vec::new();
            while page.len() < BATCH as usize {
                match listing.try_next().await {
                    Ok(Some(upload)) => page.extend(stale(upload, oldest)),
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
            self.abort_unknown(&location, page).await?;
            self.report();
        }
    }

    /// Aborts the uploads of a page that no row names.
    async fn abort_unknown(
        &mut self,
        location: &str,
        page: Vec<(MultipartUpload, ObjectPath)>,
    ) -> Result<(), JobError> {
        let name = |upload: &MultipartUpload| {
            let name = upload.key.strip_prefix("uploads/");
            name.unwrap_or(&upload.key).to_owned()
        };
        let names: Vec<_> = page.iter().map(|(upload, _)| name(upload)).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let known = async |conn: &mut model::Conn| upload::in_progress(conn, &names).await;
        let known = self.ctx.db.scope(known).await?;
        let unknown: Vec<_> = page
            .iter()
            .filter(|(upload, _)| !known.contains(&name(upload)))
            .collect();
        if let Some(preview) = &self.ctx.options.preview {
            for (_, path) in &unknown {
                let path = &path.to_string();
                preview.show(&Doomed::MultipartUpload { location, path });
            }
            self.done.add(COUNTED, unknown.len() as u64);
            return Ok(());
        }
        let storage = self.storage;
        let mut aborts = Vec::new();
        for (upload, _) in unknown {
            aborts.push(storage.abort_multipart_upload(location, upload));
        }
        let mut aborts = stream::iter(aborts).buffered(SIDE_BY_SIDE);
        while let Some(aborted) = aborts.next().await {
            match aborted {
                Ok(true) => self.done.add(COUNTED, 1),
                Ok(false) => {}
                Err(error) => drop(self.left.insert(error.to_string())),
            }
        }
        Ok(())
    }
}

/// Returns an upload that is old enough and would become one of the registry's objects.
fn stale(upload: MultipartUpload, oldest: SystemTime) -> Option<(MultipartUpload, ObjectPath)> {
    let path = upload.path.filter(|_| upload.begun <= oldest)?;
    Some((upload, path))
}
