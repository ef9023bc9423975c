// SPDX-License-Identifier: GPL-2.0-only
//! Kernels to build modules against and to boot.

pub(crate) mod build;
pub(crate) mod config;
pub(crate) mod kdir;
pub(crate) mod source;

use std::fmt;
use std::path::PathBuf;

use anyhow::Result;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::ctx::Ctx;
use crate::host::toolchain::{Toolchain, Versions};

/// The kernels that the project builds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Flavour {
    /// The kernel that figures are measured on.
    Base,
    /// The kernel with checkers on, for correctness.
    Debug,
}

impl Flavour {
    /// The name used for directories, tests and options.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Debug => "debug",
        }
    }
}

impl fmt::Display for Flavour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A kernel that modules can be built for.
#[derive(Clone, Debug)]
pub(crate) struct Kernel {
    /// "base", "debug" or "kdir".
    pub(crate) name: String,
    /// The directory for `make -C`.
    pub(crate) dir: PathBuf,
    /// Changes whenever a module must be rebuilt.
    pub(crate) key: String,
    /// The bootable image; distribution headers have none.
    pub(crate) image: Option<PathBuf>,
    /// Selects the compiler: "LLVM=-22", or nothing for gcc.
    pub(crate) make_args: Vec<String>,
    /// Whether KASAN and its companions are in: it needs more of everything.
    pub(crate) checked: bool,
    /// What it is, for people and records.
    pub(crate) record: Record,
}

/// What a kernel was built from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// "7.3.4".
    pub(crate) release: String,
    /// The package or directory it came from.
    pub(crate) origin: String,
    /// Its compilers.
    pub(crate) versions: Versions,
    /// Whether Rust code has C helpers inlined.
    pub(crate) inline_helpers: bool,
}

/// The kernel of this flavour, built if it has to be; with `--kdir`, that tree.
pub(crate) fn get(ctx: &Ctx, tools: &Toolchain, flavour: Flavour) -> Result<Kernel> {
    match &ctx.global.kdir {
        Some(dir) => kdir::open(dir, tools),
        None => build::get(ctx, tools, flavour),
    }
}

/// The kernel that `get` would return, for looking at only: nothing is built.
pub(crate) fn planned(ctx: &Ctx, flavour: Flavour) -> Result<Kernel> {
    let tools = Toolchain::find(ctx)?;
    match &ctx.global.kdir {
        Some(dir) => kdir::open(dir, &tools),
        None => build::planned(ctx, &tools, flavour),
    }
}
