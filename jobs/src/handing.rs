//! Handing what a sweep found to the queue.
use quayhand_queue::{Done, Job, JobError, Placement};

use crate::Ctx;

/// Enqueues the jobs of a sweep and adds how many of them are new; a dry run only counts.
///
/// # Errors
///
/// [`JobError::Refused`] without a queue's Redis; otherwise what Redis says.
pub(crate) async fn hand_out<J: Job<Ctx>>(
    ctx: &Ctx,
    jobs: &[(J, Placement)],
    found: Done,
) -> Result<Done, JobError> {
    if ctx.options.preview.is_some() {
        return Ok(found.count("jobs", jobs.len() as u64));
    }
    let Some(client) = &ctx.client else {
        return Err(JobError::Refused {
            reason: format!(
                "a sweep hands its finds to the queue, and no Redis is configured; \
                 `quayhand job run {} --all` works without one",
                J::KIND
            ),
        });
    };
    let placed = jobs.iter().map(|(job, placement)| (job, placement.clone()));
    let receipts = client.enqueue_all_placed::<Ctx, _>(placed).await?;
    let new = receipts.iter().filter(|receipt| receipt.is_new).count();
    Ok(found.count("jobs", new as u64))
}
