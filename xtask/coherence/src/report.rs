// SPDX-License-Identifier: GPL-2.0-only
//! What a phase leaves behind: JSON Lines, one for the phase and one for each of its
//! shared lines, the most written first.

use serde::{Deserialize, Serialize};

use crate::guest::What;
use crate::line::{LINE, Line};
use crate::measured::Owner;
use crate::phase::Collected;
use crate::shared::Shared;
use crate::table::Site;

/// Version of these records.
pub const VERSION: u32 = 3;

/// One line of the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub enum Record {
    /// The plugin was loaded.
    Plugin {
        /// [`VERSION`].
        version: u32,
        /// QEMU's version of the plugin interface.
        qemu_api: i32,
        /// Virtual processors.
        vcpus: u32,
    },
    /// A phase has ended; its shared lines follow.
    Phase(Phase),
    /// A line that one processor has written and another accessed.
    Line(SharedLine),
}

/// A phase. Numbers of two are of the kernel and of user code.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Phase {
    /// From 1.
    pub number: u32,
    /// Instructions' loads.
    pub loads: [u64; 2],
    /// Stores.
    pub stores: [u64; 2],
    /// Locked instructions and exchanges.
    pub atomics: [u64; 2],
    /// Accesses of interrupts, which are in none of the other figures.
    pub interrupts: u64,
    /// Lines that were accessed.
    pub lines: u64,
    /// Lines that are shared; as many records follow.
    pub shared_lines: u64,
    /// Writes to these.
    pub sharing_writes: u64,
    /// Moves of lines from processor to processor, as they happened to be interleaved.
    pub transfers: u64,
    /// Accesses that are in none of these: beyond the table, or of a 65th vCPU.
    pub beyond: u64,
}

/// A shared line.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SharedLine {
    /// Phase.
    pub phase: u32,
    /// Physical address in bytes.
    pub physical: u64,
    /// An address at which it was accessed; none if no details were kept.
    pub address: Option<u64>,
    /// Processors that have accessed it.
    pub cpus: u32,
    /// Processors that have written it.
    pub writers: u32,
    /// Writes.
    pub writes: u32,
    /// Of these, atomic ones.
    pub atomics: u32,
    /// Moves.
    pub transfers: u32,
    /// Bytes, as a set, that several processors accessed and one of them wrote; none of
    /// them if it is shared falsely.
    pub common: u64,
    /// What it belongs to, as the kernel's structures say.
    #[serde(default)]
    pub owner: Owner,
    /// If each processor has one of it: where the kernel's image has the variable.
    #[serde(default)]
    pub variable: Option<u64>,
    /// Instructions: address, writes, reads, moves. Address 0: all others.
    pub sites: Vec<(u64, u32, u32, u32)>,
}

/// The records of a phase; `look` says what is at a physical address that was accessed
/// at another one.
pub fn records(collected: &Collected, beyond: u64, look: impl Fn(u64, u64) -> What) -> Vec<Record> {
    let [loads, stores, atomics] = collected.counts;
    let phase = Phase {
        number: collected.number,
        loads,
        stores,
        atomics,
        interrupts: collected.interrupts,
        lines: collected.lines,
        shared_lines: collected.shared.len() as u64,
        sharing_writes: collected
            .shared
            .iter()
            .map(|(_, line, _)| u64::from(line.sharing_writes()))
            .sum(),
        transfers: collected.transfers,
        beyond,
    };
    let lines = collected.shared.iter().map(|(number, line, details)| {
        let mut record = shared_line(collected.number, *number, line, details);
        if let Some(address) = record.address {
            let what = look(record.physical, address);
            (record.owner, record.variable) = (what.owner, what.variable);
        }
        Record::Line(record)
    });
    [Record::Phase(phase)].into_iter().chain(lines).collect()
}

fn shared_line(phase: u32, number: u64, line: &Line, details: &Option<Shared>) -> SharedLine {
    let tuple = |site: &Site| (site.code, site.writes, site.reads, site.transfers);
    let sites = details.iter().flat_map(|details| {
        let others = (details.others != Site::default()).then_some(&details.others);
        details.sites.iter().chain(others)
    });
    SharedLine {
        phase,
        physical: number * LINE,
        address: details.as_ref().map(|details| details.address),
        cpus: line.accessed.count_ones(),
        writers: line.written.count_ones(),
        writes: line.writes,
        atomics: line.atomics,
        transfers: line.transfers,
        common: details.as_ref().map_or(0, Shared::common) & line.dirty,
        owner: Owner::default(),
        variable: None,
        sites: sites.map(tuple).collect(),
    }
}
