// SPDX-License-Identifier: GPL-2.0-only
//! Which phases of two runs agree.

use faultline_coherence::measured::Measured;

use crate::coherence::counted::{Counted, key};

/// Less than this difference per operation agrees always.
pub(super) const ALWAYS: f64 = 0.05;

/// A figure per operation in both runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Figure {
    pub(super) before: f64,
    pub(super) after: f64,
    pub(super) agrees: bool,
}

impl Figure {
    fn new(before: f64, after: f64, within: f64) -> Figure {
        let difference = (after - before).abs();
        // What an error of rounding adds is no difference.
        let agrees = difference < ALWAYS || difference <= before * within * (1.0 + 1e-9);
        Figure {
            before,
            after,
            agrees,
        }
    }

    /// As a part of the first; none if that is nothing and the second is not.
    pub(super) fn change(&self) -> Option<f64> {
        match (self.before, self.after) {
            (before, after) if before == after => Some(0.0),
            (0.0, _) => None,
            (before, after) => Some(after / before - 1.0),
        }
    }
}

/// A phase that both runs have.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pair {
    pub(super) name: Name,
    pub(super) sharing: Figure,
    pub(super) module: Figure,
    /// The least and the most sharing writes of a round, in both runs.
    pub(super) spread: [Option<[f64; 2]>; 2],
    /// Whether threads slept for each other in either run. How often that happens, and so
    /// what is written for it, is another each time: it does not repeat.
    pub(super) slept: bool,
}

/// What is said of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Same,
    Different,
    /// Different, but it was not to be expected that it is not.
    Slept,
}

impl Pair {
    pub(super) fn verdict(&self) -> Verdict {
        match self.sharing.agrees && self.module.agrees {
            true => Verdict::Same,
            false if self.slept => Verdict::Slept,
            false => Verdict::Different,
        }
    }
}

/// Which phase it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) workload: String,
    pub(super) target: String,
    pub(super) threads: u32,
}

/// Two runs.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Comparison {
    pub(super) pairs: Vec<Pair>,
    /// Phases that only the first run has, and only the second.
    pub(super) only: [Vec<Name>; 2],
    /// What one has to know.
    pub(super) notes: Vec<String>,
}

impl Comparison {
    /// Whether both runs have the same phases, and these agree, but for those that do not
    /// repeat.
    pub(super) fn agrees(&self) -> bool {
        self.only.iter().all(Vec::is_empty) && self.count(Verdict::Different) == 0
    }

    /// Pairs of which this is said.
    pub(super) fn count(&self, verdict: Verdict) -> usize {
        let pairs = self.pairs.iter();
        pairs.filter(|pair| pair.verdict() == verdict).count()
    }
}

/// Compares; fails if there is nothing to compare.
pub(super) fn judge(a: &Counted, b: &Counted, within: f64) -> Result<Comparison, String> {
    let mut comparison = Comparison {
        only: [only_in(a, b), only_in(b, a)],
        ..Comparison::default()
    };
    for before in &a.phases {
        if let Some(after) = same(b, before) {
            comparison.pairs.push(pair(before, after, within));
        }
    }
    match comparison.pairs.is_empty() {
        true => Err(
            "these runs have no phase in common: give runs of the same workloads, \
             targets and processors"
                .to_owned(),
        ),
        false => Ok(comparison),
    }
}

fn same<'a>(counted: &'a Counted, phase: &Measured) -> Option<&'a Measured> {
    let mut phases = counted.phases.iter();
    phases.find(|other| key(other) == key(phase))
}

fn only_in(one: &Counted, other: &Counted) -> Vec<Name> {
    let phases = one.phases.iter();
    let missing = phases.filter(|phase| same(other, phase).is_none());
    missing.map(name).collect()
}

fn name(phase: &Measured) -> Name {
    Name {
        workload: phase.workload.clone(),
        target: phase.target.clone(),
        threads: phase.threads,
    }
}

fn pair(before: &Measured, after: &Measured, within: f64) -> Pair {
    let figure = |count: fn(&Measured) -> u64| {
        let each = |phase: &Measured| phase.per_operation(count(phase));
        Figure::new(each(before), each(after), within)
    };
    Pair {
        name: name(before),
        sharing: figure(|phase| phase.counted.sharing_writes),
        module: figure(|phase| phase.module.writes),
        spread: [before.spread(), after.spread()],
        slept: before.sleeps + after.sleeps != 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coherence::testdata::counted;

    #[test]
    fn a_difference_within_the_limit_agrees() {
        let agrees = |before, after| Figure::new(before, after, 0.05).agrees;
        assert!(agrees(100.0, 105.0) && agrees(100.0, 95.0) && agrees(0.0, 0.0));
        assert!(!agrees(100.0, 105.1) && !agrees(100.0, 94.9));
    }

    #[test]
    fn what_is_almost_nothing_agrees_always() {
        let agrees = |before, after| Figure::new(before, after, 0.05).agrees;
        assert!(agrees(0.0, 0.04) && agrees(0.05, 0.01));
        assert!(!agrees(0.0, 0.06) && !agrees(0.1, 0.01));
        assert_eq!(Figure::new(0.0, 0.06, 0.05).change(), None);
        assert_eq!(Figure::new(2.0, 1.0, 0.05).change(), Some(-0.5));
    }

    #[test]
    fn the_modules_writes_are_compared_too() {
        let a = counted(&[2]);
        let mut b = a.clone();
        b.phases[0].module.writes /= 2;
        let comparison = judge(&a, &b, 0.05).unwrap();
        let pair = &comparison.pairs[0];
        assert!(pair.sharing.agrees && !pair.module.agrees);
        assert_eq!(comparison.count(Verdict::Different), 1);
        assert!(!comparison.agrees());
        b.phases[0].sleeps = 1;
        let comparison = judge(&a, &b, 0.05).unwrap();
        assert_eq!(comparison.pairs[0].verdict(), Verdict::Slept);
        assert!(comparison.agrees());
    }

    #[test]
    fn phases_of_one_run_alone_are_told() {
        let (a, b) = (counted(&[1, 2]), counted(&[2, 4]));
        let comparison = judge(&a, &b, 0.05).unwrap();
        let [before, after] = &comparison.only;
        assert!(before.iter().all(|name| name.threads == 1));
        assert!(after.iter().all(|name| name.threads == 4));
        assert_eq!((before.len(), after.len()), (19, 19));
        assert!(
            judge(&counted(&[1]), &b, 0.05).is_err(),
            "nothing in common"
        );
    }
}
