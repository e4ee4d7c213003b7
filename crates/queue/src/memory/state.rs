//! One queue in memory: what it holds, leases, and enqueuing. Each verb follows its script in
//! `redis/scripts`, line by line.
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::Arc,
};

use tokio::sync::Semaphore;

use super::{
    gates::{Park, lane_of},
    hosts::Hosts,
    leases::Leases,
    line::Lanes,
};
use crate::{
    Counts, LONGEST_WAIT, Lease, NewJob, Note, Receipt, Record, Renewed, TakenJob, Target,
    UniqueMode, WorkerId, redis::ms,
};

/// Times by which ids are ordered, in milliseconds since the Unix epoch.
pub(super) type Timed = BTreeSet<(u64, String)>;

/// The jobs of one queue.
pub(super) struct QueueState {
    /// As many permits as there are wake-ups that nobody took yet.
    pub(super) wake: Arc<Semaphore>,
    pub(super) ready: VecDeque<String>,
    pub(super) fair: Lanes,
    pub(super) parks: BTreeMap<String, Park>,
    /// Holders of each limit, by the end of their lease as it was when they took their place.
    pub(super) holds: HashMap<String, HashMap<String, u64>>,
    /// When each rate is at rest again.
    pub(super) rates: HashMap<String, f64>,
    pub(super) pauses: BTreeMap<Target, Note>,
    /// Running jobs that somebody wants stopped, or more.
    pub(super) stops: usize,
    pub(super) history: HashMap<String, (u64, Vec<Record>)>,
    pub(super) kept: Timed,
    pub(super) hosts: Hosts,
    pub(super) delayed: Timed,
    pub(super) leases: Leases,
    pub(super) dead: Timed,
    pub(super) jobs: HashMap<String, Job>,
    pub(super) unique: HashMap<String, (u64, String)>,
    pub(super) idle: HashMap<String, u64>,
    pub(super) seen_ms: Option<u64>,
    pub(super) hold_ms: u64,
    pub(super) totals: Counts,
}

/// All that is known of one job.
#[derive(Default)]
pub(super) struct Job {
    pub(super) envelope: String,
    /// The token of its lease.
    pub(super) lease: Option<Arc<str>>,
    pub(super) attempts: u32,
    pub(super) crashes: u32,
    pub(super) error: String,
    pub(super) unique: String,
    /// Until when it keeps others out while it waits only; `None`: while it runs as well.
    unique_waiting_ms: Option<u64>,
    /// When its key is free at the latest.
    unique_ends_ms: u64,
    /// The key it would take again, and how, when it is dead.
    dead_mark: Option<DeadMark>,
    pub(super) lane: String,
    /// The gate that keeps it back.
    pub(super) blocked: Option<String>,
    /// The limit whose place it holds.
    pub(super) held: Option<String>,
    pub(super) stop: Option<Note>,
    pub(super) progress: String,
}

/// The unique key with which a job died.
struct DeadMark {
    unique: String,
    left_ms: u64,
    waits_only: bool,
}

impl Default for QueueState {
    fn default() -> Self {
        Self {
            wake: Arc::new(Semaphore::new(0)),
            ready: VecDeque::new(),
            fair: Lanes::default(),
            parks: BTreeMap::new(),
            holds: HashMap::new(),
            rates: HashMap::new(),
            pauses: BTreeMap::new(),
            stops: 0,
            history: HashMap::new(),
            kept: Timed::new(),
            hosts: Hosts::default(),
            delayed: Timed::new(),
            leases: Leases::default(),
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
                self.queue_up(std::slice::from_ref(&job.id), false);
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

    /// Returns the id of the job that keeps this one out, after it was changed as the mode says.
    fn holder(&mut self, job: &NewJob, now_ms: u64) -> Option<String> {
        let mark = self
            .unique
            .get(&job.unique)
            .filter(|_| !job.unique.is_empty());
        if let Some((ends_ms, by)) = mark.cloned()
            && by != job.id
            && ends_ms > now_ms
        {
            self.change(&by, ends_ms, job, now_ms);
            return Some(by);
        }
        self.jobs.contains_key(&job.id).then(|| job.id.clone())
    }

    fn change(&mut self, by: &str, ends_ms: u64, job: &NewJob, now_ms: u64) {
        match job.unique_mode {
            UniqueMode::Replace => {
                if let Some(known) = self.jobs.get_mut(by).filter(|known| known.lease.is_none()) {
                    known.envelope = stamped(&job.envelope, now_ms);
                }
            }
            UniqueMode::Debounce if !job.delay.is_zero() => {
                let entry = self.delayed.iter().find(|(_, id)| id == by).cloned();
                if let Some(entry) = entry {
                    self.delayed.remove(&entry);
                    let due_ms = (now_ms + ms(job.delay)).min(ends_ms);
                    // One that waits out its back-off must not be hurried.
                    let was_tried = self.jobs.get(by).is_some_and(|job| job.attempts > 0);
                    let earliest_ms = if was_tried { entry.0 } else { 0 };
                    self.delayed.insert((due_ms.max(earliest_ms), entry.1));
                }
            }
            _ => {}
        }
    }

    fn insert(&mut self, job: &NewJob, now_ms: u64) {
        let ends_ms = now_ms + ms(job.unique_for);
        if !job.unique.is_empty() {
            let mark = (ends_ms, job.id.clone());
            self.unique.insert(job.unique.clone(), mark);
        }
        let waits_only = job.unique_mode != UniqueMode::WhileQueuedOrRunning;
        let known = Job {
            envelope: stamped(&job.envelope, now_ms),
            unique: job.unique.clone(),
            unique_waiting_ms: waits_only.then_some(ends_ms),
            unique_ends_ms: ends_ms,
            lane: lane_of(job.priority, &job.tenant),
            ..Job::default()
        };
        self.jobs.insert(job.id.clone(), known);
    }

    /// Jobs that keep equal ones out only while they wait take their unique key again.
    pub(super) fn mark_again(&mut self, ids: &[String], now_ms: u64) {
        for id in ids {
            let Some(job) = self.jobs.get(id).filter(|job| !job.unique.is_empty()) else {
                continue;
            };
            if let Some(ends_ms) = job.unique_waiting_ms.filter(|ends_ms| *ends_ms > now_ms) {
                let mark = (ends_ms, id.clone());
                self.unique.entry(job.unique.clone()).or_insert(mark);
            }
        }
    }

    /// Takes the key of a job that dies away, and notes how it would take it again.
    pub(super) fn unmark_dead(&mut self, id: &str, now_ms: u64) {
        self.unmark(id);
        let Some(job) = self.jobs.get_mut(id) else {
            return;
        };
        let unique = std::mem::take(&mut job.unique);
        let waiting_ms = job.unique_waiting_ms.take();
        let left_ms = job.unique_ends_ms.saturating_sub(now_ms);
        job.dead_mark = (left_ms > 0 && !unique.is_empty()).then_some(DeadMark {
            unique,
            left_ms,
            waits_only: waiting_ms.is_some(),
        });
    }

    /// A dead job that is tried again takes its key, if it is free.
    pub(super) fn mark_dead(&mut self, id: &str, now_ms: u64) {
        let Some(job) = self.jobs.get_mut(id) else {
            return;
        };
        let Some(mark) = job.dead_mark.take() else {
            return;
        };
        let ends_ms = now_ms + mark.left_ms;
        let is_free = |(ends_ms, _): &(u64, String)| *ends_ms <= now_ms;
        if self.unique.get(&mark.unique).is_none_or(is_free) {
            job.unique_waiting_ms = mark.waits_only.then_some(ends_ms);
            job.unique_ends_ms = ends_ms;
            job.unique.clone_from(&mark.unique);
            self.unique.insert(mark.unique, (ends_ms, id.to_owned()));
        }
    }

    /// The reverse, when one is taken.
    pub(super) fn unmark_taken(&mut self, id: &str) {
        if self
            .jobs
            .get(id)
            .is_some_and(|job| job.unique_waiting_ms.is_some())
        {
            self.unmark(id);
        }
    }

    pub(super) fn unlease(&mut self, id: &str) {
        if let Some(job) = self.jobs.get_mut(id)
            && let Some(token) = job.lease.take()
        {
            self.leases.remove(&token, id);
        }
    }

    pub(super) fn adopt(&mut self, worker: &WorkerId, lease_ms: u64, now_ms: u64) -> Vec<TakenJob> {
        self.note_call(lease_ms, now_ms);
        let mut adopted = Vec::new();
        for token in self.leases.tokens(&format!("{worker}#")) {
            self.leases.renew(&token, now_ms + lease_ms);
            let ids = self.leases.under(&token).into_iter();
            let taken = |id: String| self.jobs.get(&id).map(|job| job.taken(id));
            adopted.extend(ids.filter_map(taken));
        }
        adopted
    }

    pub(super) fn is_held(&self, lease: &Lease) -> bool {
        let job = self.jobs.get(&*lease.id);
        job.and_then(|job| job.lease.as_ref())
            .is_some_and(|token| *token == lease.token)
    }

    pub(super) fn renew(&mut self, leases: &[Lease], lease_ms: u64, now_ms: u64) -> Vec<Renewed> {
        self.note_call(lease_ms, now_ms);
        let mut renew = |lease: &Lease| {
            if !self.is_held(lease) {
                return Renewed::Lost;
            }
            self.leases.renew(&lease.token, now_ms + lease_ms);
            match self.jobs.get(&*lease.id) {
                Some(Job { stop: Some(_), .. }) => Renewed::Stop,
                _ => Renewed::Held,
            }
        };
        leases.iter().map(&mut renew).collect()
    }

    pub(super) fn wake(&self, jobs: usize, now_ms: u64) {
        let idle = self.idle.values().filter(|until| **until >= now_ms).count();
        let untaken = self.wake.available_permits();
        self.wake
            .add_permits(jobs.min(idle).saturating_sub(untaken));
    }

    pub(super) fn leave(&mut self, worker: &WorkerId, is_for_good: bool, now_ms: u64) {
        self.idle.remove(worker.as_str());
        if is_for_good {
            self.hosts.leave(worker);
        }
        self.wake(self.waiting().min(1), now_ms);
    }
}

impl Job {
    /// The job as its worker gets it.
    pub(super) fn taken(&self, id: String) -> TakenJob {
        TakenJob {
            lease: Lease {
                id: id.into(),
                token: self.lease.clone().unwrap_or_default(),
            },
            envelope: self.envelope.as_bytes().to_vec(),
            attempt: self.attempts + 1,
            crashes: self.crashes,
        }
    }
}

/// An envelope with the time at which it came.
fn stamped(envelope: &str, now_ms: u64) -> String {
    let rest = envelope.get(1..).unwrap_or_default();
    format!("{{\"enqueued_at_ms\":{now_ms},{rest}")
}
