//! What a job is given to work with.
use std::{
    fmt,
    io::{self, Write},
    sync::{Arc, Mutex, PoisonError},
};

use quayhand_model::Db;
use quayhand_queue::{Client, Done, Locks};
use quayhand_storage::Storage;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::{Gate, Outbox, Pace, Settings};

/// Holds what one attempt of a job is given to work with. Cheap to clone.
#[derive(Clone)]
pub struct Ctx {
    /// The registry's database.
    pub db: Db,
    /// The registry's objects; `None` when no storage is configured.
    pub storage: Option<Storage>,
    /// What fences deletes of objects against writers.
    pub locks: Locking,
    /// Takes further jobs; `None` at the shell without Redis.
    pub client: Option<Client>,
    /// What the configuration decides.
    pub settings: Arc<Settings>,
    /// Shut while the schema is unchecked or unknown: jobs that delete refuse.
    pub gate: Gate,
    /// Slows batches down while others suffer from them; one for the whole process.
    pub pace: Pace,
    /// Cancelled when this attempt must stop.
    pub stop: CancellationToken,
    /// How this run was asked for.
    pub options: Options,
    /// Batches that run side by side in a `--all` run. At least 1.
    pub concurrency: usize,
}

impl Ctx {
    /// Returns the way to enqueue jobs that must not be lost with Redis.
    #[must_use]
    pub fn outbox(&self) -> Outbox {
        Outbox::new(self.db.clone(), self.client.clone())
    }
}

/// Says what fences the delete of an object against a writer of the same digest.
#[derive(Clone)]
pub enum Locking {
    /// Quay's own lock in Redis: the only fence a live Quay knows.
    Redis(Locks),
    /// No Redis is configured: a lock in the database, known to our own writers only.
    Standalone,
}

/// Says how a run was asked for. The daemon uses the default.
#[derive(Clone, Default)]
pub struct Options {
    /// An operator asked for this very run at the shell.
    pub by_hand: bool,
    /// Change nothing, print what would go.
    pub preview: Option<Preview>,
    /// Milliseconds since the Unix epoch instead of the database's clock.
    pub as_of_ms: Option<i64>,
    /// Takes a line for each object that was removed.
    pub audit: Option<Audit>,
    /// Is told how far the run is.
    pub progress: Progress,
    /// Lets tests pause `blob_gc` and take a guard away; does nothing in a release.
    pub switches: crate::blob_gc::Switches,
}

/// Takes the counts of a run while it runs.
#[derive(Clone, Default)]
pub struct Progress(Option<Arc<ShowStep>>);

type ShowStep = dyn Fn(&Step<'_>) + Send + Sync;

/// How far a run is.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// What was done so far.
    pub done: &'a Done,
    /// How much of `total` that is.
    pub handled: u64,
    /// How much there was at the start; 0 when nobody counted.
    pub total: u64,
}

/// In words, for whoever asks about a job that runs.
impl fmt::Display for Step<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.handled, self.total) {
            (_, 0) => write!(f, "{}", self.done),
            (handled, total) => write!(f, "{handled} of {total}: {}", self.done),
        }
    }
}

impl Progress {
    /// Calls `show` after every batch.
    pub fn new(show: impl Fn(&Step<'_>) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(show)))
    }

    /// Tells how far the run is.
    pub fn report(&self, step: &Step<'_>) {
        if let Some(show) = &self.0 {
            show(step);
        }
    }
}

/// Takes what a dry run would remove or write, one line each.
#[derive(Clone)]
pub struct Preview(Arc<dyn Fn(&Doomed<'_>) + Send + Sync>);

/// One thing a dry run would remove or write.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(untagged)]
pub enum Doomed<'a> {
    /// A row of a table.
    Row {
        /// The table.
        table: &'a str,
        /// The row's id.
        id: i64,
    },
    /// An object in storage.
    Object {
        /// Name of the storage location.
        location: &'a str,
        /// Path of the object below the location's root.
        path: &'a str,
    },
    /// A multipart upload, which would be aborted; no object goes with it.
    MultipartUpload {
        /// Name of the storage location.
        location: &'a str,
        /// Path of the object it would have become.
        #[serde(rename = "multipart_upload")]
        path: &'a str,
    },
    /// A computed role, which would be written or removed.
    Role {
        /// The table.
        table: &'a str,
        /// Whose role it is.
        user_id: i64,
        /// The repository or namespace it holds in; the table says which.
        place_id: i64,
        /// The role that is written; `None` when there is none.
        before: Option<&'a str>,
        /// The role by the grants; `None` when there is none.
        after: Option<&'a str>,
    },
}

impl Preview {
    /// Calls `show` for everything a dry run would remove or write.
    pub fn new(show: impl Fn(&Doomed<'_>) + Send + Sync + 'static) -> Self {
        Self(Arc::new(show))
    }

    /// Reports one thing that would go or be written.
    pub fn show(&self, doomed: &Doomed<'_>) {
        (self.0)(doomed);
    }
}

/// Writes a JSON line for each object removed from storage.
#[derive(Clone)]
pub struct Audit(Arc<Mutex<dyn Write + Send>>);

#[derive(Serialize)]
struct AuditLine<'a> {
    location: &'a str,
    path: &'a str,
    digest: &'a str,
}

impl Audit {
    /// Appends to `sink`, flushing after every batch of lines.
    pub fn new(sink: impl Write + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(sink)))
    }

    /// Writes one line an object `(location, path, digest)`.
    ///
    /// # Errors
    ///
    /// What the sink says; the objects are gone already, so the caller must stop.
    pub fn removed<'a>(
        &self,
        objects: impl IntoIterator<Item = (&'a str, &'a str, &'a str)>,
    ) -> io::Result<()> {
        let mut sink = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (location, path, digest) in objects {
            let line = AuditLine {
                location,
                path,
                digest,
            };
            serde_json::to_writer(&mut *sink, &line)?;
            sink.write_all(b"\n")?;
        }
        sink.flush()
    }
}
