//! Handing what a sweep found to the queue.
use quayhand_queue::{Client, Done, Job, JobError, Placement, QueueError, Target};

use crate::Ctx;

/// Enqueues the jobs of a sweep and adds how many of them are new; a dry run only counts.
///
/// Nothing is added to a queue or kind that is paused: it could not run, and what the next sweeps
/// find differs a little each time, so that it would pile up. The first sweep after the pause
/// hands it out.
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
    if jobs.is_empty() || is_paused::<J>(client).await? {
        return Ok(found.count("jobs", 0));
    }
    let placed = jobs.iter().map(|(job, placement)| (job, placement.clone()));
    let receipts = client.enqueue_all_placed::<Ctx, _>(placed).await?;
    let new = receipts.iter().filter(|receipt| receipt.is_new).count();
    Ok(found.count("jobs", new as u64))
}

/// Tells whether all jobs of a kind are paused.
async fn is_paused<J: Job<Ctx>>(client: &Client) -> Result<bool, QueueError> {
    let pauses = client.store().pauses(&J::QUEUE).await?;
    Ok(pauses.iter().any(|pause| match &pause.target {
        Target::Queue => true,
        Target::Kind(kind) => kind == J::KIND,
        Target::Tenant(_) | Target::Other(_) => false,
    }))
}
