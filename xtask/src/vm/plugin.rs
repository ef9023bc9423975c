// SPDX-License-Identifier: GPL-2.0-only
//! The plugin that QEMU loads to count cache lines (`xtask/coherence`).

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// It, and what it has to know of the kernel.
#[derive(Clone, Debug)]
pub(crate) struct Plugin {
    /// The library.
    pub(crate) library: PathBuf,
    /// The kernel's `System.map`.
    pub(crate) map: PathBuf,
}

/// Where QEMU puts memory that is not below this hole for devices.
const ABOVE: u64 = 4 << 30;

impl Plugin {
    /// The argument of `-plugin`, for a guest of so many MiB.
    pub(crate) fn argument(&self, mebibytes: u64, out: &Path) -> OsString {
        let memory = ABOVE + (mebibytes << 20);
        let parts: [(&str, &Path); 3] = [("", &self.library), ("out=", out), ("map=", &self.map)];
        let mut argument = OsString::new();
        for (name, path) in parts {
            argument.push(name);
            // QEMU takes two commas for one.
            argument.push(path.display().to_string().replace(',', ",,"));
            argument.push(",");
        }
        argument.push(format!("memory={memory}"));
        argument
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_in_paths_are_doubled() {
        let plugin = Plugin {
            library: "/a,b.so".into(),
            map: "/m".into(),
        };
        assert_eq!(
            plugin.argument(1, Path::new("/o")),
            "/a,,b.so,out=/o,map=/m,memory=4296015872"
        );
    }
}
