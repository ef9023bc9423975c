// SPDX-License-Identifier: GPL-2.0-only
//! What a run found, for people and for programs.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use super::world::World;
use super::{Counter, quiet};
use crate::Stats;
use crate::counts::Counts;
use crate::points::{self, Count};

/// The result of a run.
#[derive(Clone, Debug)]
pub struct Report {
    /// The command that repeats it.
    pub command: String,
    /// Its seed.
    pub seed: u64,
    /// How long the threads ran.
    pub elapsed: Duration,
    /// Sums over all threads, by counter.
    pub sums: Sums,
    /// Least and most operations of an accessor.
    pub accessors: (u64, u64),
    /// Least and most operations of a remapper.
    pub remappers: (u64, u64),
    /// The target's counters, if it has any, over all spaces.
    pub stats: Option<Stats>,
    /// How many of the faults and changes came to each point of the module; none
    /// if it has none.
    pub points: Vec<Count>,
    /// Whether each must have delayed some.
    pub every_point: bool,
    /// How many mismatches there were.
    pub mismatches: u64,
    /// What the first ones were.
    pub texts: Vec<String>,
}

/// Sums over all threads; see [`Counter`] for the meaning of each.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "documented on Counter")]
pub struct Sums {
    pub operations: u64,
    pub loads: u64,
    pub stores: u64,
    pub checked: u64,
    pub undecided: u64,
    pub illegal_expected: u64,
    pub illegal_seen: u64,
    pub illegal_open: u64,
    pub maps: u64,
    pub unmaps: u64,
    pub shared_maps: u64,
    pub private_maps: u64,
    pub protects: u64,
    pub shrinks: u64,
    pub grows: u64,
    pub moves: u64,
    pub dont_needs: u64,
    pub will_needs: u64,
    pub refused: u64,
    pub queries: u64,
    pub no_memory: u64,
}

impl Sums {
    /// Calls that changed something.
    pub fn changes(&self) -> u64 {
        let kept = self.will_needs;
        let all: u64 = self.calls().iter().map(|(_, count)| count).sum();
        all - kept
    }

    /// Calls that succeeded, by name.
    pub fn calls(&self) -> [(&'static str, u64); 10] {
        [
            ("map", self.maps),
            ("map shared", self.shared_maps),
            ("map private", self.private_maps),
            ("unmap", self.unmaps),
            ("protect", self.protects),
            ("shrink", self.shrinks),
            ("grow", self.grows),
            ("move", self.moves),
            ("dontneed", self.dont_needs),
            ("willneed", self.will_needs),
        ]
    }
}

impl Report {
    pub(super) fn new(world: &World, elapsed: Duration, stats: Option<Stats>) -> Report {
        let sum = |counter| world.counters.sum(counter);
        let (threads, all) = (
            world.options.threads as usize,
            world.options.total_threads() as usize,
        );
        Report {
            command: world.options.describe(world.seed),
            seed: world.seed,
            elapsed,
            sums: Sums {
                operations: sum(Counter::Operations),
                loads: sum(Counter::Loads),
                stores: sum(Counter::Stores),
                checked: sum(Counter::Checked),
                undecided: sum(Counter::Undecided),
                illegal_expected: sum(Counter::IllegalExpected),
                illegal_seen: sum(Counter::IllegalSeen),
                illegal_open: sum(Counter::IllegalOpen),
                maps: sum(Counter::Maps),
                unmaps: sum(Counter::Unmaps),
                shared_maps: sum(Counter::SharedMaps),
                private_maps: sum(Counter::PrivateMaps),
                protects: sum(Counter::Protects),
                shrinks: sum(Counter::Shrinks),
                grows: sum(Counter::Grows),
                moves: sum(Counter::Moves),
                dont_needs: sum(Counter::DontNeeds),
                will_needs: sum(Counter::WillNeeds),
                refused: sum(Counter::Refused),
                queries: sum(Counter::Queries),
                no_memory: sum(Counter::NoMemory),
            },
            accessors: quiet::spread(&world.counters, 0..threads),
            remappers: quiet::spread(&world.counters, threads..all),
            stats,
            points: points::counts(),
            every_point: world.options.every_point,
            mismatches: world.mismatches.count(),
            texts: world.mismatches.texts(),
        }
    }

    /// True if nothing was wrong.
    pub fn passed(&self) -> bool {
        self.mismatches == 0 && !(self.every_point && self.missed_points().is_none_or(|m| m > 0))
    }

    /// At how many points nobody slept; `None` if there are no points.
    fn missed_points(&self) -> Option<usize> {
        let missed = self.points.iter().filter(|count| count.slept == 0).count();
        (!self.points.is_empty()).then_some(missed)
    }

    /// `count` per second of the run.
    pub fn rate(&self, count: u64) -> f64 {
        count as f64 / self.elapsed.as_secs_f64().max(1e-3)
    }

    /// Faults per second the target counted, if it counts.
    pub fn fault_rate(&self) -> Option<f64> {
        self.stats.map(|stats| self.rate(stats.faults))
    }

    /// The report for people: mismatches first, the verdict last.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for mismatch in &self.texts {
            let _ = writeln!(text, "MISMATCH: {mismatch}");
        }
        let sums = &self.sums;
        let mut line = |name: &str, value: String| {
            let _ = writeln!(text, "{name:<18}{value}");
        };
        line("ran for", format!("{:.1} s", self.elapsed.as_secs_f64()));
        line(
            "operations",
            format!("{} ({:.0}/s)", sums.operations, self.rate(sums.operations)),
        );
        line(
            "accesses",
            format!("{} loads, {} stores", sums.loads, sums.stores),
        );
        line(
            "changes",
            format!(
                "{} ({:.0}/s); {} refused as they must be, {} queries right, {} out of memory",
                sums.changes(),
                self.rate(sums.changes()),
                sums.refused,
                sums.queries,
                sums.no_memory
            ),
        );
        let calls = sums.calls();
        let counts = |calls: &[(&str, u64)]| -> String {
            let counts = calls.iter().map(|(name, count)| format!("{count} {name}"));
            counts.collect::<Vec<_>>().join(", ")
        };
        line("calls", counts(&calls[..4]));
        line("", counts(&calls[4..]));
        if let Some(stats) = &self.stats {
            line(
                "faults",
                format!(
                    "{} ({:.0}/s): {} ok, {} no region, {} denied, {} retried",
                    stats.faults,
                    self.rate(stats.faults),
                    stats.fault_ok,
                    stats.fault_no_region,
                    stats.fault_denied,
                    stats.fault_retried
                ),
            );
        }
        if let Some(counts) = self.stats.as_ref().map(Counts::of) {
            if counts.spf_attempts != 0 {
                line(
                    "speculations",
                    format!(
                        "{}: {} succeeded, {} given up",
                        counts.spf_attempts,
                        counts.successes(),
                        counts.aborts()
                    ),
                );
                let causes = counts.causes();
                let causes: Vec<_> = causes.iter().filter(|(_, count)| *count != 0).collect();
                let causes = causes
                    .iter()
                    .map(|(cause, count)| format!("{count} {cause}"));
                line("", causes.collect::<Vec<_>>().join(", "));
            }
        }
        if self.points.iter().any(|count| count.slept != 0) || self.every_point {
            for (row, counts) in self.points.chunks(4).enumerate() {
                let slept = |count: &Count| format!("{} {}", count.slept, count.point);
                let slept: Vec<_> = counts.iter().map(slept).collect();
                line(if row == 0 { "delayed at" } else { "" }, slept.join(", "));
            }
            if self.points.is_empty() {
                line(
                    "delayed at",
                    "no points: is it the build with test hooks?".into(),
                );
            }
        }
        line("checked", format!("{} accesses", sums.checked));
        line(
            "undecided",
            format!(
                "{} accesses (the page was changed meanwhile), {} of them faulted",
                sums.undecided, sums.illegal_open
            ),
        );
        line(
            "illegal accesses",
            format!(
                "{} expected, {} seen",
                sums.illegal_expected, sums.illegal_seen
            ),
        );
        line(
            "per accessor",
            format!("{} to {} operations", self.accessors.0, self.accessors.1),
        );
        line(
            "per remapper",
            format!("{} to {} operations", self.remappers.0, self.remappers.1),
        );
        line("repeat", self.command.clone());
        let verdict = if self.passed() { "PASS" } else { "FAIL" };
        let _ = writeln!(
            text,
            "{verdict}: {} mismatches, seed {}",
            self.mismatches, self.seed
        );
        match self.missed_points() {
            Some(missed) if self.every_point && missed > 0 => {
                let _ = writeln!(text, "FAIL: nobody was delayed at {missed} points");
            }
            None if self.every_point => {
                let _ = writeln!(text, "FAIL: the module has no points");
            }
            _ => {}
        }
        text
    }

    /// The report for programs: one line.
    pub fn json(&self) -> String {
        format!("{}\n", self.value())
    }

    fn value(&self) -> Value {
        let sums = &self.sums;
        let calls: serde_json::Map<String, Value> = sums
            .calls()
            .into_iter()
            .map(|(name, count)| (name.to_owned(), count.into()))
            .collect();
        json!({
            "verdict": if self.passed() { "pass" } else { "fail" },
            "seed": self.seed,
            "command": self.command,
            "seconds": self.elapsed.as_secs_f64(),
            "operations": sums.operations,
            "loads": sums.loads,
            "stores": sums.stores,
            "checked": sums.checked,
            "undecided": sums.undecided,
            "illegal_expected": sums.illegal_expected,
            "illegal_seen": sums.illegal_seen,
            "illegal_open": sums.illegal_open,
            "maps": sums.maps,
            "unmaps": sums.unmaps,
            "calls": calls,
            "refused": sums.refused,
            "queries": sums.queries,
            "no_memory": sums.no_memory,
            "accessor_min": self.accessors.0,
            "accessor_max": self.accessors.1,
            "remapper_min": self.remappers.0,
            "remapper_max": self.remappers.1,
            "faults": self.stats.map(|stats| json!({
                "all": stats.faults,
                "ok": stats.fault_ok,
                "write": stats.fault_write,
                "mkwrite": stats.fault_mkwrite,
                "no_region": stats.fault_no_region,
                "denied": stats.fault_denied,
                "limit": stats.fault_limit,
                "killed": stats.fault_killed,
                "no_memory": stats.fault_no_memory,
                "retried": stats.fault_retried,
                "pages_added": stats.pages_added,
            })),
            "speculations": self.stats.as_ref().map(|stats| {
                let all = Counts::of(stats).all();
                all.into_iter()
                    .map(|(name, count)| (name.to_owned(), count.into()))
                    .collect::<serde_json::Map<String, Value>>()
            }),
            "points": self.points.iter().map(|count| json!({
                "point": count.point,
                "came": count.came,
                "slept": count.slept,
            })).collect::<Vec<_>>(),
            "mismatches": self.mismatches,
            "texts": self.texts,
        })
    }
}
