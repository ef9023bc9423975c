// SPDX-License-Identifier: GPL-2.0-only
//! A counted run, and what can be asked of it.

use std::collections::BTreeSet;

use faultline_coherence::measured::{Hot, Measured, Run};

/// A run of `cargo xtask coherence`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Counted {
    pub(super) run: Run,
    /// In the order in which they were done.
    pub(super) phases: Vec<Measured>,
}

/// What tells a phase from all others of its run.
pub(super) type Key<'a> = (&'a str, &'a str, u32);

/// Workload, target, and threads.
pub(super) fn key(phase: &Measured) -> Key<'_> {
    (&phase.workload, &phase.target, phase.threads)
}

/// The line that is written most, if any line is shared.
pub(super) fn hottest(phase: &Measured) -> Option<&Hot> {
    phase.hottest.iter().max_by_key(|hot| hot.writes)
}

impl Counted {
    /// Names of the workloads, each once, in the order of the run.
    pub(super) fn workloads(&self) -> Vec<&str> {
        each_once(self.phases.iter().map(|phase| phase.workload.as_str()))
    }

    /// The same of all targets.
    pub(super) fn targets(&self) -> Vec<&str> {
        each_once(self.phases.iter().map(|phase| phase.target.as_str()))
    }

    /// What an operation of a workload is.
    pub(super) fn unit(&self, workload: &str) -> &str {
        let of_it = self.phases.iter().find(|phase| phase.workload == workload);
        of_it.map_or("operation", |phase| &phase.unit)
    }

    /// Counts of processors of a workload, from the least.
    pub(super) fn cpus(&self, workload: &str) -> Vec<u32> {
        let of_it = self
            .phases
            .iter()
            .filter(|phase| phase.workload == workload);
        let counts: BTreeSet<_> = of_it.map(|phase| phase.threads).collect();
        counts.into_iter().collect()
    }

    /// Phases of a workload on a target, from the fewest processors to the most.
    pub(super) fn series(&self, workload: &str, target: &str) -> Vec<&Measured> {
        let is_of_it = |phase: &&Measured| phase.workload == workload && phase.target == target;
        let mut of_it: Vec<_> = self.phases.iter().filter(is_of_it).collect();
        of_it.sort_by_key(|phase| phase.threads);
        of_it
    }

    /// The same of all workloads and targets; none is empty.
    pub(super) fn all_series(&self) -> impl Iterator<Item = Vec<&Measured>> {
        let targets = self.targets();
        let of_workload = move |workload| {
            let series = targets.iter().map(|target| self.series(workload, target));
            series
                .filter(|series| !series.is_empty())
                .collect::<Vec<_>>()
        };
        self.workloads().into_iter().flat_map(of_workload)
    }
}

fn each_once<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = BTreeSet::new();
    names.filter(|name| seen.insert(*name)).collect()
}
