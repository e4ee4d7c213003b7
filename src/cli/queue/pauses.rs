//! Pauses: the database has the record, where one is configured, and Redis what workers go by.
use quayhand_model::pause::{self, Paused};
use quayhand_queue::{Pause, Queue, Span, Store, Target};

use super::What;
use crate::cli::{
    App, Failure, job,
    output::{self, Format},
    waiting,
};

pub(super) async fn pause(app: &App, what: &What, why: &str) -> Result<(), Failure> {
    let (queue, target) = (waiting::queue(&what.queue)?, what.target()?);
    warn_of_kind(&target);
    let by = waiting::operator();
    let is_noted = if let Some(db) = app.db_if_any()? {
        let (queue, target) = (queue.as_str(), target.to_string());
        db.scope(async |conn| pause::put(conn, queue, &target, &by, why).await)
            .await?
    } else {
        output::note("no database is configured, so the pause is lost with Redis");
        false
    };
    let paused = match app.store().await {
        Ok(store) => store
            .pause(&queue, &target, &by, why)
            .await
            .map_err(Failure::from),
        Err(failure) => Err(failure),
    };
    let is_new = paused.map_err(|failure| kept(failure, app))? || is_noted;
    let said = if is_new {
        "paused"
    } else {
        "was paused already"
    };
    changed(app, &queue, &target, is_new, said)
}

/// Says beside a failure of Redis that the pause is kept where there is a database.
fn kept(failure: Failure, app: &App) -> Failure {
    if app.config.database.url.is_none() {
        return failure;
    }
    let message = failure.message();
    Failure::new(
        failure.exit(),
        format!(
            "the pause is noted in the database, and holds once a daemon has told Redis: {message}"
        ),
    )
}

/// Another host may know a kind that this build does not, so it can be paused all the same.
fn warn_of_kind(target: &Target) {
    let registry = quayhand_jobs::registry();
    if let Target::Kind(kind) = target
        && registry.get(kind).is_none()
    {
        let hint = job::hint(&registry, kind);
        output::note(&format!("this build knows no job `{kind}`{hint}"));
    }
}

pub(super) async fn resume(app: &App, what: &What, listed: Option<String>) -> Result<(), Failure> {
    let queue = waiting::queue(&what.queue)?;
    let target = match (listed, &what.tenant) {
        (Some(text), _) => Target::Other(text),
        // It cannot be paused any more, and may have been.
        (None, Some(none)) if none.is_empty() => Target::Tenant(String::new()),
        _ => what.target()?,
    };
    // First: what is in it is paused again by the daemon.
    let was_noted = if let Some(db) = app.db_if_any()? {
        let (queue, target) = (queue.as_str(), target.to_string());
        db.scope(async |conn| pause::lift(conn, queue, &target).await)
            .await?
    } else {
        output::note(
            "no database is configured: a pause that is noted in one comes back within a minute",
        );
        false
    };
    let was_paused = app.store().await?.resume(&queue, &target).await? || was_noted;
    let said = if was_paused {
        "goes on"
    } else {
        "was not paused"
    };
    changed(app, &queue, &target, was_paused, said)
}

fn changed(
    app: &App,
    queue: &Queue,
    target: &Target,
    has_changed: bool,
    said: &str,
) -> Result<(), Failure> {
    if app.format == Format::Json {
        return output::json(&serde_json::json!({
            "queue": queue,
            "target": target.to_string(),
            "changed": has_changed,
        }));
    }
    output::line(&output::plain(&match target {
        Target::Queue => format!("queue `{queue}` {said}"),
        part => format!("`{part}` of queue `{queue}` {said}"),
    }))
}

/// Shows a pause as JSON.
pub(super) fn fields(pause: &Pause) -> serde_json::Value {
    let note = &pause.note;
    serde_json::json!({
        "target": pause.target.to_string(),
        "by": note.by,
        "why": note.why,
        "at_ms": note.at_ms,
    })
}

/// Prints what is paused in a queue, a line each. When, the database knows best: Redis may have got
/// the pause again later.
pub(super) async fn print(
    app: &App,
    store: &Store,
    queue: &Queue,
    now_ms: u64,
) -> Result<(), Failure> {
    let noted = noted(app, queue).await;
    let at_ms = |target: &str| {
        let noted = noted.iter().find(|noted| noted.target == target);
        noted.map(|noted| u64::try_from(noted.at_ms).unwrap_or_default())
    };
    let pauses = store.pauses(queue).await?;
    for pause in &pauses {
        let target = pause.target.to_string();
        let ago = Span(now_ms.saturating_sub(at_ms(&target).unwrap_or(pause.note.at_ms)));
        let (by, why) = (&pause.note.by, &pause.note.why);
        let said = format!("`{target}` was paused {ago} ago by {by}: {why}");
        output::line(&output::plain(&said))?;
    }
    for paused in &noted {
        let is_known = |pause: &Pause| pause.target.to_string() == paused.target;
        if !pauses.iter().any(is_known) {
            let (target, by) = (&paused.target, &paused.by);
            let said = format!("`{target}` was paused by {by}, and Redis has to be told yet");
            output::line(&output::plain(&said))?;
        }
    }
    Ok(())
}

/// Reads what the database says of a queue; nothing where it cannot be asked.
async fn noted(app: &App, queue: &Queue) -> Vec<Paused> {
    let Ok(Some(db)) = app.db_if_any() else {
        return Vec::new();
    };
    let mut noted = db.scope(pause::list).await.unwrap_or_default();
    noted.retain(|paused| paused.queue == queue.as_str());
    noted
}
