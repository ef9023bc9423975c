// SPDX-License-Identifier: GPL-2.0-only
//! QEMU's command line and the kernel's.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use serde::{Deserialize, Serialize};

use super::rundir::RunDir;
use super::{Spec, Task};

/// Limits that say how long a processor may be silent, raised when vCPUs have
/// to wait for host cores.
const PATIENCE: [&str; 3] = [
    "rcupdate.rcu_cpu_stall_timeout=120",
    "watchdog_thresh=60",
    "sysctl.kernel.hung_task_timeout_secs=480",
];

/// /dev/pmem0: a disk for tests that is memory, between the kernel and its
/// initramfs, which QEMU puts at the end. (The kernel enables it only with
/// `CONFIG_NVDIMM_PFN` or BTT: they select ND_CLAIM.)
const PERSISTENT_MEMORY: &str = "memmap=4M!256M";
/// Guests with less do not have it, in MiB.
const ENOUGH_FOR_THAT: u64 = 512;

/// What has one processor boot alone; the guest's init brings up the others. While the
/// kernel finds its devices they change what is where in the machine's memory, and under
/// emulation QEMU 10.0 replaces its map of it beside vCPUs that use it: it then dies of
/// "`iotlb_to_section: Assertion ...`", or an access is lost and the guest waits for ever.
/// The second saves each of them the second that it takes to measure a loop; its value is
/// that of a counter at 2.5 GHz, and no device here needs an exact delay.
const ALONE: [&str; 2] = ["maxcpus=1", "lpj=10000000"];

/// An accelerator that is known to work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Accel {
    /// Emulation.
    Tcg,
    /// Hardware.
    Kvm,
}

impl Accel {
    /// QEMU's name for it, with its settings.
    fn args(self) -> [&'static str; 4] {
        match self {
            // One host thread per vCPU: faults really run side by side.
            Self::Tcg => ["-accel", "tcg,thread=multi", "-cpu", "max"],
            Self::Kvm => ["-accel", "kvm", "-cpu", "host"],
        }
    }
}

/// What the guest kernel is told.
pub(crate) fn kernel_args(accel: Accel, spec: &Spec) -> String {
    let mut words = vec![
        "console=ttyS0",
        // A dead guest ends QEMU, which runs with -no-reboot.
        "panic=-1",
        "oops=panic",
        "rdinit=/init",
    ];
    if mebibytes(spec.memory()).is_some_and(|size| size >= ENOUGH_FOR_THAT) {
        words.push(PERSISTENT_MEMORY);
    }
    if accel == Accel::Tcg {
        words.extend(ALONE);
    }
    if spec.plugin.is_some() {
        // So that the name of a slab cache says what its objects are, and that grace periods
        // end though real-time threads never leave their processors.
        words.extend(["slab_nomerge", "rcutree.kthread_prio=2"]);
    }
    words.extend(raised_limits(spec));
    words.join(" ")
}

/// A size as QEMU takes it for its memory, such as 512M or 4G.
fn mebibytes(size: &str) -> Option<u64> {
    let digits = size.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.parse().ok()?;
    match size[digits.len()..].to_ascii_uppercase().as_str() {
        "" | "M" | "MB" => Some(number),
        "G" | "GB" => number.checked_mul(1024),
        "T" | "TB" => number.checked_mul(1024 * 1024),
        _ => None,
    }
}

/// The limits that are raised for this boot.
pub(crate) fn raised_limits(spec: &Spec) -> &'static [&'static str] {
    match spec.oversubscribed() {
        true => &PATIENCE,
        false => &[],
    }
}

/// The command that runs this boot, with its files in `dir`.
pub(crate) fn command(program: &Path, accel: Accel, spec: &Spec, dir: &RunDir) -> Command {
    let mut command = Command::new(program);
    command
        .args([
            "-no-user-config",
            "-nodefaults",
            "-no-reboot",
            "-display",
            "none",
        ])
        // Its ACPI tables list interrupt routes; those of "pc" compute them, for
        // half a minute in a kernel with checkers, until ACPI gives up.
        .args(["-machine", "q35", "-name", "faultline"])
        .args(accel.args())
        .args(["-smp", &spec.smp.to_string(), "-m", spec.memory()]);
    if let Some(image) = &spec.kernel.image {
        command.arg("-kernel").arg(image);
    }
    command
        .arg("-initrd")
        .arg(dir.initramfs())
        .args(["-append", &kernel_args(accel, spec)])
        .args(["-chardev", &file_chardev("console", &dir.console())])
        .args(["-serial", "chardev:console"])
        // Without ioeventfd a message has left the guest when its write
        // returns, even if the next thing it does is to power off.
        .args(["-device", "virtio-serial-pci,ioeventfd=off"])
        .args(port("ctl", &dir.control()))
        .args(port("out", &dir.output()));
    if spec.bring {
        command.args(port("files", &dir.archive()));
    }
    if let Some(plugin) = &spec.plugin {
        let memory = mebibytes(spec.memory()).unwrap_or_default();
        command
            .arg("-plugin")
            .arg(plugin.argument(memory, &dir.coherence()));
    }
    if spec.task == Task::Shell {
        command
            .args(["-chardev", "stdio,id=tty,mux=on,signal=off"])
            .args(["-device", "virtconsole,chardev=tty"]);
    }
    command
}

fn port(name: &str, file: &Path) -> [OsString; 4] {
    [
        "-chardev".into(),
        file_chardev(name, file).into(),
        "-device".into(),
        format!("virtserialport,chardev={name},name=org.faultline.{name}").into(),
    ]
}

fn file_chardev(id: &str, path: &Path) -> String {
    format!(
        "file,id={id},path={}",
        path.display().to_string().replace(',', ",,")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vm::tests_support::spec;

    #[test]
    fn limits_are_raised_only_when_vcpus_share_cores() {
        let mut few = spec(Task::Probe);
        few.smp = 1;
        assert!(!kernel_args(Accel::Kvm, &few).contains("rcu_cpu_stall_timeout"));
        few.smp = 4096;
        assert!(
            kernel_args(Accel::Kvm, &few)
                .contains("rcupdate.rcu_cpu_stall_timeout=120 watchdog_thresh=60")
        );
    }

    #[test]
    fn an_emulated_guest_boots_on_one_processor() {
        let several = spec(Task::Probe);
        assert!(kernel_args(Accel::Tcg, &several).contains("maxcpus=1"));
        assert!(!kernel_args(Accel::Kvm, &several).contains("maxcpus=1"));
    }

    #[test]
    fn a_small_guest_has_no_persistent_memory() {
        let mut small = spec(Task::Probe);
        for (size, has_it) in [
            ("256M", false),
            ("512", true),
            ("2g", true),
            ("300000K", false),
        ] {
            small.mem = Some(size.into());
            assert_eq!(
                kernel_args(Accel::Kvm, &small).contains("memmap="),
                has_it,
                "{size}"
            );
        }
    }

    #[test]
    fn files_come_only_if_they_are_wanted() {
        let dir = RunDir::at("/r".into());
        let line =
            |spec: &Spec| crate::step::show(&command(Path::new("qemu"), Accel::Tcg, spec, &dir));
        let mut spec = spec(Task::Probe);
        assert!(!line(&spec).contains("org.faultline.files"));
        spec.bring = true;
        assert!(line(&spec).contains("path=/r/out.tar"));
    }

    #[test]
    fn only_a_shell_has_a_terminal() {
        let dir = RunDir::at("/r,s".into());
        let line =
            |task| crate::step::show(&command(Path::new("qemu"), Accel::Tcg, &spec(task), &dir));
        assert!(line(Task::Shell).contains("virtconsole"));
        let probe = line(Task::Probe);
        assert!(!probe.contains("stdio"));
        assert!(probe.contains("-accel tcg,thread=multi -cpu max -smp 2 -m 2G"));
        assert!(probe.contains("path=/r,,s/console.log"));
    }
}
