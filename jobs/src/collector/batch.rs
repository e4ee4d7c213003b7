//! One list, batch after batch: how large the next is, and what a conflict makes of it.
use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use quayhand_model::{
    DbError,
    gc::{self, Collected, Work},
};
use quayhand_queue::{Done, chain};

use super::{Collector, count};

/// A batch aims at this much time in its transaction. Half of a small batch is round trips.
const TARGET: Duration = Duration::from_millis(125);
/// Tags a batch adapts between.
pub(super) const FEWEST_TAGS: u32 = 300;
const MOST_TAGS: u32 = 1_000;
/// Tries of one batch that conflicts with other writers, each half as large.
const TRIES: u32 = 6;

impl Collector<'_> {
    /// Collects one list, batch after batch, until a batch is not full.
    pub(super) async fn exhaust(&self, list: &[i64], done: &mut Done) -> Result<(), DbError> {
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
                    let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
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
}
