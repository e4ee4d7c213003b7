//! `quayhand doctor`: checks everything the daemon needs, and changes nothing.
mod queues;

use std::{process::ExitCode, time::Duration};

use clap::Args as ClapArgs;
use quayhand_model::{drift, migrate, outbox};

use super::{
    App, Failure,
    app::{drifted, settings},
    output::{self, Format},
};
use crate::exit::Exit;

/// `doctor` takes no arguments of its own.
#[derive(ClapArgs)]
pub(crate) struct Args {}

/// One thing that was looked at.
struct Finding {
    what: &'static str,
    verdict: Verdict,
    detail: String,
}

/// What was found.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Good,
    /// Somebody should know; nothing is broken.
    Warning,
    /// The daemon, or a part of it, cannot work.
    Problem(Exit),
}

impl Verdict {
    fn as_str(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Warning => "WARN",
            Self::Problem(_) => "PROBLEM",
        }
    }
}

impl Finding {
    fn good(what: &'static str, detail: impl Into<String>) -> Self {
        Self {
            what,
            verdict: Verdict::Good,
            detail: detail.into(),
        }
    }

    fn bad(what: &'static str, exit: Exit, problem: impl Into<String>) -> Self {
        Self {
            what,
            verdict: Verdict::Problem(exit),
            detail: problem.into(),
        }
    }

    /// Warns of something where `is_bad`.
    fn warned_if(is_bad: bool, what: &'static str, detail: impl Into<String>) -> Self {
        let verdict = if is_bad {
            Verdict::Warning
        } else {
            Verdict::Good
        };
        Self {
            verdict,
            ..Self::good(what, detail)
        }
    }

    fn of(what: &'static str, outcome: Result<String, Failure>) -> Self {
        match outcome {
            Ok(detail) => Self::good(what, detail),
            Err(failure) => Self::bad(what, failure.exit(), failure.message()),
        }
    }
}

/// Looks at everything, prints a line each, and exits with the code of the first problem; warnings
/// are none.
pub(crate) async fn run(app: &App, _args: &Args) -> Result<ExitCode, Failure> {
    let mut findings = vec![
        Finding::of("database", database(app).await),
        Finding::of("tables", tables(app).await),
        Finding::of("schema", schema(app).await),
        Finding::of("queue Redis", queue(app).await),
    ];
    findings.extend(queues::look(app).await);
    findings.extend([
        Finding::of("outbox", outbox(app).await),
        Finding::of("locks Redis", locks(app).await),
        Finding::of("storage", storage(app).await),
        flags(app),
    ]);
    for finding in &findings {
        print(app.format, finding)?;
    }
    let first = findings.iter().find_map(|finding| match finding.verdict {
        Verdict::Problem(exit) => Some(exit),
        Verdict::Good | Verdict::Warning => None,
    });
    Ok(first.map_or(ExitCode::SUCCESS, Into::into))
}

fn print(format: Format, finding: &Finding) -> Result<(), Failure> {
    let Finding {
        what,
        verdict,
        detail,
    } = finding;
    match format {
        Format::Json => output::json(&serde_json::json!({
            "check": what,
            "ok": !matches!(verdict, Verdict::Problem(_)),
            "warning": *verdict == Verdict::Warning,
            "detail": detail,
        })),
        Format::Human => {
            let mark = verdict.as_str();
            output::line(&output::plain(&format!("{mark:<8} {what:<12} {detail}")))
        }
    }
}

async fn database(app: &App) -> Result<String, Failure> {
    let kind = app.db()?.scope(drift::kind_of_database).await?;
    if kind.is_registry() {
        return Ok(kind.to_string());
    }
    Err(Failure::new(
        Exit::Schema,
        format!("this is {kind}: name a Quay's database, or make one with `quayhand migrate up`"),
    ))
}

async fn tables(app: &App) -> Result<String, Failure> {
    let off = migrate::check(&app.db()?, None).await?;
    if off.is_empty() {
        return Ok("every migration is applied".to_owned());
    }
    let list: Vec<_> = off
        .iter()
        .map(|e| format!("{} ({})", e.step, e.state))
        .collect();
    Err(Failure::new(
        Exit::Schema,
        format!("{}: run `quayhand migrate up`", list.join(", ")),
    ))
}

async fn schema(app: &App) -> Result<String, Failure> {
    let found = app.db()?.scope(drift::check).await?;
    if found.is_clean() {
        return Ok("every foreign key and column is known".to_owned());
    }
    Err(Failure::new(Exit::Schema, drifted(&found)))
}

async fn queue(app: &App) -> Result<String, Failure> {
    app.store().await?;
    Ok("reachable".to_owned())
}

/// How long a job of the outbox may wait for a relay before something is wrong.
const LONGEST_OUTBOX_WAIT: Duration = Duration::from_mins(5);

async fn outbox(app: &App) -> Result<String, Failure> {
    let registry = quayhand_jobs::registry();
    let kinds: Vec<_> = registry.iter().map(|entry| entry.kind).collect();
    let db = app.db()?;
    let census = db.scope(async |conn| outbox::census(conn, &kinds).await);
    let census = census.await?;
    let age = Duration::from_secs(census.oldest_waiting.as_secs());
    if age > LONGEST_OUTBOX_WAIT {
        return Err(Failure::new(
            Exit::Redis,
            format!(
                "{} jobs wait for {age:?} to be enqueued, {} of them of unknown kinds: is a daemon \
                 of this version running, and does it reach Redis?",
                census.waiting, census.unknown
            ),
        ));
    }
    Ok(format!(
        "{} wait, {} are enqueued, {} are dead",
        census.waiting, census.relayed, census.dead
    ))
}

async fn locks(app: &App) -> Result<String, Failure> {
    let Some(url) = &app.config.redis.locks_url else {
        return Ok("none: `blob_gc` locks in the database".to_owned());
    };
    app.redis(url)?.ping().await?;
    Ok("reachable".to_owned())
}

async fn storage(app: &App) -> Result<String, Failure> {
    let Some(storage) = app.storage()? else {
        return Err(Failure::new(
            Exit::Config,
            "no location is configured, so no object can be removed: set `[storage]`, \
             `QUAYHAND_STORAGE` or Quay's DISTRIBUTED_STORAGE_CONFIG",
        ));
    };
    let names: Vec<_> = storage.locations().map(str::to_owned).collect();
    for name in &names {
        storage.check(name).await?;
    }
    Ok(format!("reachable: {}", names.join(", ")))
}

fn flags(app: &App) -> Finding {
    let settings = settings(&app.config);
    match settings.check_may_delete() {
        Ok(()) => Finding::good("flags", "garbage may be collected"),
        Err(error) => Finding::bad("flags", Exit::Refused, error.to_string()),
    }
}
