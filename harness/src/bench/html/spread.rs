// SPDX-License-Identifier: GPL-2.0-only
//! Median and quartiles of the rounds.

use crate::bench::stats::quantile;

/// How the figures of the rounds lie.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Spread {
    /// How many there are.
    pub(super) rounds: usize,
    pub(super) least: f64,
    /// First quartile.
    pub(super) low: f64,
    pub(super) median: f64,
    /// Third quartile.
    pub(super) high: f64,
    pub(super) most: f64,
}

impl Spread {
    /// Of those that are numbers; all zero if none is.
    pub(super) fn of(values: impl IntoIterator<Item = f64>) -> Spread {
        let mut sorted: Vec<f64> = values.into_iter().filter(|v| v.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        let at = |share| quantile(&sorted, share).unwrap_or_default();
        Spread {
            rounds: sorted.len(),
            least: at(0.0),
            low: at(0.25),
            median: at(0.5),
            high: at(0.75),
            most: at(1.0),
        }
    }

    /// Whether the middle half of the rounds lies above all of the middle half of
    /// `other`. Fewer than three rounds say nothing about their spread.
    pub(super) fn clearly_above(&self, other: &Spread) -> bool {
        self.rounds >= 3 && other.rounds >= 3 && self.low > other.high
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_lie_between_the_nearest_values() {
        let spread = Spread::of([4.0, 1.0, 3.0, 2.0]);
        assert_eq!((spread.low, spread.median, spread.high), (1.75, 2.5, 3.25));
        assert_eq!((spread.least, spread.most, spread.rounds), (1.0, 4.0, 4));
    }

    #[test]
    fn one_round_is_its_own_spread_and_none_is_zero() {
        let one = Spread::of([7.0]);
        assert_eq!((one.low, one.median, one.high), (7.0, 7.0, 7.0));
        assert_eq!(Spread::of([f64::NAN]), Spread::default());
    }

    #[test]
    fn only_spreads_that_do_not_overlap_are_told_apart() {
        let low = Spread::of([1.0, 2.0, 3.0]);
        let high = Spread::of([3.0, 4.0, 5.0]);
        assert!(high.clearly_above(&low) && !low.clearly_above(&high));
        assert!(!Spread::of([2.0, 3.0, 4.0]).clearly_above(&low));
        assert!(!Spread::of([9.0]).clearly_above(&low), "one round");
    }
}
