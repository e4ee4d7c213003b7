//! Removes from storage the objects whose last database row is gone.
//!
//! `tag_expiry` leaves a tombstone for each such object. Once a tombstone is old enough
//! (one hour) this job removes the object and then the tombstone. Only what storage
//! confirmed loses its tombstone; an unknown outcome keeps it for the next run. An object
//! whose digest has a row again is kept, and its tombstone dropped.
//!
//! Against a registry that is being pushed to, the delete happens inside Quay's own lock
//! `lock:BLOB_DELETE_<digest>`, after asking the primary once more that no row has the
//! digest, and has ended two seconds after the lock was asked for. Running it twice, or on
//! two hosts at once, is safe: a locked digest is passed by, and a missing object is done.
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use model::tombstone::{self, Tombstone};
use quayhand_storage::{Deleted, Digest, LegacyUuid, ObjectPath, Storage};

use crate::{Doomed, Locking, Step, prelude::*};

/// Digests that are locked, asked for and removed together.
const DIGESTS_PER_HOLD: u32 = 250;
/// With less than this left of the hold, nothing more is sent.
const LEAST_TIME_LEFT: Duration = Duration::from_millis(250);
/// When Redis is out of reach, how long until the next try.
const AGAIN_IN: Duration = Duration::from_mins(1);

/// Counts tombstones whose digest another process holds.
const BUSY: &str = "locked elsewhere";

/// See the [module](self).
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlobGc {}

impl Job<Ctx> for BlobGc {
    const KIND: &'static str = "blob_gc";
    const ABOUT: &'static str = "Removes objects from storage whose last database row is gone";
    const QUEUE: Queue = queues::GC;
    const SOURCE: Source = Source::Derivable;
    const POLICY: Policy = Policy::DEFAULT
        .timeout(Duration::from_mins(10))
        .unique_for(Duration::from_hours(1));
    const SCHEDULE: Option<Schedule> = Some(Schedule::Every(Duration::from_mins(1)));

    async fn run(&self, ctx: &Ctx) -> Result<Done, JobError> {
        check_standalone(ctx).await?;
        let mut removal = Removal::new(ctx, ctx.settings.tombstone_grace)?;
        removal.run().await?;
        removal.into_result()
    }

    fn scheduled() -> Option<Self> {
        Some(Self {})
    }

    fn all(ctx: &Ctx) -> Option<BoxFuture<'_, Result<Done, JobError>>> {
        Some(Box::pin(async {
            let mut removal = Removal::new(ctx, Duration::ZERO)?;
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
                     USER_EVENTS_REDIS as `redis.locks`, or set `gc.standalone = true` when no \
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
    older_than: Duration,
    done: Done,
    left: BTreeSet<String>,
}

/// Everything that lies at one path.
struct Doom {
    ids: Vec<i64>,
    digest: Digest,
}

/// The objects of every location, by path.
type Locations = BTreeMap<String, BTreeMap<ObjectPath, Doom>>;

/// What one hold is to remove: everything of some digests.
struct Hold {
    tombstones: Vec<Tombstone>,
    started: Instant,
}

impl<'a> Removal<'a> {
    fn new(ctx: &'a Ctx, older_than: Duration) -> Result<Self, JobError> {
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
            older_than,
            done: Done::default(),
            left: BTreeSet::new(),
        })
    }

    async fn run(&mut self) -> Result<(), JobError> {
        let mut after = 0;
        while !self.ctx.stop.is_cancelled() && !self.is_full() {
            let (db, older_than) = (&self.ctx.db, self.older_than);
            let tombstones: Vec<_> = db
                .scope(async |conn| {
                    tombstone::take(conn, after, older_than, DIGESTS_PER_HOLD).await
                })
                .await?;
            let Some(last) = tombstones.last() else { break };
            after = last.id;
            self.remove(tombstones).await?;
            self.ctx.options.progress.report(&Step {
                done: &self.done,
                handled: self.done.of("objects"),
                total: 0,
            });
        }
        let stuck = self.ctx.db.scope(tombstone::count_stuck).await?;
        if stuck > 0 {
            tracing::warn!(stuck, "tombstones without a usable digest or location keep their objects");
        }
        Ok(())
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
        self.done.of("objects") >= self.ctx.settings.max_objects_per_run
    }

    async fn remove(&mut self, tombstones: Vec<Tombstone>) -> Result<(), JobError> {
        if self.ctx.options.preview.is_some() {
            return self.preview(&tombstones).await;
        }
        match self.ctx.locks.clone() {
            Locking::Redis(locks) => self.remove_under_redis(&locks, tombstones).await,
            Locking::Standalone => self.remove_under_database(tombstones).await,
        }
    }

    /// Holds Quay's own lock of each digest. Whatever it could not get is left for the
    /// next run.
    async fn remove_under_redis(
        &mut self,
        locks: &quayhand_queue::Locks,
        tombstones: Vec<Tombstone>,
    ) -> Result<(), JobError> {
        let names: BTreeSet<_> = tombstones.iter().map(lock_name).collect();
        let names: Vec<_> = names.into_iter().collect();
        let started = Instant::now();
        let held = locks
            .try_acquire_many(&names, self.ctx.settings.blob_lock_ttl)
            .await
            .map_err(|error| JobError::Unavailable {
                source: error.into(),
                again_in: AGAIN_IN,
            })?;
        let got: BTreeSet<_> = held.iter().map(|hold| hold.name().to_owned()).collect();
        let (free, busy): (Vec<_>, Vec<_>) = tombstones
            .into_iter()
            .partition(|tombstone| got.contains(&lock_name(tombstone)));
        self.done.add(BUSY, busy.len() as u64);
        let hold = Hold {
            tombstones: free,
            started,
        };
        let outcome = self.ask_and_send(&hold).await;
        if let Err(error) = locks.release_many(held).await {
            tracing::warn!(%error, "locks were not released; they end by themselves");
        }
        self.settle(outcome?).await
    }

    /// Asks the primary which digests have a row again, and removes the others' objects.
    async fn ask_and_send(&self, hold: &Hold) -> Result<Outcome, model::DbError> {
        let checksums = checksums(&hold.tombstones);
        let checksums: Vec<_> = checksums.iter().map(String::as_str).collect();
        let db = &self.ctx.db;
        let present = db
            .scope(async |conn| tombstone::present(conn, &checksums).await)
            .await?;
        Ok(self.send(hold, &present).await)
    }

    /// Holds a lock in the database of each digest. The one place where storage is called
    /// inside a transaction: the lock lives no longer than that.
    async fn remove_under_database(&mut self, tombstones: Vec<Tombstone>) -> Result<(), JobError> {
        let db = self.ctx.db.clone();
        let started = Instant::now();
        let outcome = db
            .transaction(async |tx| {
                let checksums = checksums(&tombstones);
                let checksums: Vec<_> = checksums.iter().map(String::as_str).collect();
                let got = tombstone::fence(tx, &checksums).await?;
                let present = tombstone::present(tx, &checksums).await?;
                let free = tombstones.iter().filter(|t| got.contains(&checksum(t)));
                let hold = Hold {
                    tombstones: free.cloned().collect(),
                    started,
                };
                Ok::<_, model::DbError>(self.send(&hold, &present).await)
            })
            .await?;
        self.settle(outcome).await
    }

    /// Sends the deletes of one hold, location by location, none after the hold's end.
    /// Returns the tombstones that may go.
    async fn send(&self, hold: &Hold, present: &BTreeSet<String>) -> Outcome {
        let mut outcome = Outcome::default();
        let deadline = hold.started + self.ctx.settings.blob_hold;
        for (location, objects) in self.by_location(hold, present, &mut outcome) {
            if Instant::now() + LEAST_TIME_LEFT > deadline {
                outcome.left.insert("the time under the lock ran out".to_owned());
                break;
            }
            let paths: Vec<_> = objects.keys().copied().collect();
            match self.storage.delete(&location, &paths, deadline.into()).await {
                Ok(answers) => {
                    for ((path, doom), answer) in objects.into_iter().zip(answers) {
                        outcome.note(&location, path, doom, answer);
                    }
                }
                Err(error) => drop(outcome.left.insert(error.to_string())),
            }
        }
        outcome
    }

    /// Sorts a hold's tombstones by location and path. Those whose digest has a row again
    /// go without their object; those whose path cannot be told keep both.
    fn by_location(
        &self,
        hold: &Hold,
        present: &BTreeSet<String>,
        outcome: &mut Outcome,
    ) -> Locations {
        let most = self.ctx.settings.max_objects_per_run;
        let room = most.saturating_sub(self.done.of("objects"));
        let mut locations = Locations::new();
        for (nth, tombstone) in (0..).zip(&hold.tombstones) {
            if present.contains(&checksum(tombstone)) {
                outcome.in_use.push(tombstone.id);
            } else if nth >= room {
                outcome.left.insert("the cap on objects per run was reached".to_owned());
            } else if let Some(path) = path(tombstone) {
                let paths = locations.entry(tombstone.location.clone()).or_default();
                let digest = Digest::from_bytes(tombstone.digest);
                let ids = Vec::new();
                let doom = paths.entry(path).or_insert(Doom { ids, digest });
                doom.ids.push(tombstone.id);
            } else {
                outcome.left.insert(format!(
                    "tombstone {}: its uuid is none, so its path is unknown",
                    tombstone.id
                ));
            }
        }
        locations
    }

    /// Writes the audit, then drops the tombstones: a crash in between audits twice at
    /// worst, never not at all.
    async fn settle(&mut self, outcome: Outcome) -> Result<(), JobError> {
        if let Some(audit) = &self.ctx.options.audit {
            let lines = outcome.removed.iter();
            audit.removed(lines.map(|o| (o.location.as_str(), o.path.as_str(), o.digest.as_str())))?;
        }
        let ids: Vec<_> = outcome.gone.iter().chain(&outcome.in_use).copied().collect();
        if !ids.is_empty() {
            let db = &self.ctx.db;
            db.scope(async |conn| tombstone::remove(conn, &ids).await)
                .await?;
        }
        self.done.add("objects", outcome.removed.len() as u64);
        self.done.add("already gone", outcome.missing);
        self.done.add("in use again", outcome.in_use.len() as u64);
        self.left.extend(outcome.left);
        Ok(())
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
        for tombstone in tombstones.iter().filter(|t| !present.contains(&checksum(t))) {
            let Some(path) = path(tombstone) else { continue };
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

/// What became of one hold.
#[derive(Default)]
struct Outcome {
    removed: Vec<Removed>,
    missing: u64,
    gone: Vec<i64>,
    in_use: Vec<i64>,
    left: BTreeSet<String>,
}

struct Removed {
    location: String,
    path: String,
    digest: String,
}

impl Outcome {
    fn note(&mut self, location: &str, path: ObjectPath, doom: Doom, answer: Deleted) {
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
}

fn checksum(tombstone: &Tombstone) -> String {
    Digest::from_bytes(tombstone.digest).to_string()
}

fn checksums(tombstones: &[Tombstone]) -> BTreeSet<String> {
    tombstones.iter().map(checksum).collect()
}

/// Names the lock that Quay's own writers hold while they create the digest's row.
fn lock_name(tombstone: &Tombstone) -> String {
    format!("BLOB_DELETE_{}", checksum(tombstone))
}

fn path(tombstone: &Tombstone) -> Option<ObjectPath> {
    let Some(uuid) = &tombstone.legacy_uuid else {
        return Some(ObjectPath::cas(&Digest::from_bytes(tombstone.digest)));
    };
    let uuid: LegacyUuid = uuid.parse().ok()?;
    Some(ObjectPath::legacy(&uuid))
}
