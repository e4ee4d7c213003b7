//! One list, batch after batch: how large the next is, and what a conflict makes of it.
use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use quayhand_model::{
    DbError,
    gc::{self, Collected, Work},
    pressure,
};
use quayhand_queue::{Done, chain};

use super::{Collector, count, pace::Observed};

/// A batch aims at this much time in its transaction. Half of a small batch is round trips.
const TARGET: Duration = Duration::from_millis(125);
/// Tags a batch adapts between: [`FEWEST_TAGS`] and [`MOST_TAGS`].
///
/// Fewer cost more than 40 statements for 1,000 tags, and half of their time is round trips.
pub(super) const FEWEST_TAGS: u32 = 450;
const MOST_TAGS: u32 = 1_000;
/// Tries of one batch that conflicts with other writers, each half as large.
const TRIES: u32 = 6;

/// A list of repositories, and what the next batch of it starts from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Line {
    pub(super) repositories: Vec<i64>,
    /// [`Collected::carried`] of the batch before.
    carried: Vec<i64>,
}

impl Line {
    /// Puts repositories that no batch has looked at yet into a line.
    pub(crate) fn new(repositories: Vec<i64>) -> Self {
        Self {
            repositories,
            carried: Vec::new(),
        }
    }

    /// Tells whether the next batch can do without what this one knows.
    pub(crate) fn is_plain(&self) -> bool {
        self.carried.is_empty()
    }
}

impl Collector<'_> {
    /// Collects a line for one turn: batch after batch, until a batch is not full or
    /// `batches` have run. Returns what is left of it.
    pub(super) async fn turn(
        &self,
        mut line: Line,
        batches: u32,
        done: &mut Done,
    ) -> Result<Option<Line>, DbError> {
        for _ in 0..batches {
            if self.ctx.stop.is_cancelled() {
                return Ok(None);
            }
            let batch = self.attempt(&line, done).await?;
            count(done, &batch);
            if !batch.more {
                return Ok(None);
            }
            line.carried = batch.carried;
        }
        Ok(Some(line))
    }

    /// Runs one batch, again and smaller when it conflicts with other writers.
    async fn attempt(&self, line: &Line, done: &mut Done) -> Result<Collected, DbError> {
        let mut at_most = self.tags_per_batch.load(Ordering::Relaxed);
        let mut tries = 1;
        loop {
            let work = Work {
                repositories: &line.repositories,
                carried: &line.carried,
                at_most,
            };
            let started = Instant::now();
            match self.batch(work).await {
                Ok((batch, blocked)) => {
                    self.note(&batch, started.elapsed(), blocked, done).await;
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

    /// Runs one batch; returns how many sessions waited for it as well, when it is time to ask.
    async fn batch(&self, work: Work<'_>) -> Result<(Collected, u64), DbError> {
        let (db, rules) = (&self.ctx.db, &self.rules);
        let asks = self.ctx.pace.looks_for_blocked(&self.ctx.settings.pace);
        db.transaction(async |tx| {
            let mut batch = gc::collect_batch(tx, work, rules).await?;
            if !asks {
                return Ok((batch, 0));
            }
            batch.statements += 1;
            let blocked = pressure::blocked_sessions(tx).await?;
            Ok((batch, blocked))
        })
        .await
    }

    /// Draws the conclusions from a batch: the size of the next ones, and when they come.
    async fn note(&self, batch: &Collected, took: Duration, blocked: u64, done: &mut Done) {
        tracing::debug!(
            batch.took_ms = ms(took),
            batch.tags = batch.tags,
            batch.statements = batch.statements,
            "batch"
        );
        self.adapt(batch, took);
        let observed = Observed {
            took: of_the_fewest(batch, took),
            blocked,
        };
        let (limits, pace) = (&self.ctx.settings.pace, &self.ctx.pace);
        let paced = pace.after(&observed, limits, &self.ctx.db, &self.ctx.stop);
        done.add("paced_ms", ms(paced.await));
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
}

/// Returns what as many tags as the smallest batch has would have taken at a batch's rate.
fn of_the_fewest(batch: &Collected, took: Duration) -> Duration {
    let handled = u32::try_from(batch.tags + batch.uploads).unwrap_or(u32::MAX);
    took.mul_f64(f64::from(FEWEST_TAGS) / f64::from(handled.max(FEWEST_TAGS)))
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
