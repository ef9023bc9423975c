// SPDX-License-Identifier: GPL-2.0-only
//! bindgen, which the kernel's and the module's builds run.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::ctx::Ctx;
use crate::fsx;
use crate::step::Step;

/// The version that is installed; the kernel wants 0.71.1 or later.
pub(crate) const VERSION: &str = "0.72.1";

/// Where it is kept: never in the user's own Cargo directory.
pub(crate) fn path(ctx: &Ctx) -> PathBuf {
    root(ctx).join("bin/bindgen")
}

/// Whether it is there. The version is part of the directory's name, and cargo
/// puts the binary in place last.
pub(crate) fn is_installed(ctx: &Ctx) -> bool {
    path(ctx).is_file()
}

/// The command that installs it.
pub(crate) fn install_command(ctx: &Ctx) -> Command {
    let mut command = Command::new("cargo");
    command
        .args(["install", "--locked", "--force", "--root"])
        .arg(root(ctx))
        .arg("--target-dir")
        .arg(build_dir(ctx))
        .arg(format!("bindgen-cli@{VERSION}"));
    command
}

/// Installs it from crates.io.
pub(crate) fn install(ctx: &Ctx) -> Result<()> {
    Step::new(ctx, "installing bindgen-cli", install_command(ctx))
        .run()
        .context("bindgen is needed to build the kernel, and crates.io to get it")?;
    fsx::remove(&build_dir(ctx))
}

/// Kept while an install is unfinished, so that the next one goes on from it.
fn build_dir(ctx: &Ctx) -> PathBuf {
    ctx.cached("tools/build")
}

fn root(ctx: &Ctx) -> PathBuf {
    ctx.cached(format!("tools/bindgen-{VERSION}"))
}
