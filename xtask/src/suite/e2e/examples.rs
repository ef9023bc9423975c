// SPDX-License-Identifier: GPL-2.0-only
//! The examples of the client library, on the device.

use std::path::Path;

use anyhow::{Result, ensure};

use super::{expect, scratch};
use crate::ctx::Ctx;
use crate::host::toolchain::Toolchain;
use crate::suite::c;
use crate::{exit, harness};

/// What both end with if all that they checked was right.
const LAST_LINE: &str = "all as it should be\n";

pub(super) fn arena_in_rust(ctx: &Ctx) -> Result<()> {
    let program = harness::example(ctx, &Toolchain::find(ctx)?, "arena")?;
    runs(ctx, &program)
}

pub(super) fn arena_in_c(ctx: &Ctx) -> Result<()> {
    let program = scratch(ctx, "example-c")?.join("arena");
    c::example(ctx, &program)?;
    runs(ctx, &program)
}

fn runs(ctx: &Ctx, program: &Path) -> Result<()> {
    let add = format!("{}:/root/arena", program.display());
    let args = ["run", "--add", &add, "--", "/root/arena"];
    let output = expect(ctx, &args, exit::PASS)?;
    let stdout = String::from_utf8_lossy(&output.stdout);
    ensure!(stdout.ends_with(LAST_LINE), "stdout: {stdout}");
    ensure!(
        stdout.contains("4096 pages moved and 0 copied"),
        "stdout: {stdout}"
    );
    Ok(())
}
