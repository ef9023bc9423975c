// SPDX-License-Identifier: GPL-2.0-only
//! Tests without a VM: formatting, lints, unit tests.

use anyhow::Result;

use super::Suite;
use crate::ctx::Ctx;
use crate::harness;
use crate::host::needs::{self, Scope};
use crate::host::toolchain::Toolchain;
use crate::ktap::Status;
use crate::step::Step;

/// Name, title and arguments of each.
const STAGES: [(&str, &str, &[&str]); 3] = [
    (
        "host.fmt",
        "cargo fmt --check",
        &["fmt", "--all", "--check"],
    ),
    (
        "host.clippy",
        "cargo clippy",
        &[
            "clippy",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ],
    ),
    ("host.unit", "cargo test", &["test", "--workspace"]),
];

/// Runs all of them that are wanted.
pub(crate) fn run(suite: &mut Suite<'_>) -> Result<()> {
    for (name, title, args) in STAGES {
        suite.case(name, |ctx| cargo(ctx, title, args))?;
    }
    Ok(())
}

fn cargo(ctx: &Ctx, title: &str, args: &[&str]) -> Result<Status> {
    {
        let _lock = ctx.lock()?;
        // The harness's build script runs bindgen, and so needs libclang.
        needs::ensure(ctx, Scope::BUILD)?;
    }
    let mut cargo = harness::cargo(ctx, &Toolchain::find(ctx)?);
    cargo.args(args);
    Step::new(ctx, title, cargo).run()?;
    Ok(Status::Pass)
}
