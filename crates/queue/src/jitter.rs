//! Chance, for pauses that must not fall together.
use std::time::Duration;

/// Returns a number from 0.0 up to 1.0, another at each call.
pub(crate) fn fraction() -> f64 {
    let random = (ulid::Ulid::generate().random() & u128::from(u32::MAX)).to_le_bytes();
    let low = u32::from_le_bytes([random[0], random[1], random[2], random[3]]);
    f64::from(low) / f64::from(u32::MAX)
}

/// Growing pauses between tries of something that must succeed: 0.1 s, doubling to 2 s, each
/// shortened by chance to between half and all of it.
#[derive(Debug)]
pub(crate) struct Patience {
    next: Duration,
}

impl Patience {
    const FIRST: Duration = Duration::from_millis(100);
    const LONGEST: Duration = Duration::from_secs(2);

    /// Starts with the shortest pause.
    pub(crate) fn new() -> Self {
        Self { next: Self::FIRST }
    }

    /// Returns the pause to take now; the one after it is longer.
    pub(crate) fn pause(&mut self) -> Duration {
        let pause = self.next.mul_f64(0.5 + fraction() / 2.0);
        self.next = (self.next * 2).min(Self::LONGEST);
        pause
    }

    /// Returns to the shortest pause.
    pub(crate) fn reset(&mut self) {
        self.next = Self::FIRST;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_two_seconds_and_differ() {
        let mut patience = Patience::new();
        let pauses: Vec<_> = (0..20).map(|_| patience.pause()).collect();
        assert!(pauses[0] <= Duration::from_millis(100));
        assert!(pauses[19] >= Duration::from_secs(1) && pauses[19] <= Patience::LONGEST);
        assert!(pauses[10..].windows(2).any(|two| two[0] != two[1]));
        patience.reset();
        assert!(patience.pause() <= Duration::from_millis(100));
    }
}
