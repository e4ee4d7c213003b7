//! Runs attempts at jobs, and decides what becomes of the jobs.
use std::{collections::BTreeMap, sync::Arc, time::Instant};

use arc_swap::ArcSwap;
use quayhand_queue::{Entry, Envelope, Notes, Outcome, Policy, Queue, Registry, Taken};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, Span};

use super::{
    JobContext,
    ended::{Ended, decide},
    lines,
    origin::{Books, Origin},
    report::{self, Summary},
    running::{RunningJob, RunningJobs},
    stint::Stint,
};

/// One attempt at a job.
pub(super) struct Attempt {
    pub(super) envelope: Arc<Envelope>,
    pub(super) notes: Notes,
    /// Everything that is logged of it carries this.
    pub(super) span: Span,
    kind: &'static str,
    policy: Policy,
    pub(super) started: Instant,
}

impl Attempt {
    /// Describes an attempt; `None` when its kind is not known.
    pub(super) fn starting<C: JobContext>(
        attempts: &Attempts<C>,
        queue: &Queue,
        taken: &Taken,
        started: Instant,
    ) -> Option<Self> {
        let (envelope, notes) = (Arc::clone(&taken.envelope), taken.notes.clone());
        let entry = attempts.entry(&envelope.kind)?;
        let span = tracing::info_span!(
            "attempt",
            job.kind = envelope.kind,
            job.id = envelope.id,
            job.attempt = envelope.attempt,
            job.queue = %queue,
            job.tenant = envelope.tenant,
        );
        lines::take_down(&span, &notes);
        Some(Self {
            kind: entry.kind,
            policy: attempts.policy_of(entry),
            started,
            envelope,
            notes,
            span,
        })
    }

    /// Describes it for the list of what runs.
    fn listed(&self, queue: &Queue) -> RunningJob {
        RunningJob {
            queue: queue.clone(),
            envelope: Arc::clone(&self.envelope),
            started: self.started,
        }
    }

    /// When its time is over.
    pub(super) fn ends(&self) -> Instant {
        self.started + self.policy.timeout
    }

    /// Decides what becomes of its job, and says so in the log.
    pub(super) fn end(&self, ended: Ended, at: Instant) -> Outcome {
        let (summary, outcome) = decide(ended, &self.policy, self.envelope.attempt);
        let summary = match summary {
            Summary::LeaseLost if self.notes.is_cancelled() => Summary::Cancelled,
            summary => summary,
        };
        let took = at.duration_since(self.started);
        self.span
            .in_scope(|| report::report(self.kind, &summary, &outcome, took));
        outcome
    }
}

/// What attempts share.
#[derive(Clone)]
pub(crate) struct Attempts<C> {
    registry: Arc<Registry<C>>,
    // Every attempt reads both, a reload writes them: readers take no lock.
    base: Arc<ArcSwap<C>>,
    policies: Arc<ArcSwap<BTreeMap<String, Policy>>>,
    running: RunningJobs,
    hand_back: CancellationToken,
    books: Option<Books>,
}

impl<C: JobContext> Attempts<C> {
    /// Runs the kinds of `registry` with what `base` holds.
    pub(crate) fn new(registry: Arc<Registry<C>>, base: C) -> Self {
        Self {
            registry,
            base: Arc::new(ArcSwap::from_pointee(base)),
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
        self.base.store(Arc::new(base));
    }

    /// Gives attempts that start from now on other time limits and pauses, by kind. What else a
    /// policy says stays as the registry has it: pools and enqueuers go by that.
    pub(crate) fn set_policies(&self, policies: BTreeMap<String, Policy>) {
        self.policies.store(Arc::new(policies));
    }

    /// Returns the policy that an attempt starts under.
    pub(super) fn policy_of(&self, entry: &Entry<C>) -> Policy {
        let policies = self.policies.load();
        let asked = policies.get(entry.kind).unwrap_or(&entry.policy);
        Policy {
            timeout: asked.timeout,
            backoff: asked.backoff,
            ..entry.policy
        }
    }

    /// Returns what is known of a kind.
    pub(super) fn entry(&self, kind: &str) -> Option<&Entry<C>> {
        self.registry.get(kind)
    }

    /// Returns the context of an attempt at the job in `envelope`.
    pub(super) fn context(&self, attempt: &Attempt, stop: &CancellationToken) -> Arc<C> {
        let base = self.base.load();
        Arc::new(base.for_attempt(&attempt.envelope, stop, &attempt.notes))
    }

    /// Returns what is running.
    pub(crate) fn running(&self) -> &RunningJobs {
        &self.running
    }

    /// Tells every running attempt to stop; what does not finish goes back to its queue.
    pub(crate) fn hand_back(&self) {
        self.hand_back.cancel();
    }

    /// Returns what is cancelled when every attempt is to stop.
    pub(super) fn handed_back(&self) -> &CancellationToken {
        &self.hand_back
    }

    /// Says whether a job may be run after another one, in its place.
    pub(super) fn may_follow(&self, envelope: &Envelope) -> bool {
        self.books.is_none() || Origin::of(envelope).is_none()
    }

    /// Runs an attempt to its end, and attempts at the jobs that follow it in its seat. Returns what
    /// becomes of the job that has the seat then; `None` when that is settled.
    ///
    /// Dropping the future drops the task of the job that runs.
    pub(crate) async fn run(self: Arc<Self>, queue: Queue, taken: Box<Taken>) -> Option<Outcome> {
        let Some(attempt) = Attempt::starting(&self, &queue, &taken, Instant::now()) else {
            // The backend hands out known kinds only.
            return Some(Outcome::GiveBack);
        };
        let entered = self.running.enter(attempt.listed(&queue));
        let books = self.books.clone();
        let (Some(books), Some(origin)) = (books, Origin::of(&taken.envelope)) else {
            let stint = Stint::new(self, queue, attempt, *taken, entered.listing());
            return stint.run().await;
        };
        let span = attempt.span.clone();
        let given_up = [taken.cancelled().clone(), self.hand_back.clone()];
        let stint = Stint::new(self, queue, attempt, *taken, entered.listing());
        // Its row is settled before the queue is told.
        let around = async {
            let attempt = stint.run_alone();
            books.around(&origin, &given_up, attempt).await
        };
        // Boxed: few jobs stand for a row, and all would pay for the room.
        Some(Box::pin(around.instrument(span)).await)
    }
}
