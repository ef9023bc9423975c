// SPDX-License-Identifier: GPL-2.0-only
//! `shell`: an interactive VM.

use std::io::{self, IsTerminal};
use std::time::Duration;

use anyhow::Result;
use clap::Args;

use super::VmArgs;
use super::run::added_files;
use crate::ctx::Ctx;
use crate::say;
use crate::vm::Task;

/// How long a shell may last that nobody sits at.
const UNATTENDED: Duration = Duration::from_secs(600);

/// Boot the VM, load the module, and give a shell in it (Ctrl-A X ends the VM)
#[derive(Args, Debug)]
pub(crate) struct ShellArgs {
    #[command(flatten)]
    vm: VmArgs,
    /// File to take along, executable, at GUEST or in /root (may be repeated)
    #[arg(long, value_name = "HOST[:GUEST]")]
    add: Vec<String>,
}

impl ShellArgs {
    /// The status is that of the shell.
    pub(crate) fn run(self, ctx: &Ctx) -> Result<u8> {
        let added = added_files(&self.add)?;
        if !self.vm.dry_run {
            say!("`exit` leaves the shell; Ctrl-A X ends a VM that hangs");
        }
        self.vm.go(ctx, "shell", Task::Shell, |spec| {
            spec.added = added;
            // Nobody would notice that a shell without a terminal waits for ever.
            spec.run_limit = (!io::stdin().is_terminal()).then_some(UNATTENDED);
        })
    }
}
