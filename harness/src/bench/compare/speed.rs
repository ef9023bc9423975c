// SPDX-License-Identifier: GPL-2.0-only
//! How fast the machine was in the second run, beside the first, by the empty loop.

use crate::bench::cells::Cell;
use crate::bench::record::Sample;
use crate::bench::stats::{Summary, mann_whitney};

/// Of all machines that are called slower or faster, the part that may be chance.
const CHANCE: f64 = 0.05;
/// A machine that was slower by less is not to be told from one that was not.
const DRIFT: f64 = 0.03;

/// What the second run's figures are corrected by: 0.8 if the machine was slower by a
/// fifth, and 1 where that may be chance.
#[derive(Clone, Debug)]
pub(super) struct Speeds {
    /// With so many threads.
    by_threads: Vec<(u32, f64)>,
    /// The median of these.
    median: f64,
}

impl Speeds {
    /// By the workload "empty" of both runs, and what there is to say about it.
    pub(super) fn of(a: &[Cell<'_>], b: &[Cell<'_>], notes: &mut Vec<String>) -> Speeds {
        let is_empty = |cell: &&Cell<'_>| cell.work().0 == "empty";
        let by_threads: Vec<(u32, f64)> = a
            .iter()
            .filter(is_empty)
            .filter_map(|cell| {
                let same = |other: &&Cell<'_>| is_empty(other) && other.threads() == cell.threads();
                Some((cell.threads(), ratio(cell, b.iter().find(same)?)?))
            })
            .collect();
        let ratios: Vec<f64> = by_threads.iter().map(|(_, speed)| *speed).collect();
        let Some(all) = Summary::of(&ratios) else {
            notes.push(
                "neither corrected for the machine's speed nor checked for it: the workload \
                 \"empty\" is not in both runs"
                    .to_owned(),
            );
            let (by_threads, median) = (Vec::new(), 1.0);
            return Speeds { by_threads, median };
        };
        let median = all.median;
        let speeds = Speeds { by_threads, median };
        notes.extend(speeds.notes());
        speeds
    }

    /// For a figure with so many threads.
    pub(super) fn with(&self, threads: u32) -> f64 {
        let same = self.by_threads.iter().find(|(of, _)| *of == threads);
        same.map_or(self.median, |(_, speed)| *speed)
    }

    fn notes(&self) -> Vec<String> {
        let percent = |speed: f64| (speed - 1.0) * 100.0;
        let corrected = self.by_threads.iter().filter(|(_, speed)| *speed != 1.0);
        let speeds: Vec<String> = corrected
            .map(|(threads, speed)| format!("{:+.0} % ({threads} threads)", percent(*speed)))
            .collect();
        if speeds.is_empty() {
            return Vec::new();
        }
        let mut notes = vec![format!(
            "the machine's speed was {} in the second run, by the workload \"empty\": changes are \
             corrected for that, as far as it makes figures more alike",
            speeds.join(", ")
        )];
        let fastest = self.by_threads.iter().map(|(_, speed)| *speed);
        let fastest = fastest.fold(1.0, f64::max);
        if fastest > 1.0 {
            notes.push(format!(
                "what became slower by up to {:.0} % may have been made up for by the machine, \
                 and cannot be seen",
                -percent(1.0 / fastest)
            ));
        }
        notes
    }
}

/// The median rate of the second to that of the first; 1 if chance makes as much of it.
fn ratio(before: &Cell<'_>, after: &Cell<'_>) -> Option<f64> {
    let rates = |cell: &Cell<'_>| -> Vec<f64> {
        let samples = cell.samples().iter();
        samples.map(|sample| Sample::rate(sample)).collect()
    };
    let (before, after) = (rates(before), rates(after));
    let medians = (Summary::of(&before)?.median, Summary::of(&after)?.median);
    if medians.0 <= 0.0 || medians.1 <= 0.0 {
        return None;
    }
    let ratio = medians.1 / medians.0;
    let is_drift = (ratio - 1.0).abs() >= DRIFT && mann_whitney(&before, &after) < CHANCE;
    Some(if is_drift { ratio } else { 1.0 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::cells::cells;
    use crate::bench::record::Record;

    /// Rounds of the empty loop at these rates.
    fn empty(threads: u32, rates: [u64; 5]) -> Vec<Record> {
        let sample = |rate| {
            Record::Sample(Box::new(Sample {
                workload: "empty".to_owned(),
                threads,
                seconds: 1.0,
                per_thread: vec![rate],
                ..Sample::default()
            }))
        };
        rates.map(sample).into()
    }

    fn speeds(a: &[Record], b: &[Record]) -> (Speeds, Vec<String>) {
        let mut notes = Vec::new();
        (Speeds::of(&cells(a), &cells(b), &mut notes), notes)
    }

    #[test]
    fn what_chance_does_to_the_empty_loop_is_no_drift() {
        let a = empty(1, [100, 80, 101, 82, 99]);
        let b = empty(1, [81, 100, 80, 83, 102]);
        let (speeds, notes) = speeds(&a, &b);
        assert_eq!(speeds.with(1), 1.0);
        assert!(notes.is_empty(), "{notes:?}");
    }

    #[test]
    fn figures_are_corrected_by_the_loop_with_as_many_threads() {
        let (fast, slow) = ([100, 101, 102, 103, 104], [50, 51, 52, 53, 54]);
        let a = [empty(1, fast), empty(2, fast)].concat();
        let b = [empty(1, fast), empty(2, slow)].concat();
        let (speeds, notes) = speeds(&a, &b);
        let half = 52.0 / 102.0;
        assert_eq!((speeds.with(1), speeds.with(2)), (1.0, half));
        assert_eq!(speeds.with(20), (1.0 + half) / 2.0, "the median of all");
        assert_eq!(notes.len(), 1, "{notes:?}");
        assert!(notes[0].contains("-49 % (2 threads)"), "{notes:?}");
    }

    #[test]
    fn a_faster_machine_may_hide_what_became_slower() {
        let (a, b) = (
            empty(1, [100, 101, 102, 103, 104]),
            empty(1, [120, 121, 122, 123, 124]),
        );
        let (_, notes) = speeds(&a, &b);
        assert!(notes[1].contains("slower by up to 16 %"), "{notes:?}");
        let (_, notes) = speeds(&b, &a);
        assert_eq!(notes.len(), 1, "{notes:?}");
    }
}
