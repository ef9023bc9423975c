// SPDX-License-Identifier: GPL-2.0-only
//! `doctor`: what is needed, what is here, and how to get the rest.

use anyhow::Result;
use clap::Args;
use comfy_table::{Table, presets};

use crate::ctx::Ctx;
use crate::exit;
use crate::host::inventory;
use crate::host::needs::{self, Need, Scope};
use crate::kernel::build;

/// List what is needed, what was found, and how to get what is missing
#[derive(Args, Debug)]
pub(crate) struct DoctorArgs {
    /// Get what is missing
    #[arg(long, conflicts_with = "offline")]
    install: bool,
}

impl DoctorArgs {
    /// Passes if nothing is missing.
    pub(crate) fn run(&self, ctx: &Ctx) -> Result<u8> {
        if self.install {
            let _lock = ctx.lock()?;
            needs::ensure(ctx, Scope::ALL)?;
        }
        let needs = inventory::list(ctx, Scope::ALL)?;
        println!("{}", table(ctx, &needs));
        println!("cache: {}", ctx.cache.display());
        for dir in build::built(ctx) {
            println!("built kernel: {}", dir.display());
        }
        let missing = needs::missing(needs).len();
        match missing {
            0 => println!("nothing is missing"),
            n => println!(
                "{n} missing: every command installs what it needs, or `cargo xtask doctor --install` does now"
            ),
        }
        Ok(if missing == 0 { exit::PASS } else { exit::FAIL })
    }
}

fn table(ctx: &Ctx, needs: &[Need]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["needed", "for", "found", "how to get it"]);
    for need in needs {
        let how = match need.found {
            Some(_) => String::new(),
            None => needs::how(ctx, need),
        };
        let found = need.found.clone().unwrap_or_else(|| "MISSING".into());
        table.add_row([need.what, need.purpose, found.as_str(), how.as_str()]);
    }
    table
}
