// SPDX-License-Identifier: GPL-2.0-only
//! The compilers that build kernel and module, and how Kbuild is called.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::bindgen;
use super::llvm::{self, Llvm};
use super::rust::Rustc;
use crate::ctx::Ctx;

/// Variables of the user's environment that would change what Kbuild does.
const MEDDLERS: [&str; 13] = [
    "ARCH",
    "CC",
    "CROSS_COMPILE",
    "KBUILD_OUTPUT",
    "KCFLAGS",
    "KCONFIG_ALLCONFIG",
    "KCONFIG_CONFIG",
    "KRUSTFLAGS",
    "LLVM",
    "M",
    "MAKEFLAGS",
    "O",
    "RUSTFLAGS",
];

/// Everything needed to compile for the kernel.
#[derive(Debug)]
pub(crate) struct Toolchain {
    /// The Rust compiler.
    pub(crate) rustc: Rustc,
    /// The LLVM that compiles C.
    pub(crate) llvm: Llvm,
    /// Only kernels need it.
    library: Option<PathBuf>,
    bindgen: PathBuf,
}

/// What a result was made with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Versions {
    /// `rustc --version`.
    pub(crate) rustc: String,
    /// First line of the C compiler's `--version`.
    pub(crate) cc: String,
    /// bindgen's number.
    pub(crate) bindgen: String,
}

impl Toolchain {
    /// Collects what `needs::ensure` has seen to.
    pub(crate) fn find(ctx: &Ctx) -> Result<Self> {
        let rustc = Rustc::find()?;
        let llvm = llvm::find(rustc.llvm_major)
            .context("no clang with its tools: see `cargo xtask doctor`")?;
        let library = rustc.library(ctx);
        let bindgen = bindgen::path(ctx);
        Ok(Self {
            rustc,
            llvm,
            library,
            bindgen,
        })
    }

    /// Versions, for keys and records.
    pub(crate) fn versions(&self) -> Versions {
        Versions {
            rustc: self.rustc.text.clone(),
            cc: self.llvm.text.clone(),
            bindgen: bindgen::VERSION.into(),
        }
    }

    /// Whether C helpers can be inlined into Rust code.
    pub(crate) fn can_inline_helpers(&self) -> bool {
        self.llvm.major == self.rustc.llvm_major
    }

    /// A `make` in the kernel tree `dir`, reproducible and on all processors.
    pub(crate) fn make(&self, dir: &Path, args: &[String]) -> Result<Command> {
        let jobs = std::thread::available_parallelism().map_or(1, usize::from);
        let mut command = Command::new("make");
        command
            .arg("-C")
            .arg(dir)
            .arg(format!("-j{jobs}"))
            .args(args);
        command.arg(format!("BINDGEN={}", self.bindgen.display()));
        self.environment(&mut command)?;
        Ok(command)
    }

    /// The environment of anything of the kernel's that is run directly.
    pub(crate) fn environment(&self, command: &mut Command) -> Result<()> {
        for name in MEDDLERS {
            command.env_remove(name);
        }
        let own = self.bindgen.parent().unwrap_or(Path::new("/"));
        let old = env::var_os("PATH").unwrap_or_default();
        let path = std::iter::once(own.to_owned()).chain(env::split_paths(&old));
        command
            .env("PATH", env::join_paths(path)?)
            .env("KBUILD_BUILD_TIMESTAMP", "@0")
            .env("KBUILD_BUILD_USER", "faultline")
            .env("KBUILD_BUILD_HOST", "faultline")
            .env("LC_ALL", "C");
        let found = [
            ("RUST_LIB_SRC", self.library.clone()),
            ("LIBCLANG_PATH", self.llvm.libclang_dir()),
        ];
        command.envs(
            found
                .into_iter()
                .filter_map(|(name, dir)| Some((name, dir?))),
        );
        Ok(())
    }
}
