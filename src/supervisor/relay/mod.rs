//! Puts into the queue what the database knows to be open: the jobs of the outbox, and those of
//! ticks whose jobs have not ended; before them, what is paused.
//!
//! Every host sweeps, at its start and every minute. A sweep puts each open job into the queue
//! under its own id, in pages; the queue takes what it does not have and leaves the rest, so what
//! Redis lost is back after one sweep, and two hosts make no doubles. Nothing is locked or claimed:
//! a relay that dies in the middle leaves nothing behind.
mod dead;
mod rows;
mod ticks;

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use quayhand_model::{Db, DbError, outbox};
use quayhand_queue::{Client, Queue, QueueError, Registry};
use tokio_util::sync::CancellationToken;

use super::{outage::Outage, pauses, pulse::Heartbeat};

/// Rows of one page; their bytes are bounded by the database's side.
const PAGE_ROWS: u32 = 500;
/// Longest pause between two tries while a server is out of reach: what waits in the outbox because
/// Redis was away is enqueued this soon after.
const LONGEST_OUTAGE_PAUSE: Duration = Duration::from_secs(5);
/// Silence after which the relay counts as stuck.
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_mins(3);
/// Longest sleep between two signs of life.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);
/// How long a dead job stays in the outbox for operators.
const DEAD_KEPT: Duration = Duration::from_hours(30 * 24);
/// Dead rows that one sweep removes at most.
const PRUNE_AT_MOST: u32 = 1000;

/// What the relay works with.
pub(crate) struct Relay<C> {
    pub(crate) registry: Arc<Registry<C>>,
    pub(crate) db: Db,
    pub(crate) client: Client,
    /// Time between two sweeps.
    pub(crate) interval: Duration,
    pub(crate) heartbeat: Arc<Heartbeat>,
    pub(crate) stop: CancellationToken,
}

/// Why a sweep did not succeed.
#[derive(Debug, thiserror::Error)]
enum SweepError {
    #[error(transparent)]
    Database(#[from] DbError),
    #[error(transparent)]
    Queue(#[from] QueueError),
}

/// What is remembered from sweep to sweep.
#[derive(Default)]
struct Memory {
    /// Deaths that each queue had counted when its dead were looked through.
    deaths: BTreeMap<Queue, u64>,
}

impl<C> Clone for Relay<C> {
    fn clone(&self) -> Self {
        Self {
            registry: Arc::clone(&self.registry),
            db: self.db.clone(),
            client: self.client.clone(),
            interval: self.interval,
            heartbeat: Arc::clone(&self.heartbeat),
            stop: self.stop.clone(),
        }
    }
}

impl<C: Send + Sync + 'static> Relay<C> {
    /// Sweeps until it is stopped.
    pub(crate) async fn run(self) {
        let mut outage = Outage::new("jobs of the outbox", LONGEST_OUTAGE_PAUSE);
        let mut memory = Memory::default();
        while !self.stop.is_cancelled() {
            let began = Instant::now();
            let pause = match self.sweep(&mut memory).await {
                Ok(()) => {
                    outage.ended();
                    self.interval.saturating_sub(began.elapsed())
                }
                Err(error) => outage.failed(&error),
            };
            self.sleep(pause).await;
        }
    }

    async fn sleep(&self, pause: Duration) {
        let until = Instant::now() + pause;
        while let left = until.saturating_duration_since(Instant::now())
            && !left.is_zero()
        {
            self.heartbeat.beat();
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep(left.min(LONGEST_SLEEP)) => {}
            }
        }
    }

    /// Looks at everything once. What was done before an error stays done.
    async fn sweep(&self, memory: &mut Memory) -> Result<(), SweepError> {
        self.heartbeat.beat();
        // Before anything is enqueued: a queue that is paused stays so without its Redis.
        let store = self.client.store();
        pauses::put_back::<C, SweepError>(&self.registry, &self.db, store).await?;
        // Then: what is dead is not to be enqueued again.
        self.note_deaths(memory).await?;
        let again = self.sweep_ticks().await? + self.sweep_rows().await?;
        if again > 0 {
            tracing::warn!(
                jobs = again,
                "{again} jobs that the queue had lost are in it again"
            );
        }
        let prune = async |conn: &mut _| outbox::prune_dead(conn, DEAD_KEPT, PRUNE_AT_MOST).await;
        self.db.scope(prune).await?;
        Ok(())
    }
}
