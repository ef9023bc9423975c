// SPDX-License-Identifier: GPL-2.0-only
//! Axes: where a value stands, and which values are marked.

/// What is written beside a mark.
pub(crate) type Label = (f64, String);

/// From values to places in a drawing.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Axis {
    kind: Kind,
    /// Where its least value stands, and where its largest.
    places: (f64, f64),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// From 0 to `steps` times `step`.
    Linear { step: f64, steps: u32 },
    /// From one power of ten to another, so that 0 is where the axis begins.
    Log { low: i32, high: i32 },
}

impl Axis {
    /// From 0 to a round value at or above `most`.
    pub(crate) fn linear(most: f64, places: (f64, f64)) -> Axis {
        let most = if most > 0.0 { most } else { 1.0 };
        let rough = most / 5.0;
        let power = 10f64.powf(rough.log10().floor());
        let found = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().map(|m| m * power);
        // What is above by an error of rounding is no reason for another step.
        let step = found.into_iter().find(|step| *step >= rough * (1.0 - 1e-9));
        let step = step.unwrap_or(10.0 * power);
        let steps = (most / step * (1.0 - 1e-9)).ceil().max(1.0) as u32;
        Axis {
            kind: Kind::Linear { step, steps },
            places,
        }
    }

    /// From the power of ten at or below `least` to that at or above `most`, both
    /// above 0.
    pub(crate) fn log(least: f64, most: f64, places: (f64, f64)) -> Axis {
        let low = least.log10().floor() as i32;
        let high = (most.log10().ceil() as i32).max(low + 1);
        Axis {
            kind: Kind::Log { low, high },
            places,
        }
    }

    /// From 0, but logarithmic if the values lie too far apart to be seen together.
    pub(crate) fn fitting(values: &[f64], places: (f64, f64)) -> Axis {
        let above = || values.iter().copied().filter(|value| *value > 0.0);
        let least = above().fold(f64::INFINITY, f64::min);
        let most = above().fold(0.0, f64::max);
        match most > 30.0 * least {
            true => Axis::log(least, most, places),
            false => Axis::linear(most, places),
        }
    }

    pub(crate) fn is_log(&self) -> bool {
        matches!(self.kind, Kind::Log { .. })
    }

    /// Where a value stands; at the end of the axis if it lies beyond.
    pub(crate) fn at(&self, value: f64) -> f64 {
        let share = match self.kind {
            Kind::Linear { step, steps } => value / (step * f64::from(steps)),
            Kind::Log { .. } if value <= 0.0 => 0.0,
            Kind::Log { low, high } => (value.log10() - f64::from(low)) / f64::from(high - low),
        };
        self.places.0 + (self.places.1 - self.places.0) * share.clamp(0.0, 1.0)
    }

    /// Values to be marked, as `plain` writes them.
    pub(crate) fn marks(&self, plain: fn(f64) -> String) -> Vec<Label> {
        match self.kind {
            Kind::Linear { step, steps } => (0..=steps)
                .map(|n| f64::from(n) * step)
                .map(|value| (value, plain(value)))
                .collect(),
            Kind::Log { low, high } => {
                // Not more than seven, however many powers there are.
                let every = (high - low + 6) / 7;
                let few: &[f64] = if high - low < 2 {
                    &[1.0, 2.0, 5.0]
                } else {
                    &[1.0]
                };
                (low..=high)
                    .filter(|power| (power - low) % every == 0)
                    .flat_map(|power| few.iter().map(move |m| m * 10f64.powi(power)))
                    .filter(|value| *value <= 10f64.powi(high) * 1.001)
                    .map(|value| (value, plain(value)))
                    .collect()
            }
        }
    }
}

/// Places for labels that are wanted at `wanted`, in any order: `apart` from each
/// other, within `from` to `to` as far as they fit, and moved as little as can be.
pub(crate) fn spread_out(wanted: &[f64], apart: f64, from: f64, to: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by(|a, b| wanted[*a].total_cmp(&wanted[*b]));
    // Less what those before it need, no label may be below the next: where that is
    // so, both are drawn together, with all that were before (isotonic regression).
    let mut blocks: Vec<(f64, usize)> = Vec::new();
    let mean = |(sum, count): (f64, usize)| sum / count as f64;
    for (rank, &at) in order.iter().enumerate() {
        let mut last = (wanted[at] - rank as f64 * apart, 1);
        while let Some(before) = blocks.last().copied().filter(|&b| mean(b) > mean(last)) {
            blocks.pop();
            last = (before.0 + last.0, before.1 + last.1);
        }
        blocks.push(last);
    }
    let all = blocks
        .iter()
        .flat_map(|&block| std::iter::repeat_n(mean(block), block.1));
    let highest = to - apart * wanted.len().saturating_sub(1) as f64;
    let mut places = wanted.to_vec();
    for (rank, (&at, place)) in order.iter().zip(all).enumerate() {
        places[at] = place.max(from).min(highest) + rank as f64 * apart;
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::html::number;

    fn values(axis: &Axis) -> Vec<f64> {
        let marks = axis.marks(number::short);
        marks.into_iter().map(|(value, _)| value).collect()
    }

    #[test]
    fn marks_are_round_and_reach_the_largest_value() {
        for (most, wanted) in [
            (2.5, vec!["0", "0.5", "1", "1.5", "2", "2.5"]),
            (100.0, vec!["0", "20", "40", "60", "80", "100"]),
            (0.0, vec!["0", "0.2", "0.4", "0.6", "0.8", "1"]),
        ] {
            let marks = Axis::linear(most, (0.0, 1.0)).marks(number::plain);
            let names: Vec<_> = marks.into_iter().map(|(_, name)| name).collect();
            assert_eq!(names, wanted, "{most}");
        }
        for n in 1..2000 {
            let most = f64::from(n) * 1.7e-3;
            let marks = values(&Axis::linear(most, (0.0, 1.0)));
            assert!((3..=7).contains(&marks.len()), "{most}: {marks:?}");
            assert!(marks.last() >= Some(&(most * 0.999)), "{most}: {marks:?}");
        }
    }

    #[test]
    fn a_logarithmic_axis_marks_powers_of_ten() {
        let axis = Axis::log(3.0, 2000.0, (0.0, 4.0));
        assert_eq!(values(&axis), [1.0, 10.0, 100.0, 1000.0, 10_000.0]);
        assert!((axis.at(100.0) - 2.0).abs() < 1e-9);
        assert_eq!(
            (axis.at(0.0), axis.at(1e9)),
            (0.0, 4.0),
            "stays on the axis"
        );
        assert_eq!(
            values(&Axis::log(2.0, 2.0, (0.0, 1.0))),
            [1.0, 2.0, 5.0, 10.0]
        );
        assert!(values(&Axis::log(1e-9, 1e12, (0.0, 1.0))).len() <= 8);
    }

    #[test]
    fn values_far_apart_make_it_logarithmic() {
        assert!(Axis::fitting(&[1.0, 0.0, 100.0], (0.0, 1.0)).is_log());
        assert!(!Axis::fitting(&[10.0, 0.0, 100.0], (0.0, 1.0)).is_log());
        assert!(!Axis::fitting(&[0.0], (0.0, 1.0)).is_log(), "zeroes alone");
    }

    #[test]
    fn a_place_runs_against_the_values_if_it_is_told_to() {
        let axis = Axis::linear(100.0, (200.0, 0.0));
        assert_eq!(
            (axis.at(0.0), axis.at(50.0), axis.at(100.0)),
            (200.0, 100.0, 0.0)
        );
    }

    #[test]
    fn labels_do_not_overlap() {
        let places = spread_out(&[50.0, 10.0, 51.0, 99.0, 52.0], 10.0, 0.0, 100.0);
        assert_eq!(places[2], 51.0, "in the middle of the three");
        let mut sorted = places.clone();
        sorted.sort_by(f64::total_cmp);
        assert!(
            sorted.windows(2).all(|two| two[1] - two[0] > 9.999),
            "{places:?}"
        );
        assert_eq!((places[1], places[3]), (10.0, 99.0), "these had room");
        assert!(places[0] < places[2] && places[2] < places[4], "in order");
        let crowded = spread_out(&[100.0; 4], 10.0, 0.0, 100.0);
        assert_eq!(crowded.iter().copied().fold(0.0, f64::max), 100.0);
    }
}
