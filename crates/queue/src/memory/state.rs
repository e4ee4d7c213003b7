//! One queue in memory: enqueuing, fetching, renewing. Each verb follows its script in
//! `redis/scripts`, line by line.
use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use tokio::sync::Semaphore;

use crate::{
    Counts, Fetch, Fetched, LARGEST_BATCH, LONGEST_WAIT, Lease, MOST_CRASHES, NewJob, Receipt,
    TakenJob, WorkerId, redis::ms,
};

/// Most expired leases that one fetch recovers.
const MOST_RECOVERED: usize = 100;

/// Times by which ids are ordered, in milliseconds since the Unix epoch.
pub(super) type Timed = BTreeSet<(u64, String)>;

/// The jobs of one queue.
pub(super) struct QueueState {
    /// As many permits as there are wake-ups that nobody took yet.
    pub(super) wake: Arc<Semaphore>,
    pub(super) ready: VecDeque<String>,
    pub(super) delayed: Timed,
    pub(super) leased: Timed,
    pub(super) dead: Timed,
    pub(super) jobs: HashMap<String, Job>,
    pub(super) unique: HashMap<String, (u64, String)>,
    idle: HashMap<String, u64>,
    seen_ms: Option<u64>,
    hold_ms: u64,
    pub(super) totals: Counts,
}

/// All that is known of one job.
#[derive(Default)]
pub(super) struct Job {
    pub(super) envelope: String,
    lease: Option<(String, u64)>,
    pub(super) attempts: u32,
    pub(super) crashes: u32,
    pub(super) error: String,
    pub(super) unique: String,
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

    pub(super) fn unlease(&mut self, id: &str) {
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

    pub(super) fn is_held(&self, lease: &Lease) -> bool {
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

    pub(super) fn wake(&self, jobs: usize, now_ms: u64) {
        let idle = self.idle.values().filter(|until| **until >= now_ms).count();
        let untaken = self.wake.available_permits();
        self.wake
            .add_permits(jobs.min(idle).saturating_sub(untaken));
    }

    pub(super) fn leave(&mut self, worker: &WorkerId, now_ms: u64) {
        self.idle.remove(worker.as_str());
        self.wake(self.ready.len().min(1), now_ms);
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
