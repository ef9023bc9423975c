// SPDX-License-Identifier: GPL-2.0-only
//! rustc, and the source of its standard library.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::apt::PrivateApt;
use super::debian::{self, Offer};
use super::which;
use crate::ctx::Ctx;
use crate::step::{Step, output};
use crate::{fsx, say, signal};

/// The oldest rustc that Linux 7.x builds with.
const OLDEST: [u32; 3] = [1, 85, 0];

/// The installed compiler.
#[derive(Clone, Debug)]
pub(crate) struct Rustc {
    /// `rustc --version`, as Kconfig records it.
    pub(crate) text: String,
    /// "1.95.0".
    pub(crate) release: String,
    /// Major version of the LLVM inside.
    pub(crate) llvm_major: u32,
    sysroot: PathBuf,
}

impl Rustc {
    /// Asks the `rustc` on the path.
    pub(crate) fn find() -> Result<Self> {
        let verbose = output(Command::new("rustc").arg("-vV"))
            .context("finding rustc (install it from https://rustup.rs)")?;
        let sysroot = output(Command::new("rustc").args(["--print", "sysroot"]))?;
        Self::parse(&verbose, sysroot.trim())
    }

    fn parse(verbose: &str, sysroot: &str) -> Result<Self> {
        let field = |name: &str| {
            verbose
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
                .with_context(|| format!("`rustc -vV` has no {name}"))
        };
        let release = field("release")?;
        if debian::numbers(release) < OLDEST.to_vec() {
            bail!(
                "rustc {release} is too old: the kernel needs 1.85.0 or later (rustup update stable)"
            );
        }
        let llvm = field("LLVM version")?;
        Ok(Self {
            text: verbose.lines().next().unwrap_or_default().into(),
            release: release.into(),
            llvm_major: debian::numbers(llvm).first().copied().unwrap_or(0),
            sysroot: sysroot.into(),
        })
    }

    /// The library's source if it is here already.
    pub(crate) fn library(&self, ctx: &Ctx) -> Option<PathBuf> {
        let candidates = [
            self.sysroot.join("lib/rustlib/src/rust/library"),
            PathBuf::from(format!("/usr/src/rustc-{}/library", self.release)),
            self.unpacked(ctx).join("library"),
        ];
        candidates
            .into_iter()
            .find(|dir| dir.join("core/src/lib.rs").is_file())
    }

    /// Gets the library's source: the toolchain's own component if rustup can
    /// fetch it, else Debian's package of the very same version.
    pub(crate) fn fetch_library(&self, ctx: &Ctx) -> Result<PathBuf> {
        if let Err(error) = self.add_component(ctx) {
            signal::check()?;
            say!(
                "no component rust-src ({}); trying Debian's",
                error.to_string().lines().next().unwrap_or_default()
            );
            self.fetch_debian(ctx)?;
        }
        self.library(ctx).with_context(|| {
            format!(
                "the source of rustc {}'s library was unpacked but is not where it should be",
                self.release
            )
        })
    }

    /// Rustup may have no network; then it tries for minutes on end.
    fn add_component(&self, ctx: &Ctx) -> Result<()> {
        if which("rustup").is_none() {
            bail!("rustc is not rustup's");
        }
        let mut command = Command::new("rustup");
        command.args(["component", "add", "rust-src"]);
        Step::new(ctx, "rustup component add rust-src", command)
            .limit(Duration::from_secs(45))
            .run()
    }

    fn fetch_debian(&self, ctx: &Ctx) -> Result<()> {
        let apt = PrivateApt::open(ctx)?;
        let offers = apt.offers(&["rust-src".into()])?;
        match offers.iter().find(|o| o.upstream() == self.release) {
            Some(offer) => self.unpack(ctx, &apt, offer),
            None => bail!(
                "the source of rustc {}'s library (component rust-src) is needed in that very version; rustup could not fetch it and Debian's archive only has {}: type `rustup component add rust-src` where rustup has network, or use a rustc of one of those versions",
                self.release,
                offers
                    .iter()
                    .map(Offer::upstream)
                    .collect::<Vec<_>>()
                    .join(", ")
            ),
        }
    }

    fn unpacked(&self, ctx: &Ctx) -> PathBuf {
        ctx.cached(format!("src/rust-{}", self.release))
    }

    fn unpack(&self, ctx: &Ctx, apt: &PrivateApt, offer: &Offer) -> Result<()> {
        say!("Rust's library source: Debian's rust-src {}", offer.version);
        let target = self.unpacked(ctx);
        let staged = fsx::staging_dir(&target)?;
        apt.unpack(ctx, offer, &staged)?;
        let inner = only_child(&staged.join("usr/src"), "rustc-")?;
        fsx::remove(&target)?;
        fsx::rename(&inner, &target)?;
        fsx::remove(&staged)
    }
}

/// The one entry of `dir` whose name starts with `prefix`.
pub(crate) fn only_child(dir: &Path, prefix: &str) -> Result<PathBuf> {
    let entries = fs::read_dir(dir).with_context(|| format!("listing {}", dir.display()))?;
    entries
        .filter_map(|e| Some(e.ok()?.path()))
        .find(|p| {
            p.file_name()
                .is_some_and(|n| n.to_string_lossy().starts_with(prefix))
        })
        .with_context(|| format!("no {prefix}* in {}", dir.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERBOSE: &str = "rustc 1.95.0 (59807616e 2026-04-14)\nhost: x86_64-unknown-linux-gnu\nrelease: 1.95.0\nLLVM version: 22.1.2\n";

    #[test]
    fn rustc_is_read_from_its_verbose_version() {
        let rustc = Rustc::parse(VERBOSE, "/r").unwrap();
        assert_eq!(rustc.text, "rustc 1.95.0 (59807616e 2026-04-14)");
        assert_eq!((rustc.release.as_str(), rustc.llvm_major), ("1.95.0", 22));
    }

    #[test]
    fn an_old_rustc_is_refused() {
        let old = VERBOSE.replace("1.95.0", "1.84.1");
        let error = Rustc::parse(&old, "/r").unwrap_err();
        assert!(error.to_string().contains("too old"));
    }
}
