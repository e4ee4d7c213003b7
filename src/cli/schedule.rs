//! `quayhand schedule`: what is enqueued by itself, and when.
use std::collections::BTreeMap;

use chrono::DateTime;
use clap::Subcommand;
use quayhand_jobs::{Ctx, outbox::Sent};
use quayhand_model::{
    Db, clock,
    schedule::{self, Seen},
};
use quayhand_queue::{Entry, Placement, Registry, chain};

use super::{
    App, Failure, job,
    output::{self, Format},
    waiting,
};
use crate::supervisor::{Plan, Upcoming};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Lists every schedule: when it ticks, its last tick and its next one
    List,
    /// Enqueues a schedule's job now, beside its ticks, also while it is paused
    RunNow {
        /// Kind of job, as `schedule list` names it
        kind: String,
    },
    /// Keeps a schedule from ticking, on all hosts, until it is resumed
    Pause {
        /// Kind of job, as `schedule list` names it
        kind: String,
        /// Why, for those who find it
        #[arg(long, default_value = "", hide_default_value = true)]
        why: String,
    },
    /// Lets a schedule go on with its next tick; those that passed are not caught up with
    Resume {
        /// Kind of job, as `schedule list` names it
        kind: String,
    },
}

pub(crate) async fn run(app: &App, command: Command) -> Result<(), Failure> {
    let registry = app.registry();
    match command {
        Command::List => list(app, &registry).await,
        Command::RunNow { kind } => run_now(app, find(&registry, &kind)?).await,
        Command::Pause { kind, why } => {
            set_paused(app, find(&registry, &kind)?.kind, Some(&why)).await
        }
        Command::Resume { kind } => set_paused(app, find(&registry, &kind)?.kind, None).await,
    }
}

/// Finds a kind that has a schedule.
fn find<'a>(registry: &'a Registry<Ctx>, kind: &str) -> Result<&'a Entry<Ctx>, Failure> {
    let entry = job::find(registry, kind)?;
    if entry.schedule.is_none() {
        return Err(Failure::usage(format!(
            "`{kind}` has no schedule; `quayhand schedule list` names those that have"
        )));
    }
    Ok(entry)
}

async fn list(app: &App, registry: &Registry<Ctx>) -> Result<(), Failure> {
    let plan = Plan::of(&app.config);
    let (now_ms, seen) = look(&app.db()?).await?;
    let upcoming = plan
        .upcoming(registry, now_ms)
        .map_err(|error| Failure::new(crate::exit::Exit::Config, chain(&error)))?;
    let rows = upcoming.iter().map(|next| (next, seen.get(&next.kind)));
    if app.format == Format::Json {
        return rows
            .map(|(next, seen)| fields(next, seen))
            .try_for_each(|fields| output::json(&fields));
    }
    let rows: Vec<_> = rows.map(|(next, seen)| row(next, seen)).collect();
    output::table(
        &["KIND", "WHEN", "JITTER", "LAST TICK", "ITS JOB", "NEXT"],
        &rows,
    )
}

/// Reads the database's clock and what it knows of each entry.
async fn look(db: &Db) -> Result<(i64, BTreeMap<String, Seen>), Failure> {
    let looked = db.scope(async |conn| {
        let now_ms = clock::now_ms(conn).await?;
        Ok::<_, quayhand_model::DbError>((now_ms, schedule::list(conn).await?))
    });
    let (now_ms, seen) = looked.await?;
    let by_entry = seen.into_iter().map(|seen| (seen.entry.clone(), seen));
    Ok((now_ms, by_entry.collect()))
}

fn fields(next: &Upcoming, seen: Option<&Seen>) -> serde_json::Value {
    let paused = seen.filter(|seen| seen.is_paused);
    let is_paused = paused.is_some();
    serde_json::json!({
        "kind": next.kind,
        "when": next.timing.when.to_string(),
        "time_zone": next.timing.time_zone.to_string(),
        "jitter_ms": u64::try_from(next.timing.jitter.as_millis()).unwrap_or(u64::MAX),
        "paused": is_paused,
        "paused_by": paused.map(|seen| seen.by.as_str()),
        "paused_why": paused.map(|seen| seen.why.as_str()),
        "paused_at": paused.and_then(|seen| seen.changed_ms).map(time),
        "last_tick": seen.and_then(|seen| seen.last_tick_ms).map(time),
        "last_state": seen.and_then(|seen| seen.last_state.as_deref()),
        "next": next.due_ms.filter(|_| !is_paused).map(time),
    })
}

fn row(next: &Upcoming, seen: Option<&Seen>) -> Vec<String> {
    let timing = &next.timing;
    let when = match &timing.when {
        when @ crate::config::When::Cron(_) => format!("{when} {}", timing.time_zone),
        when @ crate::config::When::Every(_) => when.to_string(),
    };
    let jitter = match timing.jitter {
        none if none.is_zero() => String::new(),
        jitter => format!("{jitter:?}"),
    };
    let due = match seen.filter(|seen| seen.is_paused) {
        Some(seen) => paused_text(seen),
        None => next.due_ms.map_or_else(|| "never".to_owned(), time),
    };
    let last = seen.and_then(|seen| Some((time(seen.last_tick_ms?), seen.last_state.clone()?)));
    let (tick, state) = last.unwrap_or_default();
    vec![next.kind.clone(), when, jitter, tick, state, due]
}

/// Says who paused a schedule, when and why; who paused it before that was kept is not known.
fn paused_text(seen: &Seen) -> String {
    let since = seen.changed_ms.map_or_else(String::new, time);
    let by = match seen.by.as_str() {
        "" => String::new(),
        by => format!(" by {by}"),
    };
    let why = match seen.why.as_str() {
        "" => String::new(),
        why => format!(": {why}"),
    };
    format!("paused {since}{by}{why}")
}

/// Shows a moment in UTC, to the second.
fn time(ms: i64) -> String {
    let shown = DateTime::from_timestamp_millis(ms);
    shown.map_or_else(String::new, |at| {
        at.format("%Y-%m-%dT%H:%M:%SZ").to_string()
    })
}

async fn run_now(app: &App, entry: &Entry<Ctx>) -> Result<(), Failure> {
    let kind = entry.kind;
    let payload = entry
        .scheduled()
        .ok_or_else(|| Failure::failed(format!("`{kind}` has a schedule but no payload for it")))?;
    let sent = app
        .outbox()?
        .enqueue_raw(entry, payload, Placement::default())
        .await?;
    show(app.format, &sent)
}

/// Says where an enqueued job is.
pub(crate) fn show(format: Format, sent: &Sent) -> Result<(), Failure> {
    match (format, sent) {
        (Format::Json, Sent::Queued(receipt)) => output::json(&serde_json::json!({
            "id": receipt.id,
            "new": receipt.is_new,
            "in": "queue",
        })),
        (Format::Json, Sent::Kept { id, .. }) => output::json(&serde_json::json!({
            "id": id,
            "new": true,
            "in": "outbox",
        })),
        (Format::Human, Sent::Queued(receipt)) if !receipt.is_new => output::line(&format!(
            "an equal job waits or runs already: {}",
            receipt.id
        )),
        (Format::Human, Sent::Queued(receipt)) => output::line(&receipt.id),
        (Format::Human, Sent::Kept { id, why }) => {
            let why = why.as_ref().map(|error| format!(" ({})", chain(error)));
            let why = why.unwrap_or_default();
            output::line(&format!(
                "{id} waits in the outbox until Redis takes it{why}"
            ))
        }
    }
}

/// Pauses a schedule for a reason, or resumes it.
async fn set_paused(app: &App, kind: &str, why: Option<&str>) -> Result<(), Failure> {
    let (db, by) = (app.db()?, waiting::operator());
    let changed = db.scope(async |conn| match why {
        Some(why) => schedule::pause(conn, kind, &by, why).await,
        None => schedule::resume(conn, kind).await,
    });
    let (is_new, pause) = (changed.await?, why.is_some());
    if app.format == Format::Json {
        return output::json(&serde_json::json!({
            "kind": kind,
            "paused": pause,
            "changed": is_new,
        }));
    }
    output::line(match (pause, is_new) {
        (true, true) => "paused on all hosts; a job that is enqueued already runs",
        (true, false) => "it was paused already",
        (false, true) => "resumed with its next tick",
        (false, false) => "it was not paused",
    })
}
