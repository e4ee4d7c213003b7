//! The registries, and what is expected of each.
use super::way::{Caller, Way};

/// A registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    /// A real Quay's database, before its own collector ran.
    Golden,
    /// About 200,000 rows.
    Small,
    /// Half of the large one.
    Half,
    /// About 3,800,000 rows.
    Large,
}

impl Size {
    pub(crate) const ALL: [Self; 4] = [Self::Golden, Self::Small, Self::Half, Self::Large];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Golden => "golden",
            Self::Small => "small",
            Self::Half => "half",
            Self::Large => "large",
        }
    }

    /// Tags to generate; about nine rows each.
    pub(crate) const fn tags(self) -> u32 {
        match self {
            Self::Golden => 0,
            Self::Small => 22_500,
            Self::Half => 213_000,
            Self::Large => 426_000,
        }
    }

    /// Tells whether a way runs at this size. On a real Quay's database the daemon purges
    /// deleted repositories as well: its time would be no comparison.
    pub(crate) fn takes(self, way: Way) -> bool {
        match self {
            Self::Golden => way.caller != Caller::Daemon,
            Self::Half => way.caller != Caller::Daemon && !way.bounced,
            Self::Small | Self::Large => true,
        }
    }

    /// The time a way may take, as a share of the hand-written transaction's.
    pub(crate) fn target(self, way: Way) -> Option<f64> {
        match (self, way.caller, way.connections) {
            (_, Caller::Hand, _) | (Self::Golden | Self::Half, ..) => None,
            (Self::Small, _, 0) if !way.bounced => Some(1.0),
            (Self::Large, _, 0) if !way.bounced => Some(0.8),
            (Self::Large, _, 1) => Some(1.35),
            _ => None,
        }
    }
}
