//! The loops beside the pools: schedules, the relay of the outbox, the schema gate, systemd's watchdog.
use std::{convert::Infallible, sync::Arc, time::Duration};

use quayhand_jobs::Gate;
use quayhand_model::Db;
use quayhand_queue::{Client, Registry};
use tokio::sync::{Notify, watch};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::{
    drift,
    pool::Pool,
    pulse::Pulse,
    relay::{self, Relay},
    restart::keep_running,
    scheduler::{self, Scheduler, Timetables},
    systemd,
};

/// Silence after which a pool's fetcher counts as stuck. All its calls on a Redis that takes them
/// and never answers fit in: such an outage must not end the daemon.
const POOL_PAUSE: Duration = Duration::from_mins(1);

/// What the loops work with.
pub(super) struct Watched<'a, C> {
    pub(super) registry: &'a Arc<Registry<C>>,
    pub(super) client: &'a Client,
    pub(super) db: &'a Db,
    pub(super) gate: &'a Gate,
    pub(super) pools: &'a [Pool],
    pub(super) relay_interval: Duration,
    pub(super) timetables: watch::Receiver<Timetables>,
    pub(super) stop: &'a CancellationToken,
}

/// Starts the loops. Each ends after `stop`, and at once when its handle is dropped.
pub(super) fn start<C: Send + Sync + 'static>(
    watched: &Watched<'_, C>,
) -> Vec<AbortOnDropHandle<()>> {
    let pulse = Pulse::new();
    for pool in watched.pools {
        let steering = Arc::clone(&pool.steering);
        let name = format!("pool of `{}`", steering.queue());
        pulse.watch_by(&name, POOL_PAUSE, move || {
            Some(steering.status()?.1.last_turn)
        });
    }
    let reconnected = Arc::new(Notify::new());
    let scheduler = Scheduler {
        registry: Arc::clone(watched.registry),
        db: watched.db.clone(),
        client: watched.client.clone(),
        timetables: watched.timetables.clone(),
        reconnected: Arc::clone(&reconnected),
        heartbeat: Arc::new(pulse.watch("scheduler", scheduler::LONGEST_PAUSE)),
        stop: watched.stop.clone(),
    };
    let relay = Relay {
        registry: Arc::clone(watched.registry),
        db: watched.db.clone(),
        client: watched.client.clone(),
        interval: watched.relay_interval,
        heartbeat: Arc::new(pulse.watch("relay", relay::LONGEST_PAUSE)),
        stop: watched.stop.clone(),
    };
    let (db, gate, stop) = (
        watched.db.clone(),
        watched.gate.clone(),
        watched.stop.clone(),
    );
    let drift = move || {
        drift::watch(
            db.clone(),
            gate.clone(),
            Arc::clone(&reconnected),
            stop.clone(),
        )
    };
    let mut loops = vec![
        keep("scheduler", watched.stop, move || scheduler.clone().run()),
        keep("relay of the outbox", watched.stop, move || {
            relay.clone().run()
        }),
        keep("watch over the schema", watched.stop, drift),
    ];
    if let Some(watchdog) = systemd::watchdog() {
        let alive = move || systemd::keep_alive(pulse.clone(), watchdog);
        loops.push(keep("watchdog", watched.stop, alive));
    }
    loops
}

fn keep<F>(
    name: &'static str,
    stop: &CancellationToken,
    make: impl Fn() -> F + Send + Sync + 'static,
) -> AbortOnDropHandle<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    let stop = stop.clone();
    let make = move || {
        let running = make();
        async move {
            running.await;
            Ok::<_, Infallible>(())
        }
    };
    AbortOnDropHandle::new(tokio::spawn(async move {
        keep_running(name, &stop, make).await;
    }))
}
