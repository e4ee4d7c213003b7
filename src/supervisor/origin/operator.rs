//! What operators decide about jobs that stand for a row: settled there first, for the row would
//! bring the job back, or leave it out.
use quayhand_model::{
    Db, DbError,
    outbox::{self, NewRow},
    schedule::{self, End, Tick},
};
use quayhand_queue::Shown;

use super::Origin;

/// Says whether a job stands for a row, which must be settled with it.
pub(crate) fn has_row(job: &Shown) -> bool {
    origin(job).is_some()
}

fn origin(job: &Shown) -> Option<Origin> {
    let kind = job.envelope.as_ref().map_or("", |envelope| &envelope.kind);
    Origin::of_id(kind, &job.id)
}

/// Notes that an operator drops jobs, where they have rows: nobody enqueues them again, and an attempt
/// of one that is enqueued runs nothing. To be called before the queue is told. Returns how many rows
/// of the outbox went.
///
/// # Errors
///
/// [`DbError`] when a row could not be written; then jobs would come back.
pub(crate) async fn note_dropped(db: &Db, jobs: &[&Shown]) -> Result<u64, DbError> {
    let (rows, ticks) = split(jobs);
    if rows.is_empty() && ticks.is_empty() {
        return Ok(0);
    }
    db.scope(async |conn| {
        let removed = outbox::remove(conn, &rows).await?;
        schedule::end(conn, &ticks, End::Dead).await?;
        Ok(removed)
    })
    .await
}

/// Notes that dead jobs are tried again, where they have rows in the outbox: Redis may lose them from
/// now on. A row that is gone is written again, or the attempt would take the job for done. To be
/// called before the queue is told; after it, [`note_retried_again`] is.
///
/// # Errors
///
/// [`DbError`] when a row could not be written; then a loss of Redis would lose the job.
pub(crate) async fn note_retried(db: &Db, jobs: &[&Shown]) -> Result<u64, DbError> {
    let (ids, _) = split(jobs);
    if ids.is_empty() {
        return Ok(0);
    }
    let rows: Vec<_> = jobs.iter().filter_map(|job| row(job)).collect();
    db.scope(async |conn| {
        outbox::write(conn, &rows).await?;
        outbox::revive(conn, &ids).await
    })
    .await
}

/// Notes once more that these are not dead: the relay may have found them among the dead of the queue
/// after [`note_retried`].
///
/// # Errors
///
/// As [`note_retried`].
pub(crate) async fn note_retried_again(db: &Db, jobs: &[&Shown]) -> Result<(), DbError> {
    let (ids, _) = split(jobs);
    if !ids.is_empty() {
        db.scope(async |conn| outbox::revive(conn, &ids).await)
            .await?;
    }
    Ok(())
}

/// Returns the ids that are rows of the outbox, and the ticks.
fn split<'a>(jobs: &[&'a Shown]) -> (Vec<&'a str>, Vec<Tick>) {
    let (mut rows, mut ticks) = (Vec::new(), Vec::new());
    for job in jobs {
        match origin(job) {
            Some(Origin::Outbox(_)) => rows.push(job.id.as_str()),
            Some(Origin::Tick(tick)) => ticks.push(tick),
            None => {}
        }
    }
    (rows, ticks)
}

/// Returns the row of a job of the outbox; `None` for any other, and for one that cannot be read.
fn row(job: &Shown) -> Option<NewRow> {
    let envelope = job.envelope.as_ref().ok()?;
    matches!(origin(job)?, Origin::Outbox(_)).then(|| NewRow {
        job_id: job.id.clone(),
        kind: envelope.kind.clone(),
        version: envelope.version,
        payload: envelope.payload.get().to_owned(),
        tenant: envelope.tenant.clone(),
        priority: envelope.priority,
        trace: envelope.trace.clone(),
        delay: std::time::Duration::ZERO,
    })
}
