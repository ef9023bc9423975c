// SPDX-License-Identifier: GPL-2.0-only
//! A run that nobody counted, to try reports with: all that is made of it says so.

use faultline_coherence::measured::{
    Code, Entry, Hot, Kind, Measured, Owned, Owner, Run, Share, VERSION,
};
use faultline_coherence::report::Phase;

use super::counted::Counted;

/// Operations of each thread.
const EACH: u64 = 256;

/// Name, unit, and sharing writes per operation of what scales worst.
const WORKLOADS: [(&str, &str, f64); 3] = [
    ("pft", "fault", 12.0),
    ("ebizzy", "chunk", 400.0),
    ("range_lock", "unmap of nothing", 6.0),
];

/// Name, and the part of these writes that it has.
const TARGETS: [(&str, f64); 7] = [
    ("global", 1.0),
    ("region", 0.8),
    ("range", 0.4),
    ("spf-global", 0.15),
    ("spf-range", 0.01),
    ("anon", 0.5),
    ("memfd", 0.6),
];

/// All workloads on all targets with these counts of processors.
pub(crate) fn counted(cpus: &[u32]) -> Counted {
    let mut phases = Vec::new();
    for (workload, unit, most) in WORKLOADS {
        for (target, part) in TARGETS {
            let is_space = !["anon", "memfd"].contains(&target);
            if workload == "range_lock" && !is_space {
                continue;
            }
            for &threads in cpus {
                let mut phase = phase(threads, most * part, is_space);
                phase.workload = workload.to_owned();
                phase.unit = unit.to_owned();
                phase.target = target.to_owned();
                phases.push(phase);
            }
        }
    }
    let run = Run {
        version: VERSION,
        kernel: "7.0.0 TEST DATA, made up and not counted".to_owned(),
        qemu: "10.2.0".to_owned(),
        cpus: cpus.to_vec(),
        pages: EACH,
        rounds: 3,
        began: 1_795_695_000,
    };
    Counted { run, phases }
}

/// More processors, more sharing writes; one alone shares nothing.
fn phase(threads: u32, most: f64, is_space: bool) -> Measured {
    let operations = u64::from(threads) * EACH;
    let alone = f64::from(threads - 1) / f64::from(threads);
    let sharing_writes = (most * alone * operations as f64) as u64;
    let of_module = if is_space { sharing_writes / 2 } else { 0 };
    Measured {
        threads,
        operations,
        rounds: vec![sharing_writes * 9 / 10, sharing_writes, sharing_writes * 2],
        counted: Phase {
            loads: [operations * 300, operations * 20],
            shared_lines: 12 * u64::from(threads > 1),
            sharing_writes,
            transfers: sharing_writes / 5,
            ..Phase::default()
        },
        module: Share {
            by_code: of_module,
            to_data: of_module / 2,
            writes: of_module,
            lines: 4 * u64::from(of_module > 0),
        },
        hottest: match sharing_writes {
            0 => Vec::new(),
            all => (0..10)
                .map(|rank| hot(rank, all, threads, is_space))
                .collect(),
        },
        of_module: match of_module {
            0 => Vec::new(),
            _ => vec![hot(0, sharing_writes, threads, is_space)],
        },
        owners: vec![Owned {
            owner: hot(0, sharing_writes, threads, is_space).owner,
            lines: 2,
            writes: sharing_writes / 2,
            transfers: sharing_writes / 8,
        }],
        ..Measured::default()
    }
}

/// Each line has half of the writes of the line before. Only of spaces one is the
/// module's.
fn hot(rank: u32, all: u64, threads: u32, is_space: bool) -> Hot {
    let writes = all >> (rank + 1);
    let of_module = rank == 0 && is_space;
    let (kind, name) = match rank {
        0 if is_space => (Kind::Module, "space"),
        0 => (Kind::Slab, "vm_area_struct"),
        1 => (Kind::Slab, "mm_struct"),
        2 => (Kind::PerCpu, "vm_event_states"),
        3 => (Kind::PageStruct, ""),
        4 => (Kind::Symbol, "zonelist<&\"update\">"),
        _ => (Kind::Unknown, ""),
    };
    let code = |function: &str, line: &str, writes| Code {
        function: function.to_owned(),
        module: of_module.then(|| "faultline".to_owned()),
        line: Some(line.to_owned()),
        writes,
        ..Code::default()
    };
    Hot {
        physical: 0x4000 + u64::from(rank) * 64,
        cpus: threads,
        writers: threads,
        writes,
        atomics: writes / 2,
        transfers: writes / 5,
        is_truly_shared: rank % 3 != 2,
        owner: Owner {
            kind,
            name: name.to_owned(),
        },
        code: vec![
            code("fault", "space/fault.rs:120", writes / 2),
            code("<Lock as Drop>::drop", "lock.rs:7", writes / 3),
        ],
        ..Hot::default()
    }
}

/// As it is written to a file.
pub(super) fn lines(counted: &Counted) -> String {
    let phases = counted.phases.iter().cloned();
    let phases = phases.map(|phase| Entry::Phase(Box::new(phase)));
    let entries = [Entry::Run(counted.run.clone())].into_iter().chain(phases);
    let line = |entry| serde_json::to_string(&entry).unwrap() + "\n";
    entries.map(line).collect()
}
