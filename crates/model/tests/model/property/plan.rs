//! How a registry is collected: the flags, and everything that must make no difference.
use proptest::prelude::*;
use quayhand_model::gc::{Quota, Rules};

use super::{oracle::Mode, registry::NOW_MS};

/// What is drawn beside the registry.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) immutable_stays: bool,
    pub(super) quota: Quota,
    pub(super) stages: Vec<Stage>,
    /// Rows a batch takes.
    pub(super) at_most: u32,
    /// Batches that run side by side.
    pub(super) lanes: usize,
    /// Repositories come one at a time instead of all in one batch.
    pub(super) is_alone: bool,
    /// Decides which repository comes first.
    pub(super) shuffle: u64,
}

/// One thing that is done to a registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// What expires goes.
    Expiry,
    /// Repositories that are marked for deletion go.
    Repositories,
    /// Deleted namespaces go.
    Namespaces,
    /// All three, side by side.
    Together,
    /// What nothing leads to goes.
    Leaks,
}

impl Plan {
    pub(super) fn any() -> impl Strategy<Value = Self> {
        let subtract = |suppress_failures| Quota::Subtract { suppress_failures };
        let quotas = vec![Quota::Keep, Quota::Reset, subtract(false), subtract(true)];
        let stages = vec![Stage::Expiry, Stage::Repositories, Stage::Namespaces];
        let stages = prop_oneof![
            1 => Just(stages.clone()).prop_shuffle(),
            1 => Just(stages).prop_shuffle().prop_map(with_leaks),
            1 => Just(with_leaks(vec![Stage::Together])),
        ];
        (
            any::<bool>(),
            prop::sample::select(quotas),
            stages,
            prop::sample::select(vec![1, 7, 50, 1_000]),
            1..3_usize,
            any::<bool>(),
            0..1_000_u64,
        )
            .prop_map(
                |(immutable_stays, quota, stages, at_most, lanes, is_alone, shuffle)| Self {
                    immutable_stays,
                    quota,
                    stages,
                    at_most,
                    lanes,
                    is_alone,
                    shuffle,
                },
            )
    }

    /// The same for the collector ..
    pub(super) fn rules(&self) -> Rules {
        Rules {
            immutable_stays: self.immutable_stays,
            quota: self.quota,
            as_of_ms: Some(NOW_MS),
            ..Rules::default()
        }
    }

    /// .. and for the slow reading.
    pub(super) fn mode(&self) -> Mode {
        Mode {
            immutable_stays: self.immutable_stays,
            subtracts: matches!(self.quota, Quota::Subtract { .. }),
            resets: self.quota == Quota::Reset,
            without: None,
        }
    }

    /// Puts repositories into some order and deals them: each hand is for a connection, each
    /// list in it for batches.
    pub(super) fn deal(&self, mut repositories: Vec<i64>) -> Vec<Vec<Vec<i64>>> {
        let place = |id: &i64| id.unsigned_abs().wrapping_mul(2 * self.shuffle + 1) % 1_009;
        repositories.sort_by_key(place);
        let hand = |lane| -> Vec<i64> {
            let mine = repositories.iter().skip(lane).step_by(self.lanes);
            mine.copied().collect()
        };
        let lists = |hand: Vec<i64>| {
            if self.is_alone {
                hand.into_iter().map(|id| vec![id]).collect()
            } else {
                vec![hand]
            }
        };
        (0..self.lanes).map(hand).map(lists).collect()
    }
}

/// Ends with a sweep of the leaks, which takes what the stages before it left.
fn with_leaks(mut stages: Vec<Stage>) -> Vec<Stage> {
    stages.push(Stage::Leaks);
    stages
}
