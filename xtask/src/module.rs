// SPDX-License-Identifier: GPL-2.0-only
//! Building the kernel module, and variants of it, outside the source folder.

use std::fmt;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::ctx::Ctx;
use crate::fsx::{self, Key};
use crate::host::toolchain::Toolchain;
use crate::kernel::Kernel;
use crate::step::Step;

/// A build of the module, selected by `FAULTLINE_CFG`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Variant {
    /// What users load.
    Plain,
    /// With hooks that tests use to stop at chosen points.
    TestHooks,
    /// With these hooks, and a parameter that makes it wrong on purpose.
    Busted,
}

impl Variant {
    /// All there are.
    pub(crate) const ALL: [Self; 3] = [Self::Plain, Self::TestHooks, Self::Busted];

    /// The value of `FAULTLINE_CFG`.
    fn words(self) -> &'static str {
        match self {
            Self::Busted => "busted test_hooks",
            other => other.cfg(),
        }
    }

    /// What it is called.
    pub(crate) fn cfg(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::TestHooks => "test_hooks",
            Self::Busted => "busted",
        }
    }

    /// Where the guest has it.
    pub(crate) fn guest_path(self) -> String {
        match self.cfg() {
            "" => "lib/faultline/faultline.ko".into(),
            cfg => format!("lib/faultline/{cfg}/faultline.ko"),
        }
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cfg() {
            "" => f.write_str("plain"),
            cfg => f.write_str(cfg),
        }
    }
}

/// A built module.
#[derive(Clone, Debug)]
pub(crate) struct Module {
    /// Which build.
    pub(crate) variant: Variant,
    /// The `.ko` file.
    pub(crate) path: PathBuf,
    /// That of the torture, which the plain build has beside it.
    pub(crate) torture: Option<PathBuf>,
}

impl Module {
    fn files(&self) -> impl Iterator<Item = &PathBuf> {
        [Some(&self.path), self.torture.as_ref()]
            .into_iter()
            .flatten()
    }
}

/// Where the guest has the torture.
pub(crate) const TORTURE: &str = "lib/faultline/faultline_torture.ko";

/// Builds a variant for a kernel if its sources have changed.
pub(crate) fn get(
    ctx: &Ctx,
    tools: &Toolchain,
    kernel: &Kernel,
    variant: Variant,
) -> Result<Module> {
    let sources = ctx.repo.join("module");
    let place = Key::default()
        .part("clone", sources.as_os_str().as_encoded_bytes())
        .part("kernel", &kernel.key)
        .finish();
    let out = ctx
        .cached("module")
        .join(format!("{}-{place}-{variant}", kernel.name));
    let stamp = out.join(".faultline-built.json");
    let key = Key::default()
        .tree(&sources)?
        .part("kernel", &kernel.key)
        .finish();
    let torture = (variant == Variant::Plain).then(|| out.join("faultline_torture.ko"));
    let module = Module {
        variant,
        path: out.join("faultline.ko"),
        torture,
    };
    let stale = fsx::load::<String>(&stamp).as_ref() != Some(&key);
    if stale || !module.files().all(|f| f.is_file()) {
        ctx.note_work();
        fsx::make_dir(&out)?;
        let mut args = vec![
            format!("M={}", sources.display()),
            format!("MO={}", out.display()),
            format!("FAULTLINE_CFG={}", variant.words()),
        ];
        args.extend_from_slice(&kernel.make_args);
        args.push("modules".into());
        let make = tools.make(&kernel.dir, &args)?;
        let title = format!(
            "building the module ({variant}) for the {} kernel",
            kernel.name
        );
        Step::new(ctx, title, make).run()?;
        for file in module.files() {
            file.metadata()
                .with_context(|| format!("the build of the module left no {}", file.display()))?;
        }
        fsx::save(&stamp, &key)?;
    }
    Ok(module)
}
