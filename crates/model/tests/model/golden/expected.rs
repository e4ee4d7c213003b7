//! What must be left of a golden state: what Quay left, but for what was marked for deletion.
use std::collections::{BTreeMap, BTreeSet};

use quayhand_testkit::golden::RowKey;

use super::subject::{Object, SHARED, Subject};

/// What must be left, by what Quay left and what is marked for deletion.
pub(super) struct Expected {
    pub(super) before: BTreeSet<RowKey>,
    /// Rows that hang on one repository each which is not marked, as Quay left them.
    owned: BTreeSet<RowKey>,
    /// The tables of those rows, and whose rows they were.
    owners: BTreeMap<RowKey, i64>,
    marked: BTreeSet<i64>,
    quay: BTreeSet<RowKey>,
}

impl Expected {
    pub(super) async fn of(subject: &Subject) -> Self {
        let (owners, marked) = (subject.owners().await, subject.marked().await);
        let quay = subject.golden.rows_after().unwrap();
        let mut expected = Self {
            before: subject.rows().await,
            owned: BTreeSet::new(),
            owners,
            marked,
            quay,
        };
        expected.owned = expected.owned_of(&expected.quay);
        expected
    }

    /// Picks the rows that hang on a repository which is not marked.
    fn owned_of(&self, rows: &BTreeSet<RowKey>) -> BTreeSet<RowKey> {
        let ours = |row: &&RowKey| {
            let owner = self.owners.get(*row);
            owner.is_some_and(|owner| !self.marked.contains(owner))
        };
        rows.iter().filter(ours).cloned().collect()
    }

    /// Checks every row of the database, its totals and what its tombstones allow.
    pub(super) async fn check(&self, subject: &Subject, run: &str) -> BTreeSet<Object> {
        let ours = subject.rows().await;
        let owned = self.owned_of(&ours);
        assert_eq!(
            differences(&owned, &self.owned),
            [],
            "{run}: rows of repositories"
        );
        let of_tables = |rows: &BTreeSet<RowKey>| -> BTreeSet<RowKey> {
            let shared = |row: &&RowKey| SHARED.contains(&row.0.as_str());
            rows.iter().filter(shared).cloned().collect()
        };
        let (shared, quay) = (of_tables(&ours), of_tables(&self.quay));
        let lost: Vec<_> = quay.difference(&shared).collect();
        assert!(lost.is_empty(), "{run}: Quay kept {lost:?}");
        let kept: BTreeSet<_> = shared.difference(&quay).cloned().collect();
        let held = subject.held_by_marked().await;
        let leaked: Vec<_> = kept.difference(&held).collect();
        assert!(leaked.is_empty(), "{run}: nobody holds {leaked:?}");
        self.check_others(&ours, run);
        check_totals(subject, &self.marked, run).await;
        check_objects(subject, &kept, run).await
    }

    /// Checks that no other table lost or got a row, nor a marked repository any of its own.
    fn check_others(&self, ours: &BTreeSet<RowKey>, run: &str) {
        let other = |row: &&RowKey| {
            let owner = self.owners.get(*row);
            !SHARED.contains(&row.0.as_str())
                && owner.is_none_or(|owner| self.marked.contains(owner))
        };
        let before: BTreeSet<_> = self.before.iter().filter(other).cloned().collect();
        let after: BTreeSet<_> = ours.iter().filter(other).cloned().collect();
        assert_eq!(differences(&after, &before), [], "{run}: other tables");
    }
}

/// Checks the totals of what is not marked for deletion.
async fn check_totals(subject: &Subject, marked: &BTreeSet<i64>, run: &str) {
    let namespaces = subject.namespaces_of_marked().await;
    let ours = subject.quota().await;
    let quay = subject.golden.quota_after().unwrap();
    let differing: Vec<_> = ours.symmetric_difference(&quay).collect();
    for row in differing {
        let purged = match row.table.as_str() {
            "quotarepositorysize" => marked.contains(&row.id),
            "quotanamespacesize" => namespaces.contains(&row.id),
            _ => false,
        };
        assert!(purged, "{run}: total {row:?}");
    }
}

/// Checks that exactly those objects may be removed that Quay removed, less those of rows
/// that were kept for a marked repository.
async fn check_objects(subject: &Subject, kept: &BTreeSet<RowKey>, run: &str) -> BTreeSet<Object> {
    let placements = kept.iter().filter(|row| row.0 == "imagestorageplacement");
    let placements = placements.map(|row| row.1).collect();
    let theirs = subject.objects_of(&placements).await;
    let quay = subject.golden.storage_deleted().unwrap();
    let expected: BTreeSet<_> = quay.difference(&theirs).cloned().collect();
    let doomed = subject.doomed_objects().await;
    assert_eq!(differences(&doomed, &expected), [], "{run}: objects");
    assert!(!doomed.is_empty(), "{run}: nothing to remove at all");
    doomed
}

/// What is in one of two sets only, each with the side it is on.
pub(super) fn differences<T: Ord + Clone>(
    ours: &BTreeSet<T>,
    expected: &BTreeSet<T>,
) -> Vec<(char, T)> {
    let surplus = ours.difference(expected).map(|row| ('+', row.clone()));
    let missing = expected.difference(ours).map(|row| ('-', row.clone()));
    surplus.chain(missing).collect()
}
