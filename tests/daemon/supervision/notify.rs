//! What systemd is told.
use std::{
    os::unix::net::UnixDatagram,
    time::{Duration, Instant},
};

use quayhand_testkit::wait_for;
use rustix::process::Signal;

use crate::{
    process::Daemon,
    testd::kinds::{A, Blocks},
    world::World,
};

/// Stands in for systemd.
struct Manager {
    socket: UnixDatagram,
    heard: Vec<(Instant, String)>,
}

impl Manager {
    fn hear(&mut self) {
        let mut datagram = [0; 4096];
        while let Ok(length) = self.socket.recv(&mut datagram) {
            let text = String::from_utf8(datagram[..length].to_vec()).unwrap();
            self.heard.push((Instant::now(), text));
        }
    }

    /// Waits for a notification with this line, after the first `from`.
    async fn hears(&mut self, line: &str, from: usize) -> usize {
        wait_for(line, Duration::from_secs(20), async || {
            self.hear();
            let later = self.heard.iter().enumerate().skip(from);
            let mut fitting =
                later.filter(|(_, (_, text))| text.lines().any(|it| it.starts_with(line)));
            fitting.next().map(|(at, _)| at)
        })
        .await
    }
}

fn managed(world: &World, watchdog: Duration) -> (Manager, Daemon) {
    let path = world.file("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_nonblocking(true).unwrap();
    let mut command = world.command(&world.settings().slots("a", 8));
    command
        .env("NOTIFY_SOCKET", path)
        .env("WATCHDOG_USEC", watchdog.as_micros().to_string());
    let daemon = Daemon::start(&mut command, &world.file("log"));
    (
        Manager {
            socket,
            heard: Vec::new(),
        },
        daemon,
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn systemd_hears_of_ready_reload_and_stop() {
    let world = World::new().await;
    let (mut systemd, mut daemon) = managed(&world, Duration::from_secs(2));
    let ready = systemd.hears("READY=1", 0).await;
    assert!(
        systemd.heard[ready]
            .1
            .contains("STATUS=taking jobs from a (8), b (4), c (4), ticks (1)")
    );
    let alive = systemd.hears("WATCHDOG=1", 0).await;
    systemd.hears("WATCHDOG=1", alive + 1).await;
    daemon.signal(Signal::HUP);
    let reloading = systemd.hears("RELOADING=1", ready).await;
    assert!(systemd.heard[reloading].1.contains("MONOTONIC_USEC="));
    systemd.hears("READY=1", reloading).await;
    daemon.signal(Signal::TERM);
    systemd.hears("STOPPING=1", reloading).await;
    let status = daemon.ended(Duration::from_secs(10)).await;
    assert_eq!(status.code(), Some(0), "{}", daemon.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_watchdog_hears_nothing_while_the_loops_stand_still() {
    let world = World::new().await;
    let (mut systemd, daemon) = managed(&world, Duration::from_secs(1));
    systemd.hears("READY=1", 0).await;
    let before = systemd.hears("WATCHDOG=1", 0).await;
    let jobs: Vec<_> = (0..4).map(|id| Blocks { id, ms: 4_000 }).collect();
    world.client.enqueue_all(&jobs).await.unwrap();
    world.marked(4, Duration::from_mins(1)).await;
    let heard = systemd.heard.len();
    systemd.hears("WATCHDOG=1", heard).await;
    let pings = systemd.heard[before..]
        .iter()
        .filter(|(_, text)| text.contains("WATCHDOG=1"));
    let times: Vec<_> = pings.map(|(at, _)| *at).collect();
    let longest = times.windows(2).map(|two| two[1] - two[0]).max().unwrap();
    println!(
        "F24 all threads blocked for 4 s, watchdog 1 s: target silent for more than 3 s, seen \
         {longest:.1?}"
    );
    assert!(longest > Duration::from_secs(3), "{longest:?}");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_stands_still_is_killed_in_time_and_ready_again() {
    let (watchdog, ready_within) = (Duration::from_secs(2), Duration::from_secs(5));
    let world = World::new().await;
    let (mut systemd, mut daemon) = managed(&world, watchdog);
    systemd.hears("READY=1", 0).await;
    let jobs: Vec<_> = (0..4).map(|id| Blocks { id, ms: 60_000 }).collect();
    world.client.enqueue_all(&jobs).await.unwrap();
    world.leased(&A, 4).await;
    let blocked = Instant::now();
    wait_for("silence", Duration::from_secs(20), async || {
        systemd.hear();
        let heard = systemd.heard.iter().map(|(at, _)| at);
        (heard.max()?.elapsed() > watchdog).then_some(())
    })
    .await;
    daemon.kill();
    let (killed, again) = (blocked.elapsed(), Instant::now());
    let (mut systemd, _daemon) = managed(&world, watchdog);
    systemd.hears("READY=1", 0).await;
    let ready = again.elapsed();
    println!(
        "F24 all threads blocked, watchdog 2 s: target killed within 3 s, ready again within 5 s; \
         seen {killed:.1?}, {ready:.1?}"
    );
    assert!(killed <= watchdog + Duration::from_secs(1), "{killed:?}");
    assert!(ready <= ready_within, "{ready:?}");
}
