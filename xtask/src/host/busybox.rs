// SPDX-License-Identifier: GPL-2.0-only
//! The guest's shell and tools: a busybox without shared libraries.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::which;
use crate::step::output;

/// ELF program header type of the dynamic loader's path.
const PT_INTERP: u32 = 3;

/// A static busybox on the host.
pub(crate) fn find() -> Option<PathBuf> {
    [
        "/bin/busybox",
        "/usr/bin/busybox",
        "/usr/lib/busybox/busybox-static",
    ]
    .into_iter()
    .map(PathBuf::from)
    .chain(which("busybox"))
    .chain(which("busybox.static"))
    .find(|path| path.is_file() && !is_dynamic(path))
}

/// The commands it provides.
pub(crate) fn applets(busybox: &Path) -> Result<Vec<String>> {
    let list = output(Command::new(busybox).arg("--list"))?;
    Ok(list.lines().map(str::to_owned).collect())
}

/// Whether a file is an ELF program that needs a dynamic loader, which the
/// guest does not have.
pub(crate) fn is_dynamic(path: &Path) -> bool {
    fs::read(path).is_ok_and(|bytes| names_loader(&bytes).unwrap_or(false))
}

/// `None` if this is no 64-bit little-endian ELF file.
fn names_loader(elf: &[u8]) -> Option<bool> {
    let word = |at: usize| Some(u32::from_le_bytes(elf.get(at..at + 4)?.try_into().ok()?));
    let half = |at: usize| {
        Some(usize::from(u16::from_le_bytes(
            elf.get(at..at + 2)?.try_into().ok()?,
        )))
    };
    if elf.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let table = usize::try_from(word(0x20)?).ok()?;
    let (size, count) = (half(0x36)?, half(0x38)?);
    Some((0..count).any(|i| word(table + i * size) == Some(PT_INTERP)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_are_no_elf() {
        assert_eq!(names_loader(b"#!/bin/sh\n"), None);
        assert_eq!(names_loader(b""), None);
    }

    #[test]
    fn a_loader_is_seen() {
        let mut elf = vec![0u8; 0x40 + 56];
        elf[..6].copy_from_slice(b"\x7fELF\x02\x01");
        elf[0x20] = 0x40;
        elf[0x36] = 56;
        elf[0x38] = 1;
        assert_eq!(names_loader(&elf), Some(false));
        elf[0x40] = 3;
        assert_eq!(names_loader(&elf), Some(true));
    }
}
