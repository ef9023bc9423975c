// SPDX-License-Identifier: GPL-2.0-only
//! Building the harness: one static binary, for the guest and for the host.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::ctx::Ctx;
use crate::host::toolchain::Toolchain;
use crate::step::{Step, die_with_parent, show};

/// What userspace is built for.
pub(crate) const TARGET: &str = "x86_64-unknown-linux-gnu";
/// The guest has no shared libraries.
const STATIC: &str = "-C target-feature=+crt-static -C relocation-model=static -C strip=symbols";

/// Builds it; cargo knows whether there is anything to do.
pub(crate) fn get(ctx: &Ctx, tools: &Toolchain) -> Result<PathBuf> {
    build(
        ctx,
        tools,
        "the harness",
        &["--bin", "faultline"],
        "faultline",
    )
}

/// Runs a command of `faultline` here that needs no module; returns its status.
pub(crate) fn on_the_host(ctx: &Ctx, command: &[&str], args: &[OsString]) -> Result<u8> {
    let program = {
        let _lock = ctx.lock()?;
        get(ctx, &Toolchain::find(ctx)?)?
    };
    let mut faultline = Command::new(program);
    faultline.args(command).args(args);
    let status = die_with_parent(&mut faultline)
        .status()
        .with_context(|| format!("starting `{}`", show(&faultline)))?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    code.with_context(|| format!("`{}`: {status}", show(&faultline)))
}

/// Builds an example of the client library, of that library alone.
pub(crate) fn example(ctx: &Ctx, tools: &Toolchain, name: &str) -> Result<PathBuf> {
    let title = format!("the example {name}");
    let args = ["--no-default-features", "--example", name];
    build(ctx, tools, &title, &args, &format!("examples/{name}"))
}

/// Builds a program of the package, statically linked.
fn build(
    ctx: &Ctx,
    tools: &Toolchain,
    title: &str,
    args: &[&str],
    program: &str,
) -> Result<PathBuf> {
    let path = target_dir(ctx).join(TARGET).join("release").join(program);
    let age = || path.metadata().and_then(|m| m.modified()).ok();
    let before = age();
    let mut cargo = cargo(ctx, tools);
    cargo
        .args(["build", "--release", "--package", "harness"])
        .args(args)
        .args(["--target", TARGET, "--target-dir"])
        .arg(target_dir(ctx))
        .env("RUSTFLAGS", STATIC);
    Step::new(ctx, format!("building {title}"), cargo).run()?;
    let after = age();
    after.with_context(|| format!("the build of {title} left no {}", path.display()))?;
    if before != after {
        ctx.note_work();
    }
    Ok(path)
}

/// Where it is once it is built.
pub(crate) fn built(ctx: &Ctx) -> PathBuf {
    target_dir(ctx).join(TARGET).join("release/faultline")
}

fn target_dir(ctx: &Ctx) -> PathBuf {
    ctx.cached("harness")
}

/// A cargo in the clone, with the libclang that build scripts need.
pub(crate) fn cargo(ctx: &Ctx, tools: &Toolchain) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(&ctx.repo);
    if ctx.global.offline {
        cargo.arg("--offline");
    }
    if let Some(dir) = tools.llvm.libclang_dir() {
        cargo.env("LIBCLANG_PATH", dir);
    }
    cargo
}
