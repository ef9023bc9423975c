// SPDX-License-Identifier: GPL-2.0-only
//! Whether two runs were made alike.

use crate::bench::record::Run;

/// Memory that a kernel has may differ by so much from boot to boot, as a part.
const MEMORY: f64 = 0.02;

/// What differs, but for the module and this program: these are what is compared.
pub(super) fn of(a: &Run, b: &Run) -> Vec<String> {
    let mut differences = Vec::new();
    let mut compare = |what: &str, a: &str, b: &str| {
        if a != b {
            differences.push(format!("{what}: {a} / {b}"));
        }
    };
    let (one, other) = (&a.machine, &b.machine);
    compare("kernel", &one.kernel, &other.kernel);
    if let (Some(one), Some(other)) = (&one.config_hash, &other.config_hash) {
        compare("configuration of the kernel", one, other);
    }
    compare("accelerator", &one.accelerator, &other.accelerator);
    compare("processor", &one.cpu_model, &other.cpu_model);
    compare("processors", &one.cpus.to_string(), &other.cpus.to_string());
    if one.memory.abs_diff(other.memory) as f64 > one.memory as f64 * MEMORY {
        let mib = |bytes: u64| format!("{} MiB", bytes >> 20);
        compare("memory", &mib(one.memory), &mib(other.memory));
    }
    compare("preset", &a.preset, &b.preset);
    let turn = |run: &Run| format!("{} ms", run.turn_ms);
    compare("turn", &turn(a), &turn(b));
    for workload in &a.workloads {
        let same_name = b.workloads.iter().find(|other| other.name == workload.name);
        if let Some(other) = same_name {
            compare(&workload.name, &workload.about, &other.about);
        }
    }
    differences
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_said_and_the_module_may() {
        let mut a = Run::default();
        a.machine.memory = 4 << 30;
        let mut b = a.clone();
        b.machine
            .module
            .insert("srcversion".to_owned(), "B".to_owned());
        b.machine.memory += 1 << 20;
        b.rounds = 9;
        assert_eq!(of(&a, &b), Vec::<String>::new());
        b.machine.accelerator = "kvm".to_owned();
        b.turn_ms = 7;
        b.machine.memory = 2 << 30;
        let differences = of(&a, &b);
        assert_eq!(differences.len(), 3, "{differences:?}");
        assert!(differences.contains(&"turn: 0 ms / 7 ms".to_owned()));
    }
}
