//! The locks that this process holds now, for operators.
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Lists holds for as long as they live. Cheap to clone; clones share one list.
#[derive(Clone, Debug, Default)]
pub(super) struct Table(Arc<Mutex<Rows>>);

#[derive(Debug, Default)]
struct Rows {
    last: u64,
    by_number: BTreeMap<u64, (String, Instant)>,
}

/// One line of the table; it goes when this is dropped.
#[derive(Debug)]
pub(super) struct Row {
    table: Table,
    number: u64,
}

impl Table {
    /// Adds a lock that is held since `since`.
    pub(super) fn add(&self, name: &str, since: Instant) -> Row {
        let mut rows = self.lock();
        rows.last += 1;
        let number = rows.last;
        rows.by_number.insert(number, (name.to_owned(), since));
        let table = self.clone();
        Row { table, number }
    }

    /// Lists names and ages, the oldest first.
    pub(super) fn list(&self) -> Vec<(String, Duration)> {
        let rows = self.lock();
        let rows = rows.by_number.values();
        rows.map(|(name, since)| (name.clone(), since.elapsed()))
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, Rows> {
        // Nothing that can panic runs under this lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Row {
    fn drop(&mut self) {
        self.table.lock().by_number.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_listed_while_it_is_held() {
        let table = Table::default();
        let (one, two) = (
            table.add("ONE", Instant::now()),
            table.clone().add("TWO", Instant::now()),
        );
        let names = || -> Vec<String> { table.list().into_iter().map(|(name, _)| name).collect() };
        assert_eq!(names(), ["ONE", "TWO"]);
        drop(one);
        assert_eq!(names(), ["TWO"]);
        drop(two);
        assert!(names().is_empty());
    }
}
