//! Jobs that died without an attempt's end: their processes died with them three times, or their
//! envelopes could not be read. Their rows must not bring them back when Redis forgets them.
use quayhand_model::{
    outbox,
    schedule::{self, End, Tick},
};
use quayhand_queue::{Queue, State};

use super::{Memory, Relay, SweepError};
use crate::supervisor::{
    origin::{Origin, kept},
    queues,
};

/// Dead jobs that one call lists.
const PAGE: usize = 200;

impl<C: Send + Sync + 'static> Relay<C> {
    /// Notes the deaths since the last sweep; looks at a queue only when it counted some.
    pub(super) async fn note_deaths(&self, memory: &mut Memory) -> Result<(), SweepError> {
        for queue in queues(&self.registry) {
            let deaths = self.client.store().counts(&queue).await?.dead_total;
            if memory.deaths.get(&queue) != Some(&deaths) {
                self.note_deaths_of(&queue).await?;
                memory.deaths.insert(queue, deaths);
            }
        }
        Ok(())
    }

    async fn note_deaths_of(&self, queue: &Queue) -> Result<(), SweepError> {
        let mut offset = 0;
        loop {
            self.heartbeat.beat();
            let store = self.client.store();
            let page = store.list(queue, State::Dead, offset, PAGE).await?;
            offset += page.len();
            let (mut rows, mut ticks) = (Vec::new(), Vec::new());
            for job in &page {
                let kind = job.envelope.as_ref().map_or("", |envelope| &envelope.kind);
                match Origin::of_id(kind, &job.id) {
                    Some(Origin::Outbox(id)) => rows.push((id, kept(&job.last_error))),
                    Some(Origin::Tick(tick)) => ticks.push(tick),
                    None => {}
                }
            }
            self.bury(&rows, &ticks).await?;
            if page.len() < PAGE {
                return Ok(());
            }
        }
    }

    async fn bury(&self, rows: &[(String, String)], ticks: &[Tick]) -> Result<(), SweepError> {
        if rows.is_empty() && ticks.is_empty() {
            return Ok(());
        }
        let rows: Vec<_> = rows
            .iter()
            .map(|(id, reason)| (id.as_str(), reason.as_str()))
            .collect();
        let noted = self.db.scope(async |conn| {
            outbox::bury(conn, &rows).await?;
            schedule::end(conn, ticks, End::Dead).await?;
            Ok::<_, quayhand_model::DbError>(())
        });
        Ok(noted.await?)
    }
}
