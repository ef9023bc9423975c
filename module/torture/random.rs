// SPDX-License-Identifier: GPL-2.0-only

//! A thread's random numbers.

/// Marsaglia's xorshift64*.
pub(crate) struct Random(u64);

impl Random {
    /// The sequence number `index`.
    pub(crate) fn new(index: usize) -> Self {
        Self((index as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// A number below `bound`, which is neither zero nor above `1 << 32`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32;
        // As `number % bound`, but without dividing (Lemire).
        number.wrapping_mul(bound) >> 32
    }

    /// True once in `n` times.
    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}
