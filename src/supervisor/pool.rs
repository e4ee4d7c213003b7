//! One pool of workers for each queue: an apalis worker in a task of its own, started again when
//! it ends.
use std::{
    fmt::Display,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use apalis_core::{error::WorkerError, worker::builder::WorkerBuilder};
use quayhand_queue::{Backend, Keeper, PoolConfig, PoolHandle, PoolStatus, Queue, Store, Taken};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::{JobContext, attempt::Attempts, patience::Patience};

/// A pool that ran for this long was healthy: its next end is met without a long pause.
const HEALTHY_AFTER: Duration = Duration::from_mins(1);

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
                handle,
                steered.queue.clone(),
                attempts.clone(),
                worker_stop.clone(),
            )
        };
        let running = async move { keep_running(&queue, &stop, worker).await };
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

/// Runs one apalis worker until `stop`, then until its last attempt has ended.
async fn work<C: JobContext>(
    backend: Backend,
    handle: PoolHandle,
    queue: Queue,
    attempts: Attempts<C>,
    stop: CancellationToken,
) -> Result<(), WorkerError> {
    let handler = move |taken: Taken| {
        let (attempts, queue) = (attempts.clone(), queue.clone());
        async move { attempts.run(&queue, taken.envelope, taken.cancelled).await }
    };
    let worker = WorkerBuilder::new(handle.worker().as_str())
        .backend(backend)
        .build(handler);
    let stopped = async move {
        stop.cancelled().await;
        Ok::<_, WorkerError>(())
    };
    worker.run_until(stopped).await
}

/// Calls `run` again whenever what it returned ends or panics, with growing pauses, until `stop`.
async fn keep_running<F, E>(queue: &Queue, stop: &CancellationToken, mut run: impl FnMut() -> F)
where
    F: Future<Output = Result<(), E>> + Send + 'static,
    E: Display + Send + 'static,
{
    let mut patience = Patience::new(Duration::from_millis(100), Duration::from_secs(30));
    loop {
        let started = Instant::now();
        let ended = AbortOnDropHandle::new(tokio::spawn(run())).await;
        if stop.is_cancelled() {
            return;
        }
        let reason = match ended {
            Ok(Ok(())) => "it ended by itself".to_owned(),
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        if started.elapsed() > HEALTHY_AFTER {
            patience.reset();
        }
        let pause = patience.pause();
        tracing::error!(%queue, reason, "the pool of `{queue}` ended and is started again in {pause:.1?}");
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_pool_that_ends_fails_or_panics_is_started_again() {
        let (starts, stop) = (AtomicU32::new(0), CancellationToken::new());
        let stopping = stop.clone();
        let run = || {
            let (nth, stop) = (starts.fetch_add(1, Ordering::Relaxed), stopping.clone());
            async move {
                match nth {
                    0 => Ok(()),
                    1 => Err("a failure"),
                    2 => panic!("a panic"),
                    _ => {
                        stop.cancel();
                        Ok(())
                    }
                }
            }
        };
        let started = Instant::now();
        keep_running(&Queue::new("gc"), &stop, run).await;
        assert_eq!(starts.load(Ordering::Relaxed), 4);
        assert!(
            started.elapsed() > Duration::from_millis(50 + 100 + 200),
            "with growing pauses"
        );
    }
}
