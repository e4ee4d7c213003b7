//! When a task that runs jobs one after the other lets other tasks run.
use std::{
    future::poll_fn,
    task::Poll,
    time::{Duration, Instant},
};

use futures::FutureExt as _;
use quayhand_queue::{Done, JobError};

use super::Work;

/// After how many jobs a task lets its thread look for answers of servers.
const JOBS_A_TURN: u64 = 8;

/// A job that takes longer does not feel what it costs to let others run after it.
const SHORT: Duration = Duration::from_micros(100);

/// Counts the jobs of a task.
pub(super) struct Turn {
    ran: u64,
    /// When the job began that runs, or its turn to run.
    since: Instant,
}

impl Turn {
    /// Begins with the first job.
    pub(super) fn begin() -> Self {
        Self {
            ran: 0,
            since: Instant::now(),
        }
    }

    /// Goes on to the next job after one that ended at `at` and may have woken other tasks. Lets those run
    /// before, if it did or took long, and all at the end of a turn. What a short job that waited for
    /// nothing woke itself waits until then.
    pub(super) async fn go_on(&mut self, at: Instant, has_woken: bool) {
        self.ran += 1;
        let is_long = at.saturating_duration_since(self.since) >= SHORT;
        self.since = at;
        if self.ran.is_multiple_of(JOBS_A_TURN) {
            // Calls are answered meanwhile.
            tokio::task::yield_now().await;
        } else if has_woken || is_long {
            step_back().await;
        } else {
            return;
        }
        self.since = Instant::now();
    }
}

/// Runs a job to its end; says whether it waited for anything.
pub(super) async fn run_to_end(mut work: Work) -> (Result<Done, JobError>, bool) {
    let mut has_waited = false;
    let result = poll_fn(|cx| {
        let polled = work.poll_unpin(cx);
        has_waited |= polled.is_pending();
        polled
    });
    (result.await, has_waited)
}

/// Lets the task run that this one has woken. The last one waits in a place of this thread from which no
/// other takes it, and the next job may block the thread.
async fn step_back() {
    let mut has_stepped = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut has_stepped, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
