// SPDX-License-Identifier: GPL-2.0-only
//! Counting the cache lines that several processors write.

mod join;
mod lines;
pub(crate) mod measure;
mod objects;
mod rounds;
mod symbols;

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::ctx::Ctx;
use crate::harness::cargo;
use crate::host::toolchain::Toolchain;
use crate::step::Step;

/// Builds the plugin; cargo knows whether there is anything to do.
fn library(ctx: &Ctx, tools: &Toolchain) -> Result<PathBuf> {
    let target_dir = ctx.cached("coherence");
    let mut cargo = cargo(ctx, tools);
    cargo
        .args(["rustc", "--release", "--package", "faultline-coherence"])
        .args(["--lib", "--crate-type", "cdylib", "--features", "plugin"])
        .arg("--target-dir")
        .arg(&target_dir);
    Step::new(ctx, "building the plugin", cargo).run()?;
    let library = target_dir.join("release/libfaultline_coherence.so");
    let found = library.metadata();
    found.with_context(|| format!("the build of the plugin left no {}", library.display()))?;
    Ok(library)
}
