// SPDX-License-Identifier: GPL-2.0-only
//! The records, put in the order in which they are shown.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;

use super::spread::Spread;
use crate::bench::record::{End, Record, Run, Sample, Target, VERSION, Workload};

/// Why no report can be made of some records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::bench) enum Error {
    /// The first record is not that of a run.
    NoRun,
    /// A second run begins in the middle.
    TwoRuns,
    /// They are of another version.
    Version(u32),
    /// A sample is of a workload or target that the run does not name.
    Unknown(String),
    /// A sample's latencies cannot be decoded.
    Histogram {
        /// Which.
        sample: String,
        /// What is wrong with it.
        why: String,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NoRun => write!(
                f,
                "the first record is not of a run: give the file that `faultline bench` wrote"
            ),
            Error::TwoRuns => write!(f, "more than one run: give a file for each"),
            Error::Version(found) => write!(
                f,
                "records of version {found}, not {VERSION}: use the faultline that wrote them"
            ),
            Error::Unknown(sample) => write!(
                f,
                "{sample}: the run names no such workload or target: was the file put together?"
            ),
            Error::Histogram { sample, why } => {
                write!(f, "{sample}: its latencies cannot be read: {why}")
            }
        }
    }
}

impl std::error::Error for Error {}

/// All turns of a workload on a target with so many threads.
pub(super) struct Cell<'a> {
    /// Its place in [`Data::targets`]: its colour.
    pub(super) place: usize,
    pub(super) workload: &'a Workload,
    pub(super) target: &'a Target,
    pub(super) threads: u32,
    pub(super) samples: Vec<&'a Sample>,
    /// Work a second.
    pub(super) rate: Spread,
    /// In nanoseconds, of all rounds.
    pub(super) latencies: Option<Histogram<u64>>,
}

impl Cell<'_> {
    /// The sum over all rounds of a counter of the module, 0 without it.
    pub(super) fn counter(&self, name: &str) -> u64 {
        let found = self.samples.iter().filter_map(|s| s.counters.get(name));
        found.sum()
    }

    /// The same for `/proc/vmstat`.
    pub(super) fn vmstat(&self, name: &str) -> u64 {
        let found = self.samples.iter().filter_map(|s| s.vmstat.get(name));
        found.sum()
    }

    /// All that was done, in the workload's unit.
    pub(super) fn work(&self) -> u64 {
        self.samples.iter().flat_map(|s| &s.per_thread).sum()
    }

    /// Nanoseconds that a thread spends on one unit of work, median of the rounds.
    pub(super) fn ns_per_unit(&self) -> Option<f64> {
        let ns = |rate: f64| f64::from(self.threads) * 1e9 / rate;
        (self.rate.median > 0.0).then(|| ns(self.rate.median))
    }

    /// What a latency is of.
    pub(super) fn latency_of(&self) -> &str {
        self.workload.latency_of.as_deref().unwrap_or("operation")
    }
}

/// A run.
pub(super) struct Data<'a> {
    pub(super) run: &'a Run,
    /// None if it broke off.
    pub(super) end: Option<&'a End>,
    /// Those that were measured and those that were meant to be.
    pub(super) targets: &'a [Target],
    /// Workload by workload, threads by threads, target by target.
    pub(super) cells: Vec<Cell<'a>>,
}

impl<'a> Data<'a> {
    pub(super) fn new(records: &'a [Record]) -> Result<Data<'a>, Error> {
        let Some((Record::Run(run), rest)) = records.split_first() else {
            return Err(Error::NoRun);
        };
        if run.version != VERSION {
            return Err(Error::Version(run.version));
        }
        let mut samples: Vec<&Sample> = Vec::new();
        let mut end = None;
        for record in rest {
            match record {
                Record::Run(_) => return Err(Error::TwoRuns),
                Record::Sample(sample) => samples.push(sample),
                Record::End(found) => end = Some(found),
            }
        }
        let cells = cells(run, &samples)?;
        Ok(Data {
            run,
            end,
            targets: &run.targets,
            cells,
        })
    }

    /// Workloads of which there are cells, but for the harness's own overhead.
    pub(super) fn workloads(&self) -> Vec<&'a Workload> {
        let all = self.run.workloads.iter();
        all.filter(|w| !w.empty && self.of(&w.name).next().is_some())
            .collect()
    }

    /// Cells of a workload.
    pub(super) fn of(&self, workload: &str) -> impl Iterator<Item = &Cell<'a>> {
        let all = self.cells.iter();
        all.filter(move |cell| cell.workload.name == workload)
    }

    /// Cells of a workload with so many threads.
    pub(super) fn with(&self, workload: &str, threads: u32) -> Vec<&Cell<'a>> {
        let all = self.of(workload);
        all.filter(|cell| cell.threads == threads).collect()
    }

    /// Counts of threads that a workload was measured with, ascending.
    pub(super) fn threads(&self, workload: &str) -> Vec<u32> {
        let mut threads: Vec<u32> = self.of(workload).map(|cell| cell.threads).collect();
        threads.dedup();
        threads
    }

    /// The kernel's own memory that stands beside the others: what the workload says,
    /// private anonymous memory, or else the first there is.
    pub(super) fn peer<'c>(&self, cells: &[&'c Cell<'a>]) -> Option<&'c Cell<'a>> {
        let kernel = || cells.iter().filter(|cell| cell.target.kernel);
        let called = |name: &str| kernel().find(|cell| cell.target.name == name);
        let meant = cells.iter().find_map(|cell| cell.workload.peer.as_deref());
        let found = meant.and_then(called).or_else(|| called("anon"));
        found.or_else(|| kernel().next()).copied()
    }

    /// Why there is no such cell, if the run says so.
    pub(super) fn skipped(&self, workload: &str, target: &str, threads: u32) -> Option<&'a str> {
        let mut all = self.end?.skipped.iter();
        let found =
            all.find(|(w, t, n, _)| (w.as_str(), t.as_str(), *n) == (workload, target, threads));
        found.map(|(.., why)| why.as_str())
    }
}

/// Which sample, for people.
fn label(sample: &Sample) -> String {
    let Sample {
        workload,
        target,
        threads,
        round,
        ..
    } = sample;
    format!("sample of {workload} on {target}, {threads} threads, round {round}")
}

fn cells<'a>(run: &'a Run, samples: &[&'a Sample]) -> Result<Vec<Cell<'a>>, Error> {
    for sample in samples {
        let known = run.workloads.iter().any(|w| w.name == sample.workload)
            && run.targets.iter().any(|t| t.name == sample.target);
        if !known {
            return Err(Error::Unknown(label(sample)));
        }
    }
    let mut cells = Vec::new();
    for workload in &run.workloads {
        let of: Vec<_> = samples
            .iter()
            .filter(|s| s.workload == workload.name)
            .collect();
        let mut threads: Vec<u32> = of.iter().map(|s| s.threads).collect();
        threads.sort_unstable();
        threads.dedup();
        for threads in threads {
            for (place, target) in run.targets.iter().enumerate() {
                let turns = of
                    .iter()
                    .filter(|s| s.threads == threads && s.target == target.name);
                let samples: Vec<&Sample> = turns.map(|s| **s).collect();
                if samples.is_empty() {
                    continue;
                }
                cells.push(Cell {
                    place,
                    workload,
                    target,
                    threads,
                    rate: Spread::of(samples.iter().map(|s| s.rate())),
                    latencies: latencies(&samples)?,
                    samples,
                });
            }
        }
    }
    Ok(cells)
}

/// The latencies of all rounds together; none if nothing was recorded.
fn latencies(samples: &[&Sample]) -> Result<Option<Histogram<u64>>, Error> {
    let mut all: Option<Histogram<u64>> = None;
    for sample in samples {
        let Some(encoded) = &sample.histogram else {
            continue;
        };
        let found = decode(encoded).map_err(|why| Error::Histogram {
            sample: label(sample),
            why,
        })?;
        match &mut all {
            Some(all) => all.add(found).map_err(|why| Error::Histogram {
                sample: label(sample),
                why: why.to_string(),
            })?,
            None => {
                let mut first = found;
                // Later rounds may have longer ones.
                first.auto(true);
                all = Some(first);
            }
        }
    }
    Ok(all.filter(|all| !all.is_empty()))
}

fn decode(encoded: &str) -> Result<Histogram<u64>, String> {
    let bytes = STANDARD.decode(encoded).map_err(|why| why.to_string())?;
    let mut reader = Deserializer::new();
    reader
        .deserialize(&mut bytes.as_slice())
        .map_err(|why| format!("{why:?}"))
}
