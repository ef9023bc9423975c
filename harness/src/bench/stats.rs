// SPDX-License-Identifier: GPL-2.0-only
//! What a few rounds say, and whether two sets of them differ.

/// Medians and quartiles of values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Summary {
    pub(super) median: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Summary {
    /// Of some values; nothing of none.
    pub(super) fn of(values: &[f64]) -> Option<Summary> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        Some(Summary {
            median: quantile(&sorted, 0.5)?,
            low: quantile(&sorted, 0.25)?,
            high: quantile(&sorted, 0.75)?,
        })
    }

    /// From the first to the third quartile, as a part of the median.
    pub(super) fn spread(&self) -> f64 {
        match self.median == 0.0 {
            true => 0.0,
            false => (self.high - self.low) / self.median,
        }
    }
}

/// Between the two nearest of sorted values, in proportion; nothing of none.
pub(super) fn quantile(sorted: &[f64], part: f64) -> Option<f64> {
    let at = part * sorted.len().checked_sub(1)? as f64;
    let (below, above) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    Some(below + (above - below) * at.fract())
}

/// How likely two sets of values come out as different as these, or more, if they are
/// of one kind: the Mann-Whitney U test, of both sides, exact also where values are
/// equal. It goes by order alone, so no distribution is assumed, and a few values far
/// off do little.
pub(super) fn mann_whitney(a: &[f64], b: &[f64]) -> f64 {
    let ranks = doubled_ranks(a, b);
    let sum_a: usize = ranks[..a.len()].iter().sum();
    let all: usize = ranks.iter().sum();
    // Of each way to choose as many ranks as `a` has: their sum.
    let ways = sums(&ranks, a.len(), all);
    // The mean of the sums, times the number of values, so that it is whole.
    let (count, mean) = (ranks.len(), all * a.len());
    let distance = (sum_a * count).abs_diff(mean);
    let as_far: f64 = (0..=all)
        .filter(|sum| (sum * count).abs_diff(mean) >= distance)
        .map(|sum| ways[sum])
        .sum();
    let total: f64 = ways.iter().sum();
    (as_far / total).min(1.0)
}

/// The rank of each value of both, times two; equal ones share theirs.
fn doubled_ranks(a: &[f64], b: &[f64]) -> Vec<usize> {
    let all: Vec<f64> = a.iter().chain(b).copied().collect();
    let rank = |value: &f64| {
        let below = all.iter().filter(|other| *other < value).count();
        let equal = all.iter().filter(|other| *other == value).count();
        2 * below + equal + 1
    };
    all.iter().map(rank).collect()
}

/// In how many ways `count` of the ranks add up to each sum.
fn sums(ranks: &[usize], count: usize, most: usize) -> Vec<f64> {
    let mut ways = vec![vec![0.0; most + 1]; count + 1];
    ways[0][0] = 1.0;
    for &rank in ranks {
        for chosen in (1..=count).rev() {
            for sum in (rank..=most).rev() {
                ways[chosen][sum] += ways[chosen - 1][sum - rank];
            }
        }
    }
    ways.swap_remove(count)
}

/// The probability that [`mann_whitney`] gives at least, with so many values.
pub(super) fn least_probability(a: usize, b: usize) -> f64 {
    // Two of all the ways to choose the values of one set: all below, all above.
    let ways = (1..=a).fold(1.0, |ways, n| ways * (b + n) as f64 / n as f64);
    (2.0 / ways).min(1.0)
}

/// Benjamini and Hochberg: adjusts probabilities for their number, so that of all that
/// are below a limit then no more than that part is expected to be chance.
pub(super) fn adjusted(probabilities: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..probabilities.len()).collect();
    order.sort_by(|&a, &b| probabilities[b].total_cmp(&probabilities[a]));
    let mut adjusted = vec![1.0; probabilities.len()];
    let mut least = 1.0_f64;
    for (greater, &index) in order.iter().enumerate() {
        let rank = probabilities.len() - greater;
        least = least.min(probabilities[index] * probabilities.len() as f64 / rank as f64);
        adjusted[index] = least;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    #[test]
    fn quartiles_are_between_values() {
        let summary = Summary::of(&[4.0, 1.0, 3.0, 2.0]).unwrap();
        assert_eq!(
            (summary.median, summary.low, summary.high),
            (2.5, 1.75, 3.25)
        );
        assert_eq!(summary.spread(), 0.6);
        assert_eq!(Summary::of(&[]), None);
        assert_eq!(Summary::of(&[7.0]).map(|one| one.spread()), Some(0.0));
    }

    /// Values of the tables, and of R's wilcox.test(exact = TRUE).
    #[test]
    fn probabilities_are_those_of_the_tables() {
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-9, "{a} {b}");
        close(mann_whitney(&[1.0, 2.0, 3.0], &[4.0, 5.0, 6.0]), 0.1);
        close(mann_whitney(&[1.0, 2.0, 4.0], &[3.0, 5.0, 6.0]), 0.2);
        let (low, high): (Vec<_>, Vec<_>) =
            (0..8).map(|n| (f64::from(n), f64::from(n + 8))).unzip();
        close(mann_whitney(&low, &high), 2.0 / 12870.0);
        close(mann_whitney(&high, &low), least_probability(8, 8));
        close(mann_whitney(&[1.0, 1.0], &[1.0, 1.0]), 1.0);
    }

    /// Of equal sets no more than that part seems to differ, and of sets that do differ
    /// nearly all.
    #[test]
    fn chance_is_called_chance_and_a_shift_a_shift() {
        let mut rng = Rng::new(4, 4);
        // Sum of three: a bell, with a deviation of a tenth of its mean.
        let mut value = || {
            1.0 + (0..3)
                .map(|_| rng.below(1000) as f64 / 5000.0 - 0.1)
                .sum::<f64>()
        };
        let (mut false_alarms, mut found) = (0, 0);
        for _ in 0..200 {
            let a: Vec<f64> = (0..12).map(|_| value()).collect();
            let b: Vec<f64> = (0..12).map(|_| value()).collect();
            let slower: Vec<f64> = b.iter().map(|value| value * 0.8).collect();
            false_alarms += u32::from(mann_whitney(&a, &b) < 0.05);
            found += u32::from(mann_whitney(&a, &slower) < 0.05);
        }
        assert!(false_alarms <= 20, "{false_alarms} of 200");
        assert!(found >= 180, "{found} of 200");
    }

    #[test]
    fn probabilities_are_adjusted_for_their_number() {
        let close = |a: &[f64], b: &[f64]| {
            let same = a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12);
            assert!(same && a.len() == b.len(), "{a:?} {b:?}");
        };
        close(
            &adjusted(&[0.01, 0.04, 0.03, 0.5]),
            &[0.04, 0.16 / 3.0, 0.16 / 3.0, 0.5],
        );
        close(&adjusted(&[0.02]), &[0.02]);
        close(&adjusted(&[]), &[]);
    }
}
