// SPDX-License-Identifier: GPL-2.0-only
//! What the project needs on the host: found, missing, and how to get it.

use anyhow::{Result, bail};

use super::rust::Rustc;
use super::{apt, bindgen, inventory, which};
use crate::ctx::Ctx;
use crate::exit::Coded;
use crate::kernel::source;
use crate::{say, signal};

/// How a missing thing is had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// Packages of the host's apt.
    Packages(Vec<String>),
    /// Packages of a suite of Debian's archive that the host's apt may not read.
    Suite {
        /// "bookworm-backports".
        suite: String,
        /// Their names.
        packages: Vec<String>,
    },
    /// `cargo install` into the cache.
    Bindgen,
    /// Debian's newest linux-source-7.x into the cache.
    KernelSource,
    /// The source of Rust's library, into the cache or the toolchain.
    RustSource,
    /// Only the user can.
    Manual(String),
}

/// One thing needed.
#[derive(Debug)]
pub(crate) struct Need {
    /// What.
    pub(crate) what: &'static str,
    /// What for.
    pub(crate) purpose: &'static str,
    /// Where or which, if it is here.
    pub(crate) found: Option<String>,
    /// How to get it.
    pub(crate) remedy: Remedy,
    /// Whether there is no VM without it.
    pub(crate) for_vm: bool,
}

impl Need {
    fn is_from_apt(&self) -> bool {
        matches!(self.remedy, Remedy::Packages(_) | Remedy::Suite { .. })
    }
}

/// What a command is about to do, and so needs tools for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scope {
    /// Compile kernel and module.
    pub(crate) build: bool,
    /// Boot a VM.
    pub(crate) boot: bool,
    /// Read a trace with other programs than ours, as tests do.
    pub(crate) trace: bool,
}

impl Scope {
    /// Compile only.
    pub(crate) const BUILD: Self = Self {
        build: true,
        boot: false,
        trace: false,
    };
    /// Everything.
    pub(crate) const ALL: Self = Self {
        build: true,
        boot: true,
        trace: false,
    };
    /// Only what traces are read with.
    pub(crate) const TRACE: Self = Self {
        build: false,
        boot: false,
        trace: true,
    };
}

/// Gets what is missing, or says what to type where that is not wanted.
pub(crate) fn ensure(ctx: &Ctx, scope: Scope) -> Result<()> {
    let missing = missing(inventory::list(ctx, scope)?);
    if missing.is_empty() {
        return Ok(());
    }
    let got = get(ctx, scope, &missing);
    signal::check()?;
    match missing.iter().any(|need| need.for_vm) {
        true => got.map_err(|error| Coded::unavailable(format!("{error:#}"))),
        false => got,
    }
}

fn get(ctx: &Ctx, scope: Scope, missing: &[Need]) -> Result<()> {
    if ctx.global.offline {
        bail!(
            "missing, and --offline forbids to get it:\n{}",
            advice(ctx, missing)
        );
    }
    let from_apt = missing.iter().any(Need::is_from_apt);
    if from_apt && which("apt-get").is_none() {
        bail!(
            "this host has no apt-get; install yourself:\n{}",
            advice(ctx, missing)
        );
    }
    let missing = match from_apt {
        false => missing,
        // Which packages to ask for depends on what apt knows, and a new
        // machine's lists can be older than the archive.
        true => {
            apt::update(ctx)?;
            &self::missing(inventory::list(ctx, scope)?)
        }
    };
    install(ctx, missing)?;
    let left = self::missing(inventory::list(ctx, scope)?);
    match left.is_empty() {
        true => Ok(()),
        false => bail!("still missing after installing:\n{}", advice(ctx, &left)),
    }
}

/// The needs that are not met.
pub(crate) fn missing(needs: Vec<Need>) -> Vec<Need> {
    needs.into_iter().filter(|n| n.found.is_none()).collect()
}

fn install(ctx: &Ctx, missing: &[Need]) -> Result<()> {
    let packages = packages(missing);
    if !packages.is_empty() {
        say!("installing packages: {}", packages.join(" "));
        apt::install(ctx, &packages)?;
    }
    for need in missing {
        match &need.remedy {
            Remedy::Packages(_) => {}
            Remedy::Suite { suite, packages } => {
                say!("installing from {suite}: {}", packages.join(" "));
                apt::install_from(ctx, suite, packages)?;
            }
            Remedy::Bindgen => {
                say!(
                    "installing bindgen-cli {} into {}",
                    bindgen::VERSION,
                    bindgen::path(ctx).display()
                );
                bindgen::install(ctx)?;
            }
            Remedy::KernelSource => {
                say!(
                    "getting the kernel's source into {}",
                    ctx.cached("src").display()
                );
                source::fetch(ctx)?;
            }
            Remedy::RustSource => {
                say!("getting the source of Rust's library");
                Rustc::find()?.fetch_library(ctx)?;
            }
            Remedy::Manual(how) => bail!("{} is missing: {how}", need.what),
        }
    }
    Ok(())
}

fn packages(needs: &[Need]) -> Vec<String> {
    let mut all = Vec::new();
    for need in needs {
        if let Remedy::Packages(names) = &need.remedy {
            all.extend(names.iter().cloned());
        }
    }
    all.sort();
    all.dedup();
    all
}

/// How to get one missing thing by hand.
pub(crate) fn how(ctx: &Ctx, need: &Need) -> String {
    match &need.remedy {
        Remedy::Packages(names) => {
            format!("apt-get update && apt-get install {}", names.join(" "))
        }
        Remedy::Suite { suite, packages } => format!(
            "add the suite {suite} to apt's sources, then apt-get update && apt-get install -t {suite} {}",
            packages.join(" ")
        ),
        Remedy::Bindgen => crate::step::show(&bindgen::install_command(ctx)),
        Remedy::KernelSource => "cargo xtask doctor --install (with network), or --kdir DIR".into(),
        Remedy::RustSource => {
            "cargo xtask doctor --install, or rustup component add rust-src (with network)".into()
        }
        Remedy::Manual(how) => how.clone(),
    }
}

fn advice(ctx: &Ctx, needs: &[Need]) -> String {
    let line = |need: &Need| format!("  {} ({}): {}", need.what, need.purpose, how(ctx, need));
    needs.iter().map(line).collect::<Vec<_>>().join("\n")
}
