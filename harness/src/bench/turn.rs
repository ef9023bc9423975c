// SPDX-License-Identifier: GPL-2.0-only
//! One turn of a workload on one kind of memory, and what comes of it.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::growth::{Counters, Growth};
use super::memory::{Arena, Show};
use super::target::Subject;
use super::team::{Go, Worked, for_a_time, span};
use super::{GIB, MIB};
use crate::{PAGE_SIZE, Space};

/// Where each thread works in a space, in bytes from the one before.
pub(super) const APART: u64 = GIB;

/// How much is worked on, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sizes {
    /// What a thread maps and touches in one go.
    pub(crate) buffer: u64,
    /// What delays something small.
    pub(crate) big: u64,
}

impl Sizes {
    /// For turns that are shorter than what the usual sizes take.
    pub(crate) const QUICK: Sizes = Sizes {
        buffer: 16 * MIB,
        big: 64 * MIB,
    };
    /// Of which a turn has room for some, also under emulation.
    pub(crate) const DEFAULT: Sizes = Sizes {
        buffer: 32 * MIB,
        big: 128 * MIB,
    };
    /// As will-it-scale has it, and a large change that is large.
    pub(crate) const LONG: Sizes = Sizes {
        buffer: 128 * MIB,
        big: GIB,
    };
}

/// What a turn is of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn<'a> {
    /// The memory.
    pub(crate) on: Subject,
    /// Where files are made.
    pub(crate) dir: &'a Path,
    /// Threads that are measured.
    pub(crate) threads: usize,
    /// How long they work.
    pub(crate) time: Duration,
    /// How much they work on.
    pub(crate) sizes: Sizes,
    /// Of all that is random in it.
    pub(crate) seed: u64,
    /// Ticks that each operation is held up, to plant a slowdown.
    pub(crate) drag: u64,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    /// How long the measured threads worked.
    pub(crate) time: Duration,
    /// What each of them has done.
    pub(crate) per_thread: Vec<u64>,
    /// Latencies in nanoseconds, if they were recorded.
    pub(crate) latencies: Option<Histogram<u64>>,
    /// Figures of this workload alone.
    pub(crate) extra: BTreeMap<String, f64>,
    /// What was counted meanwhile.
    pub(crate) growth: Growth,
}

impl Turn<'_> {
    /// Memory in which threads work [`APART`], on so many bytes each at a time.
    pub(crate) fn arena(&self, bytes: u64) -> io::Result<Arena> {
        let threads = self.threads as u64;
        let pages = threads * bytes / PAGE_SIZE;
        self.on.arena(self.dir, threads * APART, pages, Show::Whole)
    }

    /// Runs `work` in each thread and adds up what they return.
    pub(crate) fn count<State>(
        &self,
        space: Option<&Space>,
        prepare: impl Fn(usize) -> io::Result<State> + Sync,
        work: impl Fn(usize, &mut State, &Go<'_>) -> io::Result<u64> + Sync,
    ) -> io::Result<Outcome> {
        let (threads, growth) = self.crew(0, space, prepare, work)?;
        Ok(Outcome {
            time: span(&threads),
            per_thread: threads.iter().map(|thread| thread.done).collect(),
            growth,
            ..Outcome::default()
        })
    }

    /// Runs `work` in each thread and in so many more; what they return, and what was
    /// counted meanwhile.
    pub(crate) fn crew<State, Done: Send>(
        &self,
        more: usize,
        space: Option<&Space>,
        prepare: impl Fn(usize) -> io::Result<State> + Sync,
        work: impl Fn(usize, &mut State, &Go<'_>) -> io::Result<Done> + Sync,
    ) -> io::Result<(Vec<Worked<Done>>, Growth)> {
        let mut before = Counters::default();
        let begin = || {
            before = Counters::now(space)?;
            Ok(())
        };
        let count = self.threads + more;
        let threads = for_a_time(self.time, self.drag, count, prepare, begin, work)?;
        Ok((threads, Counters::now(space)?.since(before)))
    }
}

impl Outcome {
    /// Takes the latencies of each thread, and counts them as what it has done.
    pub(crate) fn take_latencies(&mut self, threads: impl Iterator<Item = Histogram<u64>>) {
        let mut sum = histogram();
        for latencies in threads {
            self.per_thread.push(latencies.len());
            sum.add(latencies).expect("histograms of the same bounds");
        }
        self.latencies = Some(sum);
    }
}

/// An empty histogram of nanoseconds up to an hour, three digits exact, all of whose
/// memory is there.
pub(crate) fn histogram() -> Histogram<u64> {
    const HOUR: u64 = 3_600_000_000_000;
    let mut histogram = Histogram::new_with_bounds(1, HOUR, 3).expect("bounds as they may be");
    // Stores to all of it, so that it takes no fault when measuring.
    histogram.clear();
    histogram
}

/// Notes one.
#[inline]
pub(crate) fn note(histogram: &mut Histogram<u64>, latency: Duration) {
    histogram.saturating_record(latency.as_nanos() as u64);
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_turn_counts_by_thread() {
        let turn = Turn {
            on: Subject::Anon,
            dir: Path::new("/tmp"),
            threads: 2,
            time: Duration::from_millis(10),
            sizes: Sizes::QUICK,
            seed: 1,
            drag: 0,
        };
        let began = Instant::now();
        let outcome = turn.count(None, Ok, |number, _, go| {
            while go.on() {}
            Ok(number as u64 + 5)
        });
        let outcome = outcome.unwrap();
        assert_eq!(outcome.per_thread, [5, 6]);
        let took = began.elapsed();
        assert!(took >= turn.time, "it lasts as long as it is to");
        // Who gets a processor late works for less than that.
        assert!((Duration::from_nanos(1)..=took).contains(&outcome.time));
        assert!(outcome.growth.usage.user_seconds >= 0.0);
    }

    #[test]
    fn a_latency_beyond_an_hour_is_an_hour() {
        let mut histogram = histogram();
        note(&mut histogram, Duration::from_secs(7200));
        note(&mut histogram, Duration::from_micros(5));
        assert_eq!(histogram.len(), 2);
        assert!(histogram.max() >= 3_600_000_000_000);
    }
}
