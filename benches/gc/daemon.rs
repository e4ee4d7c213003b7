//! The daemon under test: a real one with a Redis of its own.
use std::{
    fs::{self, File},
    path::Path,
    process::Stdio,
    time::Duration,
};

use quayhand_jobs::{Ctx, queues, tag_expiry_sweep::TagExpirySweep};
use quayhand_queue::{Client, Redis, RedisStore};
use quayhand_testkit::{RedisServer, wait_for};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use super::{
    database::Snapshot,
    figures::Figures,
    program::{self, LOG},
    way::Way,
};

const PATIENCE: Duration = Duration::from_mins(10);

/// Has the daemon collect a database: a sweep enqueues jobs, pools take them. What counts is
/// the time from the beginning of the first batch to the end of the last one.
pub(crate) async fn run(snapshot: &Snapshot, database: &str, url: &str, way: Way) -> Figures {
    let folder = tempfile::tempdir().unwrap();
    let redis = RedisServer::start().await.unwrap();
    let client = Client::new(RedisStore::new(Redis::open(&redis.url()).unwrap()));
    let log = folder.path().join("log");
    let mut daemon = start(folder.path(), &log, &redis, url, way);
    let pid = daemon.id().unwrap();
    let watching = tokio::spawn(program::peak_mib(pid));
    client
        .enqueue::<Ctx, _>(&TagExpirySweep::default())
        .await
        .unwrap();
    wait_for("the first batch", PATIENCE, async || {
        let text = fs::read_to_string(&log).unwrap();
        (!program::batches(&text).is_empty()).then_some(())
    })
    .await;
    wait_for("the last batch", PATIENCE, async || {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let is_over = is_idle(&client).await && snapshot.garbage_left(database).await == 0;
        is_over.then_some(())
    })
    .await;
    stop(&mut daemon, pid).await;
    let text = fs::read_to_string(&log).unwrap();
    let batches = program::batches(&text);
    let took_ms = |at: &chrono::DateTime<chrono::Utc>| at.timestamp_micros();
    let first = &batches[0];
    let last = batches.iter().map(|batch| took_ms(&batch.ended)).max();
    let whole = Duration::from_micros(last.unwrap().abs_diff(took_ms(&first.ended)));
    let seconds = whole.as_secs_f64() + first.took_ms / 1_000.0;
    program::figures(seconds, &batches, watching.await.unwrap())
}

fn start(folder: &Path, log: &Path, redis: &RedisServer, url: &str, way: Way) -> Child {
    let config = folder.join("quayhand.toml");
    // One sweep is enough: it finds everything, and the next one would only cost time.
    let text = format!(
        "{}[gc]\nsweep_interval = \"1d\"\n[log]\nformat = \"json\"\n",
        way.config()
    );
    fs::write(&config, text).unwrap();
    Command::new(env!("CARGO_BIN_EXE_quayhand"))
        .args(["run", "--config"])
        .arg(&config)
        .env("QUAYHAND_DATABASE_URL", url)
        .env("QUAYHAND_REDIS_URL", redis.url())
        .env("RUST_LOG", LOG)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(log).unwrap())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

/// Tells whether no job runs or could: one that is refused here, such as `blob_gc` without a
/// storage, is delayed for ever.
async fn is_idle(client: &Client) -> bool {
    for queue in queues::ALL {
        let counts = client.store().counts(&queue).await.unwrap();
        if counts.ready + counts.leased > 0 {
            return false;
        }
    }
    true
}

/// Asks the daemon to drain, and waits for its end.
async fn stop(daemon: &mut Child, pid: u32) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    assert!(daemon.wait().await.unwrap().success());
}
