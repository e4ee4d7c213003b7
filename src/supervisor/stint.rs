//! Runs jobs in a task of its own, one after the other, and watches it from outside.
//!
//! A job can fail, panic, hang or run out of time; nothing of that reaches the pool. Its stop
//! token is cancelled when its time is over, when its lease is lost, or when the daemon's patience
//! ends; five seconds later its task is dropped.
//!
//! A task that has ended a job takes the next one that waits in the pool: short jobs cost no task
//! each. The first job that is told to stop is the last one of its task.
mod turn;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use futures::future::BoxFuture;
use quayhand_queue::{Done, Envelope, Follower, JobError, Outcome, Queue, Seat, Taken};
use tokio::{sync::Notify, task::JoinError};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tracing::{Instrument as _, instrument::Instrumented};

use self::turn::Turn;
use super::{
    JobContext,
    attempt::{Attempt, Attempts},
    ended::{Ended, Stopped},
    running::Listing,
};

#[cfg(test)]
mod tests;

/// How long a job may go on after its stop token was cancelled.
const GRACE: Duration = Duration::from_secs(5);
/// How long a dropped task may take to notice; one that blocks its thread never does.
const ABORT_PATIENCE: Duration = Duration::from_secs(1);

/// What the last job returned that its task did not settle; `None`: it settled all.
type Left = Option<Result<Done, JobError>>;
type Work = Instrumented<BoxFuture<'static, Result<Done, JobError>>>;
type Task = AbortOnDropHandle<Left>;

/// The jobs of one task.
pub(super) struct Stint<C> {
    attempts: Arc<Attempts<C>>,
    queue: Queue,
    seat: Seat,
    /// Cancelled when the job that runs is nobody's any more.
    cancelled: CancellationToken,
    /// Cancelled when the job that runs is to stop.
    stop: CancellationToken,
    /// The caller settles the only job.
    is_alone: bool,
    now: Mutex<Now>,
    /// A job began whose time ends before the watch looks again.
    sooner: Notify,
    listing: Listing,
}

/// Where a task is, and who settles its job.
struct Now {
    attempt: Arc<Attempt>,
    /// The job ended and its task settles it: it is not told to stop any more.
    is_settling: bool,
    /// No job follows.
    is_last: bool,
    /// The job was told to stop: it is settled by who told it.
    told: Option<Stopped>,
    /// When the watch looks again.
    look_at: Instant,
}

/// What became of the wish that a job stops.
enum Told {
    /// It was told.
    Stops,
    /// It has ended, and no other follows.
    Ends,
    /// Its time is not over.
    Nothing,
}

/// What a task does after a job.
enum Then {
    /// Runs the next one; other tasks were woken meanwhile, or may have been.
    Run {
        next: Work,
        has_woken: bool,
    },
    End(Left),
}

impl<C: JobContext> Stint<C> {
    /// Prepares to run the job that has a seat.
    pub(super) fn new(
        attempts: Arc<Attempts<C>>,
        queue: Queue,
        attempt: Attempt,
        taken: Taken,
        listing: Listing,
    ) -> Self {
        let now = Now {
            look_at: attempt.ends(),
            attempt: Arc::new(attempt),
            is_settling: false,
            is_last: false,
            told: None,
        };
        Self {
            stop: taken.cancelled().child_token(),
            cancelled: taken.cancelled().clone(),
            attempts,
            queue,
            seat: taken.seat,
            is_alone: false,
            now: Mutex::new(now),
            sooner: Notify::new(),
            listing,
        }
    }

    /// Runs the job and those that follow it. Returns what becomes of the last one; `None` when all
    /// are settled.
    pub(super) async fn run(self) -> Option<Outcome> {
        let this = Arc::new(self);
        let attempt = Arc::clone(&this.lock().attempt);
        let ctx = this.attempts.context(&attempt, &this.stop);
        let task = Arc::clone(&this).work(attempt, ctx);
        this.watch(AbortOnDropHandle::new(tokio::spawn(task))).await
    }

    /// Runs the job; none follows. Returns what becomes of it.
    pub(super) async fn run_alone(mut self) -> Outcome {
        self.is_alone = true;
        self.run().await.unwrap_or(Outcome::GiveBack)
    }

    /// Starts an attempt: reads what it is given. The job does nothing until it is polled.
    fn begin(&self, attempt: &Attempt, ctx: Arc<C>) -> Work {
        let work = match self.attempts.entry(&attempt.envelope.kind) {
            Some(entry) => attempt
                .span
                .in_scope(|| entry.run(ctx, attempt.envelope.payload.get())),
            // Only known kinds come this far.
            None => Box::pin(async { Err(JobError::Snooze(Duration::ZERO)) }),
        };
        work.instrument(attempt.span.clone())
    }

    /// Does the work of the task.
    async fn work(self: Arc<Self>, first: Arc<Attempt>, ctx: Arc<C>) -> Left {
        let mut work = self.begin(&first, ctx);
        // Its span ends with it, not with the last job that follows.
        drop(first);
        let mut turn = Turn::begin();
        loop {
            // One that waited may have woken others as well, such as a connection that it gave up.
            let (result, has_waited) = turn::run_to_end(work).await;
            let at = Instant::now();
            match self.after(result, at) {
                Then::Run { next, has_woken } => {
                    work = next;
                    turn.go_on(at, has_woken || has_waited).await;
                }
                Then::End(left) => return left,
            }
        }
    }

    /// Settles a job that ended at `at` and begins the next one.
    fn after(&self, result: Result<Done, JobError>, at: Instant) -> Then {
        let attempt = {
            let mut now = self.lock();
            if self.is_alone || now.told.is_some() {
                return Then::End(Some(result));
            }
            now.is_settling = true;
            Arc::clone(&now.attempt)
        };
        let outcome = attempt.end(Ended::Returned(result), at);
        let mut now = self.lock();
        let is_last = now.is_last;
        let may_follow = |envelope: &Envelope| !is_last && self.attempts.may_follow(envelope);
        let Some(Follower { taken, has_woken }) = self.seat.go_on(outcome, may_follow) else {
            return Then::End(None);
        };
        let attempt = Attempt::starting(&self.attempts, &self.queue, &taken, at);
        let Some(attempt) = attempt.map(Arc::new) else {
            // It is of a kind that is not known, has the seat, and is given back.
            return Then::End(None);
        };
        (now.attempt, now.is_settling) = (Arc::clone(&attempt), false);
        let is_sooner = attempt.ends() < now.look_at;
        if is_sooner {
            self.sooner.notify_one();
        }
        drop(now);
        self.listing.goes_on(&attempt.envelope, attempt.started);
        let ctx = self.attempts.context(&attempt, &self.stop);
        Then::Run {
            next: self.begin(&attempt, ctx),
            has_woken: has_woken || is_sooner,
        }
    }

    /// Watches the task. Returns what becomes of a job that it did not settle.
    async fn watch(&self, mut task: Task) -> Option<Outcome> {
        let ended = match self.watch_until_told(&mut task).await {
            Ok(left) => self.ended(left),
            // Boxed: few jobs are told, and all would pay for the room.
            Err(why) => Box::pin(self.drop_after_grace(task, why)).await,
        };
        let attempt = Arc::clone(&self.lock().attempt);
        ended.map(|ended| attempt.end(ended, Instant::now()))
    }

    /// Waits until the task has ended, or until its job had to be told to stop.
    async fn watch_until_told(&self, task: &mut Task) -> Result<Result<Left, JoinError>, Stopped> {
        loop {
            let look_at = self.next_look();
            let why = tokio::select! {
                biased;
                left = &mut *task => return Ok(left),
                () = self.cancelled.cancelled() => Stopped::LeaseLost,
                () = self.attempts.handed_back().cancelled() => Stopped::HandedBack,
                () = tokio::time::sleep_until(look_at.into()) => Stopped::TimedOut,
                () = self.sooner.notified() => Stopped::TimedOut,
            };
            match self.tell(why) {
                Told::Stops => return Err(why),
                Told::Ends => return Ok(task.await),
                Told::Nothing => {}
            }
        }
    }

    /// Waits for a job that was told to stop, and drops its task when it does not.
    async fn drop_after_grace(&self, mut task: Task, why: Stopped) -> Option<Ended> {
        if let Ok(left) = tokio::time::timeout(GRACE, &mut task).await {
            return self.ended(left);
        }
        task.abort();
        if tokio::time::timeout(ABORT_PATIENCE, &mut task)
            .await
            .is_err()
        {
            let attempt = Arc::clone(&self.lock().attempt);
            attempt.span.in_scope(|| {
                tracing::error!(
                    "the job blocks its thread and cannot be dropped; it goes on unwatched"
                );
            });
        }
        Some(Ended::Dropped(why))
    }

    /// Tells how the job ended that its task left to us, if it did.
    fn ended(&self, left: Result<Left, JoinError>) -> Option<Ended> {
        match (left, self.lock().told) {
            (Ok(left), None) => left.map(Ended::Returned),
            (Ok(left), Some(why)) => left.map(|result| Ended::Told(why, result)),
            (Err(error), _) => Some(Ended::of_broken_task(error)),
        }
    }

    /// Tells the job to stop that runs now. Another may have begun since somebody looked at the clock.
    fn tell(&self, why: Stopped) -> Told {
        let mut now = self.lock();
        if why == Stopped::TimedOut && Instant::now() < now.attempt.ends() {
            return Told::Nothing;
        }
        now.is_last = true;
        if now.is_settling {
            return Told::Ends;
        }
        now.told = Some(why);
        self.stop.cancel();
        Told::Stops
    }

    /// Says when the time of the job is over that runs, and notes that the watch looks then.
    fn next_look(&self) -> Instant {
        let mut now = self.lock();
        now.look_at = now.attempt.ends();
        now.look_at
    }

    fn lock(&self) -> MutexGuard<'_, Now> {
        // What panics under this lock at worst leaves the attempt in it that ended.
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
