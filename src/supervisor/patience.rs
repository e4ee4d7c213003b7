//! Growing pauses between tries of something that must succeed in the end.
use std::{
    hash::{BuildHasher as _, RandomState},
    time::Duration,
};

use quayhand_queue::Backoff;

/// Remembers how often something failed in a row.
#[derive(Clone, Debug)]
pub(crate) struct Patience {
    backoff: Backoff,
    failures: u32,
}

impl Patience {
    /// Starts with a pause of `first`, doubling up to `longest`, each shortened by chance to
    /// between half and all of it.
    pub(crate) fn new(first: Duration, longest: Duration) -> Self {
        Self {
            backoff: Backoff { first, longest },
            failures: 0,
        }
    }

    /// Notes a failure and returns the pause to take now.
    pub(crate) fn pause(&mut self) -> Duration {
        self.failures = self.failures.saturating_add(1);
        self.backoff.pause(self.failures, chance())
    }

    /// Notes a success.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}

/// Returns a number from 0.0 up to 1.0, another at each call.
fn chance() -> f64 {
    let random = RandomState::new().hash_one(0) & u64::from(u32::MAX);
    u32::try_from(random).map_or(0.5, |random| f64::from(random) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_differ_and_begin_again_after_a_success() {
        let longest = Duration::from_secs(30);
        let mut patience = Patience::new(Duration::from_millis(100), longest);
        let pauses: Vec<_> = (0..20).map(|_| patience.pause()).collect();
        assert!(pauses[0] <= Duration::from_millis(100));
        assert!(
            pauses[10..]
                .iter()
                .all(|pause| *pause >= longest / 2 && *pause <= longest)
        );
        assert!(pauses[10..].windows(2).any(|two| two[0] != two[1]));
        patience.reset();
        assert!(patience.pause() <= Duration::from_millis(100));
    }
}
