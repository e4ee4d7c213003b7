//! Servers end with the process that started them, however that process ends.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::{
    io::{BufRead as _, BufReader},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use quayhand_testkit::{PostgresServer, RedisServer, wait_for};
use rustix::process::{Pid, Signal};

/// Longer than a keeper needs on a busy machine.
const DEADLINE: Duration = Duration::from_secs(20);

/// What the child process below prints before each fact.
const FACT: &str = "held: ";

#[tokio::test]
async fn servers_end_with_a_killed_process() {
    servers_end_after(|child| rustix::process::kill_process(child, Signal::KILL).unwrap()).await;
}

/// Ctrl-C goes to the whole process group of the terminal.
#[tokio::test]
async fn servers_end_with_an_interrupted_process_group() {
    let interrupt = |child| rustix::process::kill_process_group(child, Signal::INT).unwrap();
    servers_end_after(interrupt).await;
}

/// A process that dies in the middle of `initdb` leaves nothing either.
#[tokio::test]
async fn half_started_servers_end_as_well() {
    let mut child = child("starts_a_server");
    let folder = wait_for("a data folder", DEADLINE, async || {
        let keeper = keeper_of(child.id())?;
        let folder = keeper.join("data");
        folder.exists().then_some(keeper)
    })
    .await;
    child.kill().unwrap();
    child.wait().unwrap();
    let message = format!("{} to go", folder.display());
    wait_for(&message, DEADLINE, async || {
        (!folder.exists()).then_some(())
    })
    .await;
    wait_for("its processes to go", DEADLINE, async || {
        (!any_process_mentions(&folder)).then_some(())
    })
    .await;
}

/// Lets a child hold two servers, ends it, and waits until servers and folders are gone.
async fn servers_end_after(end: impl FnOnce(Pid)) {
    let mut child = child("holds_servers");
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let held: Vec<PathBuf> = lines
        .map_while(Result::ok)
        .filter_map(|line| Some(PathBuf::from(line.split_once(FACT)?.1)))
        .take(4)
        .collect();
    assert_eq!(held.len(), 4, "{held:?}");
    for path in &held {
        assert!(path.exists(), "{} is there", path.display());
    }
    end(Pid::from_child(&child));
    let status = child.wait().unwrap();
    assert!(!status.success(), "it was ended: {status}");
    for path in &held {
        let message = format!("{} to go", path.display());
        wait_for(&message, DEADLINE, async || (!path.exists()).then_some(())).await;
    }
}

/// Runs one of the ignored tests below in a process and process group of its own; it also ends when
/// the returned value is dropped, which closes its standard input.
fn child(test: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--ignored", "--nocapture"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .unwrap()
}

/// Finds the folder of a process's first child, which is a server's keeper.
fn keeper_of(pid: u32) -> Option<PathBuf> {
    let keeper = processes().find(|process| {
        let status = std::fs::read_to_string(process.join("status")).unwrap_or_default();
        status.lines().any(|line| line == format!("PPid:\t{pid}"))
    })?;
    std::fs::read_link(keeper.join("cwd")).ok()
}

/// Tells whether any process has the folder in its command line.
fn any_process_mentions(folder: &Path) -> bool {
    let folder = folder.to_str().unwrap();
    processes().any(|process| {
        std::fs::read(process.join("cmdline"))
            .is_ok_and(|line| String::from_utf8_lossy(&line).contains(folder))
    })
}

/// Lists the folders of all processes.
fn processes() -> impl Iterator<Item = PathBuf> {
    let is_process = |path: &PathBuf| path.join("cmdline").exists();
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    entries.map(|entry| entry.path()).filter(is_process)
}

#[tokio::test]
#[ignore = "the child process of the tests above"]
#[expect(clippy::print_stdout, reason = "the parent process reads it")]
async fn holds_servers() {
    let postgres = PostgresServer::fast().await.unwrap();
    let redis = RedisServer::shared().await.unwrap();
    let pids = [postgres.pid().unwrap(), redis.pid().unwrap()];
    for pid in pids {
        println!("\n{FACT}/proc/{pid}");
        let folder = std::fs::read_link(format!("/proc/{pid}/cwd")).unwrap();
        println!("{FACT}{}", folder.display());
    }
    std::io::stdin().read_line(&mut String::new()).unwrap();
}

#[tokio::test]
#[ignore = "the child process of a test above"]
async fn starts_a_server() {
    let _server = PostgresServer::fast().await.unwrap();
    std::io::stdin().read_line(&mut String::new()).unwrap();
}
