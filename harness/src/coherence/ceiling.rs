// SPDX-License-Identifier: GPL-2.0-only
//! A model of how far work scales: how many operations a second its hottest line allows.
//!
//! A line is with one processor at a time, and moves from one to the next. With
//!
//! * `h(N)`: sharing writes to the hottest line per operation, on `N` processors,
//! * `C`: nanoseconds of a transfer of a line from one processor to another,
//! * `T`: nanoseconds of an operation on one processor,
//!
//! there are no more operations a second than
//!
//! * the **ceiling** `1e9 / (h(N) * C)`, however many processors there are, and
//! * the linear **ideal** `N * 1e9 / T`;
//!
//! what is **allowed** is the lesser of both. They meet at `T / (h * C)` processors:
//! beyond these, more of them bring nothing.
//!
//! It is a model, not a measurement. It knows that transfers of one line are serial, and
//! nothing else: no other lines, no queueing, no flushes of the TLB, no capacity of
//! caches, no waiting for locks while a line stays where it is. `T` is one for all
//! workloads, so the ideal is only that of those whose operations take about that; the
//! ceiling does not depend on it. `h` is known for the counts of processors that were
//! tried, and is not extrapolated.
//!
//! `h` is an upper estimate of the transfers for writes, as each may find the line
//! elsewhere: writes of one processor in a row move it once. The moves that were seen
//! are the lower estimate, as only a few virtual processors run at a time where they
//! were counted. They have copies that readers fetch, too, which `h` has not: of a line
//! that few write and many read there may be more moves than writes. If nothing else is
//! in the way, the truth should lie between the ceilings that both give.

use clap::Args;
use faultline_coherence::measured::Measured;

use super::counted::hottest;

/// What the model is about, in words for a report.
pub(super) const LIMITS: &str = "It is a model, not a measurement. It knows that transfers of one \
line are serial, and nothing else: no other lines, no queueing, no flushes of the TLB, no capacity \
of caches. Each sharing write is taken for a transfer, which is an upper estimate, as writes of one \
processor in a row move the line once. The moves that were seen are the lower estimate; they have \
copies that readers fetch, too, so of a line that few write and many read there may be more of \
them. If nothing else is in the way, the truth should lie between the ceilings that both give.";

/// What is taken for granted, in nanoseconds.
#[derive(Args, Clone, Copy, Debug, PartialEq)]
pub(crate) struct Costs {
    /// Nanoseconds that a line takes from one processor to another, for the ceiling
    #[arg(long, value_name = "N", default_value_t = TRANSFER_NS, value_parser = nanoseconds)]
    pub(super) transfer_ns: f64,

    /// Nanoseconds of an operation on one processor, for the ideal
    #[arg(long, value_name = "N", default_value_t = OPERATION_NS, value_parser = nanoseconds)]
    pub(super) operation_ns: f64,
}

/// About what a transfer within a server's socket takes.
const TRANSFER_NS: f64 = 100.0;
/// About what a page fault takes.
const OPERATION_NS: f64 = 1000.0;

impl Default for Costs {
    fn default() -> Costs {
        Costs {
            transfer_ns: TRANSFER_NS,
            operation_ns: OPERATION_NS,
        }
    }
}

fn nanoseconds(text: &str) -> Result<f64, String> {
    let ns: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    match (0.001..=1e9).contains(&ns) {
        true => Ok(ns),
        false => Err("not between 0.001 and 1000000000".to_owned()),
    }
}

impl Costs {
    /// Operations a second on so many processors that share nothing.
    pub(super) fn ideal(&self, cpus: u32) -> f64 {
        f64::from(cpus) * 1e9 / self.operation_ns
    }

    /// Operations a second that a line allows which moves so often for each; none if it
    /// does not move.
    pub(super) fn ceiling(&self, per_operation: f64) -> Option<f64> {
        (per_operation > 0.0).then(|| 1e9 / (per_operation * self.transfer_ns))
    }

    /// The processors at which both are the same.
    fn meet(&self, per_operation: f64) -> Option<f64> {
        let ceiling = self.ceiling(per_operation)?;
        Some(ceiling * self.operation_ns / 1e9)
    }

    /// All of it for a phase.
    pub(super) fn limit(&self, phase: &Measured) -> Limit {
        let hot = hottest(phase);
        let writes = hot.map_or(0.0, |hot| phase.per_operation(hot.writes));
        let moves = hot.map_or(0.0, |hot| phase.per_operation(hot.transfers));
        let (ideal, ceiling) = (self.ideal(phase.threads), self.ceiling(writes));
        Limit {
            writes,
            moves,
            ideal,
            ceiling,
            by_moves: self.ceiling(moves),
            allowed: ceiling.map_or(ideal, |ceiling| ceiling.min(ideal)),
            meet: self.meet(writes),
        }
    }
}

/// What the model says of a phase; rates are operations a second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Limit {
    /// Sharing writes to the hottest line per operation.
    pub(super) writes: f64,
    /// Moves of that line per operation, as they were seen.
    pub(super) moves: f64,
    pub(super) ideal: f64,
    /// None if no line is shared.
    pub(super) ceiling: Option<f64>,
    /// The ceiling if there are no more transfers than were seen; none if none were.
    pub(super) by_moves: Option<f64>,
    pub(super) allowed: f64,
    /// The processors at which the ceiling and the ideal meet.
    pub(super) meet: Option<f64>,
}

#[cfg(test)]
mod tests {
    use faultline_coherence::measured::Hot;

    use super::*;

    fn phase(threads: u32, lines: &[(u64, u64)]) -> Measured {
        let hot = |&(writes, transfers): &(u64, u64)| Hot {
            writes,
            transfers,
            ..Hot::default()
        };
        Measured {
            threads,
            operations: 1000,
            hottest: lines.iter().map(hot).collect(),
            ..Measured::default()
        }
    }

    #[test]
    fn the_hottest_line_bounds_the_rate_whatever_the_processors_are() {
        let costs = Costs::default();
        for cpus in [2, 64] {
            // Two writes of 100 ns each for an operation.
            let limit = costs.limit(&phase(cpus, &[(2000, 500), (100, 100)]));
            assert_eq!((limit.writes, limit.moves), (2.0, 0.5));
            assert_eq!(limit.ceiling, Some(5e6));
            assert_eq!(limit.by_moves, Some(2e7), "the lower estimate of transfers");
            assert_eq!(limit.meet, Some(5.0));
        }
    }

    #[test]
    fn what_is_allowed_is_the_lesser_of_both() {
        let costs = Costs::default();
        let allowed = |cpus| costs.limit(&phase(cpus, &[(2000, 0)])).allowed;
        assert_eq!([1, 4, 5, 6, 64].map(allowed), [1e6, 4e6, 5e6, 5e6, 5e6]);
    }

    #[test]
    fn what_shares_nothing_has_no_ceiling() {
        for lines in [&[][..], &[(0, 0)]] {
            let limit = Costs::default().limit(&phase(64, lines));
            assert_eq!(
                (limit.ceiling, limit.by_moves, limit.meet),
                (None, None, None)
            );
            assert_eq!((limit.allowed, limit.ideal), (64e6, 64e6));
        }
    }

    #[test]
    fn costs_are_what_is_given() {
        let costs = Costs {
            transfer_ns: 50.0,
            operation_ns: 500.0,
        };
        let limit = costs.limit(&phase(4, &[(1000, 1000)]));
        assert_eq!((limit.ceiling, limit.meet), (Some(2e7), Some(10.0)));
        assert_eq!(limit.allowed, 8e6);
        assert!(nanoseconds("0").is_err() && nanoseconds("nan").is_err());
        assert_eq!(nanoseconds("62.5"), Ok(62.5));
    }
}
