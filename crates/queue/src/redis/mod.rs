//! Queues in Redis: one script a verb, all keys of a queue under one hash tag.
mod answer;
mod finish;
mod keys;
mod operate;
mod scripts;
mod wait;

use std::{sync::Arc, time::Duration};

use tracing::error;

pub(crate) use wait::RedisWaiter;

use self::{answer::Answer, keys::Keys, scripts::Verb};
use crate::{
    Counts, Envelope, Fetch, Fetched, Finish, LARGEST_BATCH, Lease, NewJob, Queue, QueueError,
    Receipt, Redis, Renewed, Rule, Shown, State, TakenJob, WorkerId,
};

/// Most bytes of envelopes that one call carries; Redis works on nothing else meanwhile. A fetch brings
/// up to a hundred jobs more.
pub(crate) const LARGEST_CALL_BYTES: usize = 4 << 20;

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

    /// Returns the Redis that has a queue.
    fn at(&self, queue: &Queue) -> Redis {
        self.redis.at(queue)
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
            let call = enqueue_call(queue, batch);
            let holders: Vec<String> = self
                .redis
                .at(queue)
                .harmless_script("enqueue", &call)
                .await?;
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
        let token: Arc<str> = fetch.worker.token(fetch.number).into();
        let mut call = Verb::Fetch.on(queue);
        call.arg(fetch.worker.as_str())
            .arg(&*token)
            .arg(fetch.most.clamp(1, LARGEST_BATCH))
            .arg(ms(fetch.lease))
            .arg(fetch.suspects);
        for rule in fetch.rules {
            add_rule(&mut call, rule);
        }
        let mut answer = Answer::of("fetch", self.redis.at(queue).script("fetch", &call).await?);
        let wait = Duration::from_millis(answer.number()?);
        let (recovered, buried) = (answer.number()?, answer.number()?);
        let jobs = match read_fetched(&mut answer, &token)? {
            Some(jobs) => jobs,
            None => self.look_through(queue, fetch, &token).await?,
        };
        Ok(Fetched {
            jobs,
            wait,
            recovered,
            buried,
        })
    }

    /// Takes on what a fetch leased when some of the ids, written by hand, are no text: those jobs are
    /// dead then.
    async fn look_through(
        &self,
        queue: &Queue,
        fetch: &Fetch<'_>,
        token: &str,
    ) -> Result<Vec<TakenJob>, QueueError> {
        let jobs = self
            .adopt_of(queue, fetch.worker, fetch.lease, token)
            .await?;
        error!(%queue, "jobs are dead whose ids, written by hand, are no text: `quayhand dead list` shows them as `unsayable:..`");
        Ok(jobs)
    }

    pub(crate) async fn adopt(
        &self,
        queue: &Queue,
        worker: &WorkerId,
        lease: Duration,
    ) -> Result<Vec<TakenJob>, QueueError> {
        self.adopt_of(queue, worker, lease, "").await
    }

    /// As [`Self::adopt`], of the jobs under one token; empty: under any.
    async fn adopt_of(
        &self,
        queue: &Queue,
        worker: &WorkerId,
        lease: Duration,
        token: &str,
    ) -> Result<Vec<TakenJob>, QueueError> {
        let mut jobs = Vec::new();
        let mut cursor = "0".to_owned();
        loop {
            let mut call = Verb::Adopt.on(queue);
            call.arg(worker.as_str())
                .arg(ms(lease))
                .arg(&cursor)
                .arg(token);
            let mut answer =
                Answer::of("adopt", self.redis.at(queue).script("adopt", &call).await?);
            cursor = answer.text()?;
            while !answer.is_empty() {
                let (id, token) = (answer.text()?.into(), answer.text()?.into());
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
    ) -> Result<Vec<Renewed>, QueueError> {
        let mut held = Vec::with_capacity(leases.len());
        for batch in leases.chunks(LARGEST_BATCH) {
            let mut call = Verb::Renew.on(queue);
            call.arg(ms(lease));
            for lease in batch {
                call.arg(&*lease.id).arg(&*lease.token);
            }
            let answers: Vec<u8> = self.redis.at(queue).script("renew", &call).await?;
            held.extend(answers.into_iter().map(|answer| match answer {
                0 => Renewed::Lost,
                1 => Renewed::Held,
                _ => Renewed::Stop,
            }));
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
            let (call, order) = finish::call(queue, batch);
            let refused: Vec<usize> = self.redis.at(queue).script("finish", &call).await?;
            settled.extend(finish::settled(&order, &refused));
        }
        Ok(settled)
    }

    pub(crate) async fn leave(
        &self,
        queue: &Queue,
        worker: &WorkerId,
        is_for_good: bool,
    ) -> Result<(), QueueError> {
        let mut call = Verb::Leave.on(queue);
        call.arg(worker.as_str()).arg(u8::from(is_for_good));
        self.redis.at(queue).harmless_script("leave", &call).await
    }

    pub(crate) async fn counts(&self, queue: &Queue) -> Result<Counts, QueueError> {
        let call = Verb::Counts.on(queue);
        let mut answer = Answer::of(
            "counts",
            self.redis
                .at(queue)
                .harmless_script("counts", &call)
                .await?,
        );
        Ok(Counts {
            ready: answer.number()?,
            delayed: answer.number()?,
            leased: answer.number()?,
            dead: answer.number()?,
            blocked: answer.number()?,
            done_total: answer.number()?,
            retries_total: answer.number()?,
            dead_total: answer.number()?,
            crashes_total: answer.number()?,
            cancelled_total: answer.number()?,
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
        self.shown(queue, &call).await
    }

    pub(crate) async fn get(&self, queue: &Queue, id: &str) -> Result<Option<Shown>, QueueError> {
        let mut call = Verb::Show.on(queue);
        call.arg("id").arg(id);
        Ok(self.shown(queue, &call).await?.pop())
    }

    pub(crate) fn separate(&self) -> Self {
        Self::new(self.redis.separate())
    }

    pub(crate) fn waiter(&self, queue: &Queue) -> RedisWaiter {
        RedisWaiter::new(self.at(queue), Keys::of(queue).wake())
    }
}

/// Reads the jobs that a fetch brought; `None`: some of their ids are no text.
fn read_fetched(
    answer: &mut Answer,
    token: &Arc<str>,
) -> Result<Option<Vec<TakenJob>>, QueueError> {
    let mut again = answer.list()?;
    let Some(ids) = answer.ids()? else {
        return Ok(None);
    };
    let mut batches = answer.list()?;
    let (mut jobs, mut ids) = (Vec::with_capacity(ids.len()), ids.into_iter());
    while !batches.is_empty() {
        let mut batch = batches.list()?;
        while !batch.is_empty() {
            let (id, token) = (ids.next(), Arc::clone(token));
            let id = id.ok_or_else(|| batch.broken("more jobs than ids"))?;
            jobs.push(batch.first_attempt(Lease { id, token })?);
        }
    }
    if ids.next().is_some() {
        return Err(answer.broken("fewer jobs than ids"));
    }
    while !again.is_empty() {
        let (place, attempt, crashes) = (again.count()?, again.count()?, again.count()?);
        if let Some(job) = usize::try_from(place).ok().and_then(|n| jobs.get_mut(n)) {
            (job.attempt, job.crashes) = (attempt, crashes);
        }
    }
    Ok(Some(jobs))
}

/// Prepares the enqueuing of some jobs, in the shortest form that will do.
fn enqueue_call(queue: &Queue, batch: &[NewJob]) -> redis::ScriptInvocation<'static> {
    let mut call = Verb::Enqueue.on(queue);
    if batch.iter().all(NewJob::is_bare) {
        call.arg("").arg("");
        for job in batch {
            call.arg(&job.id).arg(&job.envelope);
        }
        return call;
    }
    let is_plain = batch.iter().all(NewJob::is_plain);
    if !is_plain {
        call.arg("");
    }
    for job in batch {
        call.arg(&job.id)
            .arg(ms(job.delay))
            .arg(&job.unique)
            .arg(ms(job.unique_for));
        if !is_plain {
            call.arg(job.unique_mode.as_str())
                .arg(job.priority)
                .arg(&job.tenant);
        }
        call.arg(&job.envelope);
    }
    call
}

/// Adds what a fetch must know of a kind: its name, its limit, its rate.
fn add_rule(call: &mut redis::ScriptInvocation<'_>, rule: &Rule) {
    let limit = rule.limit.map_or((0, String::new()), |limit| {
        (limit.most, limit.by.to_string())
    });
    let rate = rule.rate.map_or((0, 1, String::new()), |rate| {
        (rate.most, ms(rate.per).max(1), rate.by.to_string())
    });
    call.arg(&rule.kind).arg(limit.0).arg(limit.1);
    call.arg(rate.0).arg(rate.1).arg(rate.2);
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
