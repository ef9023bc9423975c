// SPDX-License-Identifier: GPL-2.0-only
//! What `cargo xtask coherence` makes of a run, for people and programs: JSON Lines,
//! one [`Entry`] each, the run first.

use serde::{Deserialize, Serialize};

use crate::report::Phase;

/// Version of these records.
pub const VERSION: u32 = 1;

/// One line of the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub enum Entry {
    /// What was counted, and where.
    Run(Run),
    /// A phase of it.
    Phase(Box<Measured>),
}

/// What has to be equal in two runs that are compared, and what else there is to know.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// [`VERSION`].
    pub version: u32,
    /// The guest's kernel, as `uname -r`.
    pub kernel: String,
    /// QEMU's version.
    pub qemu: String,
    /// Counts of virtual processors, each with as many threads.
    pub cpus: Vec<u32>,
    /// Pages that each thread touches.
    pub pages: u64,
    /// How often each phase was done. Older runs: once.
    #[serde(default = "once")]
    pub rounds: u32,
    /// Seconds since 1970 when it began.
    pub began: u64,
}

fn once() -> u32 {
    1
}

/// A phase, with what the guest said it did in it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Name of the work, such as `pft`.
    pub workload: String,
    /// What an operation is, such as `fault`.
    pub unit: String,
    /// What it was done on: a policy, `anon` or `memfd`.
    pub target: String,
    /// Threads, and processors.
    pub threads: u32,
    /// Operations of all threads.
    pub operations: u64,
    /// How often a thread slept, for another one that it had to wait for.
    #[serde(default)]
    pub sleeps: u64,
    /// Sharing writes of each round, in order; of these this phase has the median. Empty if
    /// an older xtask wrote it.
    #[serde(default)]
    pub rounds: Vec<u64>,
    /// What was counted.
    pub counted: Phase,
    /// Of the sharing writes, those of the module.
    pub module: Share,
    /// The shared lines with most writes, ten at most, the most written first.
    pub hottest: Vec<Hot>,
    /// Of the shared lines those with a share of the module, ten at most.
    #[serde(default)]
    pub of_module: Vec<Hot>,
    /// What the sharing writes are to, the most written first.
    #[serde(default)]
    pub owners: Vec<Owned>,
}

/// All shared lines that belong to one and the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owned {
    /// What.
    pub owner: Owner,
    /// Lines.
    pub lines: u64,
    /// Sharing writes to them.
    pub writes: u64,
    /// Moves from processor to processor, as they happened.
    pub transfers: u64,
}

/// The module's share of what is shared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// Sharing writes by its instructions.
    pub by_code: u64,
    /// Sharing writes to its objects, by whatever instructions.
    pub to_data: u64,
    /// Sharing writes that are one of these, or both.
    pub writes: u64,
    /// Lines that have any of these.
    pub lines: u64,
}

/// A shared line.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Hot {
    /// Its physical address in bytes.
    pub physical: u64,
    /// An address at which it was accessed.
    pub address: Option<u64>,
    /// Processors that accessed it.
    pub cpus: u32,
    /// Processors that wrote it.
    pub writers: u32,
    /// Writes.
    pub writes: u64,
    /// Of these, atomic ones.
    pub atomics: u64,
    /// Moves from processor to processor, as they happened.
    pub transfers: u64,
    /// Whether processors meet in the same bytes, or only in the same line.
    pub is_truly_shared: bool,
    /// What lies there.
    pub owner: Owner,
    /// The instructions, those with most writes first.
    pub code: Vec<Code>,
}

/// What a line belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// How that is known.
    pub kind: Kind,
    /// The name of the symbol, object, cache or kind of page; empty if it has none.
    pub name: String,
}

/// How the owner of a line is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A variable of the kernel or a module.
    Symbol,
    /// A variable that each processor has one of.
    PerCpu,
    /// An object of faultline's, whose address the module has told.
    Module,
    /// An object of a slab cache.
    Slab,
    /// The kernel's descriptor of a page (`struct page`).
    PageStruct,
    /// A page of something else.
    Page,
    /// Memory of the program.
    User,
    /// Nothing is known of it.
    #[default]
    Unknown,
}

/// A function, or a line of it if that is known, that has accessed a line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Code {
    /// Name of the function; empty if it is not known.
    pub function: String,
    /// The module it is of, if any.
    pub module: Option<String>,
    /// File and number of the source line, as `file:line`.
    pub line: Option<String>,
    /// Its writes.
    pub writes: u64,
    /// Its reads.
    pub reads: u64,
    /// Moves for it.
    pub transfers: u64,
}

impl Measured {
    /// A count by operation.
    pub fn per_operation(&self, count: u64) -> f64 {
        count as f64 / self.operations.max(1) as f64
    }

    /// The least and the most sharing writes of a round, by operation; none of a single one.
    pub fn spread(&self) -> Option<[f64; 2]> {
        let [first, others @ ..] = &self.rounds[..] else {
            return None;
        };
        let least = others.iter().min()?.min(first);
        let most = others.iter().max()?.max(first);
        Some([least, most].map(|writes| self.per_operation(*writes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_takes_several_rounds() {
        let spread = |rounds: &[u64]| {
            let phase = Measured {
                operations: 2,
                rounds: rounds.to_vec(),
                ..Measured::default()
            };
            phase.spread()
        };
        assert_eq!(spread(&[6, 2, 4]), Some([1.0, 3.0]));
        assert_eq!(spread(&[2, 2]), Some([1.0, 1.0]));
        assert_eq!((spread(&[]), spread(&[6])), (None, None));
    }
}
