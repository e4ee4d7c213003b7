//! `quayhand queue`: what waits, runs and died.
use clap::Subcommand;
use quayhand_jobs::queues;
use quayhand_queue::{Queue, Shown, State};

use super::{
    App, Failure,
    output::{self, Format},
};

/// Jobs `queue show` prints of each state.
const SHOWN: usize = 20;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Counts the jobs of every queue
    List,
    /// Shows the jobs of one queue: what runs, what waits, what died and why
    Show {
        /// Name of the queue, as `queue list` names it
        queue: String,
        /// Jobs of each state at most
        #[arg(long, default_value_t = SHOWN)]
        limit: usize,
    },
}

pub(crate) async fn run(app: &App, command: Command) -> Result<(), Failure> {
    match command {
        Command::List => list(app).await,
        Command::Show { queue, limit } => show(app, &queue, limit).await,
    }
}

async fn list(app: &App) -> Result<(), Failure> {
    let store = app.store().await?;
    let mut rows = Vec::new();
    for queue in queues::ALL {
        let counts = store.counts(&queue).await?;
        if app.format == Format::Json {
            output::json(&serde_json::json!({
                "queue": queue,
                "ready": counts.ready,
                "delayed": counts.delayed,
                "leased": counts.leased,
                "dead": counts.dead,
                "done_total": counts.done_total,
            }))?;
            continue;
        }
        let numbers = [
            counts.ready,
            counts.delayed,
            counts.leased,
            counts.dead,
            counts.done_total,
        ];
        let mut row = vec![queue.to_string()];
        row.extend(numbers.iter().map(u64::to_string));
        rows.push(row);
    }
    if app.format == Format::Json {
        return Ok(());
    }
    output::table(
        &["QUEUE", "READY", "DELAYED", "LEASED", "DEAD", "DONE"],
        &rows,
    )
}

async fn show(app: &App, name: &str, limit: usize) -> Result<(), Failure> {
    let queue = find(name)?;
    let store = app.store().await?;
    let mut rows = Vec::new();
    for state in [State::Leased, State::Ready, State::Delayed, State::Dead] {
        for job in store.list(&queue, state, 0, limit).await? {
            if app.format == Format::Json {
                output::json(&fields(&job))?;
            } else {
                rows.push(row(&job));
            }
        }
    }
    if app.format == Format::Json {
        return Ok(());
    }
    output::table(&["STATE", "KIND", "ID", "ATTEMPTS", "LAST ERROR"], &rows)
}

fn find(name: &str) -> Result<Queue, Failure> {
    let known = queues::ALL.into_iter().find(|queue| queue.as_str() == name);
    known.ok_or_else(|| {
        let names: Vec<_> = queues::ALL.iter().map(ToString::to_string).collect();
        Failure::usage(format!(
            "no queue is named `{name}`; the queues are: {}",
            names.join(", ")
        ))
    })
}

fn fields(job: &Shown) -> serde_json::Value {
    let envelope = job.envelope.as_ref().ok();
    serde_json::json!({
        "id": job.id,
        "state": job.state.as_str(),
        "kind": envelope.map(|envelope| envelope.kind.as_str()),
        "payload": envelope.map(|envelope| &envelope.payload),
        "attempts": envelope.map(|envelope| envelope.attempt),
        "at_ms": job.at_ms,
        "last_error": job.last_error,
    })
}

fn row(job: &Shown) -> Vec<String> {
    let (kind, attempts, problem) = match &job.envelope {
        Ok(envelope) => (
            envelope.kind.as_str(),
            envelope.attempt,
            job.last_error.as_str(),
        ),
        Err(problem) => ("?", 0, problem.as_str()),
    };
    vec![
        job.state.to_string(),
        kind.to_owned(),
        job.id.clone(),
        attempts.to_string(),
        problem.to_owned(),
    ]
}
