//! Renews leases on a thread that job code cannot block.
use std::{
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use tokio::sync::{Semaphore, mpsc};
use tracing::{info, warn};

use super::pool::Pool;
use crate::{Lease, QueueError, Renewed, Store, jitter::Patience};

/// The thread that renews the leases of every pool of a process; cheap to clone, ends with the
/// last clone and the last pool.
///
/// It has a runtime and connections of its own, so a job that blocks its thread, or all of
/// them, keeps its lease.
#[derive(Clone, Debug)]
pub struct Keeper {
    pools: mpsc::UnboundedSender<Weak<Pool>>,
    suspects: Arc<Semaphore>,
}

impl Keeper {
    /// Starts the thread. One is enough for a process.
    ///
    /// # Errors
    ///
    /// [`QueueError::Keeper`] when the system has no thread to give.
    pub fn start() -> Result<Self, QueueError> {
        let (pools, watched) = mpsc::unbounded_channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|source| QueueError::Keeper { source })?;
        std::thread::Builder::new()
            .name("lease-keeper".to_owned())
            .spawn(move || runtime.block_on(watch_all(watched)))
            .map_err(|source| QueueError::Keeper { source })?;
        // Of the jobs that may end no further process one runs at a time, so that it is known which
        // of them does.
        let suspects = Arc::new(Semaphore::new(1));
        Ok(Self { pools, suspects })
    }

    /// The one place of the process for a job that is dead when the process ends once more.
    pub(super) fn suspects(&self) -> Arc<Semaphore> {
        Arc::clone(&self.suspects)
    }

    /// Renews the leases of a pool from now on, until the pool is gone.
    pub(super) fn watch(&self, pool: &Arc<Pool>) {
        // The thread ends after its last sender, so it is there.
        let _gone = self.pools.send(Arc::downgrade(pool));
    }
}

async fn watch_all(mut pools: mpsc::UnboundedReceiver<Weak<Pool>>) {
    let mut watched = tokio::task::JoinSet::new();
    while let Some(pool) = pools.recv().await {
        watched.spawn(keep(pool));
        while watched.try_join_next().is_some() {}
    }
    while watched.join_next().await.is_some() {}
}

/// How often a pool with running jobs asks whether any of them is to be stopped.
const LOOK: Duration = Duration::from_millis(500);
/// How often a pool tells what it is.
const REGISTER: Duration = Duration::from_secs(10);

/// Looks after one pool until it is gone.
async fn keep(pool: Weak<Pool>) {
    let Some(store) = pool.upgrade().map(|pool| pool.store.separate()) else {
        return;
    };
    let mut keeping = Keeping {
        store,
        patience: Patience::new(),
        renew_at: Instant::now(),
        register_at: Instant::now(),
    };
    while let Some(pool) = pool.upgrade() {
        keeping.turn(&pool).await;
        let pause = LOOK.min(pool.lease / 6);
        drop(pool);
        tokio::time::sleep(pause).await;
    }
}

/// What is due when for one pool.
struct Keeping {
    store: Store,
    patience: Patience,
    renew_at: Instant,
    register_at: Instant,
}

impl Keeping {
    /// Renews every third of a lease, sooner after a failure, and at once when somebody wants a
    /// job stopped. The rest comes after that.
    async fn turn(&mut self, pool: &Pool) {
        let (lease, leases) = (pool.lease, pool.running.leases());
        let is_due = Instant::now() >= self.renew_at;
        if !leases.is_empty() && (is_due || self.is_stop_wanted(pool).await) {
            let renewing = renew(pool, &self.store, &leases);
            // One that hangs must leave time for another try before the leases end.
            let outcome = tokio::time::timeout(lease / 6, renewing).await;
            let pause = if matches!(outcome, Ok(true)) {
                self.patience.reset();
                lease / 3
            } else {
                self.patience.pause().min(lease / 6)
            };
            self.renew_at = Instant::now() + pause;
        }
        give_up_on_old(pool);
        let telling = self.tell(pool);
        // What is not told now is told later; the leases come first.
        let _later = tokio::time::timeout(lease / 6, telling).await;
    }

    async fn is_stop_wanted(&self, pool: &Pool) -> bool {
        let asking = self.store.wants_stops(&pool.queue);
        // Without an answer the next renewal brings it.
        matches!(
            tokio::time::timeout(pool.lease / 6, asking).await,
            Ok(Ok(true))
        )
    }

    /// Tells how far jobs are, and now and then what the worker is.
    async fn tell(&mut self, pool: &Pool) {
        let news = pool.running.news();
        if !news.is_empty()
            && let Err(error) = self.store.note(&pool.queue, &news).await
        {
            pool.failed("note", &error);
        }
        if Instant::now() >= self.register_at && !pool.stop.is_cancelled() {
            self.register_at = Instant::now() + REGISTER;
            let about = pool.about();
            let telling = self.store.register(&pool.queue, &pool.worker, &about);
            if let Err(error) = telling.await {
                pool.failed("register", &error);
            }
        }
    }
}

/// Renews once; says whether the store answered.
async fn renew(pool: &Pool, store: &Store, leases: &[Lease]) -> bool {
    let asked = Instant::now();
    match store.renew(&pool.queue, leases, pool.lease).await {
        Ok(renewed) => {
            pool.worked();
            for (lease, renewed) in leases.iter().zip(renewed) {
                take_in(pool, lease, renewed, asked);
            }
            true
        }
        Err(error) => {
            pool.failed("renew", &error);
            false
        }
    }
}

fn take_in(pool: &Pool, lease: &Lease, renewed: Renewed, asked: Instant) {
    if renewed == Renewed::Lost {
        if pool.running.lose(lease) {
            warn!(queue = %pool.queue, job.id = &*lease.id, "lost the lease of a running job; it is cancelled");
        }
        return;
    }
    pool.running.renewed(lease, asked);
    if renewed == Renewed::Stop && pool.running.stop(lease) {
        info!(queue = %pool.queue, job.id = &*lease.id, "somebody cancelled a running job; it is told to stop");
    }
}

/// Cancels jobs whose leases were not renewed in time: another host may be about to take them.
fn give_up_on_old(pool: &Pool) {
    let too_old = pool
        .lease
        .saturating_sub(pool.lease / 6)
        .max(Duration::from_millis(1));
    for lease in pool.running.older_than(too_old) {
        if pool.running.lose(&lease) {
            warn!(queue = %pool.queue, job.id = &*lease.id, "could not renew the lease of a running job in time; it is cancelled");
        }
    }
}
