//! Drives the batch engine: how large a batch is, how many run side by side, and what
//! happens when one fails. The daemon's jobs and a run over everything share it.
use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use futures::{StreamExt, stream};
use quayhand_model::{
    DbError,
    gc::{self, Candidate, Collected, Quota, Rules, Work},
};
pub(crate) use quayhand_queue::chain;
use quayhand_queue::{Done, JobError};

use crate::{Ctx, Step};

/// A batch aims at this much time in its transaction.
const TARGET: Duration = Duration::from_millis(100);
/// Tags a batch adapts between.
const FEWEST_TAGS: u32 = 300;
const MOST_TAGS: u32 = 1_000;
/// Tries of one batch that conflicts with other writers, each half as large.
const TRIES: u32 = 6;
/// How long a run over everything waits for repositories that others hold.
const PATIENCE: Duration = Duration::from_secs(30);
/// Candidates a run over everything looks at in one pass.
const PASS: u32 = 100_000;

/// Collects the garbage of lists of repositories.
pub(crate) struct Collector<'a> {
    ctx: &'a Ctx,
    rules: Rules,
    tags_per_batch: AtomicU32,
}

/// Says what a list came to: what was done, and the repositories that cannot be collected.
#[derive(Default)]
pub(crate) struct Report {
    pub(crate) done: Done,
    pub(crate) broken: Vec<(i64, String)>,
}

impl Report {
    fn merge(&mut self, other: Self) {
        self.done += other.done;
        self.broken.extend(other.broken);
    }

    /// Succeeds when nothing was left.
    pub(crate) fn into_result(self, mut left: Vec<String>) -> Result<Done, JobError> {
        for (repository_id, reason) in self.broken {
            left.push(format!("repository {repository_id}: {reason}"));
        }
        if left.is_empty() {
            return Ok(self.done);
        }
        Err(JobError::Partial {
            done: self.done,
            left,
        })
    }
}

impl<'a> Collector<'a> {
    /// Starts a collector, if content may be deleted now.
    ///
    /// # Errors
    ///
    /// [`JobError::Refused`] that names what forbids it.
    pub(crate) fn new(ctx: &'a Ctx) -> Result<Self, JobError> {
        check(ctx)?;
        Ok(Self {
            ctx,
            rules: rules(ctx),
            tags_per_batch: AtomicU32::new(ctx.settings.batch_tags.max(1)),
        })
    }

    /// Collects one list until nothing is left, halving it around a repository that fails
    /// until that one stands alone and all others are done.
    ///
    /// # Errors
    ///
    /// Only when the database is out of reach; a broken repository is in the report.
    pub(crate) async fn collect(&self, repositories: &[i64]) -> Result<Report, DbError> {
        let mut report = Report::default();
        let mut lists = vec![repositories.to_vec()];
        while let Some(list) = lists.pop() {
            match self.exhaust(&list, &mut report.done).await {
                Ok(()) => {}
                Err(error) if is_outage(&error) => return Err(error),
                Err(error) if list.len() == 1 => report.broken.push((list[0], chain(&error))),
                Err(_) => {
                    let (front, back) = list.split_at(list.len() / 2);
                    lists.push(back.to_vec());
                    lists.push(front.to_vec());
                }
            }
        }
        Ok(report)
    }

    /// Looks again at everything due that a pusher held.
    ///
    /// # Errors
    ///
    /// Any [`DbError`].
    pub(crate) async fn settle_rechecks(&self) -> Result<Done, DbError> {
        let mut done = Done::default();
        while !self.ctx.stop.is_cancelled() {
            let (db, rules) = (&self.ctx.db, &self.rules);
            let batch = db
                .transaction(async |tx| gc::settle_rechecks(tx, FEWEST_TAGS, rules).await)
                .await?;
            count(&mut done, &batch);
            if !batch.more {
                break;
            }
        }
        Ok(done)
    }

    /// Collects everything there is, several lists side by side.
    ///
    /// # Errors
    ///
    /// [`JobError::Partial`] when repositories stayed locked for 30 s or cannot be
    /// collected; [`JobError::Retry`] when the database is out of reach.
    pub(crate) async fn drain(&self) -> Result<Done, JobError> {
        let mut report = Report::default();
        let mut total = 0;
        let mut idle_since: Option<Instant> = None;
        loop {
            let mut found = self.candidates(PASS).await?;
            found.retain(|c| !report.broken.iter().any(|(id, _)| *id == c.repository_id));
            let garbage: u64 = found.iter().map(|c| c.garbage).sum();
            total = total.max(garbage);
            let before = (report.done.of("batches"), report.broken.len());
            self.pass(&found, total, &mut report).await?;
            if found.is_empty() || self.ctx.stop.is_cancelled() {
                return report.into_result(self.stopped());
            }
            let since = *idle_since.get_or_insert_with(Instant::now);
            if before != (report.done.of("batches"), report.broken.len()) {
                idle_since = None;
            } else if since.elapsed() > PATIENCE {
                return report.into_result(found.iter().map(held).collect());
            } else {
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        }
    }

    /// Finds repositories with garbage; the connection is closed afterwards.
    ///
    /// # Errors
    ///
    /// Any [`DbError`].
    pub(crate) async fn candidates(&self, at_most: u32) -> Result<Vec<Candidate>, DbError> {
        let (db, rules) = (&self.ctx.db, &self.rules);
        db.scope(async |conn| gc::candidates(conn, rules, at_most).await)
            .await
    }

    /// Packs repositories into lists of about one batch each: many small ones together, a
    /// large one alone. Keeps their order.
    pub(crate) fn pack(&self, found: &[Candidate]) -> Vec<Vec<Candidate>> {
        let full = u64::from(self.tags_per_batch.load(Ordering::Relaxed));
        let mut lists: Vec<Vec<Candidate>> = Vec::new();
        let mut open: Vec<Candidate> = Vec::new();
        let mut garbage = 0;
        for candidate in found {
            if candidate.garbage >= full {
                lists.push(vec![*candidate]);
                continue;
            }
            if garbage + candidate.garbage > full {
                lists.push(std::mem::take(&mut open));
                garbage = 0;
            }
            garbage += candidate.garbage;
            open.push(*candidate);
        }
        if !open.is_empty() {
            lists.push(open);
        }
        lists
    }

    /// Collects every candidate once, and what is due of `quayhand_recheck`.
    async fn pass(
        &self,
        found: &[Candidate],
        total: u64,
        report: &mut Report,
    ) -> Result<(), DbError> {
        let lists = self.pack(found).into_iter().map(async |list| {
            let ids: Vec<_> = list.iter().map(|c| c.repository_id).collect();
            self.collect(&ids).await
        });
        let mut running = stream::iter(lists).buffer_unordered(self.ctx.concurrency.max(1));
        while let Some(finished) = running.next().await {
            report.merge(finished?);
            self.report(&report.done, total);
        }
        report.done += self.settle_rechecks().await?;
        Ok(())
    }

    /// Tells how far the run is.
    pub(crate) fn report(&self, done: &Done, total: u64) {
        self.ctx.options.progress.report(&Step {
            done,
            handled: done.of("tags") + done.of("uploads"),
            total,
        });
    }

    /// Collects one list, batch after batch, until a batch is not full.
    async fn exhaust(&self, list: &[i64], done: &mut Done) -> Result<(), DbError> {
        let mut carried = Vec::new();
        while !self.ctx.stop.is_cancelled() {
            let batch = self.attempt(list, &carried).await?;
            count(done, &batch);
            if !batch.more {
                break;
            }
            carried = batch.carried;
        }
        Ok(())
    }

    /// Runs one batch, again and smaller when it conflicts with other writers.
    async fn attempt(&self, list: &[i64], carried: &[i64]) -> Result<Collected, DbError> {
        let mut at_most = self.tags_per_batch.load(Ordering::Relaxed);
        let mut tries = 1;
        loop {
            let work = Work {
                repositories: list,
                carried,
                at_most,
            };
            let started = Instant::now();
            let (db, rules) = (&self.ctx.db, &self.rules);
            match db
                .transaction(async |tx| gc::collect_batch(tx, work, rules).await)
                .await
            {
                Ok(batch) => {
                    let took = started.elapsed();
                    let took_ms = took.as_millis();
                    tracing::debug!(batch.took_ms = took_ms, batch.tags = batch.tags, "batch");
                    self.adapt(&batch, took);
                    return Ok(batch);
                }
                Err(error) if error.is_contention() && tries < TRIES => {
                    tracing::debug!(tries, at_most, error = %chain(&error), "batch conflicts");
                    tokio::time::sleep(Duration::from_millis(20) * tries * tries).await;
                    tries += 1;
                    at_most = (at_most / 2).max(1);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Moves the size of the next batches towards [`TARGET`], from what a full batch would
    /// have taken at this one's rate. Small batches are all overhead and say nothing.
    fn adapt(&self, batch: &Collected, took: Duration) {
        let size = self.tags_per_batch.load(Ordering::Relaxed);
        let handled = u32::try_from(batch.tags + batch.uploads).unwrap_or(u32::MAX);
        if handled < FEWEST_TAGS / 3 {
            return;
        }
        let full = took.mul_f64(f64::from(size) / f64::from(handled));
        let next = if full > TARGET.mul_f64(1.25) {
            size - size / 5
        } else if full < TARGET.mul_f64(0.8) {
            size + size / 4
        } else {
            size
        };
        self.tags_per_batch
            .store(next.clamp(FEWEST_TAGS, MOST_TAGS), Ordering::Relaxed);
    }

    /// Says what a run that was told to stop leaves; nothing while it was not.
    pub(crate) fn stopped(&self) -> Vec<String> {
        if self.ctx.stop.is_cancelled() {
            vec!["stopped before the end; what was done stays done".to_owned()]
        } else {
            Vec::new()
        }
    }
}

/// Refuses when content must not be deleted now.
///
/// # Errors
///
/// [`JobError::Refused`] that names what forbids it.
pub(crate) fn check(ctx: &Ctx) -> Result<(), JobError> {
    ctx.settings.check_may_delete()?;
    ctx.gate.check()?;
    if ctx.settings.quota_management {
        return Err(JobError::Refused {
            reason: "FEATURE_QUOTA_MANAGEMENT is on, and collecting with it is not released \
                     yet: it would leave wrong totals behind"
                .to_owned(),
        });
    }
    Ok(())
}

/// Returns the rules of this run.
pub(crate) fn rules(ctx: &Ctx) -> Rules {
    let settings = &ctx.settings;
    Rules {
        immutable_stays: settings.immutable_tags && !settings.immutable_tags_can_expire,
        quota: if settings.quota_invalidate_totals {
            Quota::Reset
        } else {
            Quota::Keep
        },
        // Never zero: what is held still would be looked at again at once, for ever.
        recheck_after: settings.recheck_after.max(Duration::from_secs(1)),
        as_of_ms: ctx.options.as_of_ms,
        ..Rules::default()
    }
}

fn held(candidate: &Candidate) -> String {
    format!(
        "repository {}: another process holds it or its garbage",
        candidate.repository_id
    )
}

/// Adds what a batch came to.
pub(crate) fn count(done: &mut Done, batch: &Collected) {
    done.add("batches", u64::from(!batch.is_empty()));
    done.add("tags", batch.tags);
    done.add("uploads", batch.uploads);
    done.add("manifests", batch.manifests);
    done.add("labels", batch.labels);
    done.add("blobs", batch.blobs);
    done.add("tombstones", batch.tombstones);
    done.add("postponed", batch.postponed);
    done.add("statements", batch.statements);
}

/// Tells whether the database as a whole is the problem, not what it was asked.
pub(crate) fn is_outage(error: &DbError) -> bool {
    match error {
        DbError::Statement {
            code: Some(code), ..
        } => ["08", "53", "57P", "25006"]
            .iter()
            .any(|class| code.starts_with(class)),
        DbError::Row { .. } => false,
        _ => true,
    }
}
