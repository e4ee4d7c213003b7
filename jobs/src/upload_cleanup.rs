//! Gives up uploads that were begun too long ago, in storage and in the database.
//!
//! A client that stops half-way leaves an upload behind: a row, and in storage the chunks it
//! has sent. After a while (Quay `BLOBUPLOAD_DELETION_DATE_THRESHOLD`, two days) the chunks go
//! and then the row; a finished blob is never touched. With Quay `CLEAN_BLOB_UPLOAD_FOLDER`
//! also chunks go that no upload knows, at the first location of the preference, when they
//! are as old. With Quay `FEATURE_ENABLE_STALE_MPU_CLEANUP` the multipart uploads of that
//! location that are a day old are aborted as well: parts that never became an object.
//!
//! Running it twice is safe: the row goes last and only when storage confirmed that the chunks
//! are gone. Two hosts, and Quay's own worker, keep out of each other's way by the lock
//! `BLOB_CLEANUP`, for multipart uploads `STALE_MPU_CLEANUP`.
mod chunks;
mod multipart;
mod orphans;

use std::collections::{BTreeMap, BTreeSet};

use model::upload::{self, StaleUpload};
use quayhand_queue::Hold;
use quayhand_storage::{Deleted, ObjectPath, Storage};
use tokio::time::Instant;

use crate::{Doomed, Locking, Step, prelude::*};

/// Uploads that are cancelled together.
const BATCH: u32 = 250;
/// Longest time for removing the chunks of one batch.
const BATCH_TIME: Duration = Duration::from_mins(1);
/// Quay's lock around the work on uploads and chunks.
const LOCK: &str = "BLOB_CLEANUP";
/// Quay's lock around the work on multipart uploads.
const MULTIPART_LOCK: &str = "STALE_MPU_CLEANUP";
/// How long Quay holds either.
const LOCK_TTL: Duration = Duration::from_mins(20);
/// When the lock is held, or Redis out of reach, how long until the next try.
const AGAIN_IN: Duration = Duration::from_mins(10);

/// See the [module](self).
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UploadCleanup {}

impl Job<Ctx> for UploadCleanup {
    const KIND: &'static str = "upload_cleanup";
    const ABOUT: &'static str = "Gives up uploads that were begun too long ago";
    const QUEUE: Queue = queues::DEFAULT;
    const SOURCE: Source = Source::Derivable;
    // Well inside the lock, which nobody renews.
    const POLICY: Policy = USUAL
        .timeout(Duration::from_mins(15))
        .unique_for(Duration::from_hours(1));
    const SCHEDULE: Option<Schedule> = Some(Schedule::Every(Duration::from_hours(1)));

    async fn run(&self, ctx: &Ctx) -> Result<Done, JobError> {
        let mut cleanup = Cleanup::new(ctx)?;
        let hold = take_lock(ctx, LOCK).await?;
        let outcome = cleanup.run().await;
        release(ctx, hold).await;
        outcome?;
        cleanup.multipart().await?;
        cleanup.into_result()
    }

    fn scheduled() -> Option<Self> {
        Some(Self {})
    }

    fn all(ctx: &Ctx) -> Option<BoxFuture<'_, Result<Done, JobError>>> {
        Some(Box::pin(Self {}.run(ctx)))
    }
}

/// Takes Quay's lock, where there is a Redis for it. A dry run needs none.
async fn take_lock(ctx: &Ctx, name: &str) -> Result<Option<Hold>, JobError> {
    let Locking::Redis(locks) = &ctx.locks else {
        return Ok(None);
    };
    if ctx.options.preview.is_some() {
        return Ok(None);
    }
    match locks.try_acquire(name, LOCK_TTL).await {
        Ok(Some(hold)) => Ok(Some(hold)),
        Ok(None) => Err(JobError::Snooze(AGAIN_IN)),
        Err(error) => Err(JobError::Unavailable {
            source: error.into(),
            again_in: AGAIN_IN,
        }),
    }
}

async fn release(ctx: &Ctx, hold: Option<Hold>) {
    if let (Locking::Redis(locks), Some(hold)) = (&ctx.locks, hold)
        && let Err(error) = locks.release(hold).await
    {
        tracing::warn!(%error, "a lock was not released; it ends by itself");
    }
}

/// One run over the stale uploads.
struct Cleanup<'a> {
    ctx: &'a Ctx,
    storage: &'a Storage,
    age: Duration,
    done: Done,
    left: BTreeSet<String>,
}

impl<'a> Cleanup<'a> {
    fn new(ctx: &'a Ctx) -> Result<Self, JobError> {
        ctx.settings.check_may_write()?;
        ctx.gate.check()?;
        let storage = ctx.storage.as_ref().ok_or_else(|| JobError::Refused {
            reason: "no storage is configured: name the locations in `[storage]`, \
                     `QUAYHAND_STORAGE` or Quay's DISTRIBUTED_STORAGE_CONFIG"
                .to_owned(),
        })?;
        Ok(Self {
            ctx,
            storage,
            age: ctx.settings.upload_window,
            done: Done::default(),
            left: BTreeSet::new(),
        })
    }

    async fn run(&mut self) -> Result<(), JobError> {
        let (mut after, as_of_ms, age) = (0, self.ctx.options.as_of_ms, self.age);
        while self.may_go_on() {
            let find = async |conn: &mut model::Conn| {
                upload::find_stale(conn, age, as_of_ms, after, BATCH).await
            };
            let stale = self.ctx.db.scope(find).await?;
            let Some(last) = stale.last() else { break };
            after = last.id;
            self.cancel(stale).await?;
            self.report();
        }
        if self.ctx.settings.clean_upload_folder {
            self.remove_orphans().await?;
        }
        Ok(())
    }

    /// Gives up multipart uploads, unless another process is at it.
    async fn multipart(&mut self) -> Result<(), JobError> {
        if !self.ctx.settings.clean_multipart_uploads || !self.may_go_on() {
            return Ok(());
        }
        let hold = match take_lock(self.ctx, MULTIPART_LOCK).await {
            Err(JobError::Snooze(_)) => return Ok(()),
            taken => taken?,
        };
        let outcome = self.abort_stale().await;
        release(self.ctx, hold).await;
        outcome
    }

    /// Says whether the run has time and room for more; if not, notes why it ended.
    fn may_go_on(&mut self) -> bool {
        if self.ctx.stop.is_cancelled() {
            let stopped = "stopped before the end; what was done stays done";
            self.left.insert(stopped.to_owned());
            return false;
        }
        if self.done.of("objects") >= self.ctx.settings.max_objects_per_run {
            let full = "the cap on objects per run was reached";
            self.left.insert(full.to_owned());
            return false;
        }
        true
    }

    /// Removes the chunks of these uploads, then the rows of those that have none left.
    async fn cancel(&mut self, stale: Vec<StaleUpload>) -> Result<(), JobError> {
        let mut by_location: BTreeMap<String, Vec<(i64, Vec<ObjectPath>)>> = BTreeMap::new();
        for upload in stale {
            match chunks::of(&upload) {
                Ok((location, paths)) => {
                    let uploads = by_location.entry(location).or_default();
                    uploads.push((upload.id, paths));
                }
                Err(reason) => drop(self.left.insert(reason)),
            }
        }
        let mut gone = Vec::new();
        for (location, uploads) in by_location {
            let paths: Vec<_> = uploads
                .iter()
                .flat_map(|(_, paths)| paths)
                .copied()
                .collect();
            if let Some(kept) = self.remove(&location, &paths).await? {
                let free = |paths: &[ObjectPath]| !paths.iter().any(|p| kept.contains(p));
                let free = uploads.iter().filter(|(_, paths)| free(paths));
                gone.extend(free.map(|(id, _)| *id));
            }
        }
        self.remove_rows(&gone).await
    }

    /// Removes objects of one location, or shows them. Returns those that are not gone for
    /// certain; `None` when the location cannot be reached at all.
    async fn remove(
        &mut self,
        location: &str,
        paths: &[ObjectPath],
    ) -> Result<Option<BTreeSet<ObjectPath>>, JobError> {
        if self.ctx.options.preview.is_some() {
            return self.show(location, paths).await;
        }
        let deadline = Instant::now() + BATCH_TIME;
        let answers = match self.storage.delete(location, paths, deadline).await {
            Ok(answers) => answers,
            Err(error) => {
                self.left.insert(error.to_string());
                return Ok(None);
            }
        };
        let (mut kept, mut removed) = (BTreeSet::new(), Vec::new());
        for (path, answer) in paths.iter().zip(answers) {
            match answer {
                Deleted::Removed => removed.push(path.to_string()),
                Deleted::NotFound => {}
                Deleted::Failed(reason) | Deleted::Unknown(reason) => {
                    kept.insert(*path);
                    self.left.insert(format!("{location}: {path}: {reason}"));
                }
            }
        }
        self.done.add("objects", removed.len() as u64);
        if let Some(audit) = &self.ctx.options.audit {
            audit.removed(removed.iter().map(|path| (location, path.as_str(), "")))?;
        }
        Ok(Some(kept))
    }

    /// Shows which of these objects would go.
    async fn show(
        &mut self,
        location: &str,
        paths: &[ObjectPath],
    ) -> Result<Option<BTreeSet<ObjectPath>>, JobError> {
        for path in paths {
            match self.storage.exists(location, path).await {
                Ok(false) => {}
                Ok(true) => {
                    self.done.add("objects", 1);
                    if let Some(preview) = &self.ctx.options.preview {
                        let path = &path.to_string();
                        preview.show(&Doomed::Object { location, path });
                    }
                }
                Err(error) => {
                    self.left.insert(error.to_string());
                    return Ok(None);
                }
            }
        }
        Ok(Some(BTreeSet::new()))
    }

    /// Removes the rows of cancelled uploads, or shows them.
    async fn remove_rows(&mut self, ids: &[i64]) -> Result<(), JobError> {
        if let Some(preview) = &self.ctx.options.preview {
            for id in ids {
                let (table, id) = ("blobupload", *id);
                preview.show(&Doomed::Row { table, id });
            }
            self.done.add("uploads", ids.len() as u64);
            return Ok(());
        }
        let (as_of_ms, age) = (self.ctx.options.as_of_ms, self.age);
        let remove =
            async |conn: &mut model::Conn| upload::remove_stale(conn, age, as_of_ms, ids).await;
        let removed = self.ctx.db.scope(remove).await?;
        self.done.add("uploads", removed);
        Ok(())
    }

    fn report(&self) {
        self.ctx.options.progress.report(&Step {
            done: &self.done,
            handled: self.done.of("uploads"),
            total: 0,
        });
    }

    fn into_result(self) -> Result<Done, JobError> {
        if self.left.is_empty() {
            return Ok(self.done);
        }
        Err(JobError::Partial {
            done: self.done,
            left: self.left.into_iter().collect(),
        })
    }
}
