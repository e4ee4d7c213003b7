//! The calls for jobs that are under way.
use std::{sync::Arc, time::Instant};

use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesOrdered};
use tokio::sync::OwnedSemaphorePermit;

use super::pool::Pool;
use crate::{Fetch, Fetched, QueueError};

/// Calls that were sent and not yet answered, in the order in which the store answers them.
#[derive(Debug, Default)]
pub(super) struct Asking {
    under_way: FuturesOrdered<BoxFuture<'static, Answer>>,
    jobs: usize,
    number: u64,
}

/// What came of a call.
pub(super) struct Answer {
    /// When it was sent.
    pub(super) asked: Instant,
    wanted: usize,
    /// The process's place for a suspect job, which the call asked for if it was free.
    pub(super) place: Option<OwnedSemaphorePermit>,
    pub(super) fetched: Result<Fetched, QueueError>,
}

impl Asking {
    /// Counts the calls.
    pub(super) fn calls(&self) -> usize {
        self.under_way.len()
    }

    /// Counts the jobs that they ask for.
    pub(super) fn jobs(&self) -> usize {
        self.jobs
    }

    /// Asks for at most so many jobs. Nothing is sent before [`answer`](Self::answer) is awaited.
    pub(super) fn ask(&mut self, pool: &Arc<Pool>, wanted: usize) {
        self.number += 1;
        self.jobs += wanted;
        let call = ask(Arc::clone(pool), self.number, wanted);
        self.under_way.push_back(call.boxed());
    }

    /// Waits for the next answer; `None` when no call is under way. Nothing is lost when it is dropped.
    pub(super) async fn answer(&mut self) -> Option<Answer> {
        let answer = self.under_way.next().await?;
        self.jobs -= answer.wanted;
        Some(answer)
    }
}

async fn ask(pool: Arc<Pool>, number: u64, wanted: usize) -> Answer {
    let asked = Instant::now();
    let place = Arc::clone(&pool.suspects).try_acquire_owned().ok();
    let fetch = Fetch {
        worker: &pool.worker,
        number,
        most: wanted,
        lease: pool.lease,
        rules: &pool.rules,
        suspects: usize::from(place.is_some()),
    };
    let fetched = pool.store.fetch(&pool.queue, &fetch).await;
    Answer {
        asked,
        wanted,
        place,
        fetched,
    }
}
