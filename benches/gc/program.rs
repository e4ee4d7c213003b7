//! The program under test, as its own process.
use std::{
    fs,
    process::Stdio,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use serde_json::Value;
use tokio::{io::AsyncReadExt, process::Command, time::sleep};

use super::{
    figures::{Figures, median},
    way::Way,
};

/// What has the collector write a line for every batch.
pub(crate) const LOG: &str = "warn,quayhand_jobs::collector=debug";

/// A batch, as the log has it.
pub(crate) struct Batch {
    pub(crate) ended: DateTime<Utc>,
    pub(crate) took_ms: f64,
    statements: f64,
}

/// Collects a database with `job run tag_expiry --all`.
pub(crate) async fn run(url: &str, way: Way) -> Figures {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("quayhand.toml");
    fs::write(&config, way.config()).unwrap();
    let started = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_quayhand"))
        .args(["job", "run", "tag_expiry", "--all"])
        .args(["--format", "json", "--config"])
        .arg(&config)
        .env("QUAYHAND_DATABASE_URL", url)
        .env("RUST_LOG", LOG)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let watching = tokio::spawn(peak_mib(child.id().unwrap()));
    let mut log = String::new();
    let mut stderr = child.stderr.take().unwrap();
    stderr.read_to_string(&mut log).await.unwrap();
    let succeeded = child.wait().await.unwrap().success();
    let seconds = started.elapsed().as_secs_f64();
    assert!(succeeded, "{log}");
    figures(seconds, &batches(&log), watching.await.unwrap())
}

/// Puts together what is known of a run.
pub(crate) fn figures(seconds: f64, batches: &[Batch], peak_mib: f64) -> Figures {
    let took_ms = batches.iter().map(|batch| batch.took_ms);
    Figures {
        seconds,
        statements: batches.iter().map(|batch| batch.statements).sum(),
        peak_mib,
        p50_ms: median(took_ms.clone()),
        longest_ms: took_ms.fold(0.0, f64::max),
    }
}

/// Reads the batches from a log.
pub(crate) fn batches(log: &str) -> Vec<Batch> {
    let lines = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines
        .filter_map(|line| {
            Some(Batch {
                took_ms: line["batch.took_ms"].as_f64()?,
                statements: line["batch.statements"].as_f64()?,
                ended: line["timestamp"].as_str()?.parse().ok()?,
            })
        })
        .collect()
}

/// Watches the largest memory a process ever had, until it ends.
pub(crate) async fn peak_mib(pid: u32) -> f64 {
    let mut peak = 0.0;
    while let Ok(status) = fs::read_to_string(format!("/proc/{pid}/status")) {
        let line = status.lines().find(|line| line.starts_with("VmHWM:"));
        let Some(kib) = line.and_then(|line| line.split_whitespace().nth(1)) else {
            break;
        };
        peak = kib.parse::<f64>().unwrap() / 1024.0;
        sleep(Duration::from_millis(20)).await;
    }
    peak
}
