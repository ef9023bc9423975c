// SPDX-License-Identifier: GPL-2.0-only
//! Latencies, and what they say.

use std::time::Duration;

/// When an operation was due and when it ended, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sample {
    due: u64,
    end: u64,
}

/// A record of so many operations that never allocates.
#[derive(Debug)]
pub(crate) struct Record(Vec<Sample>);

impl Record {
    /// Has room for `count`, whose pages are touched now and not when measuring.
    pub(crate) fn new(count: usize) -> Record {
        let mut samples = vec![Sample { due: 1, end: 1 }; count];
        samples.clear();
        Record(samples)
    }

    /// Notes an operation. False if there is no room for another.
    pub(crate) fn note(&mut self, due: Duration, end: Duration) -> bool {
        self.0.push(Sample {
            due: due.as_nanos() as u64,
            end: end.as_nanos() as u64,
        });
        !self.is_full()
    }

    /// Whether there is no room for another.
    pub(crate) fn is_full(&self) -> bool {
        self.0.len() == self.0.capacity()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The time during which some operation was overdue by more than `limit`.
    /// Each moment counts once, however many operations were waiting: summed
    /// over operations, one stall would count for all that it held up.
    pub(crate) fn stalled(&self, limit: Duration) -> Duration {
        let limit = limit.as_nanos() as u64;
        let mut total = 0;
        let mut counted_to = 0;
        // In order of both times: one thread made them.
        for sample in &self.0 {
            let overdue = (sample.due + limit).max(counted_to);
            if sample.end > overdue {
                total += sample.end - overdue;
                counted_to = sample.end;
            }
        }
        Duration::from_nanos(total)
    }

    /// How long the operations took from when they were due, sorted.
    pub(crate) fn latencies(&self) -> Latencies {
        let mut sorted: Vec<u64> = self
            .0
            .iter()
            .map(|sample| sample.end.saturating_sub(sample.due))
            .collect();
        sorted.sort_unstable();
        Latencies(sorted)
    }
}

/// Latencies in nanoseconds, sorted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Latencies(Vec<u64>);

impl Latencies {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The least latency that so many in a hundred do not exceed, in
    /// microseconds; NaN if there is none.
    pub(crate) fn percentile_us(&self, percent: f64) -> f64 {
        // In tenths of a percent, so that what is exact stays so.
        let tenths = (percent * 10.0).round() as usize;
        let rank = (tenths * self.0.len()).div_ceil(1000);
        match self.0.get(rank.max(1) - 1) {
            Some(&ns) => ns as f64 / 1e3,
            None => f64::NAN,
        }
    }

    /// The longest, in microseconds.
    pub(crate) fn max_us(&self) -> f64 {
        self.percentile_us(100.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(samples: &[(u64, u64)]) -> Record {
        let mut record = Record::new(samples.len());
        for &(due, end) in samples {
            record.note(Duration::from_millis(due), Duration::from_millis(end));
        }
        record
    }

    #[test]
    fn percentiles_are_values_that_were_seen() {
        let samples: Vec<_> = (1..=1000).rev().map(|ms| (0, ms)).collect();
        let latencies = record(&samples).latencies();
        assert_eq!(latencies.percentile_us(50.0), 500e3);
        assert_eq!(latencies.percentile_us(99.0), 990e3);
        assert_eq!(latencies.percentile_us(99.9), 999e3);
        assert_eq!(latencies.max_us(), 1000e3);
        assert_eq!(latencies.len(), 1000);
    }

    #[test]
    fn one_latency_is_every_percentile_and_none_is_no_number() {
        let one = record(&[(1, 3)]).latencies();
        assert_eq!((one.percentile_us(0.0), one.max_us()), (2e3, 2e3));
        assert!(Latencies::default().max_us().is_nan());
    }

    #[test]
    fn a_stall_counts_once_however_many_it_holds_up() {
        let limit = Duration::from_millis(5);
        // Nothing ends between 1 and 21, and the queue is gone at 23.
        let held_up = record(&[(0, 1), (1, 21), (2, 22), (3, 23), (22, 24)]);
        assert_eq!(held_up.stalled(limit), Duration::from_millis(23 - 6));
        let two = record(&[(0, 10), (100, 106), (200, 205)]);
        assert_eq!(two.stalled(limit), Duration::from_millis(5 + 1));
        assert_eq!(record(&[(0, 5)]).stalled(limit), Duration::ZERO);
    }

    #[test]
    fn a_full_record_says_so() {
        let mut record = Record::new(2);
        let time = Duration::ZERO;
        assert!(record.note(time, time));
        assert!(!record.note(time, time));
        assert_eq!(record.len(), 2);
    }
}
