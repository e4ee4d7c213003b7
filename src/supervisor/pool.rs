//! One pool of workers for each queue: an apalis worker in a task of its own, started again when
//! it ends.
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use apalis_core::{error::WorkerError, worker::builder::WorkerBuilder};
use futures::{FutureExt as _, future::BoxFuture};
use quayhand_queue::{
    Backend, Keeper, Outcome, PoolConfig, PoolHandle, PoolStatus, Queue, Store, Taken,
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::{JobContext, attempt::Attempts, restart::keep_running};

/// A pool that runs; dropping it drops its worker, which gives its jobs back.
pub(crate) struct Pool {
    pub(crate) steering: Arc<Steering>,
    task: AbortOnDropHandle<()>,
}

/// What a pool is told, kept over the restarts of its worker.
pub(crate) struct Steering {
    queue: Queue,
    wanted: Mutex<Wanted>,
}

struct Wanted {
    slots: usize,
    quiet: bool,
    handle: Option<PoolHandle>,
}

impl Steering {
    /// The queue the pool serves.
    pub(crate) fn queue(&self) -> &Queue {
        &self.queue
    }

    /// Changes how many jobs run at a time; returns how many did before.
    pub(crate) fn resize(&self, slots: usize) -> usize {
        let mut wanted = self.lock();
        if let Some(handle) = &wanted.handle {
            handle.resize(slots);
        }
        std::mem::replace(&mut wanted.slots, slots)
    }

    /// Takes no new jobs, or takes jobs again.
    pub(crate) fn set_quiet(&self, quiet: bool) {
        let mut wanted = self.lock();
        wanted.quiet = quiet;
        wanted.apply();
    }

    /// Tells how the pool's worker is, with the name under which it leases jobs; `None` while it
    /// is being started again.
    pub(crate) fn status(&self) -> Option<(String, PoolStatus)> {
        let handle = self.lock().handle.clone()?;
        Some((handle.worker().to_string(), handle.status()?))
    }

    fn attach(&self, handle: PoolHandle) {
        let mut wanted = self.lock();
        wanted.handle = Some(handle);
        wanted.apply();
    }

    fn slots(&self) -> usize {
        self.lock().slots
    }

    fn lock(&self) -> MutexGuard<'_, Wanted> {
        // Nothing that can panic runs under this lock.
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wanted {
    fn apply(&self) {
        if let Some(handle) = &self.handle {
            handle.resize(self.slots);
            if self.quiet {
                handle.quiet();
            } else {
                handle.resume();
            }
        }
    }
}

impl Pool {
    /// Starts the pool that `config` describes. It ends after `stop`, when its running attempts
    /// have ended and everything is reported.
    pub(crate) fn start<C: JobContext>(
        config: PoolConfig,
        store: Store,
        keeper: Keeper,
        attempts: Attempts<C>,
        stop: CancellationToken,
    ) -> Self {
        let wanted = Wanted {
            slots: config.slots,
            quiet: false,
            handle: None,
        };
        let queue = config.queue.clone();
        let steering = Arc::new(Steering {
            queue: queue.clone(),
            wanted: Mutex::new(wanted),
        });
        let steered = Arc::clone(&steering);
        let worker_stop = stop.clone();
        let worker = move || {
            let config = PoolConfig {
                slots: steered.slots(),
                ..config.clone()
            };
            let (backend, handle) = Backend::new(store.clone(), config, &keeper);
            steered.attach(handle.clone());
            work(
                backend,
                &handle,
                steered.queue.clone(),
                attempts.clone(),
                worker_stop.clone(),
            )
        };
        let name = format!("pool of `{queue}`");
        let running = async move { keep_running(&name, &stop, worker).await };
        Self {
            steering,
            task: AbortOnDropHandle::new(tokio::spawn(running)),
        }
    }

    /// Waits until the pool has ended.
    pub(crate) async fn ended(self) {
        // It is neither aborted nor panics; if it did, it has ended.
        let _ended = self.task.await;
    }
}

/// Runs the attempts of one seat. Boxed: apalis moves the future several times, and it is large.
fn run_attempts<C: JobContext>(
    attempts: Arc<Attempts<C>>,
    queue: Queue,
    taken: Box<Taken>,
) -> BoxFuture<'static, Option<Outcome>> {
    Box::pin(attempts.run(queue, taken))
}

/// Runs one apalis worker until `stop`, then until its last attempt has ended.
fn work<C: JobContext>(
    backend: Backend,
    handle: &PoolHandle,
    queue: Queue,
    attempts: Attempts<C>,
    stop: CancellationToken,
) -> BoxFuture<'static, Result<(), WorkerError>> {
    let attempts = Arc::new(attempts);
    let handler = move |taken| run_attempts(Arc::clone(&attempts), queue.clone(), taken);
    let worker = WorkerBuilder::new(handle.worker().as_str())
        .backend(backend)
        .build(handler);
    let handle = handle.clone();
    // Jobs that follow each other ask no worker whether they may.
    let stopped = stop.cancelled_owned().map(move |()| {
        handle.quiet();
        Ok::<_, WorkerError>(())
    });
    Box::pin(worker.run_until(stopped))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use quayhand_queue::{
        Client, Counts, Done, Envelope, Job, JobError, MemoryStore, Notes, Placement, Registry,
        Source,
    };
    use quayhand_testkit::wait_for;
    use serde::{Deserialize, Serialize};

    use super::*;

    const QUEUE: Queue = Queue::new("gc");

    /// Takes the worker down, as no job can, when it is given to a poisonous tenant's job.
    #[derive(Clone)]
    struct Fragile;

    impl JobContext for Fragile {
        fn for_attempt(&self, envelope: &Envelope, _: &CancellationToken, _: &Notes) -> Self {
            assert_ne!(envelope.tenant, "poison", "a worker dies on purpose");
            self.clone()
        }
    }

    #[derive(Serialize, Deserialize)]
    struct Nothing {}

    impl Job<Fragile> for Nothing {
        const KIND: &'static str = "nothing";
        const ABOUT: &'static str = "Does nothing";
        const QUEUE: Queue = QUEUE;
        const SOURCE: Source = Source::Derivable;

        async fn run(&self, _: &Fragile) -> Result<Done, JobError> {
            Ok(Done::default())
        }
    }

    async fn counted(client: &Client, what: &str, fits: impl Fn(Counts) -> bool) {
        wait_for(what, Duration::from_secs(10), async || {
            let counts = client.store().counts(&QUEUE).await.unwrap();
            fits(counts).then_some(())
        })
        .await;
    }

    #[tokio::test]
    async fn a_pool_whose_worker_dies_is_started_again_as_it_was_told_to_be() {
        let registry = Arc::new(Registry::default().with::<Nothing>());
        let attempts = Attempts::new(registry.clone(), Fragile);
        let (client, stop) = (
            Client::new(MemoryStore::default()),
            CancellationToken::new(),
        );
        let config = PoolConfig::new(QUEUE, "host", 1, &registry);
        let (store, keeper) = (client.store().clone(), Keeper::start().unwrap());
        let pool = Pool::start(config, store, keeper, attempts, stop.clone());
        pool.steering.resize(3);
        client.enqueue(&Nothing {}).await.unwrap();
        counted(&client, "a job of the first worker", |counts| {
            counts.done_total == 1
        })
        .await;
        let first = pool.steering.status().unwrap().0;

        let tenant = "poison".to_owned();
        let poison = Placement {
            tenant,
            ..Placement::default()
        };
        client.enqueue_placed(&Nothing {}, poison).await.unwrap();
        counted(&client, "the failed attempt", |counts| {
            counts.retries_total == 1
        })
        .await;
        client.enqueue(&Nothing {}).await.unwrap();
        counted(&client, "a job of the second worker", |counts| {
            counts.done_total == 2
        })
        .await;
        let (second, status) = pool.steering.status().unwrap();
        assert_ne!(first, second);
        assert_eq!(status.slots, 3);
        stop.cancel();
        pool.ended().await;
    }
}
