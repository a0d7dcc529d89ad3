//! Random numbers that a seed repeats.

use std::hash::{BuildHasher as _, RandomState};

/// Whether the long variants run.
pub(crate) fn is_long_run() -> bool {
    std::env::var_os("DOWNCITY_LONG_TESTS").is_some_and(|value| value == "1")
}

/// The numbers of one run, or of one client in it.
#[derive(Clone)]
pub(crate) struct Random(u64);

impl Random {
    /// The seed of `DOWNCITY_TEST_SEED`, or a new one.
    pub(crate) fn seed() -> u64 {
        std::env::var("DOWNCITY_TEST_SEED")
            .ok()
            .map(|seed| seed.parse().expect("DOWNCITY_TEST_SEED is a number"))
            .unwrap_or_else(|| RandomState::new().hash_one(std::process::id()))
    }

    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A generator of its own for a part of the run.
    pub(crate) fn fork(&mut self) -> Self {
        Self(self.next())
    }

    /// The next number (SplitMix64).
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// An index of a list of this length.
    pub(crate) fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).expect("it fits, as the length does")
    }

    /// True once in `of` times.
    pub(crate) fn one_in(&mut self, of: u64) -> bool {
        self.below(of) == 0
    }
}
