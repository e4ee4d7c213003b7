//! `quayhand job run`: one job, here and now.
use std::{path::PathBuf, process::ExitCode, sync::Arc, time::Instant};

use chrono::{DateTime, Utc};
use clap::Args;
use quayhand_jobs::{Ctx, Options};
use quayhand_model::{DbError, clock, repository};
use quayhand_queue::{Done, Entry, JobError};

use super::sinks::{open_audit, preview, report};
use crate::cli::{App, Failure, app::check_schema, progress::Bar};

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
    pub(super) kind: String,
    /// The job's payload; without one the scheduler's own is taken
    #[arg(value_name = "JSON", conflicts_with_all = ["repository", "all"])]
    pub(super) payload: Option<String>,
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

pub(super) async fn execute(
    app: &App,
    entry: &Entry<Ctx>,
    args: &RunArgs,
) -> Result<ExitCode, Failure> {
    let bar = Bar::start(entry.kind);
    bar.show_warnings(app.format);
    let ctx = app.ctx(Options {
        by_hand: true,
        preview: args.dry_run.then(|| preview(app.format)),
        as_of_ms: args.as_of.map(|time| time.timestamp_millis()),
        audit: args.audit.as_deref().map(open_audit).transpose()?,
        progress: bar.progress(),
        ..Options::default()
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
