//! What is leased: jobs that one fetch took share one lease, as in Redis the set `leases:<token>`.
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// The leases of one queue.
#[derive(Default)]
pub(super) struct Leases {
    held: BTreeMap<Arc<str>, Held>,
    /// Tokens by the end of their lease, in milliseconds since the Unix epoch.
    ends: BTreeSet<(u64, Arc<str>)>,
}

/// Jobs that are held under one token, at least one.
struct Held {
    ends_ms: u64,
    ids: BTreeSet<String>,
}

impl Leases {
    /// Puts a job under a token whose lease ends then.
    pub(super) fn add(&mut self, token: &Arc<str>, id: &str, ends_ms: u64) {
        let fresh = || Held {
            ends_ms,
            ids: BTreeSet::new(),
        };
        let held = self.held.entry(Arc::clone(token)).or_insert_with(fresh);
        held.ids.insert(id.to_owned());
        self.ends.insert((ends_ms, Arc::clone(token)));
    }

    /// Takes a job from under its token; the lease goes with the last one.
    pub(super) fn remove(&mut self, token: &Arc<str>, id: &str) {
        let Some(held) = self.held.get_mut(token) else {
            return;
        };
        held.ids.remove(id);
        if held.ids.is_empty() {
            self.ends.remove(&(held.ends_ms, Arc::clone(token)));
            self.held.remove(token);
        }
    }

    /// Lets a lease end later, for all that it holds.
    pub(super) fn renew(&mut self, token: &Arc<str>, ends_ms: u64) {
        if let Some(held) = self.held.get_mut(token) {
            self.ends.remove(&(held.ends_ms, Arc::clone(token)));
            held.ends_ms = ends_ms;
            self.ends.insert((ends_ms, Arc::clone(token)));
        }
    }

    /// When the lease under this token ends.
    pub(super) fn ends_ms(&self, token: &str) -> Option<u64> {
        self.held.get(token).map(|held| held.ends_ms)
    }

    /// When the first lease ends.
    pub(super) fn first_end_ms(&self) -> Option<u64> {
        self.ends.first().map(|(ends_ms, _)| *ends_ms)
    }

    /// How many jobs are leased.
    pub(super) fn len(&self) -> usize {
        self.held.values().map(|held| held.ids.len()).sum()
    }

    /// Lists tokens that begin like this.
    pub(super) fn tokens(&self, prefix: &str) -> Vec<Arc<str>> {
        let tokens = self.held.keys();
        tokens
            .filter(|token| token.starts_with(prefix))
            .cloned()
            .collect()
    }

    /// Lists every leased job by the end of its lease.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &String)> {
        self.ends.iter().flat_map(|(ends_ms, token)| {
            let ids = self.held.get(token).into_iter().flat_map(|held| &held.ids);
            ids.map(|id| (*ends_ms, id))
        })
    }

    /// Lists the jobs under one token.
    pub(super) fn under(&self, token: &str) -> Vec<String> {
        let held = self.held.get(token);
        held.map(|held| held.ids.iter().cloned().collect())
            .unwrap_or_default()
    }
}
