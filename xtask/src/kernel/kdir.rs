// SPDX-License-Identifier: GPL-2.0-only
//! Kernel trees that the user has: checked, never changed.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use super::config::{self, Options};
use super::{Kernel, Record};
use crate::exit::Coded;
use crate::fsx::{self, Key};
use crate::host::llvm::version_line;
use crate::host::toolchain::{Toolchain, Versions};

/// Opens a configured tree or a distribution's headers.
pub(crate) fn open(dir: &Path, tools: &Toolchain) -> Result<Kernel> {
    let kernel =
        check(dir, tools).with_context(|| format!("--kdir {} cannot be used", dir.display()));
    // A wrong tree is a wrong option.
    kernel.map_err(|e| Coded::usage(format!("{e:#}")))
}

fn check(dir: &Path, tools: &Toolchain) -> Result<Kernel> {
    let text = fsx::read(&dir.join(".config")).context("it is not a configured kernel tree")?;
    let options = config::parse(&text)?;
    check_rust(dir, &options, tools)?;
    let cc = config::text(&options, "CONFIG_CC_VERSION_TEXT")
        .context("its .config names no compiler")?;
    let make_args = compiler(cc)?;
    let release = fsx::read(&dir.join("include/config/kernel.release"))
        .context("it is not prepared: type `make modules_prepare` there")?;
    let image = match config::is_on(&options, "CONFIG_PVH") {
        true => dir.join("vmlinux"),
        false => dir.join("arch/x86/boot/bzImage"),
    };
    let symvers = dir.join("Module.symvers");
    ensure!(
        symvers.is_file(),
        "it has no Module.symvers: type `make modules` there"
    );
    let key = Key::default()
        .part("dir", dir.as_os_str().as_encoded_bytes())
        .part("config", &text)
        .file(&symvers)?
        .part("rustc", &tools.rustc.text)
        .finish();
    Ok(Kernel {
        name: "kdir".into(),
        dir: dir.to_owned(),
        key,
        image: image.is_file().then_some(image),
        make_args,
        checked: config::is_on(&options, "CONFIG_KASAN"),
        record: Record {
            release: release.trim().into(),
            origin: dir.display().to_string(),
            versions: Versions {
                cc: cc.into(),
                ..tools.versions()
            },
            inline_helpers: config::is_on(&options, "CONFIG_RUST_INLINE_HELPERS"),
        },
    })
}

fn check_rust(dir: &Path, options: &Options, tools: &Toolchain) -> Result<()> {
    ensure!(
        config::is_on(options, "CONFIG_RUST"),
        "its configuration has no CONFIG_RUST=y"
    );
    ensure!(
        dir.join("rust/libkernel.rmeta").is_file(),
        "it has no rust/libkernel.rmeta: the tree was never built, or these headers leave out Rust's metadata (Debian's do)"
    );
    let theirs = config::text(options, "CONFIG_RUSTC_VERSION_TEXT").unwrap_or("an unknown rustc");
    ensure!(
        theirs == tools.rustc.text,
        "it was built with {theirs}, and here is {}: Rust's metadata only fits the very same compiler",
        tools.rustc.text
    );
    Ok(())
}

/// How to select the compiler that a tree was built with.
fn compiler(text: &str) -> Result<Vec<String>> {
    for (program, argument) in candidates(text) {
        if version_line(&program).is_ok_and(|line| line == text) {
            return Ok(argument.into_iter().collect());
        }
    }
    bail!("it was built with {text}, which is not installed")
}

/// Names under which the compiler may be installed, best first, each with the
/// argument that makes Kbuild use it.
fn candidates(text: &str) -> Vec<(String, Option<String>)> {
    let version = text
        .split_whitespace()
        .find(|w| w.starts_with(|c: char| c.is_ascii_digit()));
    let major = version
        .and_then(|v| v.split('.').next())
        .unwrap_or_default();
    match text.contains("clang") {
        true => vec![
            (format!("clang-{major}"), Some(format!("LLVM=-{major}"))),
            ("clang".into(), Some("LLVM=1".into())),
        ],
        false => {
            let named = text.split_whitespace().next().unwrap_or("gcc");
            vec![
                (named.into(), Some(format!("CC={named}"))),
                (format!("gcc-{major}"), Some(format!("CC=gcc-{major}"))),
                ("gcc".into(), None),
            ]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clang_tree_selects_llvm_by_suffix_first() {
        let found = candidates("Debian clang version 22.1.8 (1~deb12u1)");
        assert_eq!(found[0], ("clang-22".into(), Some("LLVM=-22".into())));
    }

    #[test]
    fn a_gcc_tree_is_built_with_its_gcc() {
        let found = candidates("x86_64-linux-gnu-gcc-14 (Debian 14.2.0-19) 14.2.0");
        assert_eq!(found[0].1.as_deref(), Some("CC=x86_64-linux-gnu-gcc-14"));
        assert!(found.iter().any(|(name, _)| name == "gcc"));
    }
}
