//! Enqueues jobs all the time, and notes what it was answered.
use std::{collections::BTreeSet, ops::Range};

use quayhand_queue::{Client, Job, Placement, QueueError};
use quayhand_testkit::wait_for;

use super::super::PATIENCE;
use crate::testd::{
    TestCtx,
    kinds::{MarkA, MarkB, MarkC, QUEUES},
};

/// Jobs of one call.
const BATCH: usize = 40;
/// Jobs that wait at most, so that enqueuing goes on as long as the work.
const BACKLOG: u64 = 400;
/// How long a job takes.
const WORK_MS: u64 = 5;

/// What the queue answered.
#[derive(Default)]
pub(super) struct Answers {
    /// Jobs that the queue said it has.
    pub(super) acknowledged: BTreeSet<i64>,
    /// Jobs of calls that were not answered: they may be in the queue or not.
    pub(super) unknown: BTreeSet<i64>,
}

/// Somebody who enqueues.
pub(super) struct Feeder {
    client: Client,
    next: i64,
    pub(super) answers: Answers,
}

impl Feeder {
    pub(super) fn new(client: Client) -> Self {
        Self {
            client,
            next: 0,
            answers: Answers::default(),
        }
    }

    /// Enqueues until so many more jobs are acknowledged.
    pub(super) async fn feed(mut self, share: usize) -> Self {
        let mut left = share;
        while left > 0 {
            self.wait_for_room().await;
            let most = left.min(BATCH);
            let ids = self.next..self.next + i64::try_from(most).unwrap();
            self.next = ids.end;
            match self.put(ids.clone()).await {
                Ok(()) => {
                    self.answers.acknowledged.extend(ids);
                    left -= most;
                }
                Err(error) => {
                    assert!(error.is_unreachable(), "{error}");
                    self.answers.unknown.extend(ids);
                }
            }
        }
        self
    }

    /// Waits until Redis answers and few jobs wait.
    async fn wait_for_room(&self) {
        wait_for("room in the queues", PATIENCE, async || {
            let mut waiting = 0;
            for queue in QUEUES {
                waiting += self.client.store().counts(&queue).await.ok()?.ready;
            }
            (waiting < BACKLOG).then_some(())
        })
        .await;
    }

    async fn put(&self, ids: Range<i64>) -> Result<(), QueueError> {
        let ms = WORK_MS;
        match ids.end % 3 {
            0 => self.put_jobs(ids, |id| MarkA { id, ms }).await,
            1 => self.put_jobs(ids, |id| MarkB { id, ms }).await,
            _ => self.put_jobs(ids, |id| MarkC { id, ms }).await,
        }
    }

    async fn put_jobs<J: Job<TestCtx>>(
        &self,
        ids: Range<i64>,
        job: impl Fn(i64) -> J,
    ) -> Result<(), QueueError> {
        let jobs: Vec<_> = ids.map(|id| (job(id), job_id(id))).collect();
        let placed = jobs
            .iter()
            .map(|(job, id)| (job, Placement::default().id(id)));
        let receipts = self.client.enqueue_all_placed::<TestCtx, J>(placed).await?;
        assert!(receipts.iter().all(|receipt| receipt.is_new));
        Ok(())
    }
}

/// The id in the queue of a job of the ledger.
pub(super) fn job_id(id: i64) -> String {
    format!("job:{id}")
}

/// The number that `job_id` was given.
pub(super) fn number_of(job_id: &str) -> Option<i64> {
    job_id.strip_prefix("job:")?.parse().ok()
}
