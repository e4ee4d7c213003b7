//! What the parts of one backend share, and the handle by which a supervisor steers it.
use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{finisher::Finisher, running::Running, slots::Slots};
use crate::{
    About, Policy, Queue, QueueError, Registry, Rule, Store, WorkerId, outcome::chain, redis::ms,
};

/// The kinds that a host can run, each with its policy.
pub type KnownKinds = Arc<BTreeMap<String, Policy>>;

/// Says what one pool runs.
#[derive(Clone)]
pub struct PoolConfig {
    /// Where its jobs come from.
    pub queue: Queue,
    /// Name of this host, shown to operators.
    pub host: String,
    /// How many jobs run at a time; 0 takes none until it is raised.
    pub slots: usize,
    /// How long a job stays with a worker that does not renew; renewed every third of it.
    pub lease: Duration,
    /// Which kinds this host runs, and what holds each back. What the policies say here is what
    /// counts, whoever enqueued.
    pub kinds: KnownKinds,
}

impl PoolConfig {
    /// The lease unless the configuration says otherwise: 30 s, renewed every 10 s.
    pub const LEASE: Duration = Duration::from_secs(30);

    /// Makes the configuration of a pool that runs the kinds of a registry, with the usual lease.
    pub fn new<C: Send + Sync + 'static>(
        queue: Queue,
        host: &str,
        slots: usize,
        registry: &Registry<C>,
    ) -> Self {
        let kinds = registry.iter();
        let kinds = kinds.map(|entry| (entry.kind.to_owned(), entry.policy));
        Self {
            queue,
            host: host.to_owned(),
            slots,
            lease: Self::LEASE,
            kinds: Arc::new(kinds.collect()),
        }
    }
}

impl fmt::Debug for PoolConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolConfig")
            .field("queue", &self.queue)
            .field("slots", &self.slots)
            .field("lease", &self.lease)
            .finish_non_exhaustive()
    }
}

/// What the fetcher, the finisher and the keeper of one backend share.
pub(super) struct Pool {
    pub(super) store: Store,
    pub(super) queue: Queue,
    pub(super) worker: WorkerId,
    pub(super) lease: Duration,
    pub(super) kinds: KnownKinds,
    /// What fetches tell of the kinds.
    pub(super) rules: Vec<Rule>,
    host: String,
    started_at_ms: u64,
    pub(super) slots: Arc<Slots>,
    pub(super) running: Running,
    /// A place for one suspect job, for all pools of the process.
    pub(super) suspects: Arc<Semaphore>,
    /// Cancelled when the pool closes.
    pub(super) stop: CancellationToken,
    /// Cancelled when the last finish is committed.
    ended: CancellationToken,
    health: Mutex<Health>,
}

struct Health {
    turned: Instant,
    failing: Option<(Instant, String)>,
}

impl Pool {
    pub(super) fn new(
        store: Store,
        config: &PoolConfig,
        suspects: Arc<Semaphore>,
    ) -> (Arc<Self>, Finisher) {
        let ended = CancellationToken::new();
        let finisher = Finisher::new(ended.clone());
        let pool = Self {
            store,
            queue: config.queue.clone(),
            worker: WorkerId::new(&config.host),
            lease: config.lease,
            rules: config
                .kinds
                .iter()
                .filter_map(|(kind, policy)| Rule::of(kind, policy))
                .collect(),
            kinds: config.kinds.clone(),
            host: config.host.clone(),
            started_at_ms: ms(SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default()),
            slots: Slots::new(config.slots),
            running: Running::default(),
            suspects,
            stop: CancellationToken::new(),
            ended,
            health: Mutex::new(Health {
                turned: Instant::now(),
                failing: None,
            }),
        };
        (Arc::new(pool), finisher)
    }

    /// Notes that the fetcher went round.
    pub(super) fn turned(&self) {
        self.health().turned = Instant::now();
    }

    /// Notes that the store answered.
    pub(super) fn worked(&self) {
        if let Some((since, _)) = self.health().failing.take() {
            info!(queue = %self.queue, seconds = since.elapsed().as_secs(), "the queue answers again");
        }
    }

    /// Notes that the store failed; the first failure in a row is logged.
    pub(super) fn failed(&self, verb: &'static str, error: &QueueError) {
        let error = chain(error);
        let mut health = self.health();
        if let Some((_, text)) = &mut health.failing {
            *text = error;
            return;
        }
        health.failing = Some((Instant::now(), error.clone()));
        drop(health);
        warn!(queue = %self.queue, "`{verb}` failed and is tried again: {error}");
    }

    /// Tells what its worker is.
    pub(super) fn about(&self) -> About {
        About {
            worker: self.worker.to_string(),
            host: self.host.clone(),
            pid: std::process::id(),
            started_at_ms: self.started_at_ms,
            slots: self.slots.all(),
            running: self.slots.used(),
            is_quiet: self.slots.is_quiet(),
            kinds: self.kinds.keys().cloned().collect(),
        }
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        // Nothing that can panic runs under this lock.
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pool").field(&self.worker).finish()
    }
}

/// Steers a pool and tells how it is; outlives its worker.
#[derive(Clone)]
pub struct PoolHandle {
    pool: Weak<Pool>,
    slots: Arc<Slots>,
    worker: WorkerId,
    ended: CancellationToken,
}

/// Tells how a pool is.
#[derive(Clone, Debug)]
pub struct PoolStatus {
    /// How many jobs it may run at a time.
    pub slots: usize,
    /// How many it runs.
    pub running: usize,
    /// Whether it takes no new jobs.
    pub is_quiet: bool,
    /// How long ago its fetcher last went round. It does at least every 6 s, also when every
    /// slot is taken; a watchdog may rely on that, except while a call on Redis is under way
    /// (5 s at most).
    pub last_turn: Duration,
    /// For how long the queue has not answered, and what the last error was; `None`: it does.
    pub failing: Option<(Duration, String)>,
}

impl PoolHandle {
    pub(super) fn new(pool: &Arc<Pool>) -> Self {
        Self {
            pool: Arc::downgrade(pool),
            slots: pool.slots.clone(),
            worker: pool.worker.clone(),
            ended: pool.ended.clone(),
        }
    }

    /// Waits until the pool's worker is gone and every outcome is committed, or given up after
    /// 5 s without an answer. A process that leaves earlier makes jobs wait for their leases.
    pub async fn ended(&self) {
        self.ended.cancelled().await;
    }

    /// Returns the name under which the pool leases jobs.
    pub fn worker(&self) -> &WorkerId {
        &self.worker
    }

    /// Takes no new jobs from now on; what runs goes on.
    pub fn quiet(&self) {
        self.set_quiet(true);
    }

    /// Takes jobs again.
    pub fn resume(&self) {
        self.set_quiet(false);
    }

    /// Changes how many jobs run at a time; jobs beyond a smaller number run to their end.
    pub fn resize(&self, slots: usize) {
        self.slots.resize(slots);
    }

    /// Cancels every running job of the pool, as a lost lease would.
    pub fn cancel_running(&self) {
        if let Some(pool) = self.pool.upgrade() {
            for lease in pool.running.leases() {
                pool.running.cancel(&lease);
            }
        }
    }

    /// Tells how the pool is; `None` when it has ended.
    pub fn status(&self) -> Option<PoolStatus> {
        let pool = self.pool.upgrade()?;
        let health = pool.health();
        Some(PoolStatus {
            slots: self.slots.all(),
            running: self.slots.used(),
            is_quiet: self.slots.is_quiet(),
            last_turn: health.turned.elapsed(),
            failing: health
                .failing
                .as_ref()
                .map(|(since, text)| (since.elapsed(), text.clone())),
        })
    }

    fn set_quiet(&self, quiet: bool) {
        self.slots.set_quiet(quiet);
    }
}

impl fmt::Debug for PoolHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PoolHandle").field(&self.worker).finish()
    }
}
