//! Takes jobs out of the queue: as many as there are free slots, more where jobs are short, and waits
//! when there are none.
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::{OwnedSemaphorePermit, watch};
use tracing::{error, info};

use super::{
    Notes,
    ahead::{Ahead, Pace},
    asking::{Answer, Asking},
    finisher::Finisher,
    pool::Pool,
    taken::Ticket,
    waiting::Waiting,
};
use crate::{
    Fetched, Finish, LARGEST_BATCH, LONGEST_WAIT, Outcome, TakenJob, jitter::Patience,
    store::Waiter,
};

/// How long a job waits whose earlier attempt still runs here, its lease lost.
const STILL_RUNNING_PAUSE: Duration = Duration::from_secs(1);

/// Longest that a fetch waits for more slots than the first free one.
const GATHERING: Duration = Duration::from_millis(1);
/// Most jobs that a call asks for where jobs are short: Redis has them in its caches from the first
/// command to the last, and works on the next call while these run. Where kinds have rules it is
/// [`LARGEST_BATCH`]: each call reads and writes what all of them have counted.
const CALL: usize = 400;

/// Fetches until the pool stops.
pub(super) async fn run(pool: Arc<Pool>, finisher: Finisher, ahead: Arc<Ahead>) {
    let call = if pool.rules.is_empty() {
        CALL
    } else {
        LARGEST_BATCH
    };
    let mut fetcher = Fetcher {
        waiter: pool.store.waiter(&pool.queue),
        quiet: pool.slots.quiet(),
        pace: Pace::new(&pool.rules),
        pool,
        finisher,
        ahead,
        asking: Asking::default(),
        patience: Patience::new(),
        unsure: None,
        call,
        more_wait: false,
        is_late: false,
        has_crashed: false,
    };
    while fetcher.turn().await {}
    // Now: the call below may take long.
    fetcher.ahead.close();
    // The entry lapses by itself when this fails.
    let _lapses = fetcher
        .pool
        .store
        .leave(&fetcher.pool.queue, &fetcher.pool.worker, true)
        .await;
}

struct Fetcher {
    pool: Arc<Pool>,
    finisher: Finisher,
    ahead: Arc<Ahead>,
    pace: Pace,
    waiter: Waiter,
    quiet: watch::Receiver<bool>,
    asking: Asking,
    patience: Patience,
    unsure: Option<Unsure>,
    /// Most jobs that a call asks for where jobs are short.
    call: usize,
    /// The last fetch left jobs behind.
    more_wait: bool,
    /// Room for more jobs was waited for long enough.
    is_late: bool,
    /// A call brought jobs whose process ended, while another was under way.
    has_crashed: bool,
}

impl Drop for Fetcher {
    /// No job comes any more, however the fetcher ends.
    fn drop(&mut self) {
        self.ahead.close();
    }
}

/// A fetch failed: jobs may be leased to us that we never saw, now or, when the call still
/// travels, later.
struct Unsure {
    since: Instant,
    adopted: Option<Instant>,
}

impl Fetcher {
    /// Goes round once; `false` ends the fetcher.
    async fn turn(&mut self) -> bool {
        let pool = self.pool.clone();
        pool.turned();
        if pool.stop.is_cancelled() {
            self.take_in_all().await;
            // What a failed fetch may have leased is given back, as far as the store answers.
            self.adopt_when_unsure().await;
            return false;
        }
        if *self.quiet.borrow_and_update() {
            self.take_in_all().await;
            self.ahead.give_back();
            self.rest_quiet().await;
            return true;
        }
        if self.ahead.is_stuck() {
            // Jobs wait for a slot in vain.
            self.ahead.give_back();
            self.pace.reset(&pool.slots);
        }
        let most = self.most();
        let room = self.room(most);
        if self.may_ask() && (room >= self.enough(most) || (self.is_late && room > 0)) {
            self.adopt_when_unsure().await;
            self.ask(room);
        }
        self.go_on_when_due(most).await;
        true
    }

    /// How many jobs the pool may hold.
    fn most(&mut self) -> usize {
        let slots = &self.pool.slots;
        slots.all() + self.pace.ahead(slots)
    }

    /// For how many more jobs there is room.
    fn room(&self, most: usize) -> usize {
        most.saturating_sub(self.pool.slots.held() + self.asking.jobs())
    }

    /// For how many jobs there must be room: short jobs end together, and a call for the first of
    /// them alone would cost almost as much as one for all.
    fn enough(&self, most: usize) -> usize {
        if self.more_wait {
            (most - most / 2).clamp(1, self.call)
        } else {
            // None are left in the queue: what waits here runs first.
            most.saturating_sub(self.pool.slots.all()).max(1)
        }
    }

    /// Says whether another call may go out: a second one beside the first where jobs are short and
    /// more wait. What a failed call leased is unknown: others are answered before it is looked for.
    fn may_ask(&self) -> bool {
        match self.asking.calls() {
            0 => true,
            1 => self.more_wait && self.pace.is_ahead() && self.unsure.is_none(),
            _ => false,
        }
    }

    fn ask(&mut self, room: usize) {
        let most = if self.pace.is_ahead() {
            self.call
        } else {
            LARGEST_BATCH
        };
        self.asking.ask(&self.pool, room.min(most));
    }

    /// Waits until there is something to do: a call is answered, there is room for enough jobs,
    /// somebody wants the pool to pause, or a moment is over: while no call is under way, no slot is
    /// left free for longer.
    async fn go_on_when_due(&mut self, most: usize) {
        let (pool, may_ask, room) = (self.pool.clone(), self.may_ask(), self.room(most));
        let enough = if room == 0 { 1 } else { self.enough(most) };
        let few = (most + 1).saturating_sub(enough + self.asking.jobs());
        let is_watched = !self.ahead.is_empty() || (may_ask && room > 0);
        let longest = if is_watched { GATHERING } else { LONGEST_WAIT };
        self.is_late = false;
        tokio::select! {
            biased;
            Some(answer) = self.asking.answer() => self.take_in(answer).await,
            () = pool.stop.cancelled() => {}
            _ = self.quiet.changed() => {}
            () = pool.slots.fewer_than(few), if may_ask => {}
            // Long jobs are not waited for.
            () = tokio::time::sleep(longest) => {
                self.is_late = self.ahead.is_empty() && self.asking.calls() == 0;
            }
        }
    }

    /// Takes in what a call brought; where it brought little, waits for more.
    async fn take_in(&mut self, answer: Answer) {
        let pool = self.pool.clone();
        match answer.fetched {
            Ok(fetched) => {
                self.patience.reset();
                pool.worked();
                let wait = fetched.wait;
                self.more_wait = wait.is_zero();
                self.accept(fetched, answer.asked, answer.place);
                let is_last = self.asking.calls() == 0 && !self.is_ahead();
                if !wait.is_zero() && is_last && !self.is_told_to_pause() {
                    self.wait(wait).await;
                }
            }
            Err(error) => {
                pool.failed("fetch", &error);
                self.unsure = Some(Unsure {
                    since: Instant::now(),
                    adopted: None,
                });
                self.pause().await;
            }
        }
    }

    /// Waits until every call is answered, and takes in what they brought.
    async fn take_in_all(&mut self) {
        while let Some(answer) = self.asking.answer().await {
            self.take_in(answer).await;
        }
    }

    fn is_told_to_pause(&self) -> bool {
        self.pool.stop.is_cancelled() || *self.quiet.borrow()
    }

    /// Says whether jobs are held that no slot is free for.
    fn is_ahead(&self) -> bool {
        self.pool.slots.held() > self.pool.slots.all()
    }

    fn accept(&mut self, fetched: Fetched, asked: Instant, place: Option<OwnedSemaphorePermit>) {
        let Fetched {
            recovered, buried, ..
        } = fetched;
        if recovered > 0 {
            info!(queue = %self.pool.queue, jobs = recovered, "took jobs back whose worker is gone");
        }
        if buried > 0 {
            error!(queue = %self.pool.queue, jobs = buried, "jobs are dead: each took its process down again and again");
        }
        // What another call brings, which is under way, is not to wait here either.
        let has_crashed = self.has_crashed || fetched.jobs.iter().any(|job| job.crashes > 0);
        self.has_crashed = has_crashed && self.asking.calls() > 0;
        let suspect = fetched.jobs.iter().find(|job| job.is_suspect());
        let suspect = suspect.map(|job| job.lease.clone());
        let mut jobs = self.hold(fetched.jobs, asked);
        if let (Some(lease), Some(place)) = (suspect, place) {
            self.pool.running.keep_place(&lease, place);
        }
        if has_crashed {
            // Were the process to end again, what waits here would be charged with it as well.
            let slots = &self.pool.slots;
            self.pace.reset(slots);
            let before = slots.held() - jobs.len();
            jobs.truncate(slots.all().saturating_sub(before));
        }
        self.ahead.add(jobs);
    }

    /// Holds jobs that were fetched by a call sent at `asked`, but for those that still run here.
    fn hold(&self, jobs: Vec<TakenJob>, asked: Instant) -> Vec<Waiting> {
        let pool = &*self.pool;
        let notes = pool.running.add(jobs.iter().map(|job| &job.lease), asked);
        let since = Instant::now();
        let hold = |(job, notes): (TakenJob, Option<Notes>)| {
            let Some(notes) = notes else {
                self.wait_for_earlier(job);
                return None;
            };
            let ticket = Ticket {
                lease: Some(job.lease.clone()),
                attempt: job.attempt,
                notes,
                finisher: self.finisher.clone(),
                slot: pool.slots.hold(),
                keeping: None,
            };
            Some(Waiting { since, job, ticket })
        };
        jobs.into_iter().zip(notes).filter_map(hold).collect()
    }

    /// Has a job wait whose earlier attempt still runs here.
    fn wait_for_earlier(&self, job: TakenJob) {
        self.finisher.commit(Finish {
            lease: job.lease,
            outcome: Outcome::Snooze {
                delay: STILL_RUNNING_PAUSE,
                reason: "an earlier attempt still runs".to_owned(),
            },
            kept: None,
        });
    }

    /// After a failed fetch: takes on what is leased to us and was never seen. Again once in a
    /// while, until a call that was still on its way can have had no effect.
    async fn adopt_when_unsure(&mut self) {
        let Some(unsure) = &mut self.unsure else {
            return;
        };
        if unsure.adopted.is_some_and(|at| at.elapsed() < LONGEST_WAIT) {
            return;
        }
        // A job may be settled while the answer, in which it is still ours, is on its way: what was
        // seen before is nothing to take on.
        let seen = self.pool.running.held();
        let asked = Instant::now();
        let pool = &self.pool;
        match pool
            .store
            .adopt(&pool.queue, &pool.worker, pool.lease)
            .await
        {
            Ok(jobs) => {
                unsure.adopted = Some(asked);
                if unsure.since.elapsed() > pool.lease {
                    self.unsure = None;
                }
                let is_unseen = |job: &TakenJob| seen.get(&job.lease.id) != Some(&job.lease.token);
                let unseen = jobs.into_iter().filter(is_unseen).collect();
                self.ahead.add(self.hold(unseen, asked));
            }
            Err(error) => pool.failed("adopt", &error),
        }
    }

    /// Waits while no job may be taken.
    async fn rest_quiet(&mut self) {
        let pool = self.pool.clone();
        // Somebody else should be woken instead of us.
        let _lapses = pool.store.leave(&pool.queue, &pool.worker, false).await;
        tokio::select! {
            () = pool.stop.cancelled() => {}
            _ = self.quiet.changed() => {}
            () = tokio::time::sleep(LONGEST_WAIT) => {}
        }
    }

    /// Waits for a wake-up. Giving the wait up closes its connection, so it takes none along.
    async fn wait(&mut self, longest: Duration) {
        let pool = self.pool.clone();
        let failed = tokio::select! {
            outcome = self.waiter.wait(longest) => outcome.err(),
            () = pool.stop.cancelled() => None,
            _ = self.quiet.changed() => None,
        };
        if let Some(error) = failed {
            pool.failed("wait", &error);
            self.pause().await;
        }
    }

    async fn pause(&mut self) {
        let pause = self.patience.pause();
        tokio::select! {
            () = self.pool.stop.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}
