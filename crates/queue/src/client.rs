//! Putting jobs into queues, from any process: the web tier, a sweep, the shell.
use std::time::Duration;

use serde_json::value::RawValue;

use crate::{
    Envelope, Job, KnownKinds, LARGEST_PAYLOAD_BYTES, LONGEST_FIELD_BYTES, NewJob, Placement,
    Policy, Queue, QueueError, RawJob, Receipt, Store, Unique, UniqueMode, rules::hash,
};

/// Puts jobs into queues; cheap to clone, shared by all tasks of a process.
#[derive(Clone, Debug)]
pub struct Client {
    store: Store,
    policies: KnownKinds,
}

impl Client {
    /// Makes a client of a store.
    pub fn new(store: impl Into<Store>) -> Self {
        Self {
            store: store.into(),
            policies: KnownKinds::default(),
        }
    }

    /// Returns the client with these policies instead of the kinds' own, by kind: their priority
    /// and uniqueness hold for jobs that are enqueued by their type. A [`RawJob`] brings its own.
    #[must_use]
    pub fn with_policies(self, policies: KnownKinds) -> Self {
        Self { policies, ..self }
    }

    /// Returns the store, for counting and listing.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Enqueues a job on its kind's queue, to be run at once.
    ///
    /// A kind with [`Policy::unique_for`](crate::Policy::unique_for) is left out when an equal
    /// one is there; the receipt says so. One round trip.
    ///
    /// # Errors
    ///
    /// [`QueueError::TooLarge`] over 256 KiB; when Redis fails. Then the job may or may not be
    /// enqueued: enqueue it again (jobs are harmless when run twice).
    pub async fn enqueue<C: Sync, J: Job<C>>(&self, job: &J) -> Result<Receipt, QueueError> {
        self.enqueue_placed(job, Placement::default()).await
    }

    /// Enqueues a job to be run after `delay`.
    ///
    /// # Errors
    ///
    /// As [`Self::enqueue`].
    pub async fn enqueue_in<C: Sync, J: Job<C>>(
        &self,
        job: &J,
        delay: Duration,
    ) -> Result<Receipt, QueueError> {
        self.enqueue_placed(job, Placement::after(delay)).await
    }

    /// Enqueues a job as `placement` says.
    ///
    /// # Errors
    ///
    /// As [`Self::enqueue`].
    pub async fn enqueue_placed<C: Sync, J: Job<C>>(
        &self,
        job: &J,
        placement: Placement,
    ) -> Result<Receipt, QueueError> {
        self.enqueue_raw(self.raw(job, &J::QUEUE)?, placement).await
    }

    /// Enqueues many jobs of one kind in calls of up to 1,000; the receipts are in their order.
    ///
    /// # Errors
    ///
    /// As [`Self::enqueue`]; a job that is too large is found before any is enqueued.
    pub async fn enqueue_all<'a, C: Sync, J: Job<C>>(
        &self,
        jobs: impl IntoIterator<Item = &'a J>,
    ) -> Result<Vec<Receipt>, QueueError> {
        let jobs = jobs.into_iter().map(|job| (job, Placement::default()));
        self.enqueue_all_placed::<C, J>(jobs).await
    }

    /// Enqueues many jobs of one kind, each as its placement says, in calls of up to 1,000; the
    /// receipts are in their order.
    ///
    /// # Errors
    ///
    /// As [`Self::enqueue_all`].
    pub async fn enqueue_all_placed<'a, C: Sync, J: Job<C>>(
        &self,
        jobs: impl IntoIterator<Item = (&'a J, Placement)>,
    ) -> Result<Vec<Receipt>, QueueError> {
        let new: Vec<NewJob> = jobs
            .into_iter()
            .map(|(job, placement)| new_job(self.raw(job, &J::QUEUE)?, placement))
            .collect::<Result<_, _>>()?;
        self.store.enqueue(&J::QUEUE, &new).await
    }

    /// Enqueues many jobs of one queue whose payloads are JSON already, each as its placement says,
    /// in calls of up to 1,000; the receipts are in their order.
    ///
    /// # Errors
    ///
    /// As [`Self::enqueue_raw`]; a job that cannot be enqueued is found before any is.
    pub async fn enqueue_all_raw<'a>(
        &self,
        queue: &Queue,
        jobs: impl IntoIterator<Item = (RawJob<'a>, Placement)>,
    ) -> Result<Vec<Receipt>, QueueError> {
        let new: Vec<NewJob> = jobs
            .into_iter()
            .map(|(job, placement)| new_job(job, placement))
            .collect::<Result<_, _>>()?;
        self.store.enqueue(queue, &new).await
    }

    /// Enqueues a job whose payload is JSON already; whether it fits the kind is found when it
    /// runs ([`Entry::check`](crate::Entry::check) finds it before).
    ///
    /// # Errors
    ///
    /// [`QueueError::Payload`] when it is no JSON; otherwise as [`Self::enqueue`].
    pub async fn enqueue_raw(
        &self,
        job: RawJob<'_>,
        placement: Placement,
    ) -> Result<Receipt, QueueError> {
        let queue = job.queue;
        let new = new_job(job, placement)?;
        let id = new.id.clone();
        let receipts = self.store.enqueue(queue, &[new]).await?;
        receipts
            .into_iter()
            .next()
            .ok_or_else(|| QueueError::Answer {
                verb: "enqueue",
                reason: format!("nothing for job `{id}`"),
            })
    }

    /// Makes a job of its type, under the policy that is in force here.
    fn raw<'a, C: Sync, J: Job<C>>(
        &self,
        job: &J,
        queue: &'a Queue,
    ) -> Result<RawJob<'a>, QueueError> {
        let mut raw = raw(job, queue)?;
        if let Some(policy) = self.policies.get(J::KIND) {
            raw.policy = Policy {
                version: J::POLICY.version,
                ..*policy
            };
        }
        Ok(raw)
    }
}

impl<'a> RawJob<'a> {
    /// Makes a job of its type; `queue` is that of its kind.
    ///
    /// # Errors
    ///
    /// [`QueueError::Payload`] when it cannot be written as JSON.
    pub fn encode<C: Sync, J: Job<C>>(job: &J, queue: &'a Queue) -> Result<Self, QueueError> {
        raw(job, queue)
    }
}

fn raw<'a, C: Sync, J: Job<C>>(job: &J, queue: &'a Queue) -> Result<RawJob<'a>, QueueError> {
    let payload = serde_json::to_string(job).map_err(|source| QueueError::Payload {
        kind: J::KIND.to_owned(),
        source,
    })?;
    Ok(RawJob {
        queue,
        kind: J::KIND,
        payload,
        policy: J::POLICY,
    })
}

fn new_job(job: RawJob<'_>, placement: Placement) -> Result<NewJob, QueueError> {
    fits(&job, &placement)?;
    let payload_error = |source| QueueError::Payload {
        kind: job.kind.to_owned(),
        source,
    };
    let unmarked = || {
        let mark = Unique::new(UniqueMode::default(), Duration::ZERO);
        (mark, String::new())
    };
    let (mark, unique) = mark_of(&job, &placement).unwrap_or_else(unmarked);
    let envelope = Envelope {
        id: placement
            .id
            .unwrap_or_else(|| ulid::Ulid::generate().to_string()),
        kind: job.kind.to_owned(),
        version: job.policy.version,
        payload: RawValue::from_string(job.payload).map_err(payload_error)?,
        attempt: 0,
        crashes: 0,
        priority: placement.priority.unwrap_or(job.policy.priority),
        tenant: placement.tenant,
        unique: unique.clone(),
        enqueued_at_ms: 0,
        trace: placement.trace,
    };
    Ok(NewJob {
        envelope: serde_json::to_string(&envelope).map_err(payload_error)?,
        id: envelope.id,
        delay: placement.delay,
        unique,
        unique_for: mark.at_most,
        unique_mode: mark.mode,
        priority: envelope.priority,
        tenant: envelope.tenant,
    })
}

/// Returns how the job is kept apart from equal ones, and the key it shares with them; `None`:
/// not at all.
fn mark_of(job: &RawJob<'_>, placement: &Placement) -> Option<(Unique, String)> {
    let policy = &job.policy;
    let by_policy = || {
        let at_most = policy.unique_for?;
        Some(Unique::new(policy.unique_mode, at_most))
    };
    let unique = placement.unique.clone().or_else(by_policy)?;
    let key = match (&unique.key, policy.unique_by) {
        (Some(key), _) => format!("={key}"),
        (None, Some(by)) => {
            let value = by.value(&placement.tenant, &job.payload);
            format!("{}:{value}", job.kind)
        }
        (None, None) => unique_key(job.kind, &job.payload),
    };
    Some((unique, key))
}

/// Checks the sizes: the queue must never hold what a worker would not read.
fn fits(job: &RawJob<'_>, placement: &Placement) -> Result<(), QueueError> {
    let id = placement.id.as_deref().unwrap_or_default();
    let unique = placement.unique.as_ref();
    let key = unique.and_then(|unique| unique.key.as_deref());
    let texts = [
        job.kind,
        id,
        &placement.tenant,
        &placement.trace,
        key.unwrap_or_default(),
    ];
    let longest = texts.map(str::len).into_iter().max().unwrap_or_default();
    for (bytes, limit) in [
        (job.payload.len(), LARGEST_PAYLOAD_BYTES),
        (longest, LONGEST_FIELD_BYTES),
    ] {
        if bytes > limit {
            return Err(QueueError::TooLarge {
                kind: job.kind.chars().take(LONGEST_FIELD_BYTES).collect(),
                bytes,
                limit,
            });
        }
    }
    Ok(())
}

/// Makes the key that equal jobs share: the kind, and half of the payload's SHA-256 in hex.
fn unique_key(kind: &str, payload: &str) -> String {
    format!("{kind}:{}", hash(payload, 16))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unique_keys_differ_by_kind_and_payload() {
        assert_eq!(
            unique_key("k", ""),
            "k:e3b0c44298fc1c149afbf4c8996fb924",
            "half of the well-known SHA-256 of nothing"
        );
        assert_ne!(unique_key("k", "1"), unique_key("k", "2"));
        assert_ne!(unique_key("a", "1"), unique_key("b", "1"));
    }
}
