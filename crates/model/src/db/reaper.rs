//! The reaper: closes connections that nobody uses.
//!
//! It runs only while the pool holds connections, and ends with the [`Db`](super::Db).
use std::{
    sync::{Arc, Weak, atomic::Ordering},
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use super::Shared;

/// Starts the reaper unless it runs. Call it after every checkout.
pub(super) fn wake(shared: &Arc<Shared>) {
    if shared.config.idle_disconnect.is_zero() || shared.reaping.swap(true, Ordering::AcqRel) {
        return;
    }
    tokio::spawn(run(Arc::downgrade(shared), shared.ended.clone()));
}

async fn run(shared: Weak<Shared>, ended: CancellationToken) {
    let awake = Awake(shared.clone());
    let mut pause = Duration::ZERO;
    loop {
        tokio::select! {
            () = ended.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        let Some(shared) = shared.upgrade() else {
            return;
        };
        match reap(&shared) {
            Some(next) => pause = next,
            None => break,
        }
    }
    drop(awake);
    // A checkout between the last look and here saw the reaper still awake.
    if let Some(shared) = shared.upgrade()
        && shared.pool.status().size > 0
    {
        wake(&shared);
    }
}

/// Closes what is due; returns the time until the next one is, `None` when none is left.
fn reap(shared: &Shared) -> Option<Duration> {
    let limit = shared.config.idle_disconnect;
    let mut next = limit;
    let reaped = shared.pool.retain(|session, _| {
        let left = limit.saturating_sub(session.idle_since.elapsed());
        let keep = !left.is_zero() && !session.client.is_closed();
        if keep {
            next = next.min(left);
        }
        keep
    });
    if !reaped.removed.is_empty() {
        tracing::debug!(closed = reaped.removed.len(), "closed idle connections");
    }
    (shared.pool.status().size > 0).then_some(next)
}

/// Says that the reaper runs, until it is dropped; also when a runtime ends under it.
struct Awake(Weak<Shared>);

impl Drop for Awake {
    fn drop(&mut self) {
        if let Some(shared) = self.0.upgrade() {
            shared.reaping.store(false, Ordering::Release);
        }
    }
}
