//! What becomes of taken jobs: the script `finish.lua`, line by line.
use std::time::Duration;

use super::state::QueueState;
use crate::{Finish, LONGEST_WAIT, MOST_DEAD, Outcome, Record, redis::ms, settle::kept};

/// Where the jobs of one batch go.
#[derive(Default)]
struct Groups {
    done: Vec<String>,
    ready: Vec<String>,
    front: Vec<String>,
    delayed: Vec<String>,
    is_soon: bool,
    /// Jobs that limits let out.
    let_out: usize,
}

impl QueueState {
    pub(super) fn finish(&mut self, batch: &[Finish], now_ms: u64) -> Vec<bool> {
        let (mut answer, mut groups) = (Vec::new(), Groups::default());
        for finish in batch {
            let held = self.is_held(&finish.lease);
            answer.push(held);
            if held {
                self.settle(finish, &mut groups, now_ms);
            }
        }
        for id in &groups.done {
            self.forget(id);
        }
        self.queue_up(&groups.ready, false);
        self.queue_up(&groups.front, true);
        for list in [&groups.ready, &groups.front, &groups.delayed] {
            self.mark_again(list, now_ms);
        }
        let back = groups.ready.len() + groups.front.len();
        self.wake(back + usize::from(groups.is_soon) + groups.let_out, now_ms);
        answer
    }

    /// Settles one job whose lease is held.
    fn settle(&mut self, finish: &Finish, groups: &mut Groups, now_ms: u64) {
        let Finish {
            lease,
            outcome,
            kept: keep,
        } = finish;
        let id = &*lease.id;
        self.unlease(id);
        groups.let_out += self.release(&[id.to_owned()], now_ms);
        if let Some(keep) = keep.as_ref().filter(|keep| !keep.keep_for.is_zero()) {
            let record = Record {
                at_ms: now_ms,
                ..keep.record.clone()
            };
            self.record(id, record, now_ms + ms(keep.keep_for));
        }
        let stop = self.jobs.get_mut(id).and_then(|job| job.stop.take());
        self.stops -= usize::from(stop.is_some() && self.stops > 0);
        match (outcome, stop) {
            (Outcome::Done(_), _) => {
                self.totals.done_total += 1;
                groups.done.push(id.to_owned());
            }
            (_, Some(note)) => self.end_cancelled(id, &note, now_ms),
            (Outcome::GiveBack, None) => groups.front.push(id.to_owned()),
            (Outcome::Retry { delay, error }, None) => {
                self.totals.retries_total += 1;
                self.fail(id, error);
                self.later(id, *delay, groups, now_ms);
            }
            (Outcome::Dead { reason }, None) => {
                self.fail(id, reason);
                self.bury(id, kept(reason).to_owned(), now_ms);
            }
            (Outcome::Snooze { delay, reason }, None) => {
                if let Some(job) = self.jobs.get_mut(id).filter(|_| !reason.is_empty()) {
                    kept(reason).clone_into(&mut job.error);
                }
                self.later(id, *delay, groups, now_ms);
            }
        }
    }

    fn fail(&mut self, id: &str, error: &str) {
        if let Some(job) = self.jobs.get_mut(id) {
            job.attempts += 1;
            kept(error).clone_into(&mut job.error);
        }
    }

    fn later(&mut self, id: &str, delay: Duration, groups: &mut Groups, now_ms: u64) {
        if delay.is_zero() {
            groups.ready.push(id.to_owned());
        } else {
            self.delayed.insert((now_ms + ms(delay), id.to_owned()));
            groups.delayed.push(id.to_owned());
            groups.is_soon |= delay < LONGEST_WAIT;
        }
    }

    pub(super) fn bury(&mut self, id: &str, why: String, now_ms: u64) {
        self.totals.dead_total += 1;
        self.unmark_dead(id, now_ms);
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
