//! `quayhand migrate`: creates and upgrades tables.
use std::path::Path;

use clap::{Subcommand, ValueEnum};
use quayhand_model::migrate::{self, Depth, Entry, Set, State};

use super::{
    App, Failure,
    output::{self, Format},
};
use crate::exit::Exit;

#[derive(Subcommand)]
#[command(after_help = "\
On a Quay's database only `quayhand_*` tables are created; Quay's own are never altered.
The set `registry` builds a whole registry schema, and only where there is no Quay.")]
pub(crate) enum Command {
    /// Applies what is pending
    Up {
        /// One set only; without it, every set that belongs into this database
        #[arg(long, value_enum)]
        set: Option<SetName>,
    },
    /// Takes the last migration of a set back
    Down {
        /// Which set
        #[arg(long, value_enum)]
        set: SetName,
        /// How many, the last one first
        #[arg(long, default_value_t = 1, conflicts_with = "all")]
        steps: usize,
        /// All of the set: its tables and what is in them go
        #[arg(long)]
        all: bool,
    },
    /// Says whose database it is and which migration was the last
    Current,
    /// Lists every migration and how it stands
    History,
    /// Exits with the schema's code when something is pending, changed or unknown
    Check,
    /// Writes a pair of empty files for a new migration, in a source checkout
    New {
        /// Lower-case words joined by `_`
        name: String,
        /// Which set
        #[arg(long, value_enum)]
        set: SetName,
    },
}

/// A set of migrations, as the command line names it.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum SetName {
    /// A Quay-compatible registry schema, for stand-alone use
    Registry,
    /// The tables of our own
    Quayhand,
}

impl From<SetName> for Set {
    fn from(name: SetName) -> Self {
        match name {
            SetName::Registry => Self::Registry,
            SetName::Quayhand => Self::Quayhand,
        }
    }
}

pub(crate) async fn run(
    app: &impl Fn() -> Result<App, Failure>,
    command: Command,
    format: Format,
) -> Result<(), Failure> {
    match command {
        Command::New { name, set } => create(&name, set.into()),
        Command::Up { set } => {
            let steps = migrate::up(&app()?.db()?, set.map(Into::into)).await?;
            let lines: Vec<_> = steps.iter().map(|step| format!("applied {step}")).collect();
            print(format, &lines, "nothing was pending")
        }
        Command::Down { set, steps, all } => {
            let depth = if all { Depth::All } else { Depth::Steps(steps) };
            let steps = migrate::down(&app()?.db()?, set.into(), depth).await?;
            let lines: Vec<_> = steps
                .iter()
                .map(|step| format!("took back {step}"))
                .collect();
            print(format, &lines, "nothing was applied")
        }
        Command::Current => current(&app()?).await,
        Command::History => history(&app()?).await,
        Command::Check => check(&app()?).await,
    }
}

fn create(name: &str, set: Set) -> Result<(), Failure> {
    let here = Path::new(".").canonicalize().unwrap_or_default();
    let Some(checkout) = migrate::find_checkout(&here) else {
        return Err(Failure::usage(
            "this is no source checkout: there is no folder `migrations/postgres` here or above",
        ));
    };
    for path in migrate::create(&checkout, set, name)? {
        output::line(&path.display().to_string())?;
    }
    Ok(())
}

fn print(format: Format, lines: &[String], nothing: &str) -> Result<(), Failure> {
    match format {
        Format::Json => output::json(&lines),
        Format::Human if lines.is_empty() => output::line(nothing),
        Format::Human => lines.iter().try_for_each(|line| output::line(line)),
    }
}

async fn current(app: &App) -> Result<(), Failure> {
    let current = migrate::current(&app.db()?).await?;
    let last: Vec<_> = current.last.iter().map(ToString::to_string).collect();
    match app.format {
        Format::Json => output::json(&serde_json::json!({
            "database": current.kind.to_string(),
            "last": last,
        })),
        Format::Human => {
            output::line(&current.kind.to_string())?;
            last.iter().try_for_each(|step| output::line(step))
        }
    }
}

async fn history(app: &App) -> Result<(), Failure> {
    let db = app.db()?;
    let mut entries = Vec::new();
    for set in Set::ALL {
        entries.extend(migrate::history(&db, set).await?);
    }
    print_entries(app.format, &entries)
}

async fn check(app: &App) -> Result<(), Failure> {
    let off = migrate::check(&app.db()?, None).await?;
    if off.is_empty() {
        return output::line("every migration is applied");
    }
    print_entries(app.format, &off)?;
    let pending = off.iter().all(|entry| entry.state == State::Pending);
    let advice = if pending {
        "run `quayhand migrate up`"
    } else {
        "see the list above"
    };
    let n = off.len();
    Err(Failure::new(
        Exit::Schema,
        format!("{n} migrations are not as they should be: {advice}"),
    ))
}

fn print_entries(format: Format, entries: &[Entry]) -> Result<(), Failure> {
    if format == Format::Json {
        return entries.iter().try_for_each(|entry| {
            output::json(&serde_json::json!({
                "migration": entry.step.to_string(),
                "state": entry.state.to_string(),
            }))
        });
    }
    let row = |entry: &Entry| vec![entry.step.to_string(), entry.state.to_string()];
    let rows: Vec<_> = entries.iter().map(row).collect();
    output::table(&["MIGRATION", "STATE"], &rows)
}
