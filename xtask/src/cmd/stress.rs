// SPDX-License-Identifier: GPL-2.0-only
//! `stress`: the harness's stress in the VM, with leak check.

use std::ffi::OsString;
use std::time::Duration;

use anyhow::Result;
use clap::Args;

use super::VmArgs;
use crate::ctx::Ctx;
use crate::vm::Task;

/// Fault and remap concurrently in the VM, checking every page
#[derive(Args, Debug)]
pub(crate) struct StressArgs {
    #[command(flatten)]
    vm: VmArgs,
    /// How long
    #[arg(long, value_name = "S", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Seed of all that is random
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Synchronisation policy
    #[arg(long, value_name = "P")]
    policy: Option<String>,
    /// Faulting threads
    #[arg(long, value_name = "N")]
    threads: Option<u32>,
    /// Remapping threads
    #[arg(long, value_name = "M")]
    remappers: Option<u32>,
    /// Processes
    #[arg(long, value_name = "P")]
    procs: Option<u32>,
    /// Results as JSON
    #[arg(long)]
    json: bool,
    /// More options of `faultline stress`
    #[arg(last = true, value_name = "OPTIONS")]
    more: Vec<OsString>,
}

impl StressArgs {
    /// Runs `faultline stress` in the VM.
    pub(crate) fn run(&self, ctx: &Ctx) -> Result<u8> {
        let task = Task::Run {
            argv: self.argv(),
            echo: true,
        };
        self.vm.go(ctx, "stress", task, |spec| {
            // The harness needs a while to set up and to sum up.
            spec.run_limit = Some(Duration::from_secs(self.seconds + 120));
            spec.leak_check = spec.kernel.checked;
        })
    }

    fn argv(&self) -> Vec<OsString> {
        let text = |number: Option<u32>| number.map(|n| n.to_string());
        let options = [
            ("--seconds", Some(self.seconds.to_string())),
            ("--seed", self.seed.map(|n| n.to_string())),
            ("--policy", self.policy.clone()),
            ("--threads", text(self.threads)),
            ("--remappers", text(self.remappers)),
            ("--procs", text(self.procs)),
        ];
        let mut argv: Vec<OsString> = vec!["faultline".into(), "stress".into()];
        for (name, value) in options {
            argv.extend(value.into_iter().flat_map(|v| [name.into(), v.into()]));
        }
        if self.json {
            argv.push("--json".into());
        }
        argv.extend(self.more.iter().cloned());
        argv
    }
}
