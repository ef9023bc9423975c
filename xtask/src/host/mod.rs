// SPDX-License-Identifier: GPL-2.0-only
//! What the host has: packages, compilers, and ways to get what is missing.

pub(crate) mod apt;
pub(crate) mod bindgen;
pub(crate) mod busybox;
pub(crate) mod debian;
pub(crate) mod inventory;
pub(crate) mod llvm;
pub(crate) mod needs;
pub(crate) mod qemu;
pub(crate) mod rust;
pub(crate) mod toolchain;

use std::env;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The executable that the shell would find under `name`, which may be a path.
pub(crate) fn which(name: impl AsRef<Path>) -> Option<PathBuf> {
    let name = name.as_ref();
    if name.components().count() > 1 {
        return is_executable(name).then(|| name.to_owned());
    }
    env::split_paths(&env::var_os("PATH")?)
        .map(|dir| dir.join(name))
        .find(|path| is_executable(path))
}

fn is_executable(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}
