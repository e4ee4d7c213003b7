//! `quayhand job find|show|cancel|why`: single jobs that wait, run or died.
use quayhand_jobs::queues;
use quayhand_queue::{Cancelled, Queue, Shown, State, Store};

use crate::cli::{
    App, Failure,
    output::{self, Format},
    waiting::{self, Which},
};
use crate::supervisor::note_cancelled;

/// Finds jobs that fit, `most` of them.
pub(crate) async fn search(
    store: &Store,
    which: &Which,
    state: Option<State>,
    most: usize,
) -> Result<Vec<(Queue, Shown)>, Failure> {
    let filter = which.filter(state);
    let mut found: Vec<(Queue, Shown)> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for queue in which.queues()? {
        let mut cursor = None;
        loop {
            let page = store.find(&queue, &filter, cursor.as_deref()).await?;
            for job in page.jobs {
                if found.len() == most {
                    return Ok(found);
                }
                // A page may show a job that an earlier one had.
                if seen.insert((queue.clone(), job.id.clone())) {
                    found.push((queue.clone(), job));
                }
            }
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
    }
    Ok(found)
}

/// Prints jobs, the oldest first.
pub(crate) fn print(format: Format, jobs: &[(Queue, Shown)], now_ms: u64) -> Result<(), Failure> {
    let mut sorted: Vec<_> = jobs.iter().collect();
    sorted.sort_by_key(|(_, job)| (job.state.as_str(), job.at_ms, job.id.clone()));
    if format == Format::Json {
        return sorted
            .iter()
            .try_for_each(|(queue, job)| output::json(&waiting::fields(queue, job)));
    }
    let rows: Vec<_> = sorted
        .iter()
        .map(|(queue, job)| waiting::row(queue, job, now_ms))
        .collect();
    output::table(&waiting::HEADINGS, &rows)
}

pub(super) async fn find(
    app: &App,
    which: &Which,
    state: Option<State>,
    limit: usize,
) -> Result<(), Failure> {
    let (store, now_ms) = (app.store().await?, waiting::now_ms());
    let found = search(&store, which, state, limit).await?;
    print(app.format, &found, now_ms)
}

/// Shows one job by its id, also one that ended lately.
pub(super) async fn show(app: &App, id: &str) -> Result<(), Failure> {
    let store = app.store().await?;
    if let Some((queue, job)) = waiting::locate(&store, id).await? {
        return show_one(app.format, &store, &queue, &job).await;
    }
    for queue in queues::ALL {
        if !store.history(&queue, id).await?.is_empty() {
            return attempts(app.format, &store, &queue, id).await;
        }
    }
    Err(waiting::absent(id))
}

/// Shows one job and what is kept of its attempts.
pub(crate) async fn show_one(
    format: Format,
    store: &Store,
    queue: &Queue,
    job: &Shown,
) -> Result<(), Failure> {
    if format == Format::Json {
        let mut fields = waiting::fields(queue, job);
        fields["history"] = serde_json::json!(store.history(queue, &job.id).await?);
        return output::json(&fields);
    }
    let [state, queue_name, kind, id, attempts_spent, when, error] =
        <[String; 7]>::try_from(waiting::row(queue, job, waiting::now_ms())).unwrap_or_default();
    let payload = job.envelope.as_ref().map_or("", |job| job.payload.get());
    for (name, value) in [
        ("id", id.as_str()),
        ("kind", &kind),
        ("queue", &queue_name),
        ("state", &format!("{state} {when}")),
        ("attempts", &attempts_spent),
        ("last error", &error),
        ("progress", &job.progress),
        ("payload", payload),
    ] {
        if !value.trim().is_empty() {
            output::line(&format!("{name:<12}{}", output::plain(value.trim())))?;
        }
    }
    attempts(format, store, queue, &job.id).await
}

/// Prints what is kept of a job's attempts.
async fn attempts(format: Format, store: &Store, queue: &Queue, id: &str) -> Result<(), Failure> {
    let history = store.history(queue, id).await?;
    if format == Format::Json {
        return output::json(&serde_json::json!({ "id": id, "queue": queue, "history": history }));
    }
    for record in history {
        let (attempt, worker, text) = (record.attempt, &record.worker, &record.text);
        let outcome = format!("{:?}", record.outcome).to_lowercase();
        let said = format!("attempt {attempt} on {worker}: {outcome} {text}");
        output::line(&output::plain(said.trim_end()))?;
        for line in &record.lines {
            output::line(&format!("    {}", output::plain(line)))?;
        }
    }
    Ok(())
}

pub(super) async fn cancel(app: &App, ids: &[String], why: &str) -> Result<(), Failure> {
    let store = app.store().await?;
    let mut unknown = Vec::new();
    for id in ids {
        let became = match waiting::locate(&store, id).await? {
            Some((queue, job)) => {
                // First: a job of the outbox or of a tick would be enqueued again by the relay.
                if app.config.database.url.is_some() {
                    note_cancelled(&app.db()?, &job, why).await?;
                }
                let by = waiting::operator();
                let answers = store.cancel(&queue, &[id], &by, why).await?;
                answers.first().copied().unwrap_or(Cancelled::Unknown)
            }
            None => Cancelled::Unknown,
        };
        if became == Cancelled::Unknown {
            unknown.push(id.as_str());
        }
        if app.format == Format::Json {
            output::json(&serde_json::json!({ "id": id, "became": became.as_str() }))?;
        } else {
            output::line(&format!("{}: {}", output::plain(id), sentence(became)))?;
        }
    }
    match unknown.as_slice() {
        [] => Ok(()),
        [id, ..] => Err(waiting::absent(id)),
    }
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
    let store = app.store().await?;
    let Some((queue, _)) = waiting::locate(&store, id).await? else {
        return Err(waiting::absent(id));
    };
    let why = store.why(&queue, id).await?;
    if app.format == Format::Json {
        return output::json(&serde_json::json!({
            "id": id,
            "queue": queue,
            "why": why.to_string(),
        }));
    }
    output::line(&output::plain(&format!("{id}: {why}")))
}
