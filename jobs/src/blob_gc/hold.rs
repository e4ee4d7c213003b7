//! The time in which some digests are ours: what is asked and sent in it.
//!
//! Nothing is sent before the primary has said, after the locks were taken, which digests
//! have a row, and nothing when too little of the time is left. With locks in Redis, Redis
//! itself is asked last of all whether they are still ours: when it stops or forgets, who
//! creates a blob goes on without a lock at once.
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use quayhand_model::{
    DbError,
    tombstone::{self, Tombstone},
};
use quayhand_queue::{JobError, Locks, QueueError};
use quayhand_storage::{Deleted, Storage};

use super::{
    Guard, Switches,
    outcome::{Outcome, checksum, checksums},
};
use crate::Ctx;

/// With less than this left of the hold, nothing more is sent.
const LEAST_TIME_LEFT: Duration = Duration::from_millis(250);
/// How long locks are tried to be released; after that they end by themselves.
const RELEASE_PATIENCE: Duration = Duration::from_secs(1);
/// When Redis is out of reach, how long until the next try.
const AGAIN_IN: Duration = Duration::from_mins(1);

/// What removing some objects needs, and how many it may remove.
pub(super) struct Hold<'a> {
    pub(super) ctx: &'a Ctx,
    pub(super) storage: &'a Storage,
    pub(super) room: u64,
}

/// Digests that are ours until a time.
struct Ours {
    tombstones: Vec<Tombstone>,
    until: Instant,
    present: BTreeSet<String>,
}

impl Hold<'_> {
    /// Removes what it can under Quay's own lock of each digest.
    ///
    /// # Errors
    ///
    /// [`JobError::Unavailable`] when Redis fails, [`JobError::Retry`] when the database
    /// does: nothing was sent.
    pub(super) async fn under_redis(
        &self,
        locks: &Locks,
        tombstones: Vec<Tombstone>,
    ) -> Result<Outcome, JobError> {
        let names: BTreeSet<_> = tombstones.iter().map(lock_name).collect();
        let names: Vec<_> = names.into_iter().collect();
        let until = self.until();
        let held = if self.switches().has(Guard::DigestLock) {
            let ttl = self.ctx.settings.blob_lock_ttl;
            let taking = locks.try_acquire_many(&names, ttl);
            taking.await.map_err(unavailable)?
        } else {
            Vec::new()
        };
        self.switches().pause("locked").await;
        let outcome = self.ask_and_send(locks, &held, tombstones, until).await;
        let releasing = locks.release_many(held);
        match tokio::time::timeout(RELEASE_PATIENCE, releasing).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, "locks were not released; they end by themselves");
            }
            Err(_) => tracing::warn!("locks were not released in time; they end by themselves"),
        }
        outcome
    }

    /// Asks the primary which digests have a row again and Redis which locks are still
    /// ours, and removes the others' objects.
    async fn ask_and_send(
        &self,
        locks: &Locks,
        held: &[quayhand_queue::Hold],
        mut tombstones: Vec<Tombstone>,
        until: Instant,
    ) -> Result<Outcome, JobError> {
        let all = tombstones.len();
        self.keep_held(&mut tombstones, held.iter());
        let present = self.present(&tombstones).await?;
        self.switches().pause("asked").await;
        if self.switches().has(Guard::LocksAgain) {
            let confirmed = locks.confirm_many(held).await.map_err(unavailable)?;
            self.keep_held(&mut tombstones, confirmed.into_iter());
        }
        let busy = all - tombstones.len();
        let ours = Ours {
            tombstones,
            until,
            present,
        };
        Ok(self.send(ours, busy).await)
    }

    /// Keeps the tombstones whose lock is among those held.
    fn keep_held<'h>(
        &self,
        tombstones: &mut Vec<Tombstone>,
        held: impl Iterator<Item = &'h quayhand_queue::Hold>,
    ) {
        if self.switches().has(Guard::DigestLock) {
            let names: BTreeSet<_> = held.map(quayhand_queue::Hold::name).collect();
            tombstones.retain(|tombstone| names.contains(lock_name(tombstone).as_str()));
        }
    }

    async fn present(&self, tombstones: &[Tombstone]) -> Result<BTreeSet<String>, DbError> {
        if !self.switches().has(Guard::RowsAgain) {
            return Ok(BTreeSet::new());
        }
        let checksums = checksums(tombstones);
        let checksums: Vec<_> = checksums.iter().map(String::as_str).collect();
        let db = &self.ctx.db;
        db.scope(async |conn| tombstone::present(conn, &checksums).await)
            .await
    }

    /// Removes what it can under a lock in the database of each digest. The one place where
    /// storage is called inside a transaction: the lock lives no longer than that.
    ///
    /// Returns what was done even when the transaction then cannot be ended.
    pub(super) async fn under_database(
        &self,
        tombstones: Vec<Tombstone>,
    ) -> (Option<Outcome>, Result<(), DbError>) {
        let mut outcome = None;
        let until = self.until();
        let checksums = checksums(&tombstones);
        let checksums: Vec<_> = checksums.iter().map(String::as_str).collect();
        let ended = self
            .ctx
            .db
            .transaction(async |tx| {
                let fence = self.switches().has(Guard::Fence);
                let got = if fence {
                    tombstone::fence(tx, &checksums).await?
                } else {
                    checksums.iter().map(|&name| name.to_owned()).collect()
                };
                let present = tombstone::present(tx, &checksums).await?;
                let free = tombstones.iter().filter(|t| got.contains(&checksum(t)));
                let free: Vec<_> = free.cloned().collect();
                let busy = tombstones.len() - free.len();
                let ours = Ours {
                    tombstones: free,
                    until,
                    present,
                };
                outcome = Some(self.send(ours, busy).await);
                Ok::<_, DbError>(())
            })
            .await;
        (outcome, ended)
    }

    /// Returns when a hold that begins now is over.
    fn until(&self) -> Instant {
        if !self.switches().has(Guard::HoldEnd) {
            return Instant::now() + Duration::from_hours(1);
        }
        Instant::now() + self.ctx.settings.blob_hold
    }

    fn switches(&self) -> &Switches {
        &self.ctx.options.switches
    }

    /// Sends the deletes, location by location, none after the hold's end.
    async fn send(&self, ours: Ours, busy: usize) -> Outcome {
        let mut outcome = Outcome {
            busy: busy as u64,
            ..Outcome::default()
        };
        let locations = outcome.sort(&ours.tombstones, &ours.present, self.room);
        for (location, objects) in locations {
            if Instant::now() + LEAST_TIME_LEFT > ours.until {
                let why = "the time under the lock ran out";
                outcome.left.insert(why.to_owned());
                break;
            }
            self.switches().pause("sending").await;
            let paths: Vec<_> = objects.keys().copied().collect();
            let deleting = self.storage.delete(&location, &paths, ours.until.into());
            match deleting.await {
                Ok(answers) => {
                    for ((path, doom), mut answer) in objects.into_iter().zip(answers) {
                        if !self.switches().has(Guard::Confirmed) {
                            answer = Deleted::NotFound;
                        }
                        outcome.note(&location, path, doom, answer);
                    }
                }
                Err(error) => drop(outcome.left.insert(JobError::from(error).to_string())),
            }
        }
        self.switches().pause("sent").await;
        outcome
    }
}

/// Names the lock that Quay's own writers hold while they create the digest's row.
fn lock_name(tombstone: &Tombstone) -> String {
    format!("BLOB_DELETE_{}", checksum(tombstone))
}

fn unavailable(error: QueueError) -> JobError {
    JobError::Unavailable {
        source: error.into(),
        again_in: AGAIN_IN,
    }
}
