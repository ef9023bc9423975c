// SPDX-License-Identifier: GPL-2.0-only
//! The samples of a run, by what they are of.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;

use super::record::{Record, Sample};
use super::stats::Summary;

/// A workload on a target with so many threads, and its samples in order of rounds.
#[derive(Clone, Debug)]
pub(super) struct Cell<'a>(Vec<&'a Sample>);

/// All of them, in the order in which they were first measured.
pub(super) fn cells(records: &[Record]) -> Vec<Cell<'_>> {
    let mut cells: Vec<Cell<'_>> = Vec::new();
    for record in records {
        let Record::Sample(sample) = record else {
            continue;
        };
        match cells.iter_mut().find(|cell| cell.key() == key(sample)) {
            Some(cell) => cell.0.push(sample),
            None => cells.push(Cell(vec![sample])),
        }
    }
    cells
}

fn key(sample: &Sample) -> (&str, &str, u32) {
    (&sample.workload, &sample.target, sample.threads)
}

impl<'a> Cell<'a> {
    /// Workload, target, threads.
    pub(super) fn key(&self) -> (&'a str, &'a str, u32) {
        key(self.0[0])
    }

    /// Workload and target.
    pub(super) fn work(&self) -> (&'a str, &'a str) {
        (&self.0[0].workload, &self.0[0].target)
    }

    pub(super) fn threads(&self) -> u32 {
        self.0[0].threads
    }

    pub(super) fn samples(&self) -> &[&'a Sample] {
        &self.0
    }

    /// Of all threads, a second.
    pub(super) fn rate(&self) -> Option<Summary> {
        let rates: Vec<f64> = self.0.iter().map(|sample| sample.rate()).collect();
        Summary::of(&rates)
    }

    /// The median of how its rate is to another's, round by round: what disturbs a round
    /// disturbs both.
    pub(super) fn ratio_to(&self, other: &Cell<'_>) -> Option<f64> {
        let of_round = |sample: &&&Sample| {
            let same = other.0.iter().find(|other| other.round == sample.round)?;
            (same.rate() > 0.0).then(|| sample.rate() / same.rate())
        };
        let ratios: Vec<f64> = self
            .0
            .iter()
            .filter_map(|sample| of_round(&sample))
            .collect();
        Summary::of(&ratios).map(|summary| summary.median)
    }

    /// The median of what the slowest thread has done of what the fastest has; nothing
    /// with one thread.
    pub(super) fn fairness(&self) -> Option<f64> {
        let parts: Vec<f64> = self
            .0
            .iter()
            .filter_map(|sample| fairness(sample))
            .collect();
        Summary::of(&parts).map(|summary| summary.median)
    }

    /// The latencies of all rounds; nothing if there are none.
    pub(super) fn latencies(&self) -> Option<Histogram<u64>> {
        let mut all: Option<Histogram<u64>> = None;
        for one in self.0.iter().filter_map(|sample| latencies(sample)) {
            match &mut all {
                // What does not fit is not of one workload.
                Some(all) => all.add(one).ok()?,
                None => all = Some(one),
            }
        }
        all
    }

    /// The median of a figure of this workload alone.
    pub(super) fn extra(&self, name: &str) -> Option<f64> {
        let of_name = |sample: &&Sample| sample.extra.get(name).copied();
        let values: Vec<f64> = self.0.iter().filter_map(of_name).collect();
        Summary::of(&values).map(|summary| summary.median)
    }
}

fn fairness(sample: &Sample) -> Option<f64> {
    let (least, most) = (
        sample.per_thread.iter().min()?,
        sample.per_thread.iter().max()?,
    );
    match (sample.per_thread.len(), most) {
        (0 | 1, _) => None,
        (_, 0) => Some(1.0),
        _ => Some(*least as f64 / *most as f64),
    }
}

/// The latencies of a sample, in nanoseconds; nothing if there are none, or if they cannot
/// be read.
pub(crate) fn latencies(sample: &Sample) -> Option<Histogram<u64>> {
    let bytes = STANDARD.decode(sample.histogram.as_ref()?).ok()?;
    Deserializer::new().deserialize(&mut bytes.as_slice()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_a_cell_are_together() {
        let sample = |target: &str, round, done: &[u64]| {
            Record::Sample(Box::new(Sample {
                target: target.to_owned(),
                threads: done.len() as u32,
                round,
                seconds: 1.0,
                per_thread: done.to_vec(),
                ..Sample::default()
            }))
        };
        let records = [
            sample("anon", 0, &[10, 20]),
            sample("range", 1, &[5]),
            sample("anon", 1, &[30, 30]),
            sample("anon", 2, &[0, 0]),
        ];
        let cells = cells(&records);
        assert_eq!(cells.len(), 2);
        assert_eq!(cells[0].rate().unwrap().median, 30.0);
        assert_eq!(cells[0].fairness(), Some(1.0));
        assert_eq!(cells[1].fairness(), None, "one thread");
        assert_eq!(cells[0].ratio_to(&cells[1]), Some(12.0), "of round 1");
        assert_eq!(cells[0].ratio_to(&cells[0]), Some(1.0));
        assert!(cells[0].latencies().is_none());
    }
}
