// SPDX-License-Identifier: GPL-2.0-only
//! Building a kernel from fragments on top of tinyconfig.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::config::{self, Options};
use super::source::{self, Source, room};
use super::{Flavour, Kernel, Record};
use crate::ctx::Ctx;
use crate::fsx::{self, Key};
use crate::host::toolchain::Toolchain;
use crate::say;
use crate::step::Step;

/// Bumped when the way kernels are built changes.
const RECIPE: &str = "2";
/// Written into a build directory when all is there.
const STAMP: &str = ".faultline-built.json";
/// Disk space that one build takes, at most.
const ROOM: u64 = 3 << 30;
/// QEMU enters it directly, without unpacking (CONFIG_PVH).
const IMAGE: &str = "vmlinux";
const INLINE_HELPERS: &str = "CONFIG_RUST_INLINE_HELPERS";

/// One kernel to build.
struct Plan<'a> {
    ctx: &'a Ctx,
    tools: &'a Toolchain,
    flavour: Flavour,
    source: Source,
    fragments: String,
    wanted: Options,
    dir: PathBuf,
    key: String,
}

/// The kernel of this flavour, from the cache if it is there.
pub(crate) fn get(ctx: &Ctx, tools: &Toolchain, flavour: Flavour) -> Result<Kernel> {
    let plan = Plan::new(ctx, tools, flavour)?;
    let record = plan.record();
    if fsx::load(&plan.dir.join(STAMP)) != Some(record.clone()) || !plan.dir.join(IMAGE).is_file() {
        ctx.note_work();
        plan.build()
            .with_context(|| format!("building the {flavour} kernel"))?;
        fsx::save(&plan.dir.join(STAMP), &record)?;
    }
    Ok(plan.product())
}

/// The kernel that `get` would return, whether it is built or not.
pub(crate) fn planned(ctx: &Ctx, tools: &Toolchain, flavour: Flavour) -> Result<Kernel> {
    Ok(Plan::new(ctx, tools, flavour)?.product())
}

impl<'a> Plan<'a> {
    fn new(ctx: &'a Ctx, tools: &'a Toolchain, flavour: Flavour) -> Result<Self> {
        let source = source::present(ctx).context("no kernel source: see `cargo xtask doctor`")?;
        let fragments = fragments(ctx, tools, flavour)?;
        let wanted =
            config::parse(&fragments).with_context(|| format!("kconfig fragments of {flavour}"))?;
        let versions = tools.versions();
        let key = Key::default()
            .part("recipe", RECIPE)
            .part("source", &source.origin)
            .part("fragments", &fragments)
            .part("cc", &versions.cc)
            .part("rustc", &versions.rustc)
            .part("bindgen", &versions.bindgen)
            .part("make", tools.llvm.make_arg())
            .finish();
        let dir = ctx.cached("kernel").join(format!("{flavour}-{key}"));
        Ok(Self {
            ctx,
            tools,
            flavour,
            source,
            fragments,
            wanted,
            dir,
            key,
        })
    }

    fn record(&self) -> Record {
        Record {
            release: self.source.release.clone(),
            origin: self.source.origin.clone(),
            versions: self.tools.versions(),
            inline_helpers: config::is_on(&self.wanted, INLINE_HELPERS),
        }
    }

    fn product(self) -> Kernel {
        Kernel {
            name: self.flavour.name().into(),
            image: Some(self.dir.join(IMAGE)),
            make_args: vec![self.tools.llvm.make_arg()],
            checked: config::is_on(&self.wanted, "CONFIG_KASAN"),
            record: self.record(),
            dir: self.dir,
            key: self.key,
        }
    }

    fn build(&self) -> Result<()> {
        say!(
            "{} kernel: Linux {} ({}), {}, {}",
            self.flavour,
            self.source.release,
            self.source.origin,
            self.tools.rustc.text,
            self.tools.llvm.text
        );
        if !self.tools.can_inline_helpers() {
            say!(
                "NOTE: clang {} is not rustc's LLVM {}: C helpers are not inlined into Rust code, so figures do not compare with C",
                self.tools.llvm.major,
                self.tools.rustc.llvm_major
            );
        }
        fsx::make_dir(&self.dir)?;
        room(&self.ctx.cache, ROOM, "building a kernel")?;
        self.configure()?;
        let targets = [IMAGE.to_owned(), "modules".to_owned()];
        self.step("compiling", &targets)
    }

    fn configure(&self) -> Result<()> {
        self.step("preparing", &["tinyconfig".into()])?;
        let fragment = self.dir.join("faultline.config");
        fsx::write_atomic(&fragment, &self.fragments)?;
        let mut merge = Command::new(self.source.tree.join("scripts/kconfig/merge_config.sh"));
        self.tools.environment(&mut merge)?;
        merge
            .current_dir(&self.dir)
            .args(["-m", "-O"])
            .arg(&self.dir)
            .arg(".config")
            .arg(&fragment);
        Step::new(self.ctx, self.title("merging options of"), merge).run()?;
        // What the fragments make possible but do not ask for stays off, as in
        // tinyconfig; `olddefconfig` would build drivers for a real PC.
        let merged = self.dir.join("merged.config");
        fsx::rename(&self.dir.join(".config"), &merged)?;
        self.step(
            "configuring",
            &[
                format!("KCONFIG_ALLCONFIG={}", merged.display()),
                "allnoconfig".into(),
            ],
        )?;
        self.compare()
    }

    /// Kconfig drops what it cannot have without a word; this does not.
    fn compare(&self) -> Result<()> {
        let path = self.dir.join(".config");
        let resolved = config::parse(&fsx::read(&path)?)?;
        let dropped = config::dropped(&self.wanted, &resolved);
        if dropped.is_empty() {
            return Ok(());
        }
        bail!(
            "the kernel's configuration does not keep what kconfig/ asks for:\n  {}\n  resolved: {}\n  \
             find each option's dependencies in {}",
            dropped.join("\n  "),
            path.display(),
            self.source.tree.display()
        )
    }

    fn step(&self, verb: &str, targets: &[String]) -> Result<()> {
        let mut args = vec![
            format!("O={}", self.dir.display()),
            self.tools.llvm.make_arg(),
        ];
        args.extend_from_slice(targets);
        let make = self.tools.make(&self.source.tree, &args)?;
        Step::new(self.ctx, self.title(verb), make).run()
    }

    fn title(&self, verb: &str) -> String {
        format!("{verb} the {} kernel", self.flavour)
    }
}

/// The text of all fragments of a flavour.
fn fragments(ctx: &Ctx, tools: &Toolchain, flavour: Flavour) -> Result<String> {
    let read = |name: &str| fsx::read(&ctx.repo.join("kconfig").join(name));
    let mut text = read("base.config")?;
    if flavour == Flavour::Debug {
        text += &read("debug.config")?;
    }
    if !tools.can_inline_helpers() {
        text += &format!("# {INLINE_HELPERS} is not set\n");
    }
    Ok(text)
}

/// Build directories of kernels that nothing uses any more are left to
/// `clean`; this lists all that there are.
pub(crate) fn built(ctx: &Ctx) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(ctx.cached("kernel"))
        .into_iter()
        .flatten();
    let dirs = entries.filter_map(|e| Some(e.ok()?.path()));
    dirs.filter(|dir: &PathBuf| Path::is_file(&dir.join(STAMP)))
        .collect()
}
