// SPDX-License-Identifier: GPL-2.0-only
//! The machine that figures are of.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;
use sha2::{Digest, Sha256};

use super::record::Machine;
use crate::sys;

/// This one; `config_hash` if the kernel does not show its configuration.
pub(super) fn machine(config_hash: Option<String>) -> Machine {
    let cpuinfo = read("/proc/cpuinfo");
    Machine {
        kernel: sys::uname().unwrap_or_default(),
        config_hash: shown_config().map(|config| hash(&config)).or(config_hash),
        checked_kernel: is_checked(),
        accelerator: accelerator(sys::hypervisor().as_deref()),
        cpu_model: after_colon(&cpuinfo, "model name").unwrap_or_default(),
        cpus: sys::allowed_cpus().len() as u32,
        memory: memory(&read("/proc/meminfo")),
        module: module(Path::new("/sys/module/faultline")),
        harness: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

/// What cannot be read says nothing.
fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn shown_config() -> Option<Vec<u8>> {
    let mut config = Vec::new();
    let file = File::open("/proc/config.gz").ok()?;
    GzDecoder::new(file).read_to_end(&mut config).ok()?;
    Some(config)
}

fn hash(bytes: &[u8]) -> String {
    let sum = Sha256::digest(bytes);
    sum.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// By what only these kernels have: lockdep's file, and a function of KASAN's.
fn is_checked() -> bool {
    let has_kasan = |line: &str| line.split(' ').next_back() == Some("kasan_report");
    Path::new("/proc/lockdep").exists() || read("/proc/kallsyms").lines().any(has_kasan)
}

/// By the name that the hypervisor gives itself.
fn accelerator(hypervisor: Option<&str>) -> String {
    match hypervisor {
        None => "none".to_owned(),
        Some("TCGTCGTCGTCG") => "tcg".to_owned(),
        Some("KVMKVMKVM") => "kvm".to_owned(),
        Some("") => "unknown".to_owned(),
        Some(name) => name.trim().to_owned(),
    }
}

/// In the first line "name : value".
fn after_colon(text: &str, name: &str) -> Option<String> {
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    let (_, value) = lines.find(|(key, _)| key.trim() == name)?;
    Some(value.trim().to_owned())
}

/// All there is, in bytes.
fn memory(meminfo: &str) -> u64 {
    let total = after_colon(meminfo, "MemTotal").unwrap_or_default();
    let kib: u64 = total.trim_end_matches(" kB").parse().unwrap_or(0);
    kib << 10
}

/// Version and build of the loaded module, and its parameters.
fn module(dir: &Path) -> BTreeMap<String, String> {
    let mut module = BTreeMap::new();
    for name in ["version", "srcversion", "taint"] {
        let value = read(dir.join(name)).trim().to_owned();
        if !value.is_empty() {
            module.insert(name.to_owned(), value);
        }
    }
    // The build, also where it has no version: the linker's note.
    let note = fs::read(dir.join("notes/.note.gnu.build-id")).unwrap_or_default();
    if let Some(id) = note.get(16..) {
        let id = id.iter().map(|byte| format!("{byte:02x}")).collect();
        module.insert("build_id".to_owned(), id);
    }
    for entry in fs::read_dir(dir.join("parameters"))
        .into_iter()
        .flatten()
        .flatten()
    {
        let name = format!("parameters.{}", entry.file_name().to_string_lossy());
        module.insert(name, read(entry.path()).trim().to_owned());
    }
    module
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_accelerator_is_known_by_its_hypervisor() {
        assert_eq!(accelerator(None), "none");
        assert_eq!(accelerator(Some("TCGTCGTCGTCG")), "tcg");
        assert_eq!(accelerator(Some("KVMKVMKVM")), "kvm");
        assert_eq!(accelerator(Some("Microsoft Hv")), "Microsoft Hv");
    }

    #[test]
    fn this_machine_has_processors_and_memory() {
        let machine = machine(Some("abc".to_owned()));
        assert!(machine.kernel.starts_with("Linux "), "{machine:?}");
        assert!(machine.cpus > 0 && machine.memory > 1 << 20, "{machine:?}");
        assert!(machine.config_hash.is_some());
    }

    #[test]
    fn values_stand_behind_a_colon() {
        let text = "processor\t: 0\nmodel name\t: A: B\nmodel name\t: C\n";
        assert_eq!(after_colon(text, "model name").as_deref(), Some("A: B"));
        assert_eq!(memory("MemTotal:       2048 kB\n"), 2 << 20);
    }
}
