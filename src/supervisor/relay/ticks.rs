//! The jobs of ticks that have not ended.
use quayhand_model::schedule::{self, End, Tick};
use quayhand_queue::{Placement, RawJob};

use super::{PAGE_ROWS, Relay, SweepError};
use crate::supervisor::tick::job_id;

impl<C: Send + Sync + 'static> Relay<C> {
    /// Puts the job of every open tick into its queue; returns how many the queue had lost.
    pub(super) async fn sweep_ticks(&self) -> Result<u64, SweepError> {
        let scheduled = self
            .registry
            .iter()
            .filter(|entry| entry.schedule.is_some());
        let entries: Vec<_> = scheduled.map(|entry| entry.kind).collect();
        let open = self
            .db
            .scope(async |conn| schedule::open(conn, &entries, PAGE_ROWS).await);
        let (mut again, mut merged) = (0, Vec::new());
        for tick in open.await? {
            let id = job_id(&tick.entry, tick.tick_ms);
            let Some((holder, is_new)) = self.enqueue_tick(&tick, &id).await? else {
                continue;
            };
            if is_new {
                again += 1;
            } else if holder != id {
                // An equal job does the work.
                merged.push(tick);
            }
        }
        if !merged.is_empty() {
            let end = async |conn: &mut _| schedule::end(conn, &merged, End::Done).await;
            self.db.scope(end).await?;
        }
        Ok(again)
    }

    /// Returns the id of the job that does the work, and whether it is new.
    async fn enqueue_tick(
        &self,
        tick: &Tick,
        id: &str,
    ) -> Result<Option<(String, bool)>, SweepError> {
        let Some(entry) = self.registry.get(&tick.entry) else {
            return Ok(None);
        };
        let Some(payload) = entry.scheduled() else {
            return Ok(None);
        };
        let placement = Placement {
            id: Some(id.to_owned()),
            ..Placement::default()
        };
        let receipt = self
            .client
            .enqueue_raw(RawJob::of(entry, payload), placement)
            .await?;
        Ok(Some((receipt.id, receipt.is_new)))
    }
}
