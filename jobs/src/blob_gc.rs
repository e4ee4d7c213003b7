//! Removes from storage the objects whose last database row is gone.
//!
//! `tag_expiry` leaves a tombstone for each such object. Once a tombstone is old enough
//! (one hour) this job removes the object and then the tombstone. Only what storage
//! confirmed loses its tombstone; an unknown outcome keeps it for the next run. An object
//! whose digest has a row again is kept, and its tombstone dropped.
//!
//! Against a registry that is being pushed to, the delete happens inside Quay's own lock
//! `lock:BLOB_DELETE_<digest>`, after asking the primary once more that no row has the
//! digest and Redis that the lock is still ours, and has ended two seconds after the lock
//! was asked for. Running it twice, or on two hosts at once, is safe: a locked digest is
//! passed by, and a missing object is done.
//!
//! One gap no lock closes: Quay looks for an object before it takes that lock. So each run first
//! looks back at what was removed within a day; a digest that has a row again, and no object, is
//! reported as `missing` until either comes or goes. Nothing is deleted for it.
mod hold;
mod look_back;
mod outcome;
mod switches;

use std::collections::BTreeSet;

use model::{
    removed::Due,
    tombstone::{self, Age, Tombstone},
};
use quayhand_storage::Storage;
pub use switches::{Guard, Switches};

use self::{
    hold::Hold,
    outcome::{Outcome, Removed, checksum, checksums, path},
};
use crate::{Doomed, Locking, Step, prelude::*};

/// Digests that are locked, asked for and removed together.
const DIGESTS_PER_HOLD: u32 = 250;

/// Counts tombstones whose digest another process holds.
const BUSY: &str = "locked elsewhere";
/// Counts objects that were removed and have a row again.
const MISSING: &str = "missing";

/// See the [module](self).
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlobGc {}

impl Job<Ctx> for BlobGc {
    const KIND: &'static str = "blob_gc";
    const ABOUT: &'static str = "Removes objects from storage whose last database row is gone";
    const QUEUE: Queue = queues::GC;
    const SOURCE: Source = Source::Derivable;
    const POLICY: Policy = USUAL
        .timeout(Duration::from_mins(10))
        .unique_for(Duration::from_hours(1));
    const SCHEDULE: Option<Schedule> = Some(Schedule::Every(Duration::from_mins(1)));

    async fn run(&self, ctx: &Ctx) -> Result<Done, JobError> {
        check_standalone(ctx).await?;
        let age = if ctx.options.switches.has(Guard::Grace) {
            Age::AtLeast {
                grace: ctx.settings.tombstone_grace,
                as_of_ms: ctx.options.as_of_ms,
            }
        } else {
            Age::Any
        };
        let mut removal = Removal::new(ctx, age)?;
        removal.look_back(Due::Now).await?;
        removal.run().await?;
        removal.into_result()
    }

    fn scheduled() -> Option<Self> {
        Some(Self {})
    }

    fn all(ctx: &Ctx) -> Option<BoxFuture<'_, Result<Done, JobError>>> {
        Some(Box::pin(async {
            let mut removal = Removal::new(ctx, Age::Any)?;
            removal.look_back(Due::All).await?;
            removal.run().await?;
            let busy = removal.done.of(BUSY);
            if busy > 0 {
                let left = format!("{busy} objects whose digest another process holds");
                removal.left.insert(left);
            }
            removal.into_result()
        }))
    }
}

/// Refuses to run without Quay's lock on a database that Quay made, unless an operator asks
/// for it: a live registry knows no other fence.
async fn check_standalone(ctx: &Ctx) -> Result<(), JobError> {
    let Locking::Standalone = ctx.locks else {
        return Ok(());
    };
    if ctx.options.by_hand || ctx.settings.standalone {
        return Ok(());
    }
    let kind = ctx.db.scope(model::drift::kind_of_database).await?;
    if matches!(kind, model::drift::Kind::Quay { .. }) {
        return Err(JobError::Refused {
            reason: "this database is Quay's, and no locks Redis is configured: name Quay's \
                     USER_EVENTS_REDIS as `redis.locks_url`, or set `gc.standalone = true` when no \
                     Quay writes to it"
                .to_owned(),
        });
    }
    Ok(())
}

/// One run over the tombstones.
struct Removal<'a> {
    ctx: &'a Ctx,
    storage: &'a Storage,
    age: Age,
    done: Done,
    left: BTreeSet<String>,
}

impl<'a> Removal<'a> {
    fn new(ctx: &'a Ctx, age: Age) -> Result<Self, JobError> {
        ctx.settings.check_may_delete()?;
        ctx.gate.check()?;
        let storage = ctx.storage.as_ref().ok_or_else(|| JobError::Refused {
            reason: "no storage is configured: name the locations in `[storage]`, \
                     `QUAYHAND_STORAGE` or Quay's DISTRIBUTED_STORAGE_CONFIG"
                .to_owned(),
        })?;
        if matches!(ctx.locks, Locking::Standalone) {
            tracing::warn!(
                "no locks Redis is configured: running stand-alone, with locks in the database \
                 that a registry of another make does not know"
            );
        }
        Ok(Self {
            ctx,
            storage,
            age,
            done: Done::default(),
            left: BTreeSet::new(),
        })
    }

    /// Reports what was removed and is missed. A dry run, which changes nothing, does not.
    async fn look_back(&mut self, due: Due) -> Result<(), JobError> {
        if self.ctx.options.preview.is_some() {
            return Ok(());
        }
        let found = look_back::look_back(self.ctx, self.storage, due).await?;
        self.done.add(MISSING, found.missing);
        self.left.extend(found.left);
        Ok(())
    }

    async fn run(&mut self) -> Result<(), JobError> {
        let mut after = 0;
        while !self.is_full() {
            if self.ctx.stop.is_cancelled() {
                self.note_stop();
                break;
            }
            let (db, age) = (&self.ctx.db, self.age);
            let tombstones = db
                .scope(async |conn| tombstone::take(conn, after, age, DIGESTS_PER_HOLD).await)
                .await?;
            let Some(last) = tombstones.last() else { break };
            after = last.id;
            self.ctx.options.switches.pause("taken").await;
            self.remove(tombstones).await?;
            self.ctx.options.progress.report(&Step {
                done: &self.done,
                handled: self.done.of("objects"),
                total: 0,
            });
        }
        let stuck = self.ctx.db.scope(tombstone::count_stuck).await?;
        if stuck > 0 {
            tracing::warn!(
                stuck,
                "tombstones without a usable digest, uuid or location keep their objects"
            );
        }
        Ok(())
    }

    /// Tells an operator that there may be more; the daemon's next run finds it anyway.
    fn note_stop(&mut self) {
        if self.ctx.options.by_hand {
            let stopped = "stopped before the end; what was done stays done";
            self.left.insert(stopped.to_owned());
        }
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

    fn is_full(&self) -> bool {
        self.room() == 0
    }

    /// Returns how many objects this run may still remove.
    fn room(&self) -> u64 {
        let most = self.ctx.settings.max_objects_per_run;
        most.saturating_sub(self.done.of("objects"))
    }

    async fn remove(&mut self, tombstones: Vec<Tombstone>) -> Result<(), JobError> {
        if self.ctx.options.preview.is_some() {
            return self.preview(&tombstones).await;
        }
        let hold = Hold {
            ctx: self.ctx,
            storage: self.storage,
            room: self.room(),
        };
        match &self.ctx.locks {
            Locking::Redis(locks) => {
                let outcome = hold.under_redis(locks, tombstones).await?;
                self.settle(outcome).await
            }
            Locking::Standalone => {
                let (outcome, ended) = hold.under_database(tombstones).await;
                if let Some(outcome) = outcome {
                    self.settle(outcome).await?;
                }
                Ok(ended?)
            }
        }
    }

    /// Writes the audit, then drops the tombstones for notes to look back at: a crash in between leaves tombstones of
    /// objects that are gone, and the next run finds those done.
    async fn settle(&mut self, outcome: Outcome) -> Result<(), JobError> {
        self.audit(&outcome.removed)?;
        let ids: Vec<_> = outcome
            .gone
            .iter()
            .chain(&outcome.in_use)
            .copied()
            .collect();
        if !ids.is_empty() {
            let db = &self.ctx.db;
            db.scope(async |conn| tombstone::remove(conn, &ids).await)
                .await?;
        }
        self.done.add("objects", outcome.removed.len() as u64);
        self.done.add("already gone", outcome.missing);
        self.done.add("in use again", outcome.in_use.len() as u64);
        self.done.add(BUSY, outcome.busy);
        self.left.extend(outcome.left);
        Ok(())
    }

    /// Writes a line for each removed object. What cannot be written there goes to the log,
    /// so that it is written down somewhere.
    fn audit(&self, removed: &[Removed]) -> Result<(), JobError> {
        let Some(audit) = &self.ctx.options.audit else {
            return Ok(());
        };
        let lines = removed.iter();
        let written =
            audit.removed(lines.map(|o| (o.location.as_str(), o.path.as_str(), o.digest.as_str())));
        written.map_err(|error| {
            for Removed { location, path, .. } in removed {
                tracing::error!(location, path, "removed, and perhaps not in the audit");
            }
            let problem =
                format!("the audit cannot be written, so nothing more is removed: {error}");
            std::io::Error::new(error.kind(), problem).into()
        })
    }

    /// Shows what would be removed now, and changes nothing.
    async fn preview(&mut self, tombstones: &[Tombstone]) -> Result<(), JobError> {
        let names = checksums(tombstones);
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let db = &self.ctx.db;
        let present = db
            .scope(async |conn| tombstone::present(conn, &names).await)
            .await?;
        let mut shown = BTreeSet::new();
        for tombstone in tombstones
            .iter()
            .filter(|t| !present.contains(&checksum(t)))
        {
            let Some(path) = path(tombstone) else {
                continue;
            };
            if !shown.insert((&tombstone.location, path)) {
                continue;
            }
            if !self.storage.exists(&tombstone.location, &path).await? {
                continue;
            }
            if let Some(preview) = &self.ctx.options.preview {
                let (location, path) = (tombstone.location.as_str(), &path.to_string());
                preview.show(&Doomed::Object { location, path });
            }
            self.done.add("objects", 1);
        }
        Ok(())
    }
}
