//! Every kind of job a build can run, by name.
use std::{collections::BTreeMap, sync::Arc};

use futures::future::BoxFuture;

use crate::{Done, Job, JobError, Policy, Queue, Schedule, Source};

type RunFn<C> = fn(Arc<C>, &str) -> BoxFuture<'static, Result<Done, JobError>>;
type AllFn<C> = fn(&C) -> Option<BoxFuture<'_, Result<Done, JobError>>>;

/// One line of the registry: what is known of a kind without its type.
pub struct Entry<C> {
    /// [`Job::KIND`].
    pub kind: &'static str,
    /// [`Job::ABOUT`].
    pub about: &'static str,
    /// [`Job::QUEUE`].
    pub queue: Queue,
    /// [`Job::SOURCE`].
    pub source: Source,
    /// [`Job::POLICY`], or what was said instead ([`Registry::with_policies`]).
    pub policy: Policy,
    /// [`Job::SCHEDULE`].
    pub schedule: Option<Schedule>,
    run: RunFn<C>,
    all: AllFn<C>,
    check: fn(&str) -> Result<(), JobError>,
    scheduled: fn() -> Option<String>,
    for_repository: fn(i64) -> Option<String>,
}

impl<C: Send + Sync + 'static> Entry<C> {
    /// Prepares one attempt: the payload (JSON) is read now, the job runs when it is polled.
    ///
    /// # Errors
    ///
    /// The future returns [`JobError::Dead`] for a payload that is not of this kind; otherwise what
    /// the job returns.
    pub fn run(&self, ctx: Arc<C>, payload: &str) -> BoxFuture<'static, Result<Done, JobError>> {
        (self.run)(ctx, payload)
    }

    /// Starts [`Job::all`]; `None` when the kind has no such mode.
    pub fn all<'a>(&self, ctx: &'a C) -> Option<BoxFuture<'a, Result<Done, JobError>>> {
        (self.all)(ctx)
    }

    /// Checks that a payload (JSON) is of this kind, without running it.
    ///
    /// # Errors
    ///
    /// [`JobError::Dead`] that says what does not fit.
    pub fn check(&self, payload: &str) -> Result<(), JobError> {
        (self.check)(payload)
    }

    /// Returns the payload (JSON) the scheduler enqueues.
    pub fn scheduled(&self) -> Option<String> {
        (self.scheduled)()
    }

    /// Returns the payload (JSON) for one repository; `None` when the kind is not about one.
    pub fn for_repository(&self, repository_id: i64) -> Option<String> {
        (self.for_repository)(repository_id)
    }
}

fn decode<C: Sync, J: Job<C>>(payload: &str) -> Result<J, JobError> {
    serde_json::from_str(payload).map_err(|error| JobError::Dead {
        reason: format!("payload of `{}`: {error}", J::KIND),
    })
}

fn encode<C: Sync, J: Job<C>>(job: &J) -> Option<String> {
    serde_json::to_string(job).ok()
}

/// Holds every kind of job this build can run.
pub struct Registry<C> {
    entries: BTreeMap<&'static str, Entry<C>>,
}

impl<C: Send + Sync + 'static> Default for Registry<C> {
    fn default() -> Self {
        Self {
            entries: BTreeMap::new(),
        }
    }
}

impl<C: Send + Sync + 'static> Registry<C> {
    /// Adds one kind.
    ///
    /// # Panics
    ///
    /// If two jobs share a kind: the program does not start.
    #[must_use]
    pub fn with<J: Job<C>>(mut self) -> Self {
        let entry = Entry {
            kind: J::KIND,
            about: J::ABOUT,
            queue: J::QUEUE,
            source: J::SOURCE,
            policy: J::POLICY,
            schedule: J::SCHEDULE,
            run: |ctx, payload| {
                let job = decode::<C, J>(payload);
                Box::pin(async move { job?.run(&ctx).await })
            },
            all: J::all,
            check: |payload| decode::<C, J>(payload).map(drop),
            scheduled: || J::scheduled().as_ref().and_then(encode::<C, J>),
            for_repository: |id| J::for_repository(id).as_ref().and_then(encode::<C, J>),
        };
        let earlier = self.entries.insert(J::KIND, entry);
        assert!(earlier.is_none(), "two jobs are named `{}`", J::KIND);
        self
    }

    /// Returns the registry with these policies instead of the kinds' own, by kind; the version
    /// of a payload stays the kind's. One of a kind that is not here changes nothing.
    #[must_use]
    pub fn with_policies(mut self, policies: &BTreeMap<String, Policy>) -> Self {
        for entry in self.entries.values_mut() {
            if let Some(policy) = policies.get(entry.kind) {
                entry.policy = Policy {
                    version: entry.policy.version,
                    ..*policy
                };
            }
        }
        self
    }

    /// Returns the entry of a kind.
    #[must_use]
    pub fn get(&self, kind: &str) -> Option<&Entry<C>> {
        self.entries.get(kind)
    }

    /// Lists every kind in alphabetical order.
    pub fn iter(&self) -> impl Iterator<Item = &Entry<C>> {
        self.entries.values()
    }
}
