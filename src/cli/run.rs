//! `quayhand run`: the daemon.
use std::{
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
};

use clap::Args as ClapArgs;
use quayhand_jobs::{Ctx, Options, registry};
use quayhand_queue::Client;

use super::{App, Failure, app::settings, output::Format};
use crate::{
    config::{Config, Sources},
    supervisor::{Parts, Plan, Reload, Reloaded, Signals, Supervisor, Telemetry},
};

/// The daemon's settings are all in its configuration.
#[derive(ClapArgs)]
#[command(after_help = "\
Signals:
  TERM, INT  drain: finish running jobs (25 s), give the rest back, exit 0; twice: at once
  TSTP/CONT  take no new jobs / take jobs again
  HUP        read the configuration again
  USR1       write pools, running jobs and leases to the log")]
pub(crate) struct Args {}

/// Runs the daemon until it was told to stop and has drained.
pub(crate) async fn run(config: Config, sources: Sources) -> Result<ExitCode, Failure> {
    let telemetry = Telemetry::init(config.log).map_err(|e| Failure::failed(e.to_string()))?;
    let signals = Signals::install().map_err(|e| Failure::failed(format!("signals: {e}")))?;
    let app = App::new(config, Format::Human);
    let client = Client::new(app.store().await?);
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
    outcome.map_err(|error| Failure::new(error.exit(), error.to_string()))?;
    Ok(ExitCode::SUCCESS)
}

/// Reads the configuration again when told to. What takes a restart is named and stays.
fn reload(sources: Sources, config: Config, base: Ctx) -> Reload<Ctx> {
    let last = Mutex::new(config);
    Arc::new(move || {
        let new = Config::load(&sources)?;
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        let mut needs_restart = last.changed_keys(&new);
        needs_restart.retain(|key| !Plan::can_change(key));
        let base = Ctx {
            settings: Arc::new(settings(&new)),
            concurrency: new.concurrency(quayhand_jobs::queues::GC.as_str()),
            ..base.clone()
        };
        let plan = Plan::of(&new);
        *last = new;
        Ok(Reloaded {
            plan,
            base,
            needs_restart,
        })
    })
}
