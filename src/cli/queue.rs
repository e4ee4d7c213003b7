//! `quayhand queue`: what waits, runs and died; pausing, resuming and clearing.
mod pauses;

use clap::{Args, Subcommand};
use quayhand_jobs::queues;
use quayhand_queue::{Queue, State, Target};

use super::{
    App, Failure, confirm,
    output::{self, Format},
    waiting,
};

/// Jobs `queue show` prints of each state.
const SHOWN: usize = 20;
/// Jobs that one call of `queue clear` removes.
const CLEARED: usize = 1_000;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Counts the jobs of every queue, and says what is paused
    List,
    /// Shows the jobs of one queue: what runs, what waits, what died and why
    Show {
        /// Name of the queue, as `queue list` names it
        queue: String,
        /// Jobs of each state at most
        #[arg(long, default_value_t = SHOWN)]
        limit: usize,
    },
    /// Keeps jobs from being taken, on all hosts, until `queue resume`; what runs goes on
    Pause {
        #[command(flatten)]
        what: What,
        /// Why, for those who find it
        #[arg(long, default_value = "", hide_default_value = true)]
        why: String,
    },
    /// Lets jobs be taken again
    Resume {
        #[command(flatten)]
        what: What,
        /// What `queue list` shows as paused and no other option names
        #[arg(long, value_name = "TEXT", conflicts_with_all = ["kind", "tenant"])]
        listed: Option<String>,
    },
    /// Removes every job that waits; what runs and what is dead stays
    Clear {
        /// Name of the queue, as `queue list` names it
        queue: String,
        #[command(flatten)]
        sure: confirm::Sure,
    },
}

/// A queue, or a part of it.
#[derive(Args)]
pub(crate) struct What {
    /// Name of the queue, as `queue list` names it
    queue: String,
    /// Only this kind of job
    #[arg(long, conflicts_with = "tenant")]
    kind: Option<String>,
    /// Only this tenant's jobs
    #[arg(long)]
    tenant: Option<String>,
}

impl What {
    fn target(&self) -> Result<Target, Failure> {
        let target = match (&self.kind, &self.tenant) {
            (Some(kind), _) => Target::kind(kind),
            (None, Some(tenant)) => Target::tenant(tenant),
            (None, None) => Ok(Target::Queue),
        };
        target.map_err(|error| Failure::usage(output::plain(&error.to_string())))
    }
}

pub(crate) async fn run(app: &App, command: Command) -> Result<(), Failure> {
    match command {
        Command::List => list(app).await,
        Command::Show { queue, limit } => show(app, &waiting::queue(&queue)?, limit).await,
        Command::Pause { what, why } => pauses::pause(app, &what, &why).await,
        Command::Resume { what, listed } => pauses::resume(app, &what, listed).await,
        Command::Clear { queue, sure } => clear(app, &waiting::queue(&queue)?, &sure).await,
    }
}

async fn list(app: &App) -> Result<(), Failure> {
    let store = app.store().await?;
    let mut rows = Vec::new();
    for queue in queues::ALL {
        let counts = store.counts(&queue).await?;
        let pauses = store.pauses(&queue).await?;
        let paused: Vec<_> = pauses
            .iter()
            .map(|pause| pause.target.to_string())
            .collect();
        if app.format == Format::Json {
            output::json(&serde_json::json!({
                "queue": queue,
                "ready": counts.ready,
                "blocked": counts.blocked,
                "delayed": counts.delayed,
                "leased": counts.leased,
                "dead": counts.dead,
                "done_total": counts.done_total,
                "paused": paused,
                "pauses": pauses.iter().map(pauses::fields).collect::<Vec<_>>(),
            }))?;
            continue;
        }
        let numbers = [
            counts.ready,
            counts.blocked,
            counts.delayed,
            counts.leased,
            counts.dead,
            counts.done_total,
        ];
        let mut row = vec![queue.to_string()];
        row.extend(numbers.iter().map(u64::to_string));
        row.push(paused.join(" "));
        rows.push(row);
    }
    if app.format == Format::Json {
        return Ok(());
    }
    let headings = [
        "QUEUE", "READY", "BLOCKED", "DELAYED", "LEASED", "DEAD", "DONE", "PAUSED",
    ];
    output::table(&headings, &rows)
}

async fn show(app: &App, queue: &Queue, limit: usize) -> Result<(), Failure> {
    let store = app.store().await?;
    let now_ms = waiting::now_ms();
    let mut rows = Vec::new();
    for state in [
        State::Leased,
        State::Ready,
        State::Blocked,
        State::Delayed,
        State::Dead,
    ] {
        for job in store.list(queue, state, 0, limit).await? {
            if app.format == Format::Json {
                output::json(&waiting::fields(queue, &job))?;
            } else {
                rows.push(waiting::row(queue, &job, now_ms));
            }
        }
    }
    if app.format == Format::Json {
        return Ok(());
    }
    pauses::print(app, &store, queue, now_ms).await?;
    output::table(&waiting::HEADINGS, &rows)
}

async fn clear(app: &App, queue: &Queue, sure: &confirm::Sure) -> Result<(), Failure> {
    let store = app.store().await?;
    let counts = store.counts(queue).await?;
    let waiting = counts.ready + counts.blocked + counts.delayed;
    if !sure.goes_on(&format!("remove {waiting} waiting jobs of queue `{queue}`"))? {
        return confirm::report(app.format, "would_remove", waiting);
    }
    let mut removed = 0;
    loop {
        let some = store.clear(queue, CLEARED).await?;
        removed += some as u64;
        // More than waited at first have come meanwhile, and are not meant.
        if some < CLEARED || removed >= waiting {
            return confirm::report(app.format, "removed", removed);
        }
    }
}
