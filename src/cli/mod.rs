//! The command line: one file a command, one exit code a kind of failure.
mod app;
mod config;
mod confirm;
mod dead;
mod doctor;
mod enqueue;
mod failure;
mod job;
mod migrate;
pub(crate) mod output;
mod progress;
mod queue;
mod rows;
mod run;
mod schedule;
mod verify;
mod waiting;
mod worker;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

pub use failure::Failure;

use crate::config::{Config, Sources};
use app::App;
use output::Format;

/// Does all the background work of a Quay container registry.
///
/// The daemon (`quayhand run`) takes jobs from Redis and from its own schedules: it collects
/// garbage, expires tags and recomputes permissions. Any job can also be run once, here and
/// now, without the daemon (`quayhand job run`).
#[derive(Parser)]
#[command(name = "quayhand", version, propagate_version = true, after_help = EXIT_CODES)]
struct Cli {
    /// Our configuration file (TOML); see config/quayhand.toml for every setting
    #[arg(long, global = true, value_name = "FILE", help_heading = EVERYWHERE)]
    config: Option<PathBuf>,
    /// Quay's own config.yaml: database, Redis, storage and flags are taken from it
    #[arg(long, global = true, value_name = "FILE", help_heading = EVERYWHERE)]
    quay_config: Option<PathBuf>,
    /// How lists and results are printed
    #[arg(long, global = true, value_enum, default_value_t, help_heading = EVERYWHERE)]
    format: Format,
    #[command(subcommand)]
    command: Command,
}

/// Above the options that every verb takes.
const EVERYWHERE: &str = "Options of every command";

const EXIT_CODES: &str = "\
Environment:
  QUAYHAND_DATABASE_URL  postgresql://user:password@host:port/database
  QUAYHAND_REDIS_URL     redis://host:port/db for queue, locks and cache
  QUAYHAND_STORAGE       JSON in the form of Quay's DISTRIBUTED_STORAGE_CONFIG

Exit codes:
  0 done   1 failed   2 usage   3 configuration   4 database   5 Redis
  6 storage   7 schema   8 refused by a setting or safety check   9 partly done";

#[derive(Subcommand)]
enum Command {
    /// Runs the daemon until it is told to stop
    Run(run::Args),
    /// Lists, explains and runs jobs, without the daemon; finds and cancels those in the queues
    #[command(subcommand)]
    Job(job::Command),
    /// Hands a job to the daemon, through Redis
    Enqueue(enqueue::Args),
    /// Shows what waits, runs and died in the queues; pauses, resumes and clears them
    #[command(subcommand)]
    Queue(queue::Command),
    /// Shows the jobs that were given up; puts them back or throws them away
    #[command(subcommand)]
    Dead(dead::Command),
    /// Shows who takes jobs
    #[command(subcommand)]
    Worker(worker::Command),
    /// Shows, pauses and triggers what is enqueued by itself
    #[command(subcommand)]
    Schedule(schedule::Command),
    /// Creates and upgrades tables
    #[command(subcommand)]
    Migrate(migrate::Command),
    /// Checks and shows the configuration
    #[command(subcommand)]
    Config(config::Command),
    /// Checks everything the daemon needs, and says what is wrong
    Doctor(doctor::Args),
    /// Looks for what breaks an invariant, in the database and in storage; changes nothing
    Verify(verify::Args),
    /// Fills a throw-away registry with garbage and collects it through the daemon
    #[cfg(feature = "demo")]
    Demo(crate::demo::Args),
}

/// Runs the command line of this process; returns its exit code.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let format = cli.format;
    match start(cli) {
        Ok(code) => code,
        Err(failure) => failure.report(format),
    }
}

fn start(cli: Cli) -> Result<ExitCode, Failure> {
    // One TLS provider for the whole process; an error means that one is installed already.
    drop(rustls::crypto::ring::default_provider().install_default());
    let runtime = crate::supervisor::runtime()
        .map_err(|error| Failure::failed(format!("no runtime: {error}")))?;
    runtime.block_on(dispatch(cli))
}

async fn dispatch(cli: Cli) -> Result<ExitCode, Failure> {
    let sources = Sources::of_process(cli.quay_config, cli.config);
    let load = || Config::load(&sources).map_err(Failure::from);
    let app = || Ok::<_, Failure>(App::new(load()?, cli.format));
    match cli.command {
        Command::Run(run::Args {}) => return run::run(load()?, sources.clone()).await,
        Command::Job(command) => return job::run(&app, command, cli.format).await,
        Command::Enqueue(args) => enqueue::run(&app()?, args).await?,
        Command::Queue(command) => queue::run(&app()?, command).await?,
        Command::Dead(command) => dead::run(&app()?, command).await?,
        Command::Worker(command) => worker::run(&app()?, command).await?,
        Command::Schedule(command) => schedule::run(&app()?, command).await?,
        Command::Migrate(command) => migrate::run(&app, command, cli.format).await?,
        Command::Config(command) => config::run(&load()?, &command, cli.format)?,
        Command::Doctor(args) => return doctor::run(&app()?, &args).await,
        Command::Verify(args) => return verify::run(&app()?, &args).await,
        #[cfg(feature = "demo")]
        Command::Demo(args) => return crate::demo::run(args).await,
    }
    Ok(ExitCode::SUCCESS)
}
