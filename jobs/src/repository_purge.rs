//! Deletes what is left of repositories that their owners deleted.
//!
//! Deleting a repository only marks it (state 3) and gives it a random name. This job then
//! deletes its tags whatever their end and their immutability, its manifests and uploads,
//! the labels and blobs that nothing else refers to, every other row that hangs on it, and
//! at last its marker and the row itself in one transaction. Objects stay in storage until
//! `blob_gc` removes them; a tombstone says which.
//!
//! Running it twice is safe: every transaction looks at the state again under the
//! repository's lock, by its id, so that a new repository of the same name is never touched.
//! A purge that was broken off is found again by the sweep, because the mark goes last.
use crate::{
    collector, loss,
    prelude::*,
    purger::Purger,
};

/// Repositories that one statement lists.
const PAGE: u32 = 1_000;

/// Purges some repositories that are marked for deletion; others are left alone.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RepositoryPurge {
    /// Ids: a repository that is marked for deletion has no usable name.
    pub repository_ids: Vec<i64>,
}

impl Job<Ctx> for RepositoryPurge {
    const KIND: &'static str = "repository_purge";
    const ABOUT: &'static str = "Deletes everything of repositories that are marked for deletion";
    const QUEUE: Queue = queues::GC;
    const SOURCE: Source = Source::Derivable;
    const POLICY: Policy = USUAL
        .timeout(Duration::from_hours(1))
        .unique_for(Duration::from_hours(2));

    async fn run(&self, ctx: &Ctx) -> Result<Done, JobError> {
        check(ctx)?;
        if ctx.options.preview.is_some() {
            return preview(ctx, &self.repository_ids).await;
        }
        let mut purger = Purger::start(ctx).await?;
        let ended = purge(&mut purger, &self.repository_ids).await;
        purger.finish(ended).await
    }

    fn all(ctx: &Ctx) -> Option<BoxFuture<'_, Result<Done, JobError>>> {
        Some(Box::pin(async {
            check(ctx)?;
            if ctx.options.preview.is_some() {
                let marked = page(ctx, 0, u32::MAX).await?;
                return preview(ctx, &marked).await;
            }
            let mut purger = Purger::start(ctx).await?;
            let ended = purge_all(ctx, &mut purger).await;
            purger.finish(ended).await
        }))
    }
}

/// Refuses when repositories must not be purged now.
///
/// # Errors
///
/// [`JobError::Refused`] that names what forbids it.
pub(crate) fn check(ctx: &Ctx) -> Result<(), JobError> {
    collector::check(ctx)?;
    ctx.settings.check_may_purge_repositories()
}

async fn purge(purger: &mut Purger<'_>, ids: &[i64]) -> Result<(), JobError> {
    for id in ids {
        if purger.is_stopped() {
            break;
        }
        purger.repository(*id).await?;
    }
    Ok(())
}

async fn purge_all(ctx: &Ctx, purger: &mut Purger<'_>) -> Result<(), JobError> {
    let mut after = 0;
    while !purger.is_stopped() {
        let ids = page(ctx, after, PAGE).await?;
        let Some(last) = ids.last() else { break };
        after = *last;
        purge(purger, &ids).await?;
    }
    Ok(())
}

async fn page(ctx: &Ctx, after: i64, at_most: u32) -> Result<Vec<i64>, model::DbError> {
    let db = &ctx.db;
    let marked = db
        .scope(async |conn| model::purge::marked_repositories(conn, after, at_most).await)
        .await?;
    Ok(marked.into_iter().map(|repository| repository.id).collect())
}

async fn preview(ctx: &Ctx, ids: &[i64]) -> Result<Done, JobError> {
    let db = &ctx.db;
    let loss = db
        .read_only_transaction(async |tx| model::purge::preview_repositories(tx, ids).await)
        .await?;
    Ok(loss::show(ctx, loss))
}
