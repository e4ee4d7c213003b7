//! Who suffers from a batch, and from where on that counts.
use std::{fmt, time::Duration};

use quayhand_model::pressure::Lag;

/// Says what slows a collector down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PaceLimits {
    /// Off: nothing slows it down.
    pub enabled: bool,
    /// The database is slow when as many tags as the smallest batch has take longer than
    /// this; `None` never.
    pub slow_batch: Option<Duration>,
    /// A replica lags when its last measurement is above this; `None` never.
    pub replica_lag: Option<Duration>,
    /// A replica lags when it has more than this many MiB of the log to apply; 0 never.
    pub replica_lag_mib: u64,
    /// The longest pause after one batch. Zero pauses never.
    pub longest_pause: Duration,
}

impl Default for PaceLimits {
    /// The defaults of `config/quayhand.toml`.
    fn default() -> Self {
        Self {
            enabled: true,
            slow_batch: Some(Duration::from_secs(1)),
            replica_lag: Some(Duration::from_secs(10)),
            replica_lag_mib: 1_024,
            longest_pause: Duration::from_secs(5),
        }
    }
}

/// Says who suffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// A batch took this long.
    Slow(Duration),
    /// A replica is this far behind.
    Lags(Duration),
    /// A replica has so many MiB of the log to apply.
    Behind(u64),
    /// So many sessions wait for locks of a batch.
    Blocks(u64),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Slow(took) => write!(f, "the database is slow, a batch took {took:.1?}"),
            Self::Lags(lag) => write!(f, "a replica lags {:.0} s", lag.as_secs_f64()),
            Self::Behind(mib) => write!(f, "a replica has {mib} MiB of the log to apply"),
            Self::Blocks(1) => f.write_str("a session waits for our locks"),
            Self::Blocks(n) => write!(f, "{n} sessions wait for our locks"),
        }
    }
}

impl Reason {
    /// Returns the reason of one batch, if there is one; people come first.
    pub(super) fn of(limits: &PaceLimits, batch: &Observed, lag: Option<Lag>) -> Option<Self> {
        if batch.blocked > 0 {
            return Some(Self::Blocks(batch.blocked));
        }
        let lag = lag.unwrap_or_default();
        let (behind, mib) = (Duration::from_millis(lag.ms), lag.bytes >> 20);
        if limits.replica_lag.is_some_and(|limit| behind > limit) {
            return Some(Self::Lags(behind));
        }
        if limits.replica_lag_mib > 0 && mib > limits.replica_lag_mib {
            return Some(Self::Behind(mib));
        }
        let slow = limits.slow_batch.is_some_and(|limit| batch.took > limit);
        slow.then_some(Self::Slow(batch.took))
    }
}

/// What a batch showed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Observed {
    /// What as many tags as the smallest batch has would have taken at its rate.
    pub(crate) took: Duration,
    /// Sessions that waited for it at its end; 0 when nobody asked.
    pub(crate) blocked: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(change: impl FnOnce(&mut PaceLimits, &mut Observed, &mut Lag)) -> Option<String> {
        let (mut limits, mut batch, mut lag) = Default::default();
        change(&mut limits, &mut batch, &mut lag);
        Reason::of(&limits, &batch, Some(lag)).map(|reason| reason.to_string())
    }

    #[test]
    fn each_limit_has_two_sides() {
        assert_eq!(reason(|_, _, _| ()), None);
        assert_eq!(
            reason(|_, batch, _| batch.took = Duration::from_secs(1)),
            None
        );
        let slow = reason(|_, batch, _| batch.took = Duration::from_millis(1_500));
        assert_eq!(slow.unwrap(), "the database is slow, a batch took 1.5s");
        assert_eq!(reason(|_, _, lag| lag.ms = 10_000), None);
        let lags = reason(|_, _, lag| lag.ms = 12_000);
        assert_eq!(lags.unwrap(), "a replica lags 12 s");
        assert_eq!(reason(|_, _, lag| lag.bytes = 1_024 << 20), None);
        let behind = reason(|_, _, lag| lag.bytes = 1_025 << 20);
        assert_eq!(
            behind.unwrap(),
            "a replica has 1025 MiB of the log to apply"
        );
        let blocks = reason(|_, batch, _| batch.blocked = 2);
        assert_eq!(blocks.unwrap(), "2 sessions wait for our locks");
    }

    #[test]
    fn each_limit_can_be_taken_away() {
        let all = |limits: &mut PaceLimits, batch: &mut Observed, lag: &mut Lag| {
            (
                limits.slow_batch,
                limits.replica_lag,
                limits.replica_lag_mib,
            ) = (None, None, 0);
            batch.took = Duration::from_mins(1);
            (lag.ms, lag.bytes) = (u64::MAX, u64::MAX);
        };
        assert_eq!(reason(all), None);
    }
}
