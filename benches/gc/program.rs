//! The program under test, as its own process.
use std::{
    fs,
    process::Stdio,
    time::{Duration, Instant},
};

use serde_json::Value;
use tokio::{io::AsyncReadExt, process::Command, time::sleep};

use super::figures::{Figures, median};

/// Collects a database with `job run tag_expiry --all`, on so many connections or, for
/// `None`, as many as there are cores.
pub(crate) async fn run(url: &str, connections: Option<u32>) -> Figures {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("quayhand.toml");
    let concurrency = connections.unwrap_or(0);
    fs::write(&config, format!("[worker]\nconcurrency = {concurrency}\n")).unwrap();
    let started = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_quayhand"))
        .args([
            "job",
            "run",
            "tag_expiry",
            "--all",
            "--format",
            "json",
            "--config",
        ])
        .arg(&config)
        .env("QUAYHAND_DATABASE_URL", url)
        .env("RUST_LOG", "warn,quayhand_jobs::collector=debug")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let watching = tokio::spawn(peak_mib(child.id().unwrap()));
    let (mut out, mut log) = (String::new(), String::new());
    let (mut stdout, mut stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let (read_out, read_log) = tokio::join!(
        stdout.read_to_string(&mut out),
        stderr.read_to_string(&mut log)
    );
    let seconds = started.elapsed().as_secs_f64();
    read_out.and(read_log).unwrap();
    assert!(child.wait().await.unwrap().success(), "{out}{log}");
    let result: Value = serde_json::from_str(&out).unwrap();
    let batches = batches_ms(&log);
    Figures {
        seconds,
        statements: result["counts"]["statements"].as_f64().unwrap(),
        peak_mib: watching.await.unwrap(),
        p50_ms: median(batches.iter().copied()),
        longest_ms: batches.into_iter().fold(0.0, f64::max),
    }
}

/// Reads how long each transaction took, from the log.
fn batches_ms(log: &str) -> Vec<f64> {
    let lines = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines
        .filter_map(|line| line["batch.took_ms"].as_f64())
        .collect()
}

/// Watches the largest memory a process ever had, until it ends.
async fn peak_mib(pid: u32) -> f64 {
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
