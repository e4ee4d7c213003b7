//! Deletes what is left of users and organizations that were deleted.
//!
//! Deleting a namespace disables and renames it and leaves a marker. When its time of grace
//! is over (Quay's queue item of the marker says when), this job marks all its repositories
//! for deletion and purges them, then deletes its teams, applications, tokens, mirrors,
//! quotas with their limits, its robots and every other row that hangs on it, and at last
//! the marker and the namespace itself in one transaction. Log rows stay, as with Quay.
//!
//! Everything but robots is found by the namespace's id. Robots are found by the name it
//! had, and only those go that cannot belong to whoever has that name now.
//!
//! Running it twice is safe: every transaction looks at the marker again under its lock.
use crate::{
    collector, loss,
    prelude::*,
    purger::Purger,
};

/// Namespaces that one statement lists.
const PAGE: u32 = 1_000;

/// Purges some namespaces whose marker is due; others are left alone.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamespacePurge {
    /// Ids of rows in `user`: a deleted namespace has no usable name.
    pub namespace_ids: Vec<i64>,
}

impl Job<Ctx> for NamespacePurge {
    const KIND: &'static str = "namespace_purge";
    const ABOUT: &'static str = "Deletes everything of deleted users and organizations";
    const QUEUE: Queue = queues::GC;
    const SOURCE: Source = Source::Derivable;
    const POLICY: Policy = USUAL
        .timeout(Duration::from_hours(1))
        .unique_for(Duration::from_hours(2));

    async fn run(&self, ctx: &Ctx) -> Result<Done, JobError> {
        check(ctx)?;
        if ctx.options.preview.is_some() {
            let due = due(ctx, 0, u32::MAX).await?;
            let wanted = |id: &i64| self.namespace_ids.contains(id);
            return preview(ctx, due.into_iter().filter(wanted).collect()).await;
        }
        let mut purger = Purger::start(ctx).await?;
        let ended = purge(&mut purger, &self.namespace_ids).await;
        purger.finish(ended).await
    }

    fn all(ctx: &Ctx) -> Option<BoxFuture<'_, Result<Done, JobError>>> {
        Some(Box::pin(async {
            check(ctx)?;
            if ctx.options.preview.is_some() {
                let due = due(ctx, 0, u32::MAX).await?;
                return preview(ctx, due).await;
            }
            let mut purger = Purger::start(ctx).await?;
            let ended = purge_all(ctx, &mut purger).await;
            purger.finish(ended).await
        }))
    }
}

/// Refuses when namespaces must not be purged now.
///
/// # Errors
///
/// [`JobError::Refused`] that names what forbids it.
pub(crate) fn check(ctx: &Ctx) -> Result<(), JobError> {
    collector::check(ctx)?;
    ctx.settings.check_may_purge_namespaces()
}

/// Lists namespaces whose marker is due, after an id.
pub(crate) async fn due(ctx: &Ctx, after: i64, at_most: u32) -> Result<Vec<i64>, model::DbError> {
    let (db, as_of_ms) = (&ctx.db, ctx.options.as_of_ms);
    let due = db
        .scope(async |conn| model::purge::due_namespaces(conn, after, at_most, as_of_ms).await)
        .await?;
    Ok(due.into_iter().map(|namespace| namespace.id).collect())
}

async fn purge(purger: &mut Purger<'_>, ids: &[i64]) -> Result<(), JobError> {
    for id in ids {
        if purger.is_stopped() {
            break;
        }
        purger.namespace(*id).await?;
    }
    Ok(())
}

async fn purge_all(ctx: &Ctx, purger: &mut Purger<'_>) -> Result<(), JobError> {
    let mut after = 0;
    while !purger.is_stopped() {
        let ids = due(ctx, after, PAGE).await?;
        let Some(last) = ids.last() else { break };
        after = *last;
        purge(purger, &ids).await?;
    }
    Ok(())
}

async fn preview(ctx: &Ctx, ids: Vec<i64>) -> Result<Done, JobError> {
    let db = &ctx.db;
    let loss = db
        .read_only_transaction(async |tx| model::purge::preview_namespaces(tx, &ids).await)
        .await?;
    Ok(loss::show(ctx, loss))
}
