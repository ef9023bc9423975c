// SPDX-License-Identifier: GPL-2.0-only
//! The kernel's source, from Debian's archive.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::ctx::Ctx;
use crate::host::apt::PrivateApt;
use crate::host::debian::{Offer, newest_linux};
use crate::host::rust::only_child;
use crate::step::Step;
use crate::{fsx, say};

/// Room that the package, the archive in it and the tree take while unpacking.
const ROOM: u64 = 3 << 30;

/// An unpacked source.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Source {
    /// "7.3.4".
    pub(crate) release: String,
    /// "linux-source-7.3 7.3.4-1~bpo13+1".
    pub(crate) origin: String,
    /// The tree.
    pub(crate) tree: PathBuf,
}

/// The source in the cache. Once there it stays in use, so that nothing
/// changes under a series of measurements, until `clean --sources`.
pub(crate) fn present(ctx: &Ctx) -> Option<Source> {
    fsx::load::<Source>(&record(ctx)).filter(|source| source.tree.join("Makefile").is_file())
}

/// Downloads and unpacks the newest source that fits.
pub(crate) fn fetch(ctx: &Ctx) -> Result<Source> {
    let apt = PrivateApt::open(ctx)?;
    let offers = apt.offers(&apt.names("linux-source-7")?)?;
    let offer = newest_linux(&offers).context(
        "Debian's archive offers no linux-source-7.x of 7.2 or later any more: give --kdir DIR, a configured kernel tree of your own",
    )?;
    say!(
        "kernel source: {} {}, the newest 7.x in Debian's archive",
        offer.package,
        offer.version
    );
    room(&ctx.cache, ROOM, "unpacking the kernel's source")?;
    let source = Source {
        release: offer.upstream().into(),
        origin: format!("{} {}", offer.package, offer.version),
        tree: ctx.cached("src").join(offer.dir_name()),
    };
    unpack(ctx, &apt, offer, &source.tree)?;
    fsx::save(&record(ctx), &source)?;
    Ok(source)
}

fn unpack(ctx: &Ctx, apt: &PrivateApt, offer: &Offer, target: &Path) -> Result<()> {
    fsx::make_dir(&ctx.cached("src"))?;
    let staged = fsx::staging_dir(target)?;
    apt.unpack(ctx, offer, &staged)?;
    let archive = only_child(&staged.join("usr/src"), &format!("{}.tar", offer.package))?;
    let mut tar = Command::new("tar");
    tar.arg("-xf").arg(archive).arg("-C").arg(&staged);
    Step::new(ctx, format!("unpacking Linux {}", offer.upstream()), tar).run()?;
    fsx::remove(target)?;
    fsx::rename(&only_child(&staged, "linux-source-")?, target)?;
    fsx::remove(&staged)
}

/// Fails if the file system of `dir` has fewer than `bytes` left.
pub(crate) fn room(dir: &Path, bytes: u64, what: &str) -> Result<()> {
    let stat = rustix::fs::statvfs(dir)
        .with_context(|| format!("asking for free space in {}", dir.display()))?;
    let free = stat.f_bavail * stat.f_frsize;
    anyhow::ensure!(
        free >= bytes,
        "{what} needs {:.1} GB in {}, which has {:.1} GB left: free some, or give --cache DIR on another disk",
        gigabytes(bytes),
        dir.display(),
        gigabytes(free),
    );
    Ok(())
}

fn gigabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e9
}

fn record(ctx: &Ctx) -> PathBuf {
    ctx.cached("linux.json")
}
