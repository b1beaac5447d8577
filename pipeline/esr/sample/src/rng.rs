//! The pseudo-random numbers of the sample data: splitmix64, so that a seed produces the same bytes on every machine
//! and with every version of every library.

/// A splitmix64 sequence.
#[derive(Debug, Clone)]
pub(crate) struct Rng(u64);

impl Rng {
    /// A sequence that depends only on `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number in `0..limit`. 0 for an empty range.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        ((u128::from(self.next()) * limit as u128) >> 64) as usize
    }

    /// A day offset in `from..=to`.
    pub(crate) fn day(&mut self, from: i32, to: i32) -> i32 {
        from + self.below((to - from + 1).max(0) as usize) as i32
    }

    /// True in `per_mille` of 1,000 cases.
    pub(crate) fn chance(&mut self, per_mille: usize) -> bool {
        self.below(1000) < per_mille
    }

    /// A random entry of a list that is not empty.
    pub(crate) fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }

    /// Moves `count` random entries of `list` to its front (a partial Fisher-Yates shuffle) and drops the other
    /// entries.
    pub(crate) fn choose(&mut self, mut list: Vec<u32>, count: usize) -> Vec<u32> {
        let count = count.min(list.len());
        for i in 0..count {
            let j = i + self.below(list.len() - i);
            list.swap(i, j);
        }
        list.truncate(count);
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splitmix64_reference_values() {
        let mut rng = Rng::new(1_234_567);
        assert_eq!(rng.next(), 6_457_827_717_110_365_317);
        assert_eq!(rng.next(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn choose_takes_distinct_entries() {
        let mut chosen = Rng::new(1).choose((0..50).collect(), 20);
        chosen.sort_unstable();
        chosen.dedup();
        assert_eq!(chosen.len(), 20);
    }
}
