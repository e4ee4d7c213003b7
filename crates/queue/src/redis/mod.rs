//! Queues in Redis: one script a verb, all keys of a queue under one hash tag.
mod answer;
mod keys;
mod scripts;
mod wait;

use std::time::Duration;

pub(crate) use wait::RedisWaiter;

use self::{answer::Answer, keys::Keys, scripts::Verb};
use crate::{
    Counts, Envelope, Fetch, Fetched, Finish, LARGEST_BATCH, Lease, NewJob, Outcome, Queue,
    QueueError, Receipt, Redis, Shown, State, TakenJob, WorkerId, settle::kept,
};

/// Most bytes of envelopes that one call carries; Redis works on nothing else meanwhile.
const LARGEST_CALL_BYTES: usize = 4 << 20;

/// Holds queues in Redis; cheap to clone. The verbs are those of [`Store`](crate::Store).
#[derive(Clone, Debug)]
pub struct RedisStore {
    redis: Redis,
}

impl RedisStore {
    /// Uses a Redis for queues.
    pub fn new(redis: Redis) -> Self {
        Self { redis }
    }

    /// Returns the Redis it uses.
    pub fn redis(&self) -> &Redis {
        &self.redis
    }

    pub(crate) async fn enqueue(
        &self,
        queue: &Queue,
        jobs: &[NewJob],
    ) -> Result<Vec<Receipt>, QueueError> {
        let mut receipts = Vec::with_capacity(jobs.len());
        let mut rest = jobs;
        while !rest.is_empty() {
            let (batch, later) = rest.split_at(batch_len(rest));
            rest = later;
            let mut call = Verb::Enqueue.on(queue);
            for job in batch {
                call.arg(&job.id)
                    .arg(ms(job.delay))
                    .arg(&job.unique)
                    .arg(ms(job.unique_for))
                    .arg(&job.envelope);
            }
            let holders: Vec<String> = self.redis.harmless_script("enqueue", &call).await?;
            receipts.extend(batch.iter().zip(holders).map(|(job, holder)| {
                let is_new = holder.is_empty();
                let id = if is_new { job.id.clone() } else { holder };
                Receipt { id, is_new }
            }));
        }
        Ok(receipts)
    }

    pub(crate) async fn fetch(
        &self,
        queue: &Queue,
        fetch: &Fetch<'_>,
    ) -> Result<Fetched, QueueError> {
        let token = fetch.worker.token(fetch.number);
        let mut call = Verb::Fetch.on(queue);
        call.arg(fetch.worker.as_str())
            .arg(&token)
            .arg(fetch.most.clamp(1, LARGEST_BATCH))
            .arg(ms(fetch.lease));
        let mut answer = Answer::of("fetch", self.redis.script("fetch", &call).await?);
        let wait = Duration::from_millis(answer.number()?);
        let (recovered, buried) = (answer.number()?, answer.number()?);
        let mut jobs = Vec::new();
        while !answer.is_empty() {
            let id = answer.text()?;
            let token = token.clone();
            jobs.push(answer.taken(Lease { id, token })?);
        }
        Ok(Fetched {
            jobs,
            wait,
            recovered,
            buried,
        })
    }

    pub(crate) async fn adopt(
        &self,
        queue: &Queue,
        worker: &WorkerId,
        lease: Duration,
    ) -> Result<Vec<TakenJob>, QueueError> {
        let mut jobs = Vec::new();
        let mut cursor = "0".to_owned();
        loop {
            let mut call = Verb::Adopt.on(queue);
            call.arg(worker.as_str()).arg(ms(lease)).arg(&cursor);
            let mut answer = Answer::of("adopt", self.redis.script("adopt", &call).await?);
            cursor = answer.text()?;
            while !answer.is_empty() {
                let (id, token) = (answer.text()?, answer.text()?);
                jobs.push(answer.taken(Lease { id, token })?);
            }
            if cursor == "0" {
                return Ok(jobs);
            }
        }
    }

    pub(crate) async fn renew(
        &self,
        queue: &Queue,
        leases: &[Lease],
        lease: Duration,
    ) -> Result<Vec<bool>, QueueError> {
        let mut held = Vec::with_capacity(leases.len());
        for batch in leases.chunks(LARGEST_BATCH) {
            let mut call = Verb::Renew.on(queue);
            call.arg(ms(lease));
            for lease in batch {
                call.arg(&lease.id).arg(&lease.token);
            }
            held.extend(self.redis.script::<Vec<bool>>("renew", &call).await?);
        }
        Ok(held)
    }

    pub(crate) async fn finish(
        &self,
        queue: &Queue,
        batch: &[Finish],
    ) -> Result<Vec<bool>, QueueError> {
        let mut settled = Vec::with_capacity(batch.len());
        for batch in batch.chunks(LARGEST_BATCH) {
            let mut call = Verb::Finish.on(queue);
            for finish in batch {
                let (verb, delay, text) = spelled(&finish.outcome);
                call.arg(&finish.lease.id)
                    .arg(&finish.lease.token)
                    .arg(verb)
                    .arg(ms(delay))
                    .arg(kept(text));
            }
            settled.extend(self.redis.script::<Vec<bool>>("finish", &call).await?);
        }
        Ok(settled)
    }

    pub(crate) async fn leave(&self, queue: &Queue, worker: &WorkerId) -> Result<(), QueueError> {
        let mut call = Verb::Leave.on(queue);
        call.arg(worker.as_str());
        self.redis.harmless_script("leave", &call).await
    }

    pub(crate) async fn counts(&self, queue: &Queue) -> Result<Counts, QueueError> {
        let call = Verb::Counts.on(queue);
        let mut answer = Answer::of("counts", self.redis.harmless_script("counts", &call).await?);
        Ok(Counts {
            ready: answer.number()?,
            delayed: answer.number()?,
            leased: answer.number()?,
            dead: answer.number()?,
            done_total: answer.number()?,
            retries_total: answer.number()?,
            dead_total: answer.number()?,
            crashes_total: answer.number()?,
        })
    }

    pub(crate) async fn list(
        &self,
        queue: &Queue,
        state: State,
        offset: usize,
        limit: usize,
    ) -> Result<Vec<Shown>, QueueError> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let mut call = Verb::Show.on(queue);
        call.arg(state.as_str()).arg(offset).arg(limit);
        self.shown(&call).await
    }

    pub(crate) async fn get(&self, queue: &Queue, id: &str) -> Result<Option<Shown>, QueueError> {
        let mut call = Verb::Show.on(queue);
        call.arg("id").arg(id);
        Ok(self.shown(&call).await?.pop())
    }

    async fn shown(&self, call: &redis::ScriptInvocation<'_>) -> Result<Vec<Shown>, QueueError> {
        let mut answer = Answer::of("show", self.redis.harmless_script("show", call).await?);
        let mut shown = Vec::new();
        while !answer.is_empty() {
            let (id, state) = (answer.text()?, answer.state()?);
            let mut envelope = Envelope::read(&answer.bytes()?);
            let at_ms = answer.number()?;
            let (attempt, crashes) = (answer.count()?, answer.count()?);
            if let Ok(envelope) = &mut envelope {
                envelope.id.clone_from(&id);
                (envelope.attempt, envelope.crashes) = (attempt, crashes);
            }
            shown.push(Shown {
                id,
                state,
                envelope,
                at_ms,
                last_error: answer.text()?,
            });
        }
        Ok(shown)
    }

    pub(crate) fn separate(&self) -> Self {
        Self::new(self.redis.separate())
    }

    pub(crate) fn waiter(&self, queue: &Queue) -> RedisWaiter {
        RedisWaiter::new(self.redis.clone(), Keys::of(queue).wake())
    }
}

/// Spells an outcome as the script `finish` reads it: verb, delay, text.
fn spelled(outcome: &Outcome) -> (&'static str, Duration, &str) {
    match outcome {
        Outcome::Done(_) => ("done", Duration::ZERO, ""),
        Outcome::Retry { delay, error } => ("retry", *delay, error),
        Outcome::Dead { reason } => ("dead", Duration::ZERO, reason),
        Outcome::Snooze { delay, reason } => ("snooze", *delay, reason),
        Outcome::GiveBack => ("back", Duration::ZERO, ""),
    }
}

/// How many of the jobs go into one call: at least one.
fn batch_len(jobs: &[NewJob]) -> usize {
    let mut bytes = 0;
    let fits = jobs.iter().take(LARGEST_BATCH).take_while(|job| {
        bytes += job.envelope.len();
        bytes <= LARGEST_CALL_BYTES
    });
    fits.count().max(1)
}

/// Milliseconds of a duration, at most a hundred years: no sum of times overflows then.
pub(crate) fn ms(duration: Duration) -> u64 {
    const CENTURY_MS: u64 = 100 * 365 * 24 * 3600 * 1000;
    u64::try_from(duration.as_millis()).map_or(CENTURY_MS, |ms| ms.min(CENTURY_MS))
}
