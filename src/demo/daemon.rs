//! The daemon of the demo: this very program, as a process of its own.
use std::{
    env, fs,
    fs::File,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use tokio::{
    process::{Child, Command},
    time::timeout,
};

use super::scene::Scene;
use crate::cli::Failure;

/// Longer than the daemon waits for its own jobs.
const PATIENCE: Duration = Duration::from_secs(40);

/// A daemon that runs; it is killed when this is dropped.
pub(super) struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    pub(super) fn start(scene: &Scene) -> Result<Self, Failure> {
        let program = env::current_exe().map_err(|error| failed(&error))?;
        let config = scene.write_config()?;
        let log = scene.log();
        let out = File::create(&log).map_err(|error| failed(&error))?;
        let child = Command::new(program)
            .arg("run")
            .arg("--config")
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(out)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| failed(&error))?;
        Ok(Self { child, log })
    }

    /// Returns the process id; `None` once the process has ended.
    pub(super) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Returns the last lines the daemon wrote.
    pub(super) fn last_words(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = text.lines().rev().take(10).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    /// Asks the daemon to drain, and waits until it has ended well.
    pub(super) async fn stop(mut self) -> Result<(), Failure> {
        if let Some(pid) = self.pid() {
            let status = Command::new("kill")
                .arg("-TERM")
                .arg(pid.to_string())
                .status();
            status.await.map_err(|error| failed(&error))?;
        }
        let status: ExitStatus = timeout(PATIENCE, self.child.wait())
            .await
            .map_err(|_| Failure::failed("the daemon did not stop in time"))?
            .map_err(|error| failed(&error))?;
        if status.success() {
            return Ok(());
        }
        let last = self.last_words();
        Err(Failure::failed(format!(
            "the daemon ended with {status}:\n{last}"
        )))
    }
}

fn failed(error: &std::io::Error) -> Failure {
    Failure::failed(format!("the demo's daemon: {error}"))
}
