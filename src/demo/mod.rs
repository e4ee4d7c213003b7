//! `quayhand demo`: a registry full of garbage, collected by a daemon of its own.
//!
//! Starts private throw-away servers, builds a registry schema, fills it, starts the daemon
//! as its own process, enqueues through the client that a web tier would use, and then counts
//! what is left: in the database, and file by file on disk. Nothing outside its own temporary
//! folder is touched, and what it started ends with it.
mod count;
mod daemon;
mod report;
mod scene;
mod watch;

use std::{process::ExitCode, time::Instant};

use clap::Args as ClapArgs;

use crate::{cli::Failure, exit::Exit};
use count::Figures;
use daemon::Daemon;
use scene::Scene;

/// How large the registry is.
#[derive(ClapArgs)]
pub(crate) struct Args {
    /// Repositories to generate
    #[arg(long, default_value_t = 2_000)]
    repositories: u32,
    /// Tags to generate
    #[arg(long, default_value_t = 100_000)]
    tags: u32,
    /// Starts the generator's dice
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Runs the demo; succeeds when every invariant holds.
pub(crate) async fn run(args: Args) -> Result<ExitCode, Failure> {
    let interrupted = tokio::signal::ctrl_c();
    tokio::select! {
        outcome = play(&args) => outcome,
        _ = interrupted => Err(Failure::failed(
            "interrupted; the servers it started are stopped",
        )),
    }
}

async fn play(args: &Args) -> Result<ExitCode, Failure> {
    let scene = Scene::set_up(args).await?;
    report::say("counting what there is")?;
    let before = Figures::count(&scene).await?;
    report::say("starting the daemon and enqueuing through the client")?;
    let started = Instant::now();
    let daemon = Daemon::start(&scene)?;
    scene.enqueue().await?;
    watch::until_collected(&scene, &daemon, before.census.tags).await?;
    let seconds = started.elapsed().as_secs_f64();
    daemon.stop().await?;
    report::say("reading and hashing every file that was kept")?;
    let after = Figures::count(&scene).await?;
    let checks = count::check(&scene, &before).await?;
    let good = report::table(&before, &after, &checks, seconds)?;
    if good {
        return Ok(ExitCode::SUCCESS);
    }
    Ok(Exit::Failed.into())
}
