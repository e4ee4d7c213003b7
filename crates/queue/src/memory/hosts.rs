//! Which workers called, and which kinds they know.
use std::collections::HashMap;

use crate::{About, SeenWorker, WorkerId, store::PRESENT_MS};

/// How long a kind is remembered that no host knows any more.
const KIND_MS: u64 = 24 * 3600 * 1000;
/// Most workers, and most kinds, that are remembered.
const MOST: usize = 1000;

/// The workers of one queue.
#[derive(Default)]
pub(super) struct Hosts {
    workers: HashMap<String, SeenWorker>,
    kinds: HashMap<String, u64>,
}

impl Hosts {
    pub(super) fn register(&mut self, worker: &WorkerId, about: &About, now_ms: u64) {
        let seen = SeenWorker {
            seen_ms: now_ms,
            about: about.clone(),
        };
        self.workers.insert(worker.to_string(), seen);
        let kinds = about.kinds.iter().take(MOST);
        self.kinds.extend(kinds.map(|kind| (kind.clone(), now_ms)));
        self.workers
            .retain(|_, seen| seen.seen_ms + PRESENT_MS > now_ms);
        self.kinds.retain(|_, seen_ms| *seen_ms + KIND_MS > now_ms);
        while self.kinds.len() > MOST
            && let Some(oldest) = oldest(&self.kinds, |seen_ms| *seen_ms)
        {
            self.kinds.remove(&oldest);
        }
        while self.workers.len() > MOST
            && let Some(oldest) = oldest(&self.workers, |seen| seen.seen_ms)
        {
            self.workers.remove(&oldest);
        }
    }

    pub(super) fn leave(&mut self, worker: &WorkerId) {
        self.workers.remove(worker.as_str());
    }

    pub(super) fn workers(&self, now_ms: u64) -> Vec<SeenWorker> {
        let present = self.workers.values();
        let present = present.filter(|seen| seen.seen_ms + PRESENT_MS >= now_ms);
        let mut present: Vec<_> = present.cloned().collect();
        present.sort_by(|a, b| {
            let key = |seen: &SeenWorker| (seen.seen_ms, seen.about.worker.clone());
            key(a).cmp(&key(b))
        });
        present
    }

    pub(super) fn kind_seen_ms(&self, kind: &str) -> u64 {
        self.kinds.get(kind).copied().unwrap_or_default()
    }
}

fn oldest<T>(of: &HashMap<String, T>, seen_ms: impl Fn(&T) -> u64) -> Option<String> {
    let entries = of.iter().map(|(name, seen)| (seen_ms(seen), name));
    entries.min().map(|(_, name)| name.clone())
}
