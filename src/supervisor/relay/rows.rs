//! The jobs of the outbox, page by page.
use std::collections::BTreeMap;

use quayhand_model::outbox::{self, OpenRow};
use quayhand_queue::{
    Entry, Placement, Queue, QueueError, RawJob, Receipt, Source, UniqueMode, chain,
};

use super::{PAGE_ROWS, Relay, SweepError};
use crate::supervisor::origin::kept;

/// What became of a page.
#[derive(Default)]
struct Relayed {
    /// Jobs that are in the queue, and whether they are new there.
    seen: Vec<(String, bool)>,
    /// Jobs whose work an equal one does.
    merged: Vec<String>,
    /// Jobs that no queue takes, with the reason.
    unusable: Vec<(String, String)>,
}

impl<C: Send + Sync + 'static> Relay<C> {
    /// Puts every open row into its queue; returns how many jobs the queue had lost.
    pub(super) async fn sweep_rows(&self) -> Result<u64, SweepError> {
        let kinds: Vec<_> = self.registry.iter().map(|entry| entry.kind).collect();
        let (mut after, mut again) = (0, 0);
        while !self.stop.is_cancelled() {
            self.heartbeat.beat();
            let page = self
                .db
                .scope(async |conn| outbox::open_after(conn, &kinds, after, PAGE_ROWS).await);
            let page = page.await?;
            let Some(last) = page.last() else { break };
            after = last.seq;
            again += self.relay_page(&page).await?;
        }
        Ok(again)
    }

    async fn relay_page(&self, page: &[OpenRow]) -> Result<u64, SweepError> {
        let mut queues = BTreeMap::<&Queue, Vec<(&Entry<C>, &OpenRow)>>::new();
        for row in page {
            // The page holds known kinds only.
            if let Some(entry) = self.registry.get(&row.job.kind) {
                queues.entry(&entry.queue).or_default().push((entry, row));
            }
        }
        let mut relayed = Relayed::default();
        for (queue, rows) in queues {
            self.relay(queue, &rows, &mut relayed).await?;
        }
        let was_relayed = |id: &str| {
            page.iter()
                .any(|row| row.was_relayed && row.job.job_id == id)
        };
        let again = relayed
            .seen
            .iter()
            .filter(|(id, new)| *new && was_relayed(id));
        let again = again.count() as u64;
        // Most rows are where they were at the last sweep: nothing is written about those.
        relayed.seen.retain(|(id, new)| *new || !was_relayed(id));
        self.note(&relayed).await?;
        Ok(again)
    }

    /// Enqueues rows of one queue together; when one of them is at fault, each alone.
    async fn relay(
        &self,
        queue: &Queue,
        rows: &[(&Entry<C>, &OpenRow)],
        relayed: &mut Relayed,
    ) -> Result<(), QueueError> {
        match self.enqueue(queue, rows).await {
            Ok(receipts) => {
                for ((entry, row), receipt) in rows.iter().zip(receipts) {
                    if receipt.id == row.job.job_id {
                        relayed.seen.push((receipt.id, receipt.is_new));
                    } else if entry.source == Source::Derivable {
                        relayed.merged.push(row.job.job_id.clone());
                    }
                    // Else the equal job may be lost with Redis, and then this one is not: it waits
                    // until the other is done. The next sweep asks again.
                }
            }
            Err(error) if error.is_unusable() => match rows {
                [(_, row)] => {
                    let reason = kept(&chain(&error));
                    relayed.unusable.push((row.job.job_id.clone(), reason));
                }
                rows => {
                    for row in rows.chunks(1) {
                        Box::pin(self.relay(queue, row, relayed)).await?;
                    }
                }
            },
            Err(error) => return Err(error),
        }
        Ok(())
    }

    async fn enqueue(
        &self,
        queue: &Queue,
        rows: &[(&Entry<C>, &OpenRow)],
    ) -> Result<Vec<Receipt>, QueueError> {
        let jobs = rows.iter().map(|(entry, row)| {
            let mut raw = RawJob::of(entry, row.job.payload.clone());
            raw.policy.version = row.job.version;
            // A row that is looked at every minute must not change the job that keeps it out.
            raw.policy.unique_mode = UniqueMode::WhileQueuedOrRunning;
            (raw, placement(row))
        });
        self.client.enqueue_all_raw(queue, jobs).await
    }

    async fn note(&self, relayed: &Relayed) -> Result<(), SweepError> {
        let seen: Vec<_> = relayed
            .seen
            .iter()
            .map(|(id, new)| (id.as_str(), *new))
            .collect();
        let dead: Vec<_> = relayed
            .unusable
            .iter()
            .map(|(id, reason)| (id.as_str(), reason.as_str()))
            .collect();
        for (id, reason) in &dead {
            tracing::error!(job.id = id, "a job of the outbox is dead: {reason}");
        }
        let merged: Vec<_> = relayed.merged.iter().map(String::as_str).collect();
        if seen.is_empty() && dead.is_empty() && merged.is_empty() {
            return Ok(());
        }
        let noted = self.db.scope(async |conn| {
            if !seen.is_empty() {
                outbox::mark_relayed(conn, &seen).await?;
            }
            if !dead.is_empty() {
                outbox::bury(conn, &dead).await?;
            }
            if !merged.is_empty() {
                outbox::remove(conn, &merged).await?;
            }
            Ok::<_, quayhand_model::DbError>(())
        });
        Ok(noted.await?)
    }
}

fn placement(row: &OpenRow) -> Placement {
    let job = &row.job;
    Placement {
        id: Some(job.job_id.clone()),
        tenant: job.tenant.clone(),
        priority: Some(job.priority),
        delay: job.delay,
        trace: job.trace.clone(),
        unique: None,
    }
}
