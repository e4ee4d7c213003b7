//! Which manifests nothing refers to, once those that go are gone.
use std::collections::{BTreeMap, BTreeSet};

/// Says that `manifest` must stay as long as `by` is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reference {
    /// The manifest that is referred to.
    pub(super) manifest: i64,
    /// The list that contains it or the referrer that names it as its subject; `None`
    /// for a tag.
    pub(super) by: Option<i64>,
}

/// Returns the candidates that nothing refers to but other candidates that go.
///
/// Peels from the outside: what nothing refers to goes, then what only that referred to,
/// and so on. A cycle has no outside and stays, as it does with Quay, whose loop deletes a
/// manifest only once nothing refers to it (a manifest that is its own subject is the
/// smallest). Cost: linear in candidates and references.
pub(super) fn unreferenced(candidates: &BTreeSet<i64>, references: &[Reference]) -> Vec<i64> {
    let mut holders: BTreeMap<i64, usize> = candidates.iter().map(|id| (*id, 0)).collect();
    let mut held_by: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    for reference in references {
        if let Some(count) = holders.get_mut(&reference.manifest) {
            *count += 1;
            if let Some(by) = reference.by {
                held_by.entry(by).or_default().push(reference.manifest);
            }
        }
    }
    let mut gone: Vec<i64> = Vec::new();
    gone.extend(holders.iter().filter(|(_, n)| **n == 0).map(|(id, _)| id));
    let mut next = 0;
    while let Some(&id) = gone.get(next) {
        next += 1;
        for held in held_by.remove(&id).unwrap_or_default() {
            if let Some(count) = holders.get_mut(&held) {
                *count -= 1;
                if *count == 0 {
                    gone.push(held);
                }
            }
        }
    }
    gone
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn by(manifest: i64, by: i64) -> Reference {
        Reference {
            manifest,
            by: Some(by),
        }
    }

    fn gone(candidates: &[i64], references: &[Reference]) -> Vec<i64> {
        let mut gone = unreferenced(&candidates.iter().copied().collect(), references);
        gone.sort_unstable();
        gone
    }

    #[test]
    fn a_list_goes_with_its_children_unless_something_else_holds_them() {
        let tag = Reference {
            manifest: 3,
            by: None,
        };
        assert_eq!(gone(&[1, 2], &[by(2, 1)]), [1, 2]);
        assert_eq!(gone(&[1, 2, 3], &[by(2, 1), by(3, 1), tag]), [1, 2]);
        assert_eq!(gone(&[1, 2], &[by(2, 1), by(2, 9)]), [1]);
    }

    #[test]
    fn a_cycle_stays() {
        assert_eq!(gone(&[1], &[by(1, 1)]), [0_i64; 0]);
        assert_eq!(gone(&[1, 2, 3], &[by(1, 2), by(2, 1)]), [3]);
        assert_eq!(gone(&[1, 2, 3], &[by(1, 2), by(2, 1), by(1, 3)]), [3]);
    }

    proptest! {
        /// The peel equals Quay's loop: again and again, drop what nothing refers to.
        #[test]
        fn equals_a_loop_over_everything(
            candidates in prop::collection::btree_set(0_i64..12, 0..12),
            edges in prop::collection::vec((0_i64..12, prop::option::of(0_i64..14)), 0..30),
        ) {
            let references: Vec<_> = edges
                .into_iter()
                .map(|(manifest, by)| Reference { manifest, by })
                .collect();
            let mut left = candidates.clone();
            loop {
                let held = |id: i64| references.iter().any(|r| {
                    r.manifest == id
                        && r.by.is_none_or(|by| !candidates.contains(&by) || left.contains(&by))
                });
                let Some(free) = left.iter().copied().find(|id| !held(*id)) else { break };
                left.remove(&free);
            }
            let mut expected: Vec<_> = candidates.difference(&left).copied().collect();
            expected.sort_unstable();
            let mut found = unreferenced(&candidates, &references);
            found.sort_unstable();
            prop_assert_eq!(found, expected);
        }
    }
}
