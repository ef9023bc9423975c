// SPDX-License-Identifier: GPL-2.0-only
//! `build`: kernel, module and harness.

use std::time::Instant;

use anyhow::Result;
use clap::{Args, ValueEnum};

use crate::ctx::Ctx;
use crate::host::needs::Scope;
use crate::kernel::Flavour;
use crate::module::Variant;
use crate::step::seconds;
use crate::{exit, pipeline, say};

/// Which kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Which {
    /// The kernel that figures are measured on
    Base,
    /// The kernel with checkers on
    Debug,
    /// Both
    All,
}

/// Build kernel, module and harness; does nothing when all is there
#[derive(Args, Debug)]
pub(crate) struct BuildArgs {
    /// Kernels to build, each with its module
    #[arg(long, value_enum, default_value = "base")]
    kernel: Which,
    /// Builds of the module
    #[arg(long, value_enum, value_delimiter = ',', default_value = "plain")]
    module: Vec<Variant>,
}

impl BuildArgs {
    /// Builds, and says where the products are.
    pub(crate) fn run(&self, ctx: &Ctx) -> Result<u8> {
        let start = Instant::now();
        let flavours: &[Flavour] = match self.kernel {
            // A tree of the user's is one kernel, whatever it is.
            _ if ctx.global.kdir.is_some() => &[Flavour::Base],
            Which::Base => &[Flavour::Base],
            Which::Debug => &[Flavour::Debug],
            Which::All => &[Flavour::Base, Flavour::Debug],
        };
        for flavour in flavours {
            let built = pipeline::build(ctx, Scope::BUILD, *flavour, &self.module)?;
            let record = &built.kernel.record;
            say!(
                "{} kernel: Linux {}, {}",
                built.kernel.name,
                record.release,
                record.versions.rustc
            );
            say!(
                "  {}",
                built
                    .kernel
                    .image
                    .as_ref()
                    .unwrap_or(&built.kernel.dir)
                    .display()
            );
            for module in &built.modules {
                say!("  {}", module.path.display());
            }
            say!("  {}", built.harness.display());
        }
        let how = if ctx.idle() {
            "up to date, nothing built"
        } else {
            "built"
        };
        say!("{how} ({})", seconds(start.elapsed()));
        Ok(exit::PASS)
    }
}
