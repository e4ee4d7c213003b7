//! Commits what became of jobs, many in one call.
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{sync::oneshot, task::JoinHandle};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::warn;

use super::{
    inbox::{Pile, Receiver, Sender, inbox},
    pool::Pool,
};
use crate::{Finish, LARGEST_BATCH, jitter::Patience};

/// How long a pool that closes tries to commit; what is left comes back when its leases end.
const CLOSING_PATIENCE: Duration = Duration::from_secs(5);

/// The way to the task that commits; cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Finisher {
    way: Arc<Way>,
}

#[derive(Debug)]
struct Way {
    inbox: Sender,
    /// Goes to the task that commits.
    ends: Mutex<Option<Ends>>,
}

/// What that task takes over. With it goes the word that all is committed.
#[derive(Debug)]
struct Ends {
    inbox: Receiver,
    _ended: DropGuard,
}

impl Finisher {
    /// Makes the way in; `ended` is cancelled when everything is committed and nothing more
    /// can come.
    pub(super) fn new(ended: CancellationToken) -> Self {
        let (sender, receiver) = inbox();
        let ends = Ends {
            inbox: receiver,
            _ended: ended.drop_guard(),
        };
        let way = Way {
            inbox: sender,
            ends: Mutex::new(Some(ends)),
        };
        Self { way: Arc::new(way) }
    }

    /// Hands a finish over; it is committed with the next group. Says whether that woke the task
    /// that commits.
    ///
    /// The backlog is bounded by the slots: while nothing can be committed, nothing is fetched.
    pub(super) fn commit(&self, finish: Finish) -> bool {
        self.way.inbox.put(finish)
    }

    /// Waits until everything handed over before is committed or given up.
    pub(super) async fn flush(&self) {
        let (done, flushed) = oneshot::channel();
        self.way.inbox.put_flush(done);
        // An error means that the committing task ended: nothing is left to wait for.
        let _ended = flushed.await;
    }

    /// Starts the task that commits. It ends when every way in is gone and all is committed.
    pub(super) fn start(&self, pool: Arc<Pool>) -> JoinHandle<()> {
        let ends = self
            .way
            .ends
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        tokio::spawn(async move {
            if let Some(ends) = ends {
                commit_all(ends, &pool).await;
            }
        })
    }
}

async fn commit_all(mut ends: Ends, pool: &Pool) {
    let mut pile = Pile::default();
    while ends.inbox.take(&mut pile).await {
        for batch in pile.finishes.chunks(call_size(pile.finishes.len())) {
            commit(batch, pool).await;
        }
        for done in pile.flushes.drain(..) {
            // Nobody waits any more when the worker was dropped.
            let _gone = done.send(());
        }
        pile.finishes.clear();
    }
}

/// How many of a pile's finishes go into a call: as many into the last one as into the others, since a
/// call costs as much as some dozens of jobs.
fn call_size(finishes: usize) -> usize {
    let calls = finishes.div_ceil(LARGEST_BATCH).max(1);
    finishes.div_ceil(calls).max(1)
}

/// Commits a group, however often it takes; a pool that closes tries a few seconds only.
async fn commit(batch: &[Finish], pool: &Pool) {
    let mut patience = Patience::new();
    let mut was_unsure = false;
    let mut closing_since = None;
    loop {
        match pool.store.finish(&pool.queue, batch).await {
            Ok(settled) => {
                pool.worked();
                report_refused(batch, &settled, was_unsure, pool);
                break;
            }
            Err(error) => {
                was_unsure = true;
                pool.failed("finish", &error);
            }
        }
        if pool.stop.is_cancelled() {
            let since = *closing_since.get_or_insert_with(std::time::Instant::now);
            if since.elapsed() > CLOSING_PATIENCE {
                warn!(queue = %pool.queue, jobs = batch.len(), "finished jobs could not be reported; they will run again");
                break;
            }
        }
        tokio::time::sleep(patience.pause()).await;
    }
    pool.running
        .remove(batch.iter().map(|finish| &finish.lease));
}

/// Warns of finishes that came too late. After a lost answer a refusal says nothing.
fn report_refused(batch: &[Finish], settled: &[bool], was_unsure: bool, pool: &Pool) {
    if was_unsure {
        return;
    }
    for (finish, settled) in batch.iter().zip(settled) {
        if !settled {
            warn!(
                queue = %pool.queue,
                job.id = &*finish.lease.id,
                "the outcome of a job was refused: its lease was lost, so it runs or ran elsewhere"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_of_one_size() {
        for (finishes, size) in [(0, 1), (1, 1), (1_000, 1_000), (1_001, 501), (2_999, 1_000)] {
            assert_eq!(call_size(finishes), size, "{finishes}");
        }
    }
}
