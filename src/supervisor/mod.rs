//! The daemon: pools of workers, schedules, the schema gate, signals, systemd.
//!
//! [`Supervisor::run`] checks what must hold, starts a pool for each queue of the registry, and
//! follows [`Order`]s until one of them is [`Order::Drain`]. Nothing that goes wrong later ends
//! it: a pool that ends is started again, a database or Redis that goes away is waited for.
//!
//! It is generic over the context that jobs are given, so that a test builds a daemon of its own
//! kinds from the same parts.
mod attempt;
mod drift;
mod dump;
mod durability;
mod ended;
mod lines;
mod origin;
mod outage;
mod patience;
mod pauses;
mod plan;
mod pool;
mod pulse;
mod relay;
mod reload;
mod report;
mod restart;
mod running;
mod scheduler;
mod signals;
mod start;
mod steps;
mod stint;
mod systemd;
mod telemetry;
mod tick;
mod watches;

use std::{collections::BTreeSet, error::Error, sync::Arc, thread};

use futures::Stream;
use quayhand_jobs::{Ctx, Gate, Locking, Progress};
use quayhand_model::Db;
use quayhand_queue::{Client, Envelope, Notes, Queue, Registry};
use tokio_util::sync::CancellationToken;

pub(crate) use durability::look as look_at_durability;
pub(crate) use origin::{has_row, note_dropped, note_retried, note_retried_again};
pub(crate) use plan::host;
pub use plan::{Plan, Upcoming};
pub use signals::{Order, Signals};
pub use start::StartError;
pub use telemetry::{Telemetry, TelemetryError};
pub use tick::{ScheduleError, Timing};

/// Most threads that run jobs; they wait for servers most of the time.
const MOST_THREADS: usize = 4;

/// What the jobs of a registry are given, as far as the supervisor needs to know.
pub trait JobContext: Clone + Send + Sync + 'static {
    /// Returns the context of one attempt at the job in `envelope`, which must stop when `stop` is
    /// cancelled, and says in `notes` how far it is.
    #[must_use]
    fn for_attempt(&self, envelope: &Envelope, stop: &CancellationToken, notes: &Notes) -> Self;

    /// Lists the locks that jobs of this process hold now, for the dump.
    fn locks(&self) -> Vec<String> {
        Vec::new()
    }
}

impl JobContext for Ctx {
    fn for_attempt(&self, _: &Envelope, stop: &CancellationToken, notes: &Notes) -> Self {
        let mut ctx = Self {
            stop: stop.clone(),
            ..self.clone()
        };
        let notes = notes.clone();
        ctx.options.progress = Progress::new(move |step| notes.progress(&step.to_string()));
        ctx
    }

    fn locks(&self) -> Vec<String> {
        let Locking::Redis(locks) = &self.locks else {
            return Vec::new();
        };
        locks.held().into_iter().map(|(name, _)| name).collect()
    }
}

/// What a reload found in the configuration.
pub struct Reloaded<C> {
    /// The plan in force from now on.
    pub plan: Plan,
    /// What attempts that start from now on are given.
    pub base: C,
    /// Settings that changed and take effect with a restart only (see [`Plan::can_change`]).
    pub needs_restart: Vec<String>,
}

/// Reads the configuration again. May block.
pub type Reload<C> =
    Arc<dyn Fn() -> Result<Reloaded<C>, Box<dyn Error + Send + Sync>> + Send + Sync>;

/// What a daemon is made of.
pub struct Parts<C> {
    /// The kinds it runs; each of their queues gets a pool.
    pub registry: Registry<C>,
    /// What each attempt is given.
    pub base: C,
    /// The way to the queues.
    pub client: Client,
    /// Where schedules are claimed and whose schema is watched.
    pub db: Db,
    /// The gate that the daemon opens and shuts; the same that jobs ask.
    pub gate: Gate,
    /// How it runs them.
    pub plan: Plan,
    /// Whose level a reload changes; `None`: nobody's.
    pub telemetry: Option<Telemetry>,
    /// Reads the configuration again when told to.
    pub reload: Reload<C>,
}

/// A daemon that has not started yet.
pub struct Supervisor<C> {
    parts: Parts<C>,
}

impl<C: JobContext> Supervisor<C> {
    /// Puts a daemon together; nothing happens before [`Self::run`].
    pub fn new(parts: Parts<C>) -> Self {
        Self { parts }
    }

    /// Runs until an [`Order::Drain`] was followed, or `orders` ended. An order to drain that comes
    /// before the daemon is ready ends it at once.
    ///
    /// After it: no job runs, every job that was not finished is back in its queue without a spent
    /// attempt, no connection is open.
    ///
    /// # Errors
    ///
    /// [`StartError`] when the daemon could not start.
    pub async fn run(
        self,
        mut orders: impl Stream<Item = Order> + Unpin,
    ) -> Result<(), StartError> {
        let db = self.parts.db.clone();
        let outcome = match steps::start(self.parts, &mut orders).await {
            Ok(Some(mut running)) => {
                running.follow(&mut orders).await;
                running.drain().await;
                Ok(())
            }
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        db.close().await;
        outcome
    }
}

/// Makes the runtime that a daemon runs on: a thread a core, at most four.
///
/// # Errors
///
/// When the system has no threads to give.
pub fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores.min(MOST_THREADS))
        .enable_all()
        .build()
}

/// Lists the queues of a registry's kinds.
fn queues<C: Send + Sync + 'static>(registry: &Registry<C>) -> BTreeSet<Queue> {
    registry.iter().map(|entry| entry.queue.clone()).collect()
}
