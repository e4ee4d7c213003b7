//! The operators' verbs, as the store has them.
use super::MemoryStore;
use crate::{
    About, Cancelled, Filter, Note, Page, Pause, Progress, Queue, QueueError, Record, SeenWorker,
    Target, Why, WorkerId,
};

impl MemoryStore {
    pub(crate) fn pause(
        &self,
        queue: &Queue,
        target: &Target,
        by: &str,
        why: &str,
    ) -> Result<bool, QueueError> {
        self.on(queue, |state, now_ms| {
            state.pause(queue, target, Note::made(now_ms, by, why))
        })
    }

    pub(crate) fn resume(&self, queue: &Queue, target: &Target) -> bool {
        self.on(queue, |state, _| state.resume(target))
    }

    pub(crate) fn pauses(&self, queue: &Queue) -> Vec<Pause> {
        self.on(queue, |state, _| state.pauses())
    }

    pub(crate) fn cancel(
        &self,
        queue: &Queue,
        ids: &[&str],
        by: &str,
        why: &str,
    ) -> Vec<Cancelled> {
        self.on(queue, |state, now_ms| {
            state.cancel(ids, &Note::made(now_ms, by, why), now_ms)
        })
    }

    pub(crate) fn settle_dead(&self, queue: &Queue, ids: &[&str], again: bool) -> Vec<bool> {
        self.on(queue, |state, now_ms| state.settle_dead(ids, again, now_ms))
    }

    pub(crate) fn clear(&self, queue: &Queue, most: usize) -> usize {
        self.on(queue, |state, _| state.clear(most))
    }

    pub(crate) fn find(&self, queue: &Queue, filter: &Filter, cursor: Option<&str>) -> Page {
        self.on(queue, |state, now_ms| state.find(filter, cursor, now_ms))
    }

    pub(crate) fn why(&self, queue: &Queue, id: &str) -> Why {
        self.on(queue, |state, now_ms| state.why(id, now_ms))
    }

    pub(crate) fn register(&self, queue: &Queue, worker: &WorkerId, about: &About) {
        self.on(queue, |state, now_ms| state.register(worker, about, now_ms));
    }

    pub(crate) fn workers(&self, queue: &Queue) -> Vec<SeenWorker> {
        self.on(queue, |state, now_ms| state.hosts().workers(now_ms))
    }

    pub(crate) fn note(&self, queue: &Queue, notes: &[Progress]) -> Vec<bool> {
        self.on(queue, |state, _| state.note(notes))
    }

    pub(crate) fn history(&self, queue: &Queue, id: &str) -> Vec<Record> {
        self.on(queue, |state, _| state.history(id))
    }

    pub(crate) fn wants_stops(&self, queue: &Queue) -> bool {
        self.on(queue, |state, _| state.stops > 0)
    }
}
