//! One kind of background work.
use std::time::Duration;

use futures::future::BoxFuture;
use serde::{Serialize, de::DeserializeOwned};

use crate::{Done, JobError, Policy, Queue};

/// Describes one kind of background work: the struct is the payload, the constants are
/// the policy, `run` is the work.
///
/// `C` is what a job is given to work with (database, storage, the stop token).
pub trait Job<C: Sync>: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Wire name. Never reused for another job, never renamed while jobs are queued.
    const KIND: &'static str;
    /// What it does, in one line for an operator.
    const ABOUT: &'static str;
    /// Queue the job is enqueued to.
    const QUEUE: Queue;
    /// Where the truth of this kind is, and so what losing Redis costs.
    const SOURCE: Source;
    /// Time limit, attempts, back-off, uniqueness, version.
    const POLICY: Policy = Policy::DEFAULT;
    /// When the scheduler enqueues the kind by itself, with [`Job::scheduled`] as payload.
    const SCHEDULE: Option<Schedule> = None;

    /// Performs one attempt.
    ///
    /// # Errors
    ///
    /// See [`JobError`] for what each variant makes the queue do.
    fn run(&self, ctx: &C) -> impl Future<Output = Result<Done, JobError>> + Send;

    /// Returns the payload the scheduler enqueues; `None` for kinds without a schedule.
    #[must_use]
    fn scheduled() -> Option<Self> {
        None
    }

    /// Returns the payload for one repository (`job run KIND --repository ns/name`);
    /// `None` means the kind is not about a repository and the shell refuses.
    #[must_use]
    fn for_repository(_repository_id: i64) -> Option<Self> {
        None
    }

    /// Does all the work there is (`job run KIND --all`); `None` means the kind has no
    /// such mode and the shell refuses.
    fn all(_ctx: &C) -> Option<BoxFuture<'_, Result<Done, JobError>>> {
        None
    }
}

/// Says where the truth about a kind's work is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A sweep or a schedule finds the work again in the database: losing Redis costs at
    /// most one interval.
    Derivable,
    /// Only the enqueuer knew: the job is written to the outbox in the enqueuer's own
    /// transaction and removed when it is done.
    Outbox,
}

/// Says when a kind is enqueued without being asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// At every whole multiple of this interval since the Unix epoch.
    Every(Duration),
    /// By a cron expression of five fields, in UTC.
    Cron(&'static str),
}
