//! Takes jobs out of the queue: as many as there are free slots, and waits when there are none.
use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::{OwnedSemaphorePermit, watch};
use tracing::{error, info, warn};

use super::{
    Notes, Taken,
    ahead::{Ahead, Pace},
    finisher::Finisher,
    pool::Pool,
    taken::{Keeping, Ticket},
};
use crate::{
    Envelope, Fetch, Fetched, Finish, LARGEST_BATCH, LONGEST_WAIT, Lease, Outcome, TakenJob,
    jitter::Patience, store::Waiter,
};

/// How long a job of an unknown kind or a newer version waits for another host.
const UNKNOWN_PAUSE: Duration = Duration::from_secs(30);
/// How long a job waits whose earlier attempt still runs here, its lease lost.
const STILL_RUNNING_PAUSE: Duration = Duration::from_secs(1);

/// Longest that a fetch waits for more slots than the first free one.
const GATHERING: Duration = Duration::from_millis(1);

/// Fetches until the pool stops.
pub(super) async fn run(pool: Arc<Pool>, finisher: Finisher, ahead: Arc<Ahead>) {
    let mut fetcher = Fetcher {
        waiter: pool.store.waiter(&pool.queue),
        quiet: pool.slots.quiet(),
        pace: Pace::new(&pool.rules),
        pool,
        finisher,
        ahead,
        number: 0,
        patience: Patience::new(),
        unsure: None,
        more_wait: false,
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
    number: u64,
    patience: Patience,
    unsure: Option<Unsure>,
    /// The last fetch left jobs behind.
    more_wait: bool,
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
            return self.settle_doubt().await;
        }
        if *self.quiet.borrow_and_update() {
            self.ahead.give_back();
            self.rest_quiet().await;
            return true;
        }
        self.gather().await;
        if self.is_told_to_pause() {
            return true;
        }
        let wanted = self.most().saturating_sub(pool.slots.held());
        let wanted = wanted.min(LARGEST_BATCH);
        if wanted == 0 {
            self.rest_full().await;
            return true;
        }
        self.adopt_when_unsure().await;
        let asked = Instant::now();
        let place = Arc::clone(&pool.suspects).try_acquire_owned().ok();
        match self.fetch(wanted, usize::from(place.is_some())).await {
            Ok(fetched) => {
                self.patience.reset();
                pool.worked();
                let wait = fetched.wait;
                self.more_wait = wait.is_zero();
                self.accept(fetched, asked, place);
                if !wait.is_zero() && !self.is_ahead() {
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
        true
    }

    /// How many jobs the pool may hold.
    fn most(&mut self) -> usize {
        let slots = &self.pool.slots;
        slots.all() + self.pace.ahead(slots)
    }

    /// Waits until half of what the pool may hold has ended: short jobs end together, and a call for
    /// the first of them alone would cost almost as much as one for all. No slot is left free for
    /// longer than a moment. Jobs that wait for a slot in vain are given back.
    async fn gather(&mut self) {
        let most = self.most();
        let (slots, ahead) = (&self.pool.slots, &self.ahead);
        let few = if self.more_wait { most - most / 2 } else { 0 };
        while self.more_wait || self.is_ahead() {
            let gathered = tokio::time::timeout(GATHERING, slots.fewer_than(few + 1)).await;
            if ahead.is_stuck() {
                ahead.give_back();
                self.pace.reset(slots);
                return;
            }
            // Long jobs are not waited for.
            if gathered.is_ok() || ahead.is_empty() || self.is_told_to_pause() {
                return;
            }
        }
    }

    /// Says whether jobs are held that no slot is free for.
    fn is_ahead(&self) -> bool {
        self.pool.slots.held() > self.pool.slots.all()
    }

    fn is_told_to_pause(&self) -> bool {
        self.pool.stop.is_cancelled() || *self.quiet.borrow()
    }

    async fn fetch(&mut self, most: usize, suspects: usize) -> Result<Fetched, crate::QueueError> {
        self.number += 1;
        let fetch = Fetch {
            worker: &self.pool.worker,
            number: self.number,
            most,
            lease: self.pool.lease,
            rules: &self.pool.rules,
            suspects,
        };
        self.pool.store.fetch(&self.pool.queue, &fetch).await
    }

    fn accept(
        &mut self,
        fetched: Fetched,
        asked: Instant,
        mut place: Option<OwnedSemaphorePermit>,
    ) {
        let Fetched {
            recovered, buried, ..
        } = fetched;
        if recovered > 0 {
            info!(queue = %self.pool.queue, jobs = recovered, "took jobs back whose worker is gone");
        }
        if buried > 0 {
            error!(queue = %self.pool.queue, jobs = buried, "jobs are dead: each took its process down again and again");
        }
        let mut jobs = VecDeque::with_capacity(fetched.jobs.len());
        let has_crashed = fetched.jobs.iter().any(|job| job.crashes > 0);
        for job in fetched.jobs {
            jobs.extend(self.accept_one(&job, asked));
            if job.is_suspect()
                && let Some(place) = place.take()
            {
                self.pool.running.keep_place(&job.lease, place);
            }
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

    /// Prepares a job to be run, or settles it here when this host cannot run it.
    fn accept_one(&self, job: &TakenJob, asked: Instant) -> Option<Box<Taken>> {
        let decided = match job.read() {
            Ok(envelope) => self.decide(&envelope).map_or(Ok(envelope), Err),
            Err(reason) => {
                warn!(queue = %self.pool.queue, job.id = job.lease.id, "a job is dead: {reason}");
                Err(Outcome::Dead { reason })
            }
        };
        let started = decided.and_then(|envelope| {
            let notes = Notes::default();
            let running = &self.pool.running;
            match running.add(&job.lease, asked, &notes) {
                Some(cancelled) => Ok((envelope, notes, cancelled)),
                None => Err(Outcome::Snooze {
                    delay: STILL_RUNNING_PAUSE,
                    reason: "an earlier attempt still runs".to_owned(),
                }),
            }
        });
        match started {
            Err(outcome) => {
                self.settle(job, outcome);
                None
            }
            Ok((envelope, notes, cancelled)) => {
                let ticket = self.ticket(&job.lease, &envelope, &notes);
                Some(Box::new(Taken {
                    envelope: Arc::new(envelope),
                    lease: job.lease.clone(),
                    cancelled,
                    notes,
                    ticket: Some(ticket),
                }))
            }
        }
    }

    fn ticket(&self, lease: &Lease, envelope: &Envelope, notes: &Notes) -> Ticket {
        let pool = &self.pool;
        let policy = pool.kinds.get(&envelope.kind);
        let keep_for = policy.map_or(Duration::ZERO, |policy| policy.keep_for);
        let keeping = (!keep_for.is_zero()).then(|| Keeping {
            worker: pool.worker.clone(),
            attempt: envelope.attempt,
            since: Instant::now(),
            keep_for,
        });
        Ticket {
            lease: Some(lease.clone()),
            notes: notes.clone(),
            finisher: self.finisher.clone(),
            slot: pool.slots.hold(),
            is_at_work: false,
            keeping,
        }
    }

    /// Says what becomes of a job that must not be run here; `None`: run it.
    fn decide(&self, envelope: &Envelope) -> Option<Outcome> {
        let Envelope { kind, version, .. } = envelope;
        let wait = |reason| {
            Some(Outcome::Snooze {
                delay: UNKNOWN_PAUSE,
                reason,
            })
        };
        let Some(policy) = self.pool.kinds.get(kind) else {
            return wait(format!("no host knows `{kind}` yet"));
        };
        if *version > policy.version {
            return wait(format!("no host knows version {version} of `{kind}` yet"));
        }
        (envelope.attempt > policy.max_attempts).then(|| Outcome::Dead {
            reason: format!("all {} attempts are spent", policy.max_attempts),
        })
    }

    fn settle(&self, job: &TakenJob, outcome: Outcome) {
        self.finisher.commit(Finish {
            lease: job.lease.clone(),
            outcome,
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
                let unseen = jobs
                    .iter()
                    .filter(|job| seen.get(&job.lease.id) != Some(&job.lease.token));
                let taken = unseen.filter_map(|job| self.accept_one(job, asked));
                self.ahead.add(taken.collect());
            }
            Err(error) => pool.failed("adopt", &error),
        }
    }

    /// Before the end: what a failed fetch may have leased is given back, as far as Redis
    /// answers. Returns `false`.
    async fn settle_doubt(&mut self) -> bool {
        self.adopt_when_unsure().await;
        false
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

    /// Waits until a slot is free; a pool without any waits for one. What waits here for a slot is
    /// looked at again soon.
    async fn rest_full(&mut self) {
        let pool = self.pool.clone();
        let longest = if self.ahead.is_empty() {
            LONGEST_WAIT
        } else {
            GATHERING
        };
        tokio::select! {
            () = pool.stop.cancelled() => {}
            () = pool.slots.fewer_than(pool.slots.all()) => {}
            _ = self.quiet.changed() => {}
            () = tokio::time::sleep(longest) => {}
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
