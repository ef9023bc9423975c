// SPDX-License-Identifier: GPL-2.0-only
//! `build-and-load`: from whatever the machine has to the demonstration.

use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;

use super::VmArgs;
use crate::ctx::Ctx;
use crate::step::seconds;
use crate::vm::Task;
use crate::{exit, say};

/// Build everything, boot the VM, load the module, and show concurrent faults and remaps
#[derive(Args, Debug)]
pub(crate) struct BuildAndLoadArgs {
    #[command(flatten)]
    vm: VmArgs,
    /// Seconds that each policy is shown for
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: Option<u64>,
    /// Seed of the demonstration
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

impl BuildAndLoadArgs {
    /// Runs `faultline demo` in the VM.
    pub(crate) fn run(&self, ctx: &Ctx) -> Result<u8> {
        let start = Instant::now();
        let mut argv = vec!["faultline".into(), "demo".into()];
        let options = [("--seconds", self.seconds), ("--seed", self.seed)];
        for (name, value) in options {
            argv.extend(
                value
                    .iter()
                    .flat_map(|v| [name.into(), v.to_string().into()]),
            );
        }
        let limit = Duration::from_secs(60 + 10 * self.seconds.unwrap_or(12));
        let code = self.vm.go(
            ctx,
            "build-and-load",
            Task::Run { argv, echo: true },
            |spec| {
                spec.run_limit = Some(limit);
            },
        )?;
        if !self.vm.dry_run {
            let verdict = if code == exit::PASS { "PASS" } else { "FAIL" };
            say!("build-and-load: {verdict} ({})", seconds(start.elapsed()));
        }
        Ok(code)
    }
}
