//! Renews leases on a thread that job code cannot block.
use std::{
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use tokio::sync::mpsc;
use tracing::warn;

use super::pool::Pool;
use crate::{QueueError, jitter::Patience};

/// The thread that renews the leases of every pool of a process; cheap to clone, ends with the
/// last clone and the last pool.
///
/// It has a runtime and connections of its own, so a job that blocks its thread, or all of
/// them, keeps its lease.
#[derive(Clone, Debug)]
pub struct Keeper {
    pools: mpsc::UnboundedSender<Weak<Pool>>,
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
        Ok(Self { pools })
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

/// Renews the leases of one pool every third of their time, sooner after a failure.
async fn keep(pool: Weak<Pool>) {
    let mut patience = Patience::new();
    let Some((store, lease)) = pool.upgrade().map(|p| (p.store.separate(), p.lease)) else {
        return;
    };
    let mut pause = lease / 3;
    loop {
        tokio::time::sleep(pause).await;
        let Some(pool) = pool.upgrade() else {
            return;
        };
        let renewing = renew(&pool, &store);
        // One that hangs must leave time for another try before the leases end.
        let outcome = tokio::time::timeout(lease / 6, renewing).await;
        pause = if matches!(outcome, Ok(true)) {
            patience.reset();
            lease / 3
        } else {
            patience.pause().min(lease / 6)
        };
        give_up_on_old(&pool);
    }
}

/// Renews once; says whether the store answered.
async fn renew(pool: &Pool, store: &crate::Store) -> bool {
    let leases = pool.running.leases();
    if leases.is_empty() {
        return true;
    }
    let asked = Instant::now();
    match store.renew(&pool.queue, &leases, pool.lease).await {
        Ok(held) => {
            pool.worked();
            for (lease, held) in leases.iter().zip(held) {
                if held {
                    pool.running.renewed(lease, asked);
                } else if pool.running.lose(lease) {
                    warn!(queue = %pool.queue, job.id = lease.id, "lost the lease of a running job; it is cancelled");
                }
            }
            true
        }
        Err(error) => {
            pool.failed("renew", &error);
            false
        }
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
            warn!(queue = %pool.queue, job.id = lease.id, "could not renew the lease of a running job in time; it is cancelled");
        }
    }
}
