// SPDX-License-Identifier: GPL-2.0-only
//! From a bare machine to everything that a boot takes along.

use std::path::PathBuf;

use anyhow::Result;

use crate::ctx::Ctx;
use crate::host::needs::{self, Scope};
use crate::host::toolchain::Toolchain;
use crate::kernel::{self, Flavour, Kernel};
use crate::module::{self, Module, Variant};
use crate::vm::{Spec, Task};
use crate::{fsx, harness};

/// All that one boot needs.
#[derive(Clone, Debug)]
pub(crate) struct Built {
    /// What to boot.
    pub(crate) kernel: Kernel,
    /// What to load.
    pub(crate) modules: Vec<Module>,
    /// What to run.
    pub(crate) harness: PathBuf,
}

impl Built {
    /// A boot that takes all of it along and loads the plain module.
    pub(crate) fn spec(&self, title: &str, task: Task) -> Spec {
        let mut spec = Spec::new(title, self.kernel.clone(), task);
        spec.modules.clone_from(&self.modules);
        spec.load = self.modules.first().map(|m| m.variant);
        spec.harness = Some(self.harness.clone());
        spec
    }
}

/// Installs and builds whatever is not there yet.
pub(crate) fn build(
    ctx: &Ctx,
    scope: Scope,
    flavour: Flavour,
    variants: &[Variant],
) -> Result<Built> {
    let _lock = ctx.lock()?;
    needs::ensure(ctx, scope)?;
    let tools = Toolchain::find(ctx)?;
    let kernel = kernel::get(ctx, &tools, flavour)?;
    let modules = variants
        .iter()
        .map(|v| module::get(ctx, &tools, &kernel, *v));
    let modules = modules.collect::<Result<Vec<_>>>()?;
    let harness = harness::get(ctx, &tools)?;
    let built = Built {
        kernel,
        modules,
        harness,
    };
    fsx::save(
        &ctx.cached(format!("built-{}.json", built.kernel.name)),
        &built.kernel.record,
    )?;
    Ok(built)
}
