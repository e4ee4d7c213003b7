//! Drives the batch engine: how large a batch is, how many run side by side, and what
//! happens when one fails. The daemon's jobs and a run over everything share it.
mod batch;
mod pace;
mod report;
mod rules;

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use futures::{StreamExt, stream::FuturesUnordered};
use quayhand_model::{
    Conn, DbError,
    gc::{self, Candidate, Rules},
};
pub(crate) use quayhand_queue::chain;
use quayhand_queue::{Done, JobError};

use crate::{Ctx, Step};
use batch::FEWEST_TAGS;
pub(crate) use batch::Line;
pub use pace::{Pace, PaceLimits};
pub(crate) use report::Report;
pub(crate) use rules::{check, count, is_outage, rules};

/// How long a run over everything waits for repositories that others hold.
const PATIENCE: Duration = Duration::from_secs(30);
/// Batches of one list, before the other lists have had theirs: about four seconds.
pub(crate) const TURN: u32 = 32;
/// Candidates a run over everything looks at in one pass.
const PASS: u32 = 100_000;
/// Changes of size totals that one transaction makes.
const TOTALS: u32 = 10_000;

/// Collects the garbage of lists of repositories.
pub(crate) struct Collector<'a> {
    ctx: &'a Ctx,
    rules: Rules,
    tags_per_batch: AtomicU32,
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

    /// Collects one list for a turn of so many batches, halving it around a repository that
    /// fails until that one stands alone and all others had their turn.
    ///
    /// # Errors
    ///
    /// Only when the database is out of reach; a broken repository is in the report, and so
    /// is what a longer turn would have collected.
    pub(crate) async fn collect(&self, line: Line, batches: u32) -> Result<Report, DbError> {
        let mut report = Report::default();
        let mut lines = vec![line];
        while let Some(line) = lines.pop() {
            let list = line.repositories.clone();
            match self.turn(line, batches, &mut report.done).await {
                Ok(rest) => report.rest.extend(rest),
                Err(error) if is_outage(&error) => return Err(error),
                Err(error) if list.len() == 1 => report.broken.push((list[0], chain(&error))),
                Err(_) => {
                    let (front, back) = list.split_at(list.len() / 2);
                    lines.push(Line::new(back.to_vec()));
                    lines.push(Line::new(front.to_vec()));
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
        self.settle_totals().await?;
        Ok(done)
    }

    /// Makes the changes of size totals that somebody held when their content went.
    async fn settle_totals(&self) -> Result<(), DbError> {
        let settle = async |tx: &mut Conn| gc::settle_totals(tx, TOTALS).await;
        while !self.ctx.stop.is_cancelled() {
            match self.ctx.db.transaction(settle).await {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) if is_outage(&error) => return Err(error),
                // It stays written down; what else there is to do does not wait for it.
                Err(error) => {
                    tracing::warn!(error = %chain(&error), "size totals were not changed");
                    break;
                }
            }
        }
        Ok(())
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
    /// large one alone. Keeps their order; each list has the size that batches have adapted to
    /// when it is asked for.
    pub(crate) fn pack(&self, found: &[Candidate]) -> impl Iterator<Item = Vec<Candidate>> {
        let mut rest = found;
        std::iter::from_fn(move || {
            let full = u64::from(self.tags_per_batch.load(Ordering::Relaxed));
            let mut garbage = 0;
            let fits = |candidate: &&Candidate| {
                garbage += candidate.garbage;
                garbage <= full
            };
            let n = rest.iter().take_while(fits).count().max(1);
            let (list, others) = rest.split_at_checked(n)?;
            rest = others;
            Some(list.to_vec())
        })
    }

    /// Collects every candidate, a turn each before any has a second one, and what is due of
    /// `quayhand_recheck`.
    async fn pass(
        &self,
        found: &[Candidate],
        total: u64,
        report: &mut Report,
    ) -> Result<(), DbError> {
        let mut lists = self.pack(found);
        let mut running = FuturesUnordered::new();
        loop {
            while running.len() < self.ctx.concurrency.max(1) {
                let list = lists.next().map(|list| Line::new(ids(&list)));
                let Some(line) = list.or_else(|| report.rest.pop_front()) else {
                    break;
                };
                running.push(self.collect(line, TURN));
            }
            let Some(finished) = running.next().await else {
                break;
            };
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

    /// Says what a run that was told to stop leaves; nothing while it was not.
    pub(crate) fn stopped(&self) -> Vec<String> {
        if self.ctx.stop.is_cancelled() {
            vec!["stopped before the end; what was done stays done".to_owned()]
        } else {
            Vec::new()
        }
    }
}

/// Returns the repositories of candidates.
pub(crate) fn ids(list: &[Candidate]) -> Vec<i64> {
    list.iter()
        .map(|candidate| candidate.repository_id)
        .collect()
}

fn held(candidate: &Candidate) -> String {
    format!(
        "repository {}: another process holds it or its garbage",
        candidate.repository_id
    )
}
