//! One queue in memory. Each verb follows its script in `redis/scripts`, line by line.
use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use tokio::sync::Semaphore;

use crate::{
    Counts, Envelope, Fetch, Fetched, Finish, LARGEST_BATCH, LONGEST_WAIT, Lease, MOST_CRASHES,
    MOST_DEAD, NewJob, Outcome, Receipt, Shown, State, TakenJob, WorkerId, redis::ms, settle::kept,
};

/// Most expired leases that one fetch recovers.
const MOST_RECOVERED: usize = 100;

/// Times by which ids are ordered, in milliseconds since the Unix epoch.
type Timed = BTreeSet<(u64, String)>;

/// The jobs of one queue.
pub(super) struct QueueState {
    /// As many permits as there are wake-ups that nobody took yet.
    pub(super) wake: Arc<Semaphore>,
    ready: VecDeque<String>,
    delayed: Timed,
    leased: Timed,
    dead: Timed,
    jobs: HashMap<String, Job>,
    unique: HashMap<String, (u64, String)>,
    idle: HashMap<String, u64>,
    seen_ms: Option<u64>,
    hold_ms: u64,
    totals: Counts,
}

/// All that is known of one job.
#[derive(Default)]
struct Job {
    envelope: String,
    lease: Option<(String, u64)>,
    attempts: u32,
    crashes: u32,
    error: String,
    unique: String,
}

impl Default for QueueState {
    fn default() -> Self {
        Self {
            wake: Arc::new(Semaphore::new(0)),
            ready: VecDeque::new(),
            delayed: Timed::new(),
            leased: Timed::new(),
            dead: Timed::new(),
            jobs: HashMap::new(),
            unique: HashMap::new(),
            idle: HashMap::new(),
            seen_ms: None,
            hold_ms: 0,
            totals: Counts::default(),
        }
    }
}

impl QueueState {
    pub(super) fn enqueue(&mut self, jobs: &[NewJob], now_ms: u64) -> Vec<Receipt> {
        let (mut receipts, mut added, mut soon) = (Vec::new(), 0, 0);
        for job in jobs {
            let known = self.holder(job, now_ms);
            let is_new = known.is_none();
            receipts.push(Receipt {
                id: known.unwrap_or_else(|| job.id.clone()),
                is_new,
            });
            if !is_new {
                continue;
            }
            self.insert(job, now_ms);
            if job.delay.is_zero() {
                self.ready.push_back(job.id.clone());
                added += 1;
            } else {
                self.delayed
                    .insert((now_ms + ms(job.delay), job.id.clone()));
                soon = soon.max(usize::from(job.delay < LONGEST_WAIT));
            }
        }
        self.wake(added + soon, now_ms);
        receipts
    }

    /// Returns the id of the job that keeps this one out.
    fn holder(&self, job: &NewJob, now_ms: u64) -> Option<String> {
        let mark = self
            .unique
            .get(&job.unique)
            .filter(|_| !job.unique.is_empty());
        if let Some((ends_ms, by)) = mark
            && *by != job.id
            && *ends_ms > now_ms
        {
            return Some(by.clone());
        }
        self.jobs.contains_key(&job.id).then(|| job.id.clone())
    }

    fn insert(&mut self, job: &NewJob, now_ms: u64) {
        let rest = job.envelope.get(1..).unwrap_or_default();
        let stamped = format!("{{\"enqueued_at_ms\":{now_ms},{rest}");
        if !job.unique.is_empty() {
            let mark = (now_ms + ms(job.unique_for), job.id.clone());
            self.unique.insert(job.unique.clone(), mark);
        }
        let known = Job {
            envelope: stamped,
            unique: job.unique.clone(),
            ..Job::default()
        };
        self.jobs.insert(job.id.clone(), known);
    }

    pub(super) fn fetch(&mut self, fetch: &Fetch<'_>, now_ms: u64) -> Fetched {
        let wanted = fetch.most.clamp(1, LARGEST_BATCH);
        let lease_ms = ms(fetch.lease);
        let hold_ms = self.note_call(lease_ms, now_ms);
        let due = self.promote(now_ms);
        let (recovered, buried) = if hold_ms <= now_ms {
            self.recover(now_ms)
        } else {
            (0, 0)
        };
        let token = fetch.worker.token(fetch.number);
        let found = self.ready.len().min(wanted);
        let ids: Vec<String> = self.ready.drain(..found).collect();
        let jobs = ids
            .into_iter()
            .filter_map(|id| self.lease(id, &token, now_ms + lease_ms))
            .collect();
        let mut wait_ms = 0;
        if found < wanted {
            wait_ms = self.wait_ms(hold_ms, now_ms);
            self.idle.retain(|_, until_ms| *until_ms > now_ms);
            let until_ms = now_ms + wait_ms + 1000;
            self.idle.insert(fetch.worker.as_str().to_owned(), until_ms);
        } else {
            self.idle.remove(fetch.worker.as_str());
            if due + recovered > 0 {
                self.wake(self.ready.len(), now_ms);
            }
        }
        Fetched {
            jobs,
            wait: Duration::from_millis(wait_ms),
            recovered: recovered as u64,
            buried: buried as u64,
        }
    }

    /// See `note_call` in `prelude.lua`.
    fn note_call(&mut self, lease_ms: u64, now_ms: u64) -> u64 {
        let before_ms = self.seen_ms.replace(now_ms).unwrap_or(now_ms);
        if now_ms.saturating_sub(before_ms) > lease_ms / 2 {
            self.hold_ms = now_ms + lease_ms / 3;
        }
        self.hold_ms
    }

    fn promote(&mut self, now_ms: u64) -> usize {
        let due = due(&self.delayed, now_ms, LARGEST_BATCH);
        for entry in &due {
            self.delayed.remove(entry);
            self.ready.push_back(entry.1.clone());
        }
        due.len()
    }

    fn recover(&mut self, now_ms: u64) -> (usize, usize) {
        let (mut recovered, mut buried) = (0, 0);
        for (_, id) in due(&self.leased, now_ms, MOST_RECOVERED) {
            self.unlease(&id);
            let Some(job) = self.jobs.get_mut(&id) else {
                continue;
            };
            job.crashes += 1;
            job.attempts += 1;
            if job.crashes < MOST_CRASHES {
                self.ready.push_front(id);
                recovered += 1;
            } else {
                let why = format!("the process that ran it ended {} times", job.crashes);
                self.bury(&id, why, now_ms);
                buried += 1;
            }
        }
        self.totals.crashes_total += (recovered + buried) as u64;
        (recovered, buried)
    }

    fn lease(&mut self, id: String, token: &str, ends_ms: u64) -> Option<TakenJob> {
        let job = self.jobs.get_mut(&id)?;
        job.lease = Some((token.to_owned(), ends_ms));
        self.leased.insert((ends_ms, id.clone()));
        Some(job.taken(id))
    }

    fn unlease(&mut self, id: &str) {
        if let Some(job) = self.jobs.get_mut(id)
            && let Some((_, ends_ms)) = job.lease.take()
        {
            self.leased.remove(&(ends_ms, id.to_owned()));
        }
    }

    /// Until a job is due, a lease ends that nobody renews, or the longest wait is over.
    fn wait_ms(&self, hold_ms: u64, now_ms: u64) -> u64 {
        let longest_ms = now_ms + ms(LONGEST_WAIT);
        let due_ms = self.delayed.first().map_or(longest_ms, |(at_ms, _)| *at_ms);
        let end_ms = self.leased.first().map_or(longest_ms, |(at_ms, _)| *at_ms);
        let again_ms = longest_ms.min(due_ms).min(end_ms.max(hold_ms));
        again_ms.saturating_sub(now_ms).max(1)
    }

    pub(super) fn adopt(&mut self, worker: &WorkerId, lease_ms: u64, now_ms: u64) -> Vec<TakenJob> {
        self.note_call(lease_ms, now_ms);
        let prefix = format!("{worker}#");
        let own = |job: &Job| {
            let lease = job.lease.as_ref();
            lease.is_some_and(|(token, _)| token.starts_with(&prefix))
        };
        let ids = self.leased.iter().map(|(_, id)| id.clone());
        let ids: Vec<_> = ids
            .filter(|id| self.jobs.get(id).is_some_and(own))
            .collect();
        for id in &ids {
            self.renew_one(id, now_ms + lease_ms);
        }
        let taken = |id: String| self.jobs.get(&id).map(|job| job.taken(id));
        ids.into_iter().filter_map(taken).collect()
    }

    fn renew_one(&mut self, id: &str, ends_ms: u64) {
        if let Some(job) = self.jobs.get_mut(id)
            && let Some((_, ends)) = &mut job.lease
        {
            self.leased.remove(&(*ends, id.to_owned()));
            *ends = ends_ms;
            self.leased.insert((ends_ms, id.to_owned()));
        }
    }

    fn is_held(&self, lease: &Lease) -> bool {
        let job = self.jobs.get(&lease.id);
        job.and_then(|job| job.lease.as_ref())
            .is_some_and(|(token, _)| *token == lease.token)
    }

    pub(super) fn renew(&mut self, leases: &[Lease], lease_ms: u64, now_ms: u64) -> Vec<bool> {
        self.note_call(lease_ms, now_ms);
        let mut renew = |lease: &Lease| {
            let held = self.is_held(lease);
            if held {
                self.renew_one(&lease.id, now_ms + lease_ms);
            }
            held
        };
        leases.iter().map(&mut renew).collect()
    }

    pub(super) fn finish(&mut self, batch: &[Finish], now_ms: u64) -> Vec<bool> {
        let before = self.ready.len();
        let (mut answer, mut front, mut soon) = (Vec::new(), Vec::new(), 0);
        for Finish { lease, outcome } in batch {
            let held = self.is_held(lease);
            answer.push(held);
            if !held {
                continue;
            }
            self.unlease(&lease.id);
            match outcome {
                Outcome::GiveBack => front.push(lease.id.clone()),
                other => {
                    let delay = self.settle(&lease.id, other, now_ms);
                    soon = soon.max(usize::from(delay > Duration::ZERO && delay < LONGEST_WAIT));
                }
            }
        }
        for id in front.into_iter().rev() {
            self.ready.push_front(id);
        }
        self.wake(self.ready.len() - before + soon, now_ms);
        answer
    }

    /// Settles a job that is not given back; returns how long it is delayed.
    fn settle(&mut self, id: &str, outcome: &Outcome, now_ms: u64) -> Duration {
        match outcome {
            Outcome::Done(_) | Outcome::GiveBack => {
                self.totals.done_total += 1;
                self.forget(id);
                Duration::ZERO
            }
            Outcome::Retry { delay, error } => {
                self.totals.retries_total += 1;
                self.fail(id, error);
                self.later(id, *delay, now_ms)
            }
            Outcome::Dead { reason } => {
                self.fail(id, reason);
                self.bury(id, kept(reason).to_owned(), now_ms);
                Duration::ZERO
            }
            Outcome::Snooze { delay, reason } => {
                if let Some(job) = self.jobs.get_mut(id).filter(|_| !reason.is_empty()) {
                    kept(reason).clone_into(&mut job.error);
                }
                self.later(id, *delay, now_ms)
            }
        }
    }

    fn fail(&mut self, id: &str, error: &str) {
        if let Some(job) = self.jobs.get_mut(id) {
            job.attempts += 1;
            kept(error).clone_into(&mut job.error);
        }
    }

    fn later(&mut self, id: &str, delay: Duration, now_ms: u64) -> Duration {
        if delay.is_zero() {
            self.ready.push_back(id.to_owned());
        } else {
            self.delayed.insert((now_ms + ms(delay), id.to_owned()));
        }
        delay
    }

    fn bury(&mut self, id: &str, why: String, now_ms: u64) {
        self.totals.dead_total += 1;
        self.unmark(id);
        if let Some(job) = self.jobs.get_mut(id) {
            job.error = why;
            self.dead.insert((now_ms, id.to_owned()));
        }
        while self.dead.len() > MOST_DEAD {
            if let Some((_, oldest)) = self.dead.pop_first() {
                self.forget(&oldest);
            }
        }
    }

    fn unmark(&mut self, id: &str) {
        let Some(job) = self.jobs.get(id) else {
            return;
        };
        if self.unique.get(&job.unique).is_some_and(|(_, by)| by == id) {
            self.unique.remove(&job.unique);
        }
    }

    fn forget(&mut self, id: &str) {
        self.unmark(id);
        self.jobs.remove(id);
    }

    fn wake(&self, jobs: usize, now_ms: u64) {
        let idle = self.idle.values().filter(|until| **until >= now_ms).count();
        let untaken = self.wake.available_permits();
        self.wake
            .add_permits(jobs.min(idle).saturating_sub(untaken));
    }

    pub(super) fn leave(&mut self, worker: &WorkerId, now_ms: u64) {
        self.idle.remove(worker.as_str());
        self.wake(self.ready.len().min(1), now_ms);
    }

    pub(super) fn counts(&self) -> Counts {
        Counts {
            ready: self.ready.len() as u64,
            delayed: self.delayed.len() as u64,
            leased: self.leased.len() as u64,
            dead: self.dead.len() as u64,
            ..self.totals
        }
    }

    pub(super) fn list(&self, of: State, offset: usize, limit: usize) -> Vec<Shown> {
        let timed = match of {
            State::Ready => {
                let page = self.ready.iter().skip(offset).take(limit);
                return page.filter_map(|id| self.shown(id, of, 0)).collect();
            }
            State::Delayed => &self.delayed,
            State::Leased => &self.leased,
            State::Dead => &self.dead,
        };
        let page = timed.iter().skip(offset).take(limit);
        page.filter_map(|(at_ms, id)| self.shown(id, of, *at_ms))
            .collect()
    }

    pub(super) fn get(&self, id: &str) -> Option<Shown> {
        for (state, timed) in [
            (State::Delayed, &self.delayed),
            (State::Leased, &self.leased),
            (State::Dead, &self.dead),
        ] {
            if let Some((at_ms, _)) = timed.iter().find(|(_, known)| known == id) {
                return self.shown(id, state, *at_ms);
            }
        }
        self.shown(id, State::Ready, 0)
    }

    fn shown(&self, id: &str, state: State, at_ms: u64) -> Option<Shown> {
        let job = self.jobs.get(id)?;
        let envelope = Envelope::read(job.envelope.as_bytes()).map(|mut envelope| {
            id.clone_into(&mut envelope.id);
            (envelope.attempt, envelope.crashes) = (job.attempts, job.crashes);
            envelope
        });
        Some(Shown {
            id: id.to_owned(),
            state,
            envelope,
            at_ms,
            last_error: job.error.clone(),
        })
    }
}

impl Job {
    /// The job as its worker gets it.
    fn taken(&self, id: String) -> TakenJob {
        let token = self.lease.as_ref().map(|(token, _)| token.clone());
        TakenJob {
            lease: Lease {
                id,
                token: token.unwrap_or_default(),
            },
            envelope: self.envelope.as_bytes().to_vec(),
            attempt: self.attempts + 1,
            crashes: self.crashes,
        }
    }
}

/// The first entries whose time has come.
fn due(timed: &Timed, now_ms: u64, most: usize) -> Vec<(u64, String)> {
    let entries = timed.iter().take_while(|(at_ms, _)| *at_ms <= now_ms);
    entries.take(most).cloned().collect()
}
