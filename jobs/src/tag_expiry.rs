//! Deletes tags whose recovery window has passed, and what only they held.
//!
//! A deleted or overwritten tag stays recoverable for its namespace's time machine (Quay
//! `removed_tag_expiration_s`). After that this job deletes the tag, then every manifest,
//! label and blob row that nothing else refers to, and expired uploads with their blobs.
//! Objects stay in storage until `blob_gc` removes them; a tombstone says which.
//!
//! Running it twice is safe: a batch is one transaction that looks at every row again under
//! a lock. Running it on two hosts at once is safe: a repository that one host holds, the
//! other passes by.

use crate::{
    collector::{self, Collector, Line, TURN},
    loss,
    prelude::*,
};

/// Collects the garbage of some repositories: many small ones, or a large one alone.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TagExpiry {
    /// Repositories to collect. One that is gone, marked for deletion or locked by another
    /// batch is left alone.
    #[serde(default)]
    pub repository_ids: Vec<i64>,
    /// Looks again at what a pusher held when its tag went.
    #[serde(default)]
    pub rechecks: bool,
}

impl Job<Ctx> for TagExpiry {
    const KIND: &'static str = "tag_expiry";
    const ABOUT: &'static str =
        "Deletes tags past their recovery window, and the manifests and blobs only they held";
    const QUEUE: Queue = queues::GC;
    const SOURCE: Source = Source::Derivable;
    const POLICY: Policy = USUAL
        .timeout(Duration::from_mins(10))
        .unique_for(Duration::from_hours(1));

    async fn run(&self, ctx: &Ctx) -> Result<Done, JobError> {
        let collector = Collector::new(ctx)?;
        if ctx.options.preview.is_some() {
            return preview(ctx, Some(&self.repository_ids)).await;
        }
        let line = Line::new(self.repository_ids.clone());
        let mut report = collector.collect(line, TURN).await?;
        while let Some(line) = report.rest.pop_front() {
            // What the batches so far know of it would be lost: it does not fit a payload.
            if line.is_plain() && !ctx.options.by_hand {
                return give_way(&report.done);
            }
            report.merge(collector.collect(line, TURN).await?);
            collector.report(&report.done, 0);
        }
        if self.rechecks {
            report.done += collector.settle_rechecks().await?;
        }
        collector.report(&report.done, 0);
        // The daemon hands a stopped job back; an operator is told that there may be more.
        let left = if ctx.options.by_hand {
            collector.stopped()
        } else {
            Vec::new()
        };
        report.into_result(left)
    }

    fn for_repository(repository_id: i64) -> Option<Self> {
        Some(Self {
            repository_ids: vec![repository_id],
            rechecks: false,
        })
    }

    fn all(ctx: &Ctx) -> Option<BoxFuture<'_, Result<Done, JobError>>> {
        Some(Box::pin(async {
            let collector = Collector::new(ctx)?;
            if ctx.options.preview.is_some() {
                return preview(ctx, None).await;
            }
            collector.drain().await
        }))
    }
}

/// Ends the turn of a repository with a lot of garbage: other tenants' jobs come first, then
/// it goes on where it was.
fn give_way(done: &Done) -> Result<Done, JobError> {
    tracing::info!("gives way to others after {done}");
    Err(JobError::Snooze(Duration::ZERO))
}

/// Shows what would go, and changes nothing.
async fn preview(ctx: &Ctx, repositories: Option<&[i64]>) -> Result<Done, JobError> {
    let rules = collector::rules(ctx);
    let found = ctx
        .db
        .read_only_transaction(async |tx| model::gc::preview(tx, repositories, &rules).await)
        .await?;
    Ok(loss::show(ctx, found))
}
