//! What becomes of taken jobs: the script `finish.lua`, line by line.
use std::time::Duration;

use super::state::QueueState;
use crate::{Finish, LONGEST_WAIT, MOST_DEAD, Outcome, redis::ms, settle::kept};

impl QueueState {
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

    pub(super) fn bury(&mut self, id: &str, why: String, now_ms: u64) {
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

    pub(super) fn unmark(&mut self, id: &str) {
        let Some(job) = self.jobs.get(id) else {
            return;
        };
        if self.unique.get(&job.unique).is_some_and(|(_, by)| by == id) {
            self.unique.remove(&job.unique);
        }
    }

    pub(super) fn forget(&mut self, id: &str) {
        self.unmark(id);
        self.jobs.remove(id);
    }
}
