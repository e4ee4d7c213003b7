//! Jobs of the outbox as operators ask for them: what Redis does not have, or does not answer for.
use quayhand_jobs::queues;
use quayhand_model::{
    Db,
    outbox::{self, HeldRow},
};
use quayhand_queue::{Envelope, Queue, Shown, State, Store};
use serde_json::value::RawValue;

use super::{
    App, Failure, output,
    waiting::{self, Which},
};
use crate::{exit::Exit, supervisor::has_row};

/// Stands for the queue of a job that is in the outbox alone.
pub(crate) const OUTBOX: Queue = Queue::new("outbox");
/// Dead rows of one page; each may have a large payload.
const PAGE: u32 = 100;

/// Where a job is.
pub(crate) enum Found {
    /// In a queue.
    Queued(Queue, Box<Shown>),
    /// In the outbox, and in no queue, or in one that does not answer.
    Kept(Box<HeldRow>),
}

/// Finds a job in the queues, and else in the outbox.
///
/// # Errors
///
/// When Redis fails and the outbox does not have the job.
pub(crate) async fn locate(app: &App, id: &str) -> Result<Option<Found>, Failure> {
    let queued = match app.store().await {
        Ok(store) => waiting::locate(&store, id).await,
        Err(failure) => Err(failure),
    };
    if let Ok(Some((queue, job))) = queued {
        return Ok(Some(Found::Queued(queue, Box::new(job))));
    }
    match get(app, id).await? {
        Some(row) => Ok(Some(Found::Kept(Box::new(row)))),
        None => queued.map(|_none| None),
    }
}

/// Reads a row; `None` where there is none, or no database is configured.
async fn get(app: &App, id: &str) -> Result<Option<HeldRow>, Failure> {
    let Some(db) = app.db_if_any()? else {
        return Ok(None);
    };
    if !id.starts_with(outbox::ID_PREFIX) || id.contains('\0') {
        return Ok(None);
    }
    Ok(db.scope(async |conn| outbox::get(conn, id).await).await?)
}

/// Shows a row as a job: dead, due later, or waiting.
pub(crate) fn shown(row: &HeldRow, now_ms: u64) -> Shown {
    let job = &row.job;
    let due_ms = u64::try_from(job.delay.as_millis()).unwrap_or_default();
    let (state, at_ms) = match row.dead_ms {
        Some(dead_ms) => (State::Dead, u64::try_from(dead_ms).unwrap_or_default()),
        None if due_ms > 0 => (State::Delayed, now_ms + due_ms),
        None => (State::Ready, 0),
    };
    let payload = RawValue::from_string(job.payload.clone());
    let envelope = payload.map(|payload| Envelope {
        id: job.job_id.clone(),
        kind: job.kind.clone(),
        version: job.version,
        payload,
        attempt: 0,
        crashes: 0,
        priority: job.priority,
        tenant: job.tenant.clone(),
        unique: String::new(),
        enqueued_at_ms: u64::try_from(row.created_ms).unwrap_or_default(),
        trace: job.trace.clone(),
    });
    Shown {
        id: job.job_id.clone(),
        state,
        envelope: envelope.map_err(|error| error.to_string()),
        at_ms,
        last_error: row.reason.clone(),
        progress: String::new(),
    }
}

/// Says in one line why a job that is in the outbox alone does not run.
pub(crate) fn why(row: &HeldRow, now_ms: u64) -> String {
    let kind = &row.job.kind;
    if let Some(dead_ms) = row.dead_ms {
        let dead_ms = u64::try_from(dead_ms).unwrap_or_default();
        let ago = quayhand_queue::Span(now_ms.saturating_sub(dead_ms));
        return format!(
            "it died {ago} ago, and is in the outbox alone: {}",
            row.reason
        );
    }
    if quayhand_jobs::registry().get(kind).is_none() {
        return format!("it is in the outbox alone: this build knows no `{kind}`");
    }
    let since = if row.was_relayed {
        "it was enqueued, and no queue answers for it"
    } else {
        "it is in the outbox alone"
    };
    format!("{since}: a daemon enqueues it within a minute, once Redis answers")
}

/// Lists the dead of the outbox that fit and that no queue holds; `known` are found already.
pub(crate) async fn dead(
    app: &App,
    store: &Store,
    which: &Which,
    known: &[(Queue, Shown)],
) -> Result<Vec<(Queue, Shown)>, Failure> {
    let Some(db) = app.db_if_any()? else {
        return Ok(Vec::new());
    };
    let (filter, now_ms) = (which.filter(Some(State::Dead)), waiting::now_ms());
    let known: std::collections::HashSet<_> = known.iter().map(|(_, job)| &job.id).collect();
    let (mut found, mut after) = (Vec::new(), 0);
    loop {
        let page = page(&db, after).await?;
        let Some(last) = page.last() else {
            return Ok(found);
        };
        after = last.seq;
        for row in page.iter().filter(|row| is_of(which, &row.job.kind)) {
            let job = shown(row, now_ms);
            if !known.contains(&job.id)
                && filter.fits(&job, now_ms)
                && waiting::locate(store, &job.id).await?.is_none()
            {
                found.push((OUTBOX, job));
            }
        }
    }
}

async fn page(db: &Db, after: i64) -> Result<Vec<HeldRow>, Failure> {
    let page = db.scope(async |conn| outbox::dead_after(conn, after, PAGE).await);
    Ok(page.await?)
}

/// Says whether a kind is of the queues that are asked for; one that nobody knows is of any.
fn is_of(which: &Which, kind: &str) -> bool {
    let registry = quayhand_jobs::registry();
    let asked = which.queues().unwrap_or_default();
    match registry.get(kind) {
        Some(entry) => asked.contains(&entry.queue),
        None => asked.len() == queues::ALL.len(),
    }
}

/// Returns the database that jobs with rows must be settled in; `None` when none of these has one.
///
/// # Errors
///
/// When one has and no database is configured: it would come back.
pub(crate) fn needed_for<'a>(
    app: &App,
    jobs: impl IntoIterator<Item = &'a Shown>,
) -> Result<Option<Db>, Failure> {
    let Some(job) = jobs.into_iter().find(|job| has_row(job)) else {
        return Ok(None);
    };
    match app.db_if_any()? {
        Some(db) => Ok(Some(db)),
        None => Err(Failure::new(
            Exit::Config,
            format!(
                "job `{}` has a row in the database, by which it would come back: set \
                 `database.url` or `QUAYHAND_DATABASE_URL`, so that the row is settled with it; \
                 nothing was changed",
                output::plain(&job.id)
            ),
        )),
    }
}
