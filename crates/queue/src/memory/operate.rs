//! The operators' verbs in memory: `pause.lua`, `cancel.lua`, `dead.lua`, `clear.lua`,
//! `register.lua`, `note.lua`.
use super::{
    hosts::Hosts,
    state::{QueueState, Timed},
};
use crate::{
    About, Cancelled, Ending, LONGEST_DEATH, MOST_KEPT, MOST_PAUSES, MOST_RECORDS, Note, Pause,
    Progress, Queue, QueueError, Record, Target, WorkerId, redis::ms, settle::cut,
    store::LONGEST_LINE_BYTES,
};

/// How long the record of a cancelled job is kept.
const CANCELLED_FOR_MS: u64 = 24 * 3600 * 1000;

impl QueueState {
    pub(super) fn pause(
        &mut self,
        queue: &Queue,
        target: &Target,
        note: Note,
    ) -> Result<bool, QueueError> {
        if self.pauses.contains_key(target) {
            return Ok(false);
        }
        if self.pauses.len() >= MOST_PAUSES {
            let queue = queue.clone();
            return Err(QueueError::TooMany { queue });
        }
        self.pauses.insert(target.clone(), note);
        Ok(true)
    }

    pub(super) fn resume(&mut self, target: &Target) -> bool {
        if self.pauses.remove(target).is_none() {
            return false;
        }
        if let Some(park) = self.parks.get_mut(&format!("pause:{target}")) {
            park.look_ms = 0;
        }
        // Workers that found the queue paused are not on the list of those that wait.
        self.wake.add_permits(16);
        true
    }

    pub(super) fn pauses(&self) -> Vec<Pause> {
        let pause = |(target, note): (&Target, &Note)| Pause {
            target: target.clone(),
            note: note.clone(),
        };
        self.pauses.iter().map(pause).collect()
    }

    pub(super) fn cancel(&mut self, ids: &[&str], note: &Note, now_ms: u64) -> Vec<Cancelled> {
        ids.iter()
            .map(|id| self.cancel_one(id, note, now_ms))
            .collect()
    }

    fn cancel_one(&mut self, id: &str, note: &Note, now_ms: u64) -> Cancelled {
        let Some(job) = self.jobs.get_mut(id) else {
            return Cancelled::Unknown;
        };
        if job.lease.is_some() {
            self.stops += usize::from(job.stop.is_none());
            job.stop = Some(note.clone());
            return Cancelled::Stopping;
        }
        if self.dead.iter().any(|(_, dead)| dead == id) {
            return Cancelled::Dead;
        }
        if let Some(gate) = job.blocked.take() {
            if let Some(park) = self.parks.get_mut(&gate) {
                park.jobs.remove(id);
            }
            self.close_park(&gate);
        } else if !self.fair.remove(id) {
            self.delayed.retain(|(_, delayed)| delayed != id);
            self.ready.retain(|ready| ready != id);
        }
        self.end_cancelled(id, note, now_ms);
        Cancelled::Gone
    }

    /// Ends a job that somebody cancelled.
    pub(super) fn end_cancelled(&mut self, id: &str, note: &Note, now_ms: u64) {
        let text = match note.why.as_str() {
            "" => note.by.clone(),
            why => format!("{}: {why}", note.by),
        };
        let record = Record {
            at_ms: now_ms,
            outcome: Ending::Cancelled,
            attempt: 0,
            worker: String::new(),
            text,
            lines: Vec::new(),
        };
        self.record(id, record, now_ms + CANCELLED_FOR_MS);
        self.totals.cancelled_total += 1;
        self.forget(id);
    }

    pub(super) fn record(&mut self, id: &str, record: Record, until_ms: u64) {
        let (old_ms, records) = self.history.entry(id.to_owned()).or_default();
        self.kept.remove(&(*old_ms, id.to_owned()));
        *old_ms = until_ms;
        records.push(record);
        if records.len() > MOST_RECORDS {
            records.remove(0);
        }
        self.kept.insert((until_ms, id.to_owned()));
        while self.kept.len() > MOST_KEPT {
            if let Some((_, first)) = self.kept.pop_first() {
                self.history.remove(&first);
            }
        }
    }

    pub(super) fn history(&self, id: &str) -> Vec<Record> {
        let found = self.history.get(id);
        found
            .map(|(_, records)| records.clone())
            .unwrap_or_default()
    }

    pub(super) fn settle_dead(&mut self, ids: &[&str], again: bool, now_ms: u64) -> Vec<bool> {
        let mut answer = Vec::new();
        let mut back = Vec::new();
        for id in ids {
            let entry = self.dead.iter().find(|(_, dead)| dead == id).cloned();
            answer.push(entry.is_some());
            let Some(entry) = entry else { continue };
            self.dead.remove(&entry);
            if !again {
                self.forget(id);
            } else if let Some(job) = self.jobs.get_mut(*id) {
                (job.attempts, job.crashes) = (0, 0);
                self.mark_dead(id, now_ms);
                back.push((*id).to_owned());
            }
        }
        self.queue_up(&back, false);
        self.wake(back.len(), now_ms);
        answer
    }

    pub(super) fn clear(&mut self, most: usize) -> usize {
        let plain = self.ready.len().min(most);
        let mut ids: Vec<String> = self.ready.drain(..plain).collect();
        ids.extend(self.fair.serve(most - ids.len()));
        while ids.len() < most
            && let Some((_, id)) = self.delayed.pop_first()
        {
            ids.push(id);
        }
        while ids.len() < most
            && let Some(mut park) = self.parks.first_entry()
        {
            ids.extend(park.get_mut().jobs.serve(most - ids.len()));
            let gate = park.key().clone();
            self.close_park(&gate);
        }
        for id in &ids {
            self.forget(id);
        }
        ids.len()
    }

    pub(super) fn register(&mut self, worker: &WorkerId, about: &About, now_ms: u64) {
        self.hosts.register(worker, about, now_ms);
        for (_, id) in past(&mut self.kept, now_ms) {
            self.history.remove(&id);
        }
        let oldest_ms = now_ms.saturating_sub(ms(LONGEST_DEATH));
        for (_, id) in past(&mut self.dead, oldest_ms) {
            self.forget(&id);
        }
        #[expect(clippy::cast_precision_loss, reason = "times stay below 2^53")]
        self.rates.retain(|_, full_at| *full_at > now_ms as f64);
    }

    pub(super) fn note(&mut self, notes: &[Progress]) -> Vec<bool> {
        let mut held = Vec::new();
        for note in notes {
            let is_held = self.is_held(&note.lease);
            held.push(is_held);
            if let Some(job) = self.jobs.get_mut(&*note.lease.id).filter(|_| is_held) {
                cut(&note.text, LONGEST_LINE_BYTES).clone_into(&mut job.progress);
            }
        }
        held
    }

    pub(super) fn hosts(&self) -> &Hosts {
        &self.hosts
    }
}

/// Takes out what is at that time or before.
fn past(timed: &mut Timed, until_ms: u64) -> Vec<(u64, String)> {
    let mut gone = Vec::new();
    while timed.first().is_some_and(|(at_ms, _)| *at_ms <= until_ms) {
        gone.extend(timed.pop_first());
    }
    gone
}
