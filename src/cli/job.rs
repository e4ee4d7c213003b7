//! `quayhand job`: lists, explains and runs jobs here and now, without the daemon.
use std::{
    fs::OpenOptions,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Instant,
};

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use quayhand_jobs::{Audit, Ctx, Doomed, Options, Preview, registry};
use quayhand_model::{DbError, clock, repository};
use quayhand_queue::{Done, Entry, JobError, Registry, Schedule, Source};

use super::{
    App, Failure,
    app::check_schema,
    output::{self, Format},
    progress::Bar,
};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Lists every kind of job
    List,
    /// Explains one kind: its queue, policy, schedule and payload
    Show {
        /// Kind of job, as `job list` names it
        kind: String,
    },
    /// Runs one job here and now, without Redis's queue
    Run(RunArgs),
}

/// What to run, and how.
#[derive(Args)]
#[command(after_help = "\
Examples:
  quayhand job run tag_expiry --repository org/app --dry-run
  quayhand job run tag_expiry --all
  quayhand job run blob_gc --all --audit removed.jsonl
  quayhand job run tag_expiry '{\"repository_ids\": [17]}'")]
pub(crate) struct RunArgs {
    /// Kind of job, as `job list` names it
    kind: String,
    /// The job's payload; without one the scheduler's own is taken
    #[arg(value_name = "JSON", conflicts_with_all = ["repository", "all"])]
    payload: Option<String>,
    /// Runs the job for one repository
    #[arg(long, value_name = "NAMESPACE/NAME", conflicts_with = "all")]
    repository: Option<String>,
    /// Does all the work of this kind there is: every repository with garbage for `tag_expiry`,
    /// every waiting object whatever its age for `blob_gc`
    #[arg(long)]
    all: bool,
    /// Prints exactly what would go, and changes nothing
    #[arg(long)]
    dry_run: bool,
    /// Judges by this time instead of the database's clock; a future one only with --dry-run
    #[arg(long, value_name = "RFC3339", value_parser = time)]
    as_of: Option<DateTime<Utc>>,
    /// Appends a JSON line for each object removed from storage
    #[arg(long, value_name = "FILE")]
    audit: Option<PathBuf>,
}

fn time(text: &str) -> Result<DateTime<Utc>, String> {
    let read = DateTime::parse_from_rfc3339(text).map(|time| time.to_utc());
    read.map_err(|error| format!("{error}; write for example 2026-01-31T08:00:00Z"))
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
        Command::Show { kind } => show(find(&registry, &kind)?, format)?,
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
            vec![kind, entry.queue.to_string(), schedule, about]
        })
        .collect();
    output::table(&["KIND", "QUEUE", "SCHEDULE", "ABOUT"], &rows)
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
    output::line(&format!("losing Redis  {}", source_text(entry.source)))?;
    let payload = entry.scheduled().or_else(|| entry.for_repository(17));
    output::line(&format!("payload       {}", payload.unwrap_or_default()))
}

fn fields(entry: &Entry<Ctx>) -> serde_json::Value {
    serde_json::json!({
        "kind": entry.kind,
        "queue": entry.queue,
        "about": entry.about,
        "schedule": entry.schedule.map(schedule_text),
        "timeout_s": entry.policy.timeout.as_secs(),
        "max_attempts": entry.policy.max_attempts,
        "version": entry.policy.version,
    })
}

fn schedule_text(schedule: Schedule) -> String {
    match schedule {
        Schedule::Every(interval) => format!("every {interval:?}"),
        Schedule::Cron(expression) => format!("cron {expression} UTC"),
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
        let hint = kinds
            .iter()
            .map(|known| (strsim::jaro_winkler(kind, known), known))
            .filter(|(likeness, _)| *likeness > 0.7)
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .map_or_else(String::new, |(_, known)| {
                format!("; did you mean `{known}`?")
            });
        Failure::usage(format!(
            "no job is named `{kind}`{hint} (the kinds are: {})",
            kinds.join(", ")
        ))
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

async fn execute(app: &App, entry: &Entry<Ctx>, args: &RunArgs) -> Result<ExitCode, Failure> {
    let bar = Bar::start(entry.kind);
    bar.show_warnings(app.format);
    let ctx = app.ctx(Options {
        by_hand: true,
        preview: args.dry_run.then(|| preview(app.format)),
        as_of_ms: args.as_of.map(|time| time.timestamp_millis()),
        audit: args.audit.as_deref().map(open_audit).transpose()?,
        progress: bar.progress(),
    })?;
    check_schema(&ctx).await?;
    check_as_of(&ctx, args).await?;
    stop_on_signal(&ctx);
    let started = Instant::now();
    let done = attempt(entry, &ctx, args).await;
    bar.finish();
    report(app.format, entry.kind, &done, started, args.dry_run)?;
    match done {
        Ok(Ok(_)) => Ok(ExitCode::SUCCESS),
        Ok(Err(error)) => Err(Failure::of_job(&error, &ctx.gate)),
        Err(failure) => Err(failure),
    }
}

/// Runs the attempt; the outer error is about what was asked, the inner one the job's.
async fn attempt(
    entry: &Entry<Ctx>,
    ctx: &Ctx,
    args: &RunArgs,
) -> Result<Result<Done, JobError>, Failure> {
    if args.all {
        let all = entry.all(ctx).ok_or_else(|| {
            Failure::usage(format!("`{}` has no --all: give it a payload", entry.kind))
        })?;
        return Ok(all.await);
    }
    let payload = match (&args.payload, &args.repository) {
        (Some(payload), _) => payload.clone(),
        (None, Some(name)) => for_repository(entry, ctx, name).await?,
        (None, None) => entry.scheduled().ok_or_else(|| {
            Failure::usage(format!(
                "`{}` needs to be told what to work on: --repository, --all or a payload \
                 (see `quayhand job show {}`)",
                entry.kind, entry.kind
            ))
        })?,
    };
    Ok(entry.run(Arc::new(ctx.clone()), &payload).await)
}

/// Returns the payload for a repository named `namespace/name`.
pub(crate) async fn for_repository(
    entry: &Entry<Ctx>,
    ctx: &Ctx,
    name: &str,
) -> Result<String, Failure> {
    let not_about_one = || Failure::usage(format!("`{}` is not about one repository", entry.kind));
    if entry.for_repository(0).is_none() {
        return Err(not_about_one());
    }
    let found = ctx
        .db
        .scope(async |conn| repository::by_path(conn, name).await)
        .await;
    let found = found.map_err(|error| match error {
        DbError::Refused(problem) => Failure::usage(problem),
        error => error.into(),
    })?;
    let found = found.ok_or_else(|| {
        Failure::usage(format!(
            "there is no repository `{name}` (one that is marked for deletion does not count)"
        ))
    })?;
    entry.for_repository(found.id).ok_or_else(not_about_one)
}

/// Refuses a time that is still to come, by the database's clock, unless nothing is changed.
async fn check_as_of(ctx: &Ctx, args: &RunArgs) -> Result<(), Failure> {
    let Some(as_of_ms) = ctx.options.as_of_ms.filter(|_| !args.dry_run) else {
        return Ok(());
    };
    let now_ms = ctx.db.scope(clock::now_ms).await?;
    if as_of_ms > now_ms {
        return Err(Failure::usage(
            "--as-of is in the future by the database's clock: only --dry-run may look ahead",
        ));
    }
    Ok(())
}

fn open_audit(path: &Path) -> Result<Audit, Failure> {
    let file = OpenOptions::new().create(true).append(true).open(path);
    match file {
        Ok(file) => Ok(Audit::new(std::io::BufWriter::new(file))),
        Err(error) => Err(Failure::usage(format!(
            "audit file `{}`: {error}; nothing was removed",
            path.display()
        ))),
    }
}

/// Prints what would go: on standard output, a line each, and nothing else there.
fn preview(format: Format) -> Preview {
    Preview::new(move |doomed| {
        let printed = match (format, doomed) {
            (Format::Json, doomed) => output::json(doomed),
            (Format::Human, Doomed::Row { table, id }) => output::line(&format!("{table}\t{id}")),
            (Format::Human, Doomed::Object { location, path }) => {
                output::line(&format!("{location}\t{path}"))
            }
            (
                Format::Human,
                Doomed::Role {
                    table,
                    user_id,
                    place_id,
                    before,
                    after,
                },
            ) => {
                let (before, after) = (before.unwrap_or("none"), after.unwrap_or("none"));
                output::line(&format!(
                    "{table}\t{user_id}\t{place_id}\t{before} -> {after}"
                ))
            }
        };
        // A reader that went away has seen enough; the run changes nothing anyway.
        drop(printed);
    })
}

/// Stops after the running batch at Ctrl-C or TERM; what was done stays done.
fn stop_on_signal(ctx: &Ctx) {
    use tokio::signal::unix::{SignalKind, signal};
    let stop = ctx.stop.clone();
    tokio::spawn(async move {
        let terminate = signal(SignalKind::terminate());
        let interrupt = signal(SignalKind::interrupt());
        if let (Ok(mut terminate), Ok(mut interrupt)) = (terminate, interrupt) {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            stop.cancel();
        }
    });
}

/// Says what was done: after a dry run on standard error, which the list leaves free.
fn report(
    format: Format,
    kind: &str,
    done: &Result<Result<Done, JobError>, Failure>,
    started: Instant,
    dry_run: bool,
) -> Result<(), Failure> {
    let Ok(Ok(done) | Err(JobError::Partial { done, .. })) = done else {
        return Ok(());
    };
    let seconds = started.elapsed().as_secs_f64();
    if dry_run {
        #[expect(clippy::print_stderr, reason = "standard output is the list alone")]
        {
            eprintln!("{kind}: a dry run: {done} ({seconds:.1} s); nothing was changed");
        }
        return Ok(());
    }
    match format {
        Format::Human => output::line(&format!("{kind}: {done} ({seconds:.1} s)")),
        Format::Json => output::json(&serde_json::json!({
            "kind": kind,
            "counts": done.counts,
            "seconds": seconds,
        })),
    }
}
