// SPDX-License-Identifier: GPL-2.0-only
//! `test`: everything, in userspace and in the VM.

use std::time::Instant;

use anyhow::Result;
use clap::Args;

use crate::ctx::Ctx;
use crate::exit::Coded;
use crate::suite::host::{self, Tier};
use crate::suite::{Suite, busted, coherence, e2e, guest, stages, torture};

/// Run every test, in userspace and in the VM
#[derive(Args, Debug)]
pub(crate) struct TestArgs {
    /// Only tests whose full name contains this, such as vm.base or host.unit
    #[arg(default_value = "", hide_default_value = true)]
    filter: String,
    /// Look at more random cases, and at all executions of each model: some minutes
    #[arg(long)]
    long: bool,
}

impl TestArgs {
    /// One line per test, then the summary.
    pub(crate) fn run(&self, ctx: &Ctx) -> Result<u8> {
        let start = Instant::now();
        let mut suite = Suite::new(ctx, &self.filter);
        let tier = match self.long {
            true => Tier::Long,
            false => Tier::Short,
        };
        host::run(&mut suite, tier)?;
        stages::run(&mut suite)?;
        guest::stress(&mut suite)?;
        busted::run(&mut suite)?;
        coherence::run(&mut suite)?;
        torture::run(&mut suite)?;
        e2e::run(&mut suite)?;
        if suite.is_empty() {
            return Err(Coded::usage(format!(
                "no test's name contains \"{}\"",
                self.filter
            )));
        }
        Ok(suite.finish(start.elapsed()))
    }
}
