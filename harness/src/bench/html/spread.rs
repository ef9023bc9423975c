// SPDX-License-Identifier: GPL-2.0-only
//! Median and quartiles of the rounds.

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
        let Some((&least, &most)) = sorted.first().zip(sorted.last()) else {
            return Spread::default();
        };
        Spread {
            rounds: sorted.len(),
            least,
            low: quantile(&sorted, 0.25),
            median: quantile(&sorted, 0.5),
            high: quantile(&sorted, 0.75),
            most,
        }
    }

    /// Whether the middle half of the rounds lies above all of the middle half of
    /// `other`. Fewer than three rounds say nothing about their spread.
    pub(super) fn clearly_above(&self, other: &Spread) -> bool {
        self.rounds >= 3 && other.rounds >= 3 && self.low > other.high
    }
}

/// Between the two nearest of the sorted values, in proportion.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let at = (sorted.len() - 1) as f64 * share;
    let below = sorted[at.floor() as usize];
    let above = sorted[at.ceil() as usize];
    below + (above - below) * at.fract()
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
