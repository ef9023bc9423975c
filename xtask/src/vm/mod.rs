// SPDX-License-Identifier: GPL-2.0-only
//! The virtual machine: what goes in, how it is started and watched, what
//! came out.

pub(crate) mod accel;
pub(crate) mod console;
pub(crate) mod control;
pub(crate) mod files;
pub(crate) mod initramfs;
pub(crate) mod machine;
pub(crate) mod outcome;
pub(crate) mod plugin;
pub(crate) mod qemu;
pub(crate) mod rundir;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use crate::kernel::Kernel;
use crate::module::{Module, Variant};

/// One boot: what to take along and what to do.
#[derive(Clone, Debug)]
pub(crate) struct Spec {
    /// Names the results directory.
    pub(crate) title: String,
    /// What to boot.
    pub(crate) kernel: Kernel,
    /// Virtual processors.
    pub(crate) smp: u32,
    /// Guests like it that may run beside it.
    pub(crate) beside: u32,
    /// Memory in QEMU's words; the kernel's default if absent.
    pub(crate) mem: Option<String>,
    /// Modules to take along.
    pub(crate) modules: Vec<Module>,
    /// The module to load, of those.
    pub(crate) load: Option<Variant>,
    /// Parameters of that module.
    pub(crate) params: Vec<String>,
    /// The harness, if there is one.
    pub(crate) harness: Option<PathBuf>,
    /// Files of the user's.
    pub(crate) added: Vec<Added>,
    /// What to do once the module is loaded.
    pub(crate) task: Task,
    /// Deadline from QEMU's start to a loaded module.
    pub(crate) boot_limit: Duration,
    /// Deadline of the command, from then on.
    pub(crate) run_limit: Option<Duration>,
    /// Bring back what is in /out when the command has ended; see [`files`].
    pub(crate) bring: bool,
    /// What QEMU is to load, if anything; it must emulate then.
    pub(crate) plugin: Option<plugin::Plugin>,
    /// Look for leaks after unloading, if the kernel can.
    pub(crate) leak_check: bool,
}

/// What the guest is started for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// To see whether it boots.
    Probe,
    /// A command, its output passed on.
    Run {
        /// The command and its arguments.
        argv: Vec<OsString>,
        /// Whether its output also goes to stdout as it comes.
        echo: bool,
    },
    /// A shell on the user's terminal.
    Shell,
}

/// A file of the user's in the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Added {
    /// Where it is on the host.
    pub(crate) host: PathBuf,
    /// Where it goes, without the leading slash.
    pub(crate) guest: String,
}

impl Spec {
    /// A boot with the usual settings for this kernel.
    pub(crate) fn new(title: &str, kernel: Kernel, task: Task) -> Self {
        // A checked kernel boots several times slower.
        let boot_limit = Duration::from_secs(if kernel.checked { 180 } else { 60 });
        Self {
            title: title.into(),
            kernel,
            smp: 2,
            beside: 0,
            mem: None,
            modules: Vec::new(),
            load: None,
            params: Vec::new(),
            harness: None,
            added: Vec::new(),
            task,
            boot_limit,
            run_limit: None,
            bring: false,
            plugin: None,
            leak_check: false,
        }
    }

    /// Memory of the guest.
    pub(crate) fn memory(&self) -> &str {
        let usual = if self.kernel.checked { "3G" } else { "2G" };
        self.mem.as_deref().unwrap_or(usual)
    }

    /// Whether the guest, with those beside it, has more processors than the host.
    pub(crate) fn oversubscribed(&self) -> bool {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let processors = self.smp.saturating_mul(self.beside + 1);
        usize::try_from(processors).is_ok_and(|processors| processors > cores)
    }
}

#[cfg(test)]
pub(crate) mod tests_support {
    use super::*;
    use crate::host::toolchain::Versions;
    use crate::kernel::Record;

    /// A spec of a kernel that is nowhere.
    pub(crate) fn spec(task: Task) -> Spec {
        let versions = Versions {
            rustc: "rustc".into(),
            cc: "cc".into(),
            bindgen: "bindgen".into(),
        };
        let kernel = Kernel {
            name: "base".into(),
            dir: "/k".into(),
            key: "key".into(),
            image: Some("/k/bzImage".into()),
            make_args: Vec::new(),
            checked: false,
            record: Record {
                release: "7.3.4".into(),
                origin: "test".into(),
                versions,
                inline_helpers: true,
            },
        };
        Spec::new("test", kernel, task)
    }
}
