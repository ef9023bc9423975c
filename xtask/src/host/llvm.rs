// SPDX-License-Identifier: GPL-2.0-only
//! Choosing the LLVM that builds the kernel.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use super::which;
use crate::step::output;

/// The oldest clang that Linux 7.x builds with.
const OLDEST: u32 = 17;
/// The newest that is looked for by name.
const NEWEST_TRIED: u32 = 30;
/// What `LLVM=` makes Kbuild run.
const TOOLS: [&str; 6] = [
    "clang",
    "ld.lld",
    "llvm-ar",
    "llvm-nm",
    "llvm-objcopy",
    "llvm-strip",
];

/// An installed LLVM.
#[derive(Clone, Debug)]
pub(crate) struct Llvm {
    /// "-22", or nothing when the plain names are used.
    suffix: String,
    /// Major version.
    pub(crate) major: u32,
    /// First line of `clang --version`, as Kconfig records it.
    pub(crate) text: String,
}

impl Llvm {
    /// The value that selects this LLVM in a kernel's makefile.
    pub(crate) fn make_arg(&self) -> String {
        match self.suffix.as_str() {
            "" => "LLVM=1".into(),
            suffix => format!("LLVM={suffix}"),
        }
    }

    /// The name of its clang.
    pub(crate) fn clang(&self) -> String {
        format!("clang{}", self.suffix)
    }

    /// The name of the program that knows which line an instruction is of.
    pub(crate) fn symbolizer(&self) -> String {
        format!("llvm-symbolizer{}", self.suffix)
    }

    /// The directory of its libclang, for bindgen.
    pub(crate) fn libclang_dir(&self) -> Option<PathBuf> {
        let major = self.major;
        let own = PathBuf::from(format!("/usr/lib/llvm-{major}/lib"));
        let shared = ["/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib"];
        std::iter::once(own)
            .chain(shared.map(PathBuf::from))
            .find(|dir| has_libclang(dir, major))
    }
}

/// bindgen looks for `libclang.so`, `libclang-*.so` and both with more behind.
fn has_libclang(dir: &std::path::Path, major: u32) -> bool {
    let named = format!("libclang-{major}.");
    let plain = format!("libclang.so.{major}");
    std::fs::read_dir(dir).is_ok_and(|mut entries| {
        entries.any(|entry| {
            entry.is_ok_and(|e| {
                let name = e.file_name();
                let name = name.to_string_lossy();
                e.path().exists()
                    && (name.starts_with(&plain)
                        || (name.starts_with(&named) && name.contains(".so")))
            })
        })
    })
}

/// The installed LLVM to use: rustc's own major version if there is one (the
/// C helpers can then be inlined into Rust code), else the newest.
pub(crate) fn find(rustc_major: u32) -> Option<Llvm> {
    let suffixed = std::iter::once(rustc_major)
        .chain((OLDEST..=NEWEST_TRIED).rev())
        .filter(|major| *major >= OLDEST)
        .map(|major| format!("-{major}"));
    let plain = probe("").filter(|llvm| llvm.major >= OLDEST);
    match plain {
        Some(llvm) if llvm.major == rustc_major => Some(llvm),
        plain => suffixed.filter_map(|s| probe(&s)).next().or(plain),
    }
}

fn probe(suffix: &str) -> Option<Llvm> {
    if !TOOLS
        .iter()
        .all(|tool| which(format!("{tool}{suffix}")).is_some())
    {
        return None;
    }
    let text = version_line(&format!("clang{suffix}")).ok()?;
    Some(Llvm {
        suffix: suffix.into(),
        major: major_of(&text)?,
        text,
    })
}

/// The first line that a compiler prints for `--version`.
pub(crate) fn version_line(program: &str) -> Result<String> {
    let text = output(Command::new(program).arg("--version"))?;
    let first = text.lines().next();
    Ok(first
        .with_context(|| format!("`{program} --version` says nothing"))?
        .trim()
        .into())
}

/// The major number in "... clang version 22.1.8 (...)".
fn major_of(text: &str) -> Option<u32> {
    let number = text.split("version ").nth(1)?;
    number.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn major_is_read_from_what_distributions_print() {
        assert_eq!(
            major_of("Debian clang version 22.1.8 (1~deb12u1)"),
            Some(22)
        );
        assert_eq!(major_of("clang version 19.1.7"), Some(19));
        assert_eq!(major_of("gcc (Debian 12.2.0-14) 12.2.0"), None);
    }
}
