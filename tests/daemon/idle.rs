//! What the shipped daemon costs while there is nothing to do.
use std::{
    fs,
    process::Command,
    time::{Duration, Instant},
};

use quayhand_testkit::{PostgresServer, wait_for};

use crate::{process::Daemon, world::World};

/// Proportional memory that an idle daemon may have.
const MOST_PSS_KIB: u64 = 25 * 1024;
/// Over which time the processor's use is measured.
const WINDOW: Duration = Duration::from_secs(10);
/// Kernel ticks a second in `/proc`, on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// Starts the shipped daemon; schedules are due once at its start and then hourly.
async fn shipped(world: &World) -> Daemon {
    let config = world.file("quayhand.toml");
    fs::write(&config, "[gc]\nsweep_interval = \"1h\"\n").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_quayhand"));
    command.args(["run", "--config"]).arg(config);
    command.env("QUAYHAND_DATABASE_URL", &world.database_url);
    command.env("QUAYHAND_REDIS_URL", world.redis.url());
    command
        .env_remove("RUST_LOG")
        .env_remove("NOTIFY_SOCKET")
        .env_remove("WATCHDOG_USEC");
    let daemon = Daemon::start(&mut command, &world.file("log"));
    daemon.says("ready").await;
    daemon
}

fn pss_kib(pid: i32) -> u64 {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let line = rollup
        .lines()
        .find_map(|line| line.strip_prefix("Pss:"))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Reads the processor time a process has used, its threads included.
fn cpu_seconds(pid: i32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // The name may hold spaces; user and system time are the 14th and 15th field.
    let fields = stat.rsplit_once(')').unwrap().1.split_whitespace();
    let ticks: Vec<f64> = fields
        .skip(11)
        .take(2)
        .map(|ticks| ticks.parse().unwrap())
        .collect();
    (ticks[0] + ticks[1]) / TICKS_PER_SECOND
}

async fn connections(world: &World) -> i64 {
    let count = "select count(*) from pg_stat_activity where datname = $1 and application_name = 'quayhand'";
    world
        .ledger
        .query_one(count, &[&world.database])
        .await
        .unwrap()
        .get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_daemon_holds_no_connection_little_memory_and_no_processor() {
    let world = World::new().await;
    let daemon = shipped(&world).await;
    let postgres = PostgresServer::shared().await.unwrap();
    daemon.says("ran `tag_expiry_sweep`").await;
    wait_for(
        "the end of the last connection",
        Duration::from_secs(20),
        async || (connections(&world).await == 0).then_some(()),
    )
    .await;
    let (before, started) = (cpu_seconds(daemon.pid()), Instant::now());
    let most = watch(&world).await;
    let cores = (cpu_seconds(daemon.pid()) - before) / started.elapsed().as_secs_f64();
    let pss = pss_kib(daemon.pid());
    println!(
        "idle: {most} database connections at {}, Pss {:.1} MiB, {:.2} % of a core",
        postgres.port(),
        f64::from(u32::try_from(pss).unwrap()) / 1024.0,
        cores * 100.0
    );
    assert_eq!(most, 0);
    assert!(pss <= MOST_PSS_KIB, "{pss} KiB");
    assert!(cores < 0.01, "{cores}");
    daemon.stop().await;
}

/// Looks at the connections for the whole window; returns the most that were seen.
async fn watch(world: &World) -> i64 {
    let (mut most, started) = (0, Instant::now());
    wait_for("the end of the window", WINDOW * 2, async || {
        most = most.max(connections(world).await);
        (started.elapsed() >= WINDOW).then_some(())
    })
    .await;
    most
}
