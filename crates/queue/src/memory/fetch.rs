//! Taking jobs: the script `fetch.lua`, line by line.
use std::{sync::Arc, time::Duration};

use super::{
    gates::Rules,
    state::{QueueState, Timed},
};
use crate::{
    Fetch, Fetched, LARGEST_BATCH, LONGEST_WAIT, MOST_CRASHES, TakenJob, Target,
    redis::{LARGEST_CALL_BYTES, ms},
};

/// Most jobs under expired leases that one fetch recovers.
const MOST_RECOVERED: usize = 100;
/// Most jobs that a fetch looks at beyond those it was asked for.
const MOST_PARKED: usize = 200;
/// Most jobs that it looks at before it looks at how large they are.
const MOST_LOOKED_AT: usize = 100;
/// When a queue that is paused is looked at again.
const PAUSED_WAIT_MS: u64 = 1000;
/// How long a job that may crash no more waits for another such job.
const SUSPECT_PAUSE_MS: u64 = 1000;

impl QueueState {
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
        let is_paused = self.pauses.contains_key(&Target::Queue);
        let (mut jobs, mut is_short) = (Vec::new(), is_paused);
        if !is_paused {
            let rules = fetch.rules.iter();
            let rules: Rules<'_> = rules.map(|rule| (rule.kind.as_str(), rule)).collect();
            self.open_gates(&rules, now_ms);
            (jobs, is_short) = self.take_jobs(fetch, &rules, wanted, now_ms);
        }
        let worker = fetch.worker.as_str();
        let mut wait_ms = 0;
        if is_paused {
            wait_ms = PAUSED_WAIT_MS;
            self.idle.remove(worker);
        } else if is_short {
            wait_ms = self.wait_ms(hold_ms, now_ms);
            self.idle.retain(|_, until_ms| *until_ms > now_ms);
            self.idle.insert(worker.to_owned(), now_ms + wait_ms + 1000);
        } else {
            self.idle.remove(worker);
            if due + recovered > 0 {
                self.wake(self.waiting(), now_ms);
            }
        }
        Fetched {
            jobs,
            wait: Duration::from_millis(wait_ms),
            recovered: recovered as u64,
            buried: buried as u64,
        }
    }

    /// Takes jobs that may run; says whether the line ended before there were enough.
    fn take_jobs(
        &mut self,
        fetch: &Fetch<'_>,
        rules: &Rules<'_>,
        wanted: usize,
        now_ms: u64,
    ) -> (Vec<TakenJob>, bool) {
        let is_guarded = !rules.is_empty() || !self.pauses.is_empty() || !self.parks.is_empty();
        let token: Arc<str> = fetch.worker.token(fetch.number).into();
        let ends_ms = now_ms + ms(fetch.lease);
        let (mut jobs, mut looked, mut is_short) = (Vec::new(), 0, false);
        let mut suspects = fetch.suspects;
        let mut bytes = 0;
        let longest_look = if is_guarded {
            wanted + MOST_PARKED
        } else {
            wanted - 1
        };
        while !is_short
            && jobs.len() < wanted
            && looked <= longest_look
            && bytes < LARGEST_CALL_BYTES
        {
            let seen = if is_guarded { jobs.len() } else { looked };
            let most = (wanted - seen).min(MOST_LOOKED_AT);
            let ids = self.take(most);
            is_short = ids.len() < most;
            looked += ids.len();
            for id in ids {
                if self.waits_for_another(&id, suspects, now_ms) {
                    continue;
                }
                if is_guarded && !self.passes(&id, rules, ends_ms, now_ms) {
                    continue;
                }
                if let Some(job) = self.lease(&id, &token, ends_ms) {
                    suspects -= usize::from(job.is_suspect());
                    bytes += job.envelope.len();
                    jobs.push(job);
                }
            }
        }
        (jobs, is_short)
    }

    /// See the same in `fetch.lua`.
    fn waits_for_another(&mut self, id: &str, suspects: usize, now_ms: u64) -> bool {
        let job = self.jobs.get(id);
        if suspects > 0 || job.is_none_or(|job| job.crashes + 1 < MOST_CRASHES) {
            return false;
        }
        self.delayed
            .insert((now_ms + SUSPECT_PAUSE_MS, id.to_owned()));
        true
    }

    /// See `note_call` in `prelude.lua`.
    pub(super) fn note_call(&mut self, lease_ms: u64, now_ms: u64) -> u64 {
        let before_ms = self.seen_ms.replace(now_ms).unwrap_or(now_ms);
        if now_ms.saturating_sub(before_ms) > lease_ms / 2 {
            self.hold_ms = now_ms + lease_ms / 3;
        }
        self.hold_ms.min(now_ms + lease_ms / 3)
    }

    fn promote(&mut self, now_ms: u64) -> usize {
        let due = due(&self.delayed, now_ms, LARGEST_BATCH);
        for entry in &due {
            self.delayed.remove(entry);
            self.queue_up(std::slice::from_ref(&entry.1), false);
        }
        due.len()
    }

    fn recover(&mut self, now_ms: u64) -> (usize, usize) {
        let (mut back, mut buried) = (Vec::new(), 0);
        let ended = self.leases.iter();
        let ended = ended.take_while(|(ends_ms, _)| *ends_ms <= now_ms);
        let ended = ended.take(MOST_RECOVERED).map(|(_, id)| id.clone());
        let ended: Vec<String> = ended.collect();
        self.totals.crashes_total += ended.len() as u64;
        for id in &ended {
            self.unlease(id);
        }
        self.release(&ended, now_ms);
        for id in ended {
            let Some(job) = self.jobs.get_mut(&id) else {
                continue;
            };
            job.crashes += 1;
            job.attempts += 1;
            if let Some(note) = job.stop.take() {
                self.stops = self.stops.saturating_sub(1);
                self.end_cancelled(&id, &note, now_ms);
            } else if job.crashes < MOST_CRASHES {
                back.push(id);
            } else {
                let why = format!("the process that ran it ended {} times", job.crashes);
                self.bury(&id, why, now_ms);
                buried += 1;
            }
        }
        self.queue_up(&back, true);
        self.mark_again(&back, now_ms);
        (back.len(), buried)
    }

    fn lease(&mut self, id: &str, token: &Arc<str>, ends_ms: u64) -> Option<TakenJob> {
        let job = self.jobs.get_mut(id)?;
        job.lease = Some(Arc::clone(token));
        self.leases.add(token, id, ends_ms);
        let taken = job.taken(id.to_owned());
        self.unmark_taken(id);
        Some(taken)
    }

    /// Until a job is due, a lease ends that nobody renews, or the longest wait is over.
    fn wait_ms(&self, hold_ms: u64, now_ms: u64) -> u64 {
        let longest_ms = now_ms + ms(LONGEST_WAIT);
        let due_ms = self.delayed.first().map_or(longest_ms, |(at_ms, _)| *at_ms);
        let end_ms = self.leases.first_end_ms().unwrap_or(longest_ms);
        let looks = self.parks.values().map(|park| park.look_ms);
        let look_ms = looks.min().unwrap_or(longest_ms);
        let again_ms = longest_ms.min(due_ms).min(end_ms.max(hold_ms));
        let again_ms = again_ms.min(look_ms);
        again_ms.saturating_sub(now_ms).max(1)
    }
}

/// The first entries whose time has come.
fn due(timed: &Timed, now_ms: u64, most: usize) -> Vec<(u64, String)> {
    let entries = timed.iter().take_while(|(at_ms, _)| *at_ms <= now_ms);
    entries.take(most).cloned().collect()
}
