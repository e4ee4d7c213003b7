//! Dice that fall the same way for the same seed, on every machine and in every version.

use std::ops::RangeInclusive;

/// The `SplitMix64` generator: small, fast, good enough for fixtures.
#[derive(Debug)]
pub(super) struct Random {
    state: u64,
}

impl Random {
    /// Starts the sequence of a seed.
    pub(super) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// Throws 64 bits.
    pub(super) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// Throws a number of a range; its low end when the range is empty.
    pub(super) fn within(&mut self, range: RangeInclusive<u64>) -> u64 {
        let (low, high) = range.into_inner();
        let count = high.saturating_sub(low).saturating_add(1);
        low + self.next() % count
    }

    /// Throws a number below a bound; 0 when the bound is 0.
    pub(super) fn index(&mut self, bound: usize) -> usize {
        let number = self.next() % bound.max(1) as u64;
        usize::try_from(number).unwrap_or(0) // it is below a usize
    }

    /// Throws an element of a slice.
    ///
    /// # Panics
    /// When the slice is empty.
    pub(super) fn pick<'a, T>(&mut self, elements: &'a [T]) -> &'a T {
        &elements[self.index(elements.len())]
    }

    /// Says yes with a probability.
    pub(super) fn chance(&mut self, probability: f64) -> bool {
        let [a, b, c, d, ..] = self.next().to_be_bytes();
        f64::from(u32::from_be_bytes([a, b, c, d])) < probability * 4_294_967_296.0
    }

    /// Throws a uuid of version 4.
    pub(super) fn uuid(&mut self) -> String {
        let bits = (u128::from(self.next()) << 64) | u128::from(self.next());
        let versioned = bits & !(0xf000 << 64) & !(0xc000 << 48) | (0x4000 << 64) | (0x8000 << 48);
        let hex = format!("{versioned:032x}");
        let parts = [
            &hex[..8],
            &hex[8..12],
            &hex[12..16],
            &hex[16..20],
            &hex[20..],
        ];
        parts.join("-")
    }
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn falls_the_same_way() {
        let mut random = Random::new(7);
        let first = [random.next(), random.next()];
        assert_eq!(first, [7_191_089_600_892_374_487, 309_689_372_594_955_804]);
        assert_eq!(Random::new(7).next(), first[0]);
        let uuid = random.uuid();
        assert_eq!((uuid.len(), &uuid[14..15]), (36, "4"));
    }

    #[test]
    fn keeps_its_odds() {
        let mut random = Random::new(1);
        let yes = (0..10_000).filter(|_| random.chance(0.25)).count();
        assert!((2_300..2_700).contains(&yes), "{yes}");
        assert!(!random.chance(0.0) && random.chance(1.0));
        assert!((0..100).all(|_| (3..=5).contains(&random.within(3..=5))));
    }
}
