//! The steps of a daemon's life: start, follow orders, drain.
use std::{pin::pin, sync::Arc, time::Duration};

use futures::{Stream, StreamExt as _, future::join_all};
use quayhand_jobs::Gate;
use quayhand_model::Db;
use quayhand_queue::{Client, Keeper, PoolConfig, Queue, Registry};
use tokio::{
    sync::{Notify, watch},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tracing::{error, info, warn};

use super::{
    JobContext, Order, Parts, Plan, Reload, Reloaded, StartError, Telemetry,
    attempt::Attempts,
    chain, drift,
    dump::{self, Scene},
    pool::Pool,
    pulse::Pulse,
    scheduler::{self, Scheduler, Timetables},
    start, systemd,
};

/// How long the pools may take to end once no attempt runs any more.
const CLOSING: Duration = Duration::from_secs(12);
/// Silence after which a pool's fetcher counts as stuck: two waits, or a wait and two calls on a
/// Redis that does not answer.
const POOL_PAUSE: Duration = Duration::from_secs(20);

/// A daemon that runs.
pub(super) struct Running<C> {
    registry: Arc<Registry<C>>,
    client: Client,
    db: Db,
    gate: Gate,
    plan: Plan,
    telemetry: Option<Telemetry>,
    reload: Reload<C>,
    base: C,
    attempts: Attempts<C>,
    pools: Vec<Pool>,
    timetables: watch::Sender<Timetables>,
    /// Ends the scheduler and the watch over the schema.
    stop_watches: CancellationToken,
    /// Ends the pools.
    stop_pools: CancellationToken,
    watches: Vec<AbortOnDropHandle<()>>,
}

/// Checks what must hold and starts everything; `None` when an order to drain came first.
pub(super) async fn start<C: JobContext>(
    parts: Parts<C>,
    orders: &mut (impl Stream<Item = Order> + Unpin),
) -> Result<Option<Running<C>>, StartError> {
    let registry = Arc::new(parts.registry);
    let parts = Parts {
        registry: Registry::default(),
        ..parts
    };
    let checked = {
        let mut checking = pin!(start::check(&registry, &parts));
        loop {
            tokio::select! {
                checked = &mut checking => break checked?,
                // Other orders make no sense before the start.
                order = orders.next() => if let None | Some(Order::Drain) = order { return Ok(None) },
            }
        }
    };
    let running = Running::new(registry, parts, checked)?;
    let status = running.status();
    info!("ready: {status}");
    systemd::ready(&status);
    Ok(Some(running))
}

impl<C: JobContext> Running<C> {
    fn new(
        registry: Arc<Registry<C>>,
        parts: Parts<C>,
        timetables: Timetables,
    ) -> Result<Self, StartError> {
        let keeper = Keeper::start()?;
        let attempts = Attempts::new(Arc::clone(&registry), parts.base.clone());
        let stop_pools = CancellationToken::new();
        let pool = |queue: Queue| {
            let slots = parts.plan.slots_of(&queue);
            let config = PoolConfig::new(queue, &parts.plan.host, slots, Arc::clone(&registry));
            let config = PoolConfig {
                lease: parts.plan.lease,
                ..config
            };
            let store = parts.client.store().clone();
            Pool::start(
                config,
                store,
                keeper.clone(),
                attempts.clone(),
                stop_pools.clone(),
            )
        };
        let pools = super::queues(&registry).into_iter().map(pool).collect();
        let mut running = Self {
            registry,
            client: parts.client,
            db: parts.db.closing(),
            gate: parts.gate,
            plan: parts.plan,
            telemetry: parts.telemetry,
            reload: parts.reload,
            base: parts.base,
            attempts,
            pools,
            timetables: watch::Sender::new(timetables),
            stop_watches: CancellationToken::new(),
            stop_pools,
            watches: Vec::new(),
        };
        running.watches = running.start_watches();
        Ok(running)
    }

    fn start_watches(&self) -> Vec<AbortOnDropHandle<()>> {
        let pulse = Pulse::new();
        for pool in &self.pools {
            let steering = Arc::clone(&pool.steering);
            let name = format!("pool of `{}`", steering.queue());
            pulse.watch_by(&name, POOL_PAUSE, move || {
                Some(steering.status()?.1.last_turn)
            });
        }
        let reconnected = Arc::new(Notify::new());
        let scheduler = Scheduler {
            registry: Arc::clone(&self.registry),
            db: self.db.clone(),
            client: self.client.clone(),
            timetables: self.timetables.subscribe(),
            reconnected: Arc::clone(&reconnected),
            heartbeat: pulse.watch("scheduler", scheduler::LONGEST_PAUSE),
            stop: self.stop_watches.clone(),
        };
        let gate = drift::watch(
            self.db.clone(),
            self.gate.clone(),
            reconnected,
            self.stop_watches.clone(),
        );
        let mut tasks = vec![tokio::spawn(scheduler.run()), tokio::spawn(gate)];
        if let Some(watchdog) = systemd::watchdog() {
            tasks.push(tokio::spawn(systemd::keep_alive(pulse, watchdog)));
        }
        tasks.into_iter().map(AbortOnDropHandle::new).collect()
    }

    /// Follows orders until one is to drain.
    pub(super) async fn follow(&mut self, orders: &mut (impl Stream<Item = Order> + Unpin)) {
        while let Some(order) = orders.next().await {
            match order {
                Order::Drain => return,
                Order::Quiet => self.set_quiet(true),
                Order::Resume => self.set_quiet(false),
                Order::Reload => self.reload().await,
                Order::Dump => self.dump().await,
            }
        }
    }

    fn set_quiet(&self, quiet: bool) {
        for pool in &self.pools {
            pool.steering.set_quiet(quiet);
        }
        let line = if quiet {
            "quiet: no new jobs are taken, those that run go on".to_owned()
        } else {
            self.status()
        };
        info!("{line}");
        systemd::status(&line);
    }

    fn status(&self) -> String {
        let queues = self.pools.iter().map(|pool| {
            let queue = pool.steering.queue();
            format!("{queue} ({})", self.plan.slots_of(queue))
        });
        format!("taking jobs from {}", queues.collect::<Vec<_>>().join(", "))
    }

    async fn reload(&mut self) {
        systemd::reloading();
        let reload = Arc::clone(&self.reload);
        match tokio::task::spawn_blocking(move || reload()).await {
            Ok(Ok(reloaded)) => self.apply(reloaded),
            Ok(Err(error)) => error!(
                "the configuration was not reloaded, the old one stays: {}",
                chain(error.as_ref())
            ),
            Err(panic) => error!("the configuration was not reloaded, the old one stays: {panic}"),
        }
        systemd::ready(&self.status());
    }

    fn apply(&mut self, reloaded: Reloaded<C>) {
        let Reloaded {
            plan,
            base,
            needs_restart,
        } = reloaded;
        let timetables = match scheduler::timetables(&self.registry, &plan.schedules) {
            Ok(timetables) => timetables,
            Err(error) => {
                return error!(
                    "the configuration was not reloaded, the old one stays: {}",
                    chain(&error)
                );
            }
        };
        self.timetables.send_replace(timetables);
        for pool in &self.pools {
            let (queue, slots) = (pool.steering.queue(), plan.slots_of(pool.steering.queue()));
            let before = pool.steering.resize(slots);
            if before != slots {
                info!(%queue, before, slots, "the pool of `{queue}` now runs {slots} jobs at a time");
            }
        }
        self.attempts.set_base(base.clone());
        self.base = base;
        self.set_level(&plan);
        if !needs_restart.is_empty() {
            warn!(
                "changed, but in force only after a restart: {}",
                needs_restart.join(", ")
            );
        }
        self.plan = plan;
        info!("the configuration was reloaded");
    }

    fn set_level(&self, plan: &Plan) {
        let (Some(telemetry), Some(level)) = (&self.telemetry, plan.log_level) else {
            return;
        };
        if let Err(error) = telemetry.set_level(level) {
            error!("the level of the log stays: {}", chain(&error));
        }
    }

    async fn dump(&self) {
        let scene = Scene {
            pools: &self.pools,
            running: self.attempts.running(),
            client: &self.client,
            db: &self.db,
            gate: &self.gate,
            locks: self.base.locks(),
        };
        dump::dump(&scene).await;
    }

    /// Ends everything: takes no new jobs, waits for those that run, hands back what does not end
    /// in time.
    pub(super) async fn drain(self) {
        let patience = self.plan.drain_timeout;
        let running = self.attempts.running();
        let line = format!(
            "stopping: {} jobs run and have {patience:.0?} to end",
            running.count()
        );
        info!("{line}");
        systemd::stopping(&line);
        self.stop_watches.cancel();
        for pool in &self.pools {
            pool.steering.set_quiet(true);
        }
        if timeout(patience, running.none()).await.is_err() {
            info!("handing back {} jobs that still run", running.count());
        }
        self.attempts.hand_back();
        self.stop_pools.cancel();
        // Attempts end within their grace; then the pools report what became of them.
        running.none().await;
        let ended = join_all(self.pools.into_iter().map(Pool::ended));
        if timeout(CLOSING, ended).await.is_err() {
            warn!(
                "not every outcome could be reported; those jobs run again when their leases end"
            );
        }
        drop(self.watches);
        info!("stopped");
    }
}
