//! The steps of a daemon's life: start, follow orders, drain.
use std::{pin::pin, sync::Arc, time::Duration};

use futures::{Stream, StreamExt as _, future::join_all};
use quayhand_jobs::Gate;
use quayhand_model::Db;
use quayhand_queue::{Client, Keeper, PoolConfig, Queue, Registry};
use tokio::{sync::watch, time::timeout};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tracing::{info, warn};

use super::{
    JobContext, Order, Parts, Plan, Reload, StartError, Telemetry,
    attempt::Attempts,
    dump::Scene,
    origin::Books,
    pool::Pool,
    scheduler::Timetables,
    start, systemd,
    watches::{self, Watched},
};

/// How long the pools may take to end once no attempt runs any more.
const CLOSING: Duration = Duration::from_secs(12);

/// A daemon that runs.
pub(super) struct Running<C> {
    pub(super) registry: Arc<Registry<C>>,
    pub(super) client: Client,
    pub(super) db: Db,
    pub(super) gate: Gate,
    pub(super) plan: Plan,
    pub(super) telemetry: Option<Telemetry>,
    pub(super) reload: Reload<C>,
    pub(super) base: C,
    pub(super) attempts: Attempts<C>,
    pub(super) pools: Vec<Pool>,
    pub(super) timetables: watch::Sender<Timetables>,
    quiet: bool,
    /// Ends the loops beside the pools.
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
    let registry = Arc::new(parts.registry.with_policies(&parts.plan.policies));
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
        let books = Books::start(parts.db.closing());
        let attempts = Attempts::new(Arc::clone(&registry), parts.base.clone()).with_books(books);
        let stop_pools = CancellationToken::new();
        let mut running = Self {
            pools: start_pools(&registry, &parts, &attempts, &stop_pools)?,
            registry,
            client: parts.client,
            db: parts.db.closing(),
            gate: parts.gate,
            plan: parts.plan,
            telemetry: parts.telemetry,
            reload: parts.reload,
            base: parts.base,
            attempts,
            timetables: watch::Sender::new(timetables),
            quiet: false,
            stop_watches: CancellationToken::new(),
            stop_pools,
            watches: Vec::new(),
        };
        running.watches = watches::start(&Watched {
            registry: &running.registry,
            client: &running.client,
            db: &running.db,
            gate: &running.gate,
            pools: &running.pools,
            relay_interval: running.plan.relay_interval,
            timetables: running.timetables.subscribe(),
            stop: &running.stop_watches,
        });
        Ok(running)
    }

    /// Follows orders until one is to drain.
    pub(super) async fn follow(&mut self, orders: &mut (impl Stream<Item = Order> + Unpin)) {
        while let Some(order) = orders.next().await {
            match order {
                Order::Drain => return,
                Order::Quiet => self.set_quiet(true),
                Order::Resume => self.set_quiet(false),
                Order::Reload => self.reload().await,
                // On its own: Redis may be slow to answer, and the next order must not wait.
                Order::Dump => drop(tokio::spawn(self.scene().dump())),
            }
        }
    }

    fn set_quiet(&mut self, quiet: bool) {
        self.quiet = quiet;
        for pool in &self.pools {
            pool.steering.set_quiet(quiet);
        }
        let line = self.status();
        info!("{line}");
        systemd::status(&line);
    }

    /// Says in one line what the daemon does.
    pub(super) fn status(&self) -> String {
        if self.quiet {
            return "quiet: no new jobs are taken, those that run go on".to_owned();
        }
        let queues = self.pools.iter().map(|pool| {
            let queue = pool.steering.queue();
            format!("{queue} ({})", self.plan.slots_of(queue))
        });
        format!("taking jobs from {}", queues.collect::<Vec<_>>().join(", "))
    }

    fn scene(&self) -> Scene {
        Scene {
            pools: self
                .pools
                .iter()
                .map(|pool| Arc::clone(&pool.steering))
                .collect(),
            running: self.attempts.running().clone(),
            client: self.client.clone(),
            db: self.db.clone(),
            gate: self.gate.clone(),
            kinds: self.registry.iter().map(|entry| entry.kind).collect(),
            locks: self.base.locks(),
        }
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

/// Starts a pool for each queue of the registry.
fn start_pools<C: JobContext>(
    registry: &Arc<Registry<C>>,
    parts: &Parts<C>,
    attempts: &Attempts<C>,
    stop: &CancellationToken,
) -> Result<Vec<Pool>, StartError> {
    let keeper = Keeper::start()?;
    let pool = |queue: Queue| {
        let slots = parts.plan.slots_of(&queue);
        let config = PoolConfig::new(queue, &parts.plan.host, slots, registry);
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
            stop.clone(),
        )
    };
    Ok(super::queues(registry).into_iter().map(pool).collect())
}
