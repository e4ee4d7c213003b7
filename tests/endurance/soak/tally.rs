//! What happened, counted by kind, and what must not happen.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

/// Failures that are kept with their words; more are only counted.
const KEPT: usize = 20;

/// Counts of everything; shared by all tasks of a soak.
#[derive(Default)]
pub(super) struct Tally(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    kinds: BTreeMap<&'static str, u64>,
    failed: u64,
    failures: Vec<String>,
}

impl Tally {
    /// Counts something that may happen.
    pub(super) fn add(&self, kind: &'static str) {
        *self.lock().kinds.entry(kind).or_default() += 1;
    }

    /// Notes something that must not happen.
    pub(super) fn fail(&self, failure: String) {
        let mut counts = self.lock();
        counts.failed += 1;
        if counts.failures.len() < KEPT {
            counts.failures.push(failure);
        }
    }

    /// Returns how often a kind was counted.
    pub(super) fn of(&self, kind: &str) -> u64 {
        self.lock().kinds.get(kind).copied().unwrap_or(0)
    }

    /// Returns how often something failed.
    pub(super) fn failed(&self) -> u64 {
        self.lock().failed
    }

    /// Prints every count, a kind a line.
    pub(super) fn show(&self) {
        for (kind, count) in &self.lock().kinds {
            println!("  {count:>8}  {kind}");
        }
    }

    /// Insists that nothing failed.
    pub(super) fn expect_no_failure(&self) {
        let Counts {
            failed, failures, ..
        } = &*self.lock();
        assert_eq!(*failed, 0, "failures: {failures:#?}");
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Counts> {
        // A task that panicked has counted completely or not at all.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
