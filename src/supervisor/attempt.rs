//! Runs one attempt of a job in a task of its own, and decides what becomes of the job.
//!
//! A job can fail, panic, hang or run out of time; nothing of that reaches the pool. Its stop
//! token is cancelled when its time is over, when its lease is lost, or when the daemon's patience
//! ends; five seconds later its task is dropped.
use std::{
    any::Any,
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use quayhand_queue::{Done, Entry, Envelope, JobError, Notes, Outcome, Policy, Queue, Registry};
use tokio::task::JoinError;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tracing::Instrument as _;

use super::{
    JobContext, lines,
    origin::{Books, Origin},
    report::{self, Summary},
    running::{RunningJob, RunningJobs},
};

/// How long a job may go on after its stop token was cancelled.
const GRACE: Duration = Duration::from_secs(5);
/// How long a dropped task may take to notice; one that blocks its thread never does.
const ABORT_PATIENCE: Duration = Duration::from_secs(1);

/// Runs attempts. Cheap to clone; clones share one state.
#[derive(Clone)]
pub(crate) struct Attempts<C> {
    registry: Arc<Registry<C>>,
    base: Arc<RwLock<C>>,
    policies: Arc<RwLock<BTreeMap<String, Policy>>>,
    running: RunningJobs,
    hand_back: CancellationToken,
    books: Option<Books>,
}

/// Why an attempt was told to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stopped {
    /// Its time was over.
    TimedOut,
    /// Its lease was lost: somebody else may run the job.
    LeaseLost,
    /// The daemon stops.
    HandedBack,
}

/// How an attempt ended.
enum Ended {
    /// The job returned by itself.
    Returned(Result<Done, JobError>),
    /// The job returned after it was told to stop.
    Told(Stopped, Result<Done, JobError>),
    /// The job did not return after it was told to stop, and was dropped.
    Dropped(Stopped),
    /// The job panicked.
    Panicked(String),
}

type Work = AbortOnDropHandle<Result<Done, JobError>>;

impl<C: JobContext> Attempts<C> {
    /// Runs the kinds of `registry` with what `base` holds.
    pub(crate) fn new(registry: Arc<Registry<C>>, base: C) -> Self {
        Self {
            registry,
            base: Arc::new(RwLock::new(base)),
            policies: Arc::default(),
            running: RunningJobs::default(),
            hand_back: CancellationToken::new(),
            books: None,
        }
    }

    /// Looks at the rows that jobs stand for before attempts, and settles them after.
    pub(crate) fn with_books(self, books: Books) -> Self {
        let books = Some(books);
        Self { books, ..self }
    }

    /// Gives attempts that start from now on another context.
    pub(crate) fn set_base(&self, base: C) {
        *self.base.write().unwrap_or_else(PoisonError::into_inner) = base;
    }

    /// Gives attempts that start from now on other time limits and pauses, by kind. What else a
    /// policy says stays as the registry has it: pools and enqueuers go by that.
    pub(crate) fn set_policies(&self, policies: BTreeMap<String, Policy>) {
        *self
            .policies
            .write()
            .unwrap_or_else(PoisonError::into_inner) = policies;
    }

    /// Returns the policy that an attempt starts under.
    fn policy_of(&self, entry: &Entry<C>) -> Policy {
        let policies = self.policies.read().unwrap_or_else(PoisonError::into_inner);
        let asked = policies.get(entry.kind).unwrap_or(&entry.policy);
        Policy {
            timeout: asked.timeout,
            backoff: asked.backoff,
            ..entry.policy
        }
    }

    /// Returns what is running.
    pub(crate) fn running(&self) -> &RunningJobs {
        &self.running
    }

    /// Tells every running attempt to stop; what does not finish goes back to its queue.
    pub(crate) fn hand_back(&self) {
        self.hand_back.cancel();
    }

    /// Runs one attempt to its end. `cancelled` says that the lease is lost, or, where `notes`
    /// say so, that somebody cancelled the job.
    ///
    /// Dropping the future drops the job's task.
    pub(crate) async fn run(
        &self,
        queue: &Queue,
        envelope: Arc<Envelope>,
        cancelled: CancellationToken,
        notes: Notes,
    ) -> Outcome {
        let span = tracing::info_span!(
            "attempt",
            job.kind = envelope.kind,
            job.id = envelope.id,
            job.attempt = envelope.attempt,
            job.queue = %queue,
            job.tenant = envelope.tenant,
        );
        lines::take_down(&span, &notes);
        let _entered = self.running.enter(RunningJob::starting(queue, &envelope));
        let attempt = self.run_for_row(envelope, cancelled, notes);
        attempt.instrument(span).await
    }

    async fn run_for_row(
        &self,
        envelope: Arc<Envelope>,
        cancelled: CancellationToken,
        notes: Notes,
    ) -> Outcome {
        let (Some(books), Some(origin)) = (&self.books, Origin::of(&envelope)) else {
            return self.run_in_span(envelope, cancelled, notes).await;
        };
        let given_up = [cancelled.clone(), self.hand_back.clone()];
        let attempt = self.run_in_span(envelope, cancelled, notes);
        // Boxed: few jobs stand for a row, and all would pay for the room.
        Box::pin(books.around(&origin, &given_up, attempt)).await
    }

    async fn run_in_span(
        &self,
        envelope: Arc<Envelope>,
        cancelled: CancellationToken,
        notes: Notes,
    ) -> Outcome {
        let Some(entry) = self.registry.get(&envelope.kind) else {
            // The backend hands out known kinds only.
            return Outcome::GiveBack;
        };
        let (policy, kind, attempt) = (self.policy_of(entry), entry.kind, envelope.attempt);
        let started = Instant::now();
        let stop = cancelled.child_token();
        let work = self.spawn(envelope, &stop, &notes);
        let ended = self.watch(work, &policy, &stop, &cancelled).await;
        let (summary, outcome) = decide(ended, &policy, attempt);
        let summary = match summary {
            Summary::LeaseLost if notes.is_cancelled() => Summary::Cancelled,
            summary => summary,
        };
        report::report(kind, &summary, &outcome, started.elapsed());
        outcome
    }

    fn spawn(&self, envelope: Arc<Envelope>, stop: &CancellationToken, notes: &Notes) -> Work {
        let base = self.base.read().unwrap_or_else(PoisonError::into_inner);
        let ctx = Arc::new(base.for_attempt(&envelope, stop.clone(), notes));
        drop(base);
        let registry = Arc::clone(&self.registry);
        let work = async move {
            match registry.get(&envelope.kind) {
                Some(entry) => entry.run(ctx, envelope.payload.get()).await,
                None => Err(JobError::Snooze(Duration::ZERO)),
            }
        };
        AbortOnDropHandle::new(tokio::spawn(work.in_current_span()))
    }

    async fn watch(
        &self,
        mut work: Work,
        policy: &Policy,
        stop: &CancellationToken,
        cancelled: &CancellationToken,
    ) -> Ended {
        let why = tokio::select! {
            biased;
            result = &mut work => return returned(result, Ended::Returned),
            () = cancelled.cancelled() => Stopped::LeaseLost,
            () = self.hand_back.cancelled() => Stopped::HandedBack,
            () = tokio::time::sleep(policy.timeout) => Stopped::TimedOut,
        };
        stop.cancel();
        Box::pin(drop_after_grace(work, why)).await
    }
}

/// Waits for a job that was told to stop, and drops its task when it does not.
async fn drop_after_grace(mut work: Work, why: Stopped) -> Ended {
    if let Ok(result) = tokio::time::timeout(GRACE, &mut work).await {
        return returned(result, |result| Ended::Told(why, result));
    }
    work.abort();
    if tokio::time::timeout(ABORT_PATIENCE, &mut work)
        .await
        .is_err()
    {
        tracing::error!("the job blocks its thread and cannot be dropped; it goes on unwatched");
    }
    Ended::Dropped(why)
}

fn returned(
    result: Result<Result<Done, JobError>, JoinError>,
    ended: impl FnOnce(Result<Done, JobError>) -> Ended,
) -> Ended {
    match result {
        Ok(result) => ended(result),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => Ended::Panicked(panic_text(panic.as_ref())),
            // Nobody but the runtime's end cancels it from outside.
            Err(_cancelled) => Ended::Dropped(Stopped::HandedBack),
        },
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    format!("the job panicked: {}", text.unwrap_or("no text"))
}

/// Decides what becomes of the job, and what to say about the attempt.
fn decide(ended: Ended, policy: &Policy, attempt: u32) -> (Summary, Outcome) {
    let failed = |text: &str| Outcome::failed(text, policy, attempt);
    match ended {
        Ended::Returned(result) => (Summary::of(&result), Outcome::of(result, policy, attempt)),
        Ended::Panicked(text) => (Summary::Failed, failed(&text)),
        Ended::Told(Stopped::TimedOut, Ok(done)) if done != Done::default() => {
            // It advanced and stopped when told: the rest is no failure.
            let reason = format!("its {:?} were over; so far: {done}", policy.timeout);
            (
                Summary::Done(done),
                Outcome::Snooze {
                    delay: Duration::ZERO,
                    reason,
                },
            )
        }
        Ended::Told(Stopped::TimedOut, Ok(_)) | Ended::Dropped(Stopped::TimedOut) => (
            Summary::Failed,
            failed(&format!("timed out after {:?}", policy.timeout)),
        ),
        Ended::Told(Stopped::TimedOut, Err(error))
        | Ended::Told(_, Err(error @ JobError::Dead { .. })) => {
            (Summary::Failed, Outcome::of(Err(error), policy, attempt))
        }
        // What it did is done; what is left, if anything, the next attempt finds.
        Ended::Told(Stopped::LeaseLost, _) | Ended::Dropped(Stopped::LeaseLost) => {
            (Summary::LeaseLost, Outcome::GiveBack)
        }
        Ended::Told(Stopped::HandedBack, _) | Ended::Dropped(Stopped::HandedBack) => {
            (Summary::HandedBack, Outcome::GiveBack)
        }
    }
}
