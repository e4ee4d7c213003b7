//! `quayhand job`: lists, explains and runs jobs here and now, without the daemon; finds, shows,
//! explains and cancels those in the queues.
mod execute;
mod queued;
mod search;
mod sinks;

use std::process::ExitCode;

use clap::Subcommand;
use quayhand_jobs::{Ctx, registry};
use quayhand_queue::{Entry, JobError, Policy, Registry, Schedule, Source, State};

use super::{
    App, Failure,
    output::{self, Format},
    waiting::{self, Which},
};
use crate::config;
use execute::{RunArgs, execute};

pub(crate) use execute::for_repository;
pub(crate) use queued::{show_one, show_row};
pub(crate) use search::{Hits, print, search};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Lists every kind of job
    List,
    /// Explains one kind (its queue, policy, schedule and payload), or shows one job in a queue
    Show {
        /// Kind of job, as `job list` names it, or a job's id
        #[arg(value_name = "KIND|ID")]
        what: String,
    },
    /// Runs one job here and now, without Redis's queue
    Run(RunArgs),
    /// Finds jobs in the queues
    Find {
        #[command(flatten)]
        which: Which,
        /// Only in this state: ready, blocked, delayed, leased or dead
        #[arg(long, value_parser = waiting::state)]
        state: Option<State>,
        /// Jobs at most
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// Cancels jobs: one that waits is gone, one that runs is stopped
    Cancel {
        /// Ids of the jobs
        #[arg(required = true)]
        ids: Vec<String>,
        /// Why, for those who find it
        #[arg(long, default_value = "", hide_default_value = true)]
        why: String,
    },
    /// Says in one line why a job is not running
    Why {
        /// Id of the job
        id: String,
    },
}

/// Runs one of the sub-commands. The configuration is read only when it is needed.
pub(crate) async fn run(
    app: &impl Fn() -> Result<App, Failure>,
    command: Command,
    format: Format,
) -> Result<ExitCode, Failure> {
    let registry = registry();
    match command {
        Command::List => list(&registry, format)?,
        Command::Show { what } => {
            if registry.get(&what).is_some() || looks_like_a_kind(&what) {
                find(&registry, &what)?;
                // As it runs here: a configuration may say otherwise than the kind.
                show(find(&app()?.registry(), &what)?, format)?;
            } else {
                queued::show(&app()?, &what).await?;
            }
        }
        Command::Find {
            which,
            state,
            limit,
        } => queued::find(&app()?, &which, state, limit).await?,
        Command::Cancel { ids, why } => queued::cancel(&app()?, &ids, &why).await?,
        Command::Why { id } => queued::why(&app()?, &id).await?,
        Command::Run(args) => {
            let entry = find(&registry, &args.kind)?;
            if let Some(payload) = &args.payload {
                check_payload(entry, payload)?;
            }
            return execute(&app()?, entry, &args).await;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Tells a kind that was misspelt from an id: kinds are lower-case words.
fn looks_like_a_kind(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_lowercase() || c == '_')
}

fn list(registry: &Registry<Ctx>, format: Format) -> Result<(), Failure> {
    if format == Format::Json {
        return registry
            .iter()
            .try_for_each(|entry| output::json(&fields(entry)));
    }
    let rows: Vec<_> = registry
        .iter()
        .map(|entry| {
            let schedule = entry.schedule.map_or_else(String::new, schedule_text);
            let (kind, about) = (entry.kind.to_owned(), entry.about.to_owned());
            let lost = source_word(entry.source).to_owned();
            vec![kind, entry.queue.to_string(), schedule, lost, about]
        })
        .collect();
    output::table(&["KIND", "QUEUE", "SCHEDULE", "SOURCE", "ABOUT"], &rows)
}

fn show(entry: &Entry<Ctx>, format: Format) -> Result<(), Failure> {
    if format == Format::Json {
        return output::json(&fields(entry));
    }
    let policy = entry.policy;
    let schedule = entry
        .schedule
        .map_or_else(|| "on request".to_owned(), schedule_text);
    output::line(&format!("{}: {}", entry.kind, entry.about))?;
    output::line(&format!("queue         {}", entry.queue))?;
    output::line(&format!("runs          {schedule}"))?;
    output::line(&format!("time limit    {:?} an attempt", policy.timeout))?;
    output::line(&format!("attempts      {}", policy.max_attempts))?;
    let (first, longest) = (policy.backoff.first, policy.backoff.longest);
    output::line(&format!("back-off      {first:?} doubling to {longest:?}"))?;
    output::line(&format!("at a time     {}", limits_text(&policy)))?;
    output::line(&format!("losing Redis  {}", source_text(entry.source)))?;
    let payload = entry.scheduled().or_else(|| entry.for_repository(17));
    output::line(&format!("payload       {}", payload.unwrap_or_default()))?;
    let kept = match policy.keep_for {
        none if none.is_zero() => "not kept".to_owned(),
        time => format!("kept for {}", config::shown(&time)),
    };
    output::line(&format!("records       {kept}"))?;
    let kind = entry.kind;
    output::line(&format!(
        "`[jobs.{kind}]` in the configuration of a host may say otherwise there"
    ))
}

/// Says what holds jobs of a kind back.
fn limits_text(policy: &Policy) -> String {
    let limit = policy
        .limit
        .map(|limit| format!("{} by {}", limit.most, limit.by));
    let rate = policy
        .rate
        .map(|rate| format!("{} per {:?} by {}", rate.most, rate.per, rate.by));
    let equal = policy
        .unique_for
        .map(|_| "equal ones never side by side".to_owned());
    let texts: Vec<_> = [limit, rate, equal].into_iter().flatten().collect();
    if texts.is_empty() {
        "as many as there are slots".to_owned()
    } else {
        texts.join(", ")
    }
}

fn fields(entry: &Entry<Ctx>) -> serde_json::Value {
    serde_json::json!({
        "kind": entry.kind,
        "queue": entry.queue,
        "about": entry.about,
        "schedule": entry.schedule.map(schedule_text),
        "source": source_word(entry.source),
        "timeout_s": entry.policy.timeout.as_secs(),
        "max_attempts": entry.policy.max_attempts,
        "keep_for_s": entry.policy.keep_for.as_secs(),
        "version": entry.policy.version,
    })
}

fn schedule_text(schedule: Schedule) -> String {
    match schedule {
        Schedule::Every(interval) => format!("every {interval:?}"),
        Schedule::Cron(expression) => format!("cron {expression} UTC"),
    }
}

fn source_word(source: Source) -> &'static str {
    match source {
        Source::Derivable => "derivable",
        Source::Outbox => "outbox",
    }
}

fn source_text(source: Source) -> &'static str {
    match source {
        Source::Derivable => "costs at most one sweep: the work is found again in the database",
        Source::Outbox => "costs nothing: the job is in the outbox until it is done",
    }
}

/// Finds a kind, or names the one that was probably meant.
pub(crate) fn find<'a>(registry: &'a Registry<Ctx>, kind: &str) -> Result<&'a Entry<Ctx>, Failure> {
    registry.get(kind).ok_or_else(|| {
        let kinds: Vec<_> = registry.iter().map(|entry| entry.kind).collect();
        let hint = hint(registry, kind);
        Failure::usage(format!(
            "no job is named `{kind}`{hint} (the kinds are: {})",
            kinds.join(", ")
        ))
    })
}

/// Names the kind that was probably meant by one that is none; empty when none is like it.
pub(crate) fn hint(registry: &Registry<Ctx>, kind: &str) -> String {
    let kinds = registry.iter().map(|entry| entry.kind);
    let alike = kinds.map(|known| (strsim::jaro_winkler(kind, known), known));
    let nearest = alike
        .filter(|(likeness, _)| *likeness > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    nearest.map_or_else(String::new, |(_, known)| {
        format!("; did you mean `{known}`?")
    })
}

/// Refuses a payload (JSON) that is not of this kind.
pub(crate) fn check_payload(entry: &Entry<Ctx>, payload: &str) -> Result<(), Failure> {
    entry.check(payload).map_err(|error| match error {
        JobError::Dead { reason } => {
            let kind = entry.kind;
            Failure::usage(format!("{reason} (see `quayhand job show {kind}`)"))
        }
        error => Failure::usage(error.to_string()),
    })
}
