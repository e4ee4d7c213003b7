//! `quayhand job find|show|cancel|why`: single jobs that wait, run or died.
use quayhand_jobs::queues;
use quayhand_model::{Db, outbox::HeldRow};
use quayhand_queue::{Cancelled, PastAttempt, Queue, Shown, Span, State, Store, Why};

use super::search::{print, search};
use crate::cli::{
    App, Failure,
    output::{self, Format},
    rows::{self, Found},
    waiting::{self, Which},
};
use crate::supervisor::note_dropped;

pub(super) async fn find(
    app: &App,
    which: &Which,
    state: Option<State>,
    limit: usize,
) -> Result<(), Failure> {
    let (store, now_ms) = (app.store().await?, waiting::now_ms());
    let hits = search(&store, which, state, limit, false).await?;
    print(app.format, &hits.jobs, now_ms)?;
    hits.tell_more();
    Ok(())
}

/// Shows one job by its id, also one that ended lately.
pub(super) async fn show(app: &App, id: &str) -> Result<(), Failure> {
    match rows::locate(app, id).await? {
        Some(Found::Queued(queue, job)) => {
            show_one(app.format, &app.store().await?, &queue, &job).await
        }
        Some(Found::Kept(row)) => show_row(app.format, &row, waiting::now_ms()),
        None => match past(&app.store().await?, id).await? {
            Some((queue, history)) => attempts(app.format, &queue, id, &history),
            None => Err(waiting::absent(id)),
        },
    }
}

/// Finds what is kept of a job that has ended.
async fn past(store: &Store, id: &str) -> Result<Option<(Queue, Vec<PastAttempt>)>, Failure> {
    for queue in queues::ALL {
        let history = store.history(&queue, id).await?;
        if !history.is_empty() {
            return Ok(Some((queue, history)));
        }
    }
    Ok(None)
}

/// Shows one job and what is kept of its attempts.
pub(crate) async fn show_one(
    format: Format,
    store: &Store,
    queue: &Queue,
    job: &Shown,
) -> Result<(), Failure> {
    let worker = match store.why(queue, &job.id).await? {
        Why::Running { worker, .. } | Why::Stopping { worker, .. } => worker,
        _ => String::new(),
    };
    let history = store.history(queue, &job.id).await?;
    if format == Format::Json {
        let mut fields = waiting::fields(queue, job);
        fields["worker"] = serde_json::json!(Some(worker).filter(|name| !name.is_empty()));
        fields["history"] = serde_json::json!(history);
        return output::json(&fields);
    }
    lines(queue, job, &[("worker", &worker)])?;
    attempts(format, queue, &job.id, &history)
}

/// Shows a job that is in the outbox alone.
pub(crate) fn show_row(format: Format, row: &HeldRow, now_ms: u64) -> Result<(), Failure> {
    let (job, why) = (rows::shown(row, now_ms), rows::why(row, now_ms));
    if format == Format::Json {
        let mut fields = waiting::fields(&rows::OUTBOX, &job);
        fields["why"] = why.into();
        return output::json(&fields);
    }
    lines(&rows::OUTBOX, &job, &[("why", &why)])
}

/// Prints what is known of a job, a line each.
fn lines(queue: &Queue, job: &Shown, more: &[(&str, &str)]) -> Result<(), Failure> {
    let [state, queue_name, kind, id, attempts_spent, when, error] =
        <[String; 7]>::try_from(waiting::row(queue, job, waiting::now_ms())).unwrap_or_default();
    let payload = job.envelope.as_ref().map_or("", |job| job.payload.get());
    let state = format!("{state} {when}");
    let first = [
        ("id", id.as_str()),
        ("kind", &kind),
        ("queue", &queue_name),
        ("state", &state),
        ("attempts", &attempts_spent),
        ("last error", &error),
        ("progress", &job.progress),
    ];
    for (name, value) in first.iter().chain(more).chain(&[("payload", payload)]) {
        if !value.trim().is_empty() {
            output::line(&format!("{name:<12}{}", output::plain(value.trim())))?;
        }
    }
    Ok(())
}

/// Prints what is kept of a job's attempts.
fn attempts(
    format: Format,
    queue: &Queue,
    id: &str,
    history: &[PastAttempt],
) -> Result<(), Failure> {
    if format == Format::Json {
        return output::json(&serde_json::json!({ "id": id, "queue": queue, "history": history }));
    }
    let now_ms = waiting::now_ms();
    for past in history {
        output::line(&output::plain(&summary(past, now_ms)))?;
        for line in &past.lines {
            output::line(&format!("    {}", output::plain(line)))?;
        }
    }
    Ok(())
}

/// Says in one line how an attempt went: nobody ran a job that was cancelled while it waited.
fn summary(past: &PastAttempt, now_ms: u64) -> String {
    let ago = Span(now_ms.saturating_sub(past.at_ms));
    let (outcome, text) = (past.outcome.as_str(), &past.text);
    if past.worker.is_empty() {
        return format!("{outcome} {ago} ago: {text}");
    }
    let (attempt, worker) = (past.attempt, &past.worker);
    let took = past
        .took_ms
        .map_or_else(String::new, |ms| format!(" after {}", Span(ms)));
    format!("attempt {attempt} on {worker} ended {ago} ago{took}: {outcome} {text}")
        .trim_end()
        .to_owned()
}

/// Cancels jobs; whatever cannot be cancelled whole is an error before any is.
pub(super) async fn cancel(app: &App, ids: &[String], why: &str) -> Result<(), Failure> {
    let mut found = Vec::new();
    for id in ids {
        found.push((id.as_str(), rows::locate(app, id).await?));
    }
    let queued = found.iter().filter_map(|(_, found)| match found {
        Some(Found::Queued(_, job)) => Some(&**job),
        _ => None,
    });
    let db = rows::needed_for(app, queued)?;
    let mut unknown = None;
    for (id, found) in found {
        let became = match found {
            Some(Found::Queued(queue, job)) => {
                cancel_queued(app, db.as_ref(), &queue, &job, why).await?
            }
            Some(Found::Kept(row)) => cancel_kept(app, &row).await?,
            None => Cancelled::Unknown,
        };
        if became == Cancelled::Unknown {
            unknown = unknown.or(Some(id));
        }
        if app.format == Format::Json {
            output::json(&serde_json::json!({ "id": id, "became": became.as_str() }))?;
        } else {
            output::line(&format!("{}: {}", output::plain(id), sentence(became)))?;
        }
    }
    unknown.map_or(Ok(()), |id| Err(waiting::absent(id)))
}

async fn cancel_queued(
    app: &App,
    db: Option<&Db>,
    queue: &Queue,
    job: &Shown,
    why: &str,
) -> Result<Cancelled, Failure> {
    if let Some(db) = db.filter(|_| job.state != State::Dead) {
        // First: a job of the outbox or of a tick would be enqueued again by the relay.
        note_dropped(db, &[job]).await?;
    }
    let (store, by) = (app.store().await?, waiting::operator());
    let answers = store.cancel(queue, &[&job.id], &by, why).await?;
    Ok(answers.first().copied().unwrap_or(Cancelled::Unknown))
}

/// Takes a row out of the outbox. Should a queue that does not answer hold the job, an attempt runs
/// nothing without its row.
async fn cancel_kept(app: &App, row: &HeldRow) -> Result<Cancelled, Failure> {
    if row.dead_ms.is_some() {
        return Ok(Cancelled::Dead);
    }
    let job = rows::shown(row, waiting::now_ms());
    Ok(match note_dropped(&app.db()?, &[&job]).await? {
        0 => Cancelled::Unknown,
        _ => Cancelled::Gone,
    })
}

fn sentence(became: Cancelled) -> &'static str {
    match became {
        Cancelled::Gone => "cancelled before it ran",
        Cancelled::Stopping => "runs, and stops within a second or so",
        Cancelled::Dead => "is dead already; `quayhand dead discard` throws it away",
        Cancelled::Unknown => "no queue holds it",
    }
}

/// Says in one line why a job is not running.
pub(super) async fn why(app: &App, id: &str) -> Result<(), Failure> {
    let now_ms = waiting::now_ms();
    let (queue, why) = match rows::locate(app, id).await? {
        Some(Found::Queued(queue, _)) => {
            let why = app.store().await?.why(&queue, id).await?;
            (queue, why.to_string())
        }
        Some(Found::Kept(row)) => (rows::OUTBOX, rows::why(&row, now_ms)),
        None => {
            let past = past(&app.store().await?, id).await?;
            let (queue, history) = past.ok_or_else(|| waiting::absent(id))?;
            let last = history.last().map(|last| summary(last, now_ms));
            let last = last.unwrap_or_default();
            (queue, format!("it is in no queue any more: {last}"))
        }
    };
    if app.format == Format::Json {
        return output::json(&serde_json::json!({ "id": id, "queue": queue, "why": why }));
    }
    output::line(&output::plain(&format!("{id}: {why}")))
}
