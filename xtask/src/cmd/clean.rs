// SPDX-License-Identifier: GPL-2.0-only
//! `clean`: takes things out of the cache.

use anyhow::Result;
use clap::Args;

use crate::ctx::Ctx;
use crate::vm::rundir::RunDir;
use crate::{exit, fsx, say};

/// What builds leave, and cheap to have again.
const PRODUCTS: [&str; 6] = [
    "accel.json",
    "built-base.json",
    "built-debug.json",
    "harness",
    "logs",
    "module",
];
/// Hours of downloads and compiling at most.
const COSTLY: [&str; 2] = ["kernel", "tools"];
/// What comes from Debian.
const SOURCES: [&str; 3] = ["apt", "linux.json", "src"];

/// Remove what builds and runs have left
#[derive(Args, Debug)]
pub(crate) struct CleanArgs {
    /// Also the kernels and tools, which take minutes to build
    #[arg(long)]
    kernels: bool,
    /// Also the downloaded sources: the next build takes the newest
    #[arg(long)]
    sources: bool,
    /// Everything
    #[arg(long)]
    all: bool,
}

impl CleanArgs {
    /// Removes only what xtask knows to be its own.
    pub(crate) fn run(&self, ctx: &Ctx) -> Result<u8> {
        let _lock = ctx.lock()?;
        let mut names = PRODUCTS.to_vec();
        if self.kernels || self.all {
            names.extend(COSTLY);
        }
        if self.sources || self.all {
            names.extend(SOURCES);
        }
        let mut paths: Vec<_> = names.into_iter().map(|n| ctx.cached(n)).collect();
        paths.push(RunDir::parent(ctx));
        for path in paths.iter().filter(|p| p.exists()) {
            say!("removing {}", path.display());
            fsx::remove(path)?;
        }
        Ok(exit::PASS)
    }
}
