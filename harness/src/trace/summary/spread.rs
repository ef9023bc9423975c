// SPDX-License-Identifier: GPL-2.0-only
//! How times are distributed.

use serde::Serialize;

/// Times, as many as there are.
#[derive(Clone, Debug, Default)]
pub struct Times(Vec<u64>);

/// Their percentiles, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Spread {
    /// How many.
    pub count: u64,
    /// Their sum.
    pub sum_ns: u64,
    /// Half of them are not above it.
    pub p50_ns: u64,
    /// Nine of ten are not above it.
    pub p90_ns: u64,
    /// 99 of 100 are not above it.
    pub p99_ns: u64,
    /// None is above it.
    pub max_ns: u64,
}

impl Times {
    /// Takes one more.
    pub fn add(&mut self, time: u64) {
        self.0.push(time);
    }

    /// What they are like.
    pub fn spread(mut self) -> Spread {
        self.0.sort_unstable();
        let sorted = &self.0;
        let at = |percent: usize| {
            // The smallest that so many of a hundred are not above.
            let rank = (sorted.len() * percent).div_ceil(100).max(1);
            sorted.get(rank - 1).copied().unwrap_or(0)
        };
        Spread {
            count: sorted.len() as u64,
            sum_ns: sorted.iter().sum(),
            p50_ns: at(50),
            p90_ns: at(90),
            p99_ns: at(99),
            max_ns: at(100),
        }
    }
}

/// A time as people read it: "12 ns", "3.4 µs", "1.2 ms", "5.0 s".
pub fn duration(ns: u64) -> String {
    let ns_f = ns as f64;
    match ns {
        0..1_000 => format!("{ns} ns"),
        1_000..1_000_000 => format!("{:.1} µs", ns_f / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} ms", ns_f / 1e6),
        _ => format!("{:.1} s", ns_f / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_times_that_there_were() {
        let mut times = Times::default();
        (1..=200).rev().for_each(|time| times.add(time));
        let spread = times.spread();
        assert_eq!((spread.p50_ns, spread.p90_ns), (100, 180));
        assert_eq!((spread.p99_ns, spread.max_ns), (198, 200));
        assert_eq!((spread.count, spread.sum_ns), (200, 20100));
        let mut one = Times::default();
        one.add(7);
        let spread = one.spread();
        assert_eq!((spread.p50_ns, spread.p99_ns, spread.max_ns), (7, 7, 7));
        assert_eq!(Times::default().spread(), Spread::default());
    }

    #[test]
    fn durations_have_units() {
        assert_eq!(duration(999), "999 ns");
        assert_eq!(duration(1_500), "1.5 µs");
        assert_eq!(duration(2_000_000), "2.0 ms");
    }
}
