//! Dead jobs by the many: counted first, then put back or thrown away at a limited rate.
use std::time::{Duration, Instant};

use crate::{Client, Filter, Queue, QueueError, State};

/// What became of dead jobs that were settled together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bulk {
    /// Dead jobs that fit.
    pub fitting: usize,
    /// Those that are dead no longer: put back, or thrown away.
    pub settled: usize,
}

/// What to do with a dead job.
#[derive(Clone, Copy)]
enum Fate {
    Count,
    Retry,
    Discard,
}

impl Client {
    /// Counts the dead jobs that fit, and changes nothing: the dry run of [`Self::revive`] and
    /// [`Self::bury_for_good`]. The filter's state is not looked at. Cost grows with the dead,
    /// which are 10,000 at most.
    ///
    /// # Errors
    ///
    /// When Redis fails.
    pub async fn count_dead(&self, queue: &Queue, filter: &Filter) -> Result<Bulk, QueueError> {
        self.settle_dead(queue, filter, Fate::Count, usize::MAX)
            .await
    }

    /// Puts the dead jobs that fit back in line, with all their attempts, at most so many a
    /// second (at least 1): what killed them may still be there, and a thousand at once may kill
    /// it again. Jobs that die meanwhile may or may not be among them.
    ///
    /// # Errors
    ///
    /// When Redis fails; some are back then. Repeat it for the rest.
    pub async fn revive(
        &self,
        queue: &Queue,
        filter: &Filter,
        per_second: usize,
    ) -> Result<Bulk, QueueError> {
        self.settle_dead(queue, filter, Fate::Retry, per_second)
            .await
    }

    /// Throws the dead jobs away that fit, at most so many a second (at least 1).
    ///
    /// # Errors
    ///
    /// When Redis fails; some are gone then.
    pub async fn bury_for_good(
        &self,
        queue: &Queue,
        filter: &Filter,
        per_second: usize,
    ) -> Result<Bulk, QueueError> {
        self.settle_dead(queue, filter, Fate::Discard, per_second)
            .await
    }

    async fn settle_dead(
        &self,
        queue: &Queue,
        filter: &Filter,
        fate: Fate,
        per_second: usize,
    ) -> Result<Bulk, QueueError> {
        let filter = Filter {
            state: Some(State::Dead),
            ..filter.clone()
        };
        let mut bulk = Bulk::default();
        let mut cursor = None;
        // Ids first: a search that things are taken out of may meet some of them twice.
        let mut ids = std::collections::BTreeSet::new();
        loop {
            let page = self.store().find(queue, &filter, cursor.as_deref()).await?;
            ids.extend(page.jobs.into_iter().map(|job| job.id));
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        bulk.fitting = ids.len();
        let ids: Vec<String> = ids.into_iter().collect();
        // Ten small steps a second rather than one large one.
        let step = (per_second / 10).clamp(1, 100);
        let pause =
            Duration::from_secs_f64(1.0) / u32::try_from(per_second / step).unwrap_or(1).max(1);
        for batch in ids.chunks(step) {
            let started = Instant::now();
            let settled = match fate {
                Fate::Count => return Ok(bulk),
                Fate::Retry => self.store().retry_dead(queue, batch).await?,
                Fate::Discard => self.store().discard_dead(queue, batch).await?,
            };
            bulk.settled += settled.into_iter().filter(|settled| *settled).count();
            if bulk.fitting > step {
                tokio::time::sleep(pause.saturating_sub(started.elapsed())).await;
            }
        }
        Ok(bulk)
    }
}
