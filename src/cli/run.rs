//! `quayhand run`: the daemon.
use std::{process::ExitCode, sync::Arc};

use clap::Args as ClapArgs;
use quayhand_jobs::{Ctx, Options, registry};
use quayhand_queue::chain;

use super::{App, Failure, app::settings, output::Format};
use crate::{
    config::{Config, Sources},
    supervisor::{Parts, Plan, Reload, Reloaded, Signals, Supervisor, Telemetry},
};

/// The daemon's settings are all in its configuration.
#[derive(ClapArgs)]
#[command(after_help = "\
Signals:
  TERM, INT  drain: finish running jobs (25 s), give the rest back, exit 0; twice: at once, exit 1
  TSTP/CONT  take no new jobs / take jobs again
  HUP        read the configuration again
  USR1       write pools, running jobs and leases to the log")]
pub(crate) struct Args {}

/// Runs the daemon until it was told to stop and has drained.
pub(crate) async fn run(config: Config, sources: Sources) -> Result<ExitCode, Failure> {
    let telemetry = Telemetry::init(config.log).map_err(|e| Failure::failed(e.to_string()))?;
    let signals = Signals::install().map_err(|e| Failure::failed(format!("signals: {e}")))?;
    let app = App::new(config, Format::Human);
    let client = app.client_of(app.store().await?);
    let base = Ctx {
        client: Some(client.clone()),
        ..app.ctx(Options::default())?
    };
    let supervisor = Supervisor::new(Parts {
        registry: registry(),
        client,
        db: base.db.clone(),
        gate: base.gate.clone(),
        plan: Plan::of(&app.config),
        telemetry: Some(telemetry),
        reload: reload(sources, app.config, base.clone()),
        base,
    });
    let outcome = supervisor.run(signals).await;
    outcome.map_err(|error| Failure::new(error.exit(), chain(&error)))?;
    Ok(ExitCode::SUCCESS)
}

/// Reads the configuration again when told to. What takes a restart is named, every time, as
/// long as it differs from what the daemon was started with.
fn reload(sources: Sources, started_with: Config, base: Ctx) -> Reload<Ctx> {
    Arc::new(move || {
        let new = Config::load(&sources)?;
        let mut needs_restart = started_with.changed_keys(&new);
        needs_restart.retain(|key| !Plan::can_change(key));
        let base = Ctx {
            settings: Arc::new(settings(&new)),
            concurrency: new.concurrency(quayhand_jobs::queues::GC.as_str()),
            ..base.clone()
        };
        Ok(Reloaded {
            plan: Plan::of(&new),
            base,
            needs_restart,
        })
    })
}
