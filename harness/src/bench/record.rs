// SPDX-License-Identifier: GPL-2.0-only
//! What a run of `faultline bench` leaves behind: JSON Lines, one record each.
//!
//! The first record is the [`Run`], the last the [`End`]; between them stands a
//! [`Sample`] for each turn of each cell, in the order in which they were taken.
//! All that is printed or drawn is made from these records, by
//! `compare` and by the report, so a file is as good as the run.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Version of these records. A reader refuses others.
pub const VERSION: u32 = 1;

/// One line of the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub enum Record {
    /// What was run, and where.
    Run(Box<Run>),
    /// One turn of one cell.
    Sample(Box<Sample>),
    /// The run came to its end.
    End(End),
}

/// What was run, and where.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// [`VERSION`].
    pub version: u32,
    /// When it began, in seconds since 1970.
    pub began: u64,
    /// The arguments, the program first.
    pub command_line: Vec<String>,
    /// Seed of all that is random.
    pub seed: u64,
    /// Which of quick, default and long; "custom" if it was changed.
    pub preset: String,
    /// Rounds, in each of which every cell has its turn.
    pub rounds: u32,
    /// Milliseconds of a turn.
    pub turn_ms: u64,
    /// Percent by which work was slowed down on purpose, to see whether it is found.
    #[serde(default)]
    pub planted_slowdown: Option<f64>,
    /// The machine.
    pub machine: Machine,
    /// The workloads that were measured, in order.
    pub workloads: Vec<Workload>,
    /// The targets, in order: the five policies, then the kernel's own memory.
    pub targets: Vec<Target>,
}

/// The machine, and what runs on it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// `uname -srv`.
    pub kernel: String,
    /// SHA-256 of the kernel's configuration, if it shows one.
    pub config_hash: Option<String>,
    /// The kernel checks itself (KASAN or lockdep): no figure is worth anything.
    pub checked_kernel: bool,
    /// "tcg", "kvm", "none" (real hardware), or another hypervisor's name.
    pub accelerator: String,
    /// Model name of the first processor.
    pub cpu_model: String,
    /// Processors that may be used.
    pub cpus: u32,
    /// Memory in bytes.
    pub memory: u64,
    /// The module's version, build and parameters, as it says.
    pub module: BTreeMap<String, String>,
    /// Version of this program.
    pub harness: String,
}

impl Machine {
    /// What every figure of an emulated machine has to be marked with.
    pub fn caveat(&self) -> Option<&'static str> {
        (self.accelerator == "tcg").then_some("TCG, not hardware")
    }
}

/// A kind of work.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Workload {
    /// As it is typed: "page_fault1".
    pub name: String,
    /// A sentence for people: what one thread does, and what is counted.
    pub about: String,
    /// What its rate counts, in the plural: "faults".
    pub unit: String,
    /// What a latency is of, in the singular, if latencies are recorded: "small change".
    pub latency_of: Option<String>,
    /// Whether it stands for interference: a measured thread beside others.
    pub interference: bool,
    /// Whether it is the harness's own overhead: the loop without the work.
    pub empty: bool,
    /// Counts of threads it was run with.
    pub threads: Vec<u32>,
    /// Milliseconds of its turns, if they are not [`Run::turn_ms`] as in older records.
    #[serde(default)]
    pub turn_ms: Option<u64>,
    /// The target of the kernel's own that others are compared with: "anon".
    #[serde(default)]
    pub peer: Option<String>,
}

/// What work is done on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// As it is typed: "spf-range", "anon".
    pub name: String,
    /// A sentence for people.
    pub about: String,
    /// Whether it is the kernel's own memory.
    pub kernel: bool,
}

/// One turn of one cell: a workload on a target with so many threads.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// [`Workload::name`].
    pub workload: String,
    /// [`Target::name`].
    pub target: String,
    /// Threads.
    pub threads: u32,
    /// Round, from 0; the warm-up is not recorded.
    pub round: u32,
    /// From the first thread's beginning to the last one's end, in seconds.
    pub seconds: f64,
    /// What each thread has done, in the workload's unit: fairness.
    pub per_thread: Vec<u64>,
    /// Latencies, as a base64 HdrHistogram V2 (deflated), in nanoseconds.
    pub histogram: Option<String>,
    /// Growth of the space's counters (`faultline_stats`), by name; empty for kernel memory.
    pub counters: BTreeMap<String, u64>,
    /// Growth of `/proc/vmstat`'s `vma_lock_*` and `pgfault`, by name.
    pub vmstat: BTreeMap<String, u64>,
    /// From when the counters and times of the process were read until they were read
    /// again, in seconds: longer than `seconds` where not all is timed. 0 in older records.
    #[serde(default)]
    pub counted_seconds: f64,
    /// Context switches of the process meanwhile.
    pub voluntary_switches: u64,
    /// The same, involuntary.
    pub involuntary_switches: u64,
    /// Processor time of the process, user and system, in seconds.
    pub user_seconds: f64,
    /// See above.
    pub system_seconds: f64,
    /// Figures of this workload alone, by name with unit.
    pub extra: BTreeMap<String, f64>,
}

impl Sample {
    /// Work of all threads a second.
    pub fn rate(&self) -> f64 {
        let done: u64 = self.per_thread.iter().sum();
        match self.seconds > 0.0 {
            true => done as f64 / self.seconds,
            false => 0.0,
        }
    }
}

/// The run came to its end; a file without it is of a run that broke off.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct End {
    /// Seconds it took.
    pub seconds: f64,
    /// Cells that could not be measured: workload, target, threads, and why.
    pub skipped: Vec<(String, String, u32, String)>,
}

impl End {
    /// Why cells were skipped: each reason once, with its workload and the targets.
    pub fn reasons(&self) -> Vec<(&str, &str, Vec<&str>)> {
        let mut reasons: Vec<(&str, &str, Vec<&str>)> = Vec::new();
        for (workload, target, _, why) in &self.skipped {
            let same =
                |(of, reason, _): &&mut (&str, &str, Vec<&str>)| of == workload && reason == why;
            match reasons.iter_mut().find(same) {
                Some((_, _, targets)) if targets.contains(&target.as_str()) => {}
                Some((_, _, targets)) => targets.push(target),
                None => reasons.push((workload, why, vec![target])),
            }
        }
        reasons
    }
}
