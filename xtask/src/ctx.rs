// SPDX-License-Identifier: GPL-2.0-only
//! What every command shares: options, the clone, the cache and its lock.

use std::env;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use rustix::fs::{FlockOperation, flock};

use crate::exit::Coded;
use crate::{fsx, say, signal};

/// How QEMU runs the guest's instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum AccelChoice {
    /// KVM if a test boot under it succeeds, TCG otherwise.
    Auto,
    /// QEMU's emulator, with a host thread per vCPU.
    Tcg,
    /// The host's hardware virtualisation, not tried out first.
    Kvm,
}

/// Options that every command takes.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Global {
    /// Use this configured kernel tree, or a distribution's headers, instead of building one
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) kdir: Option<PathBuf>,
    /// Install and download nothing: say what to type instead
    #[arg(long, global = true, visible_alias = "no-install")]
    pub(crate) offline: bool,
    /// Accelerator of the VM
    #[arg(long, global = true, value_enum, default_value = "auto")]
    pub(crate) accel: AccelChoice,
    /// Where downloads and builds are kept [default: ~/.cache/faultline]
    #[arg(long, global = true, value_name = "DIR", env = "FAULTLINE_CACHE")]
    pub(crate) cache: Option<PathBuf>,
    /// QEMU to start
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        env = "FAULTLINE_QEMU",
        default_value = "qemu-system-x86_64"
    )]
    pub(crate) qemu: PathBuf,
    /// Debian archive to take sources from [default: the host's, or deb.debian.org]
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "FAULTLINE_DEBIAN_MIRROR"
    )]
    pub(crate) mirror: Option<String>,
    /// Print every command that is run
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
}

/// The surroundings of one invocation.
pub(crate) struct Ctx {
    /// Options of every command.
    pub(crate) global: Global,
    /// The clone's top folder.
    pub(crate) repo: PathBuf,
    /// Where downloads and builds are kept; absolute, and it exists.
    pub(crate) cache: PathBuf,
    built: AtomicBool,
}

impl Ctx {
    /// Finds the clone and the cache.
    pub(crate) fn new(mut global: Global) -> Result<Self> {
        if let Some(kdir) = &mut global.kdir {
            *kdir = kdir
                .canonicalize()
                .map_err(|e| Coded::usage(format!("--kdir {}: {e}", kdir.display())))?;
        }
        let cache = cache_dir(&global)?;
        fsx::make_dir(&cache)?;
        Ok(Self {
            global,
            repo: repo_dir()?,
            cache,
            built: AtomicBool::new(false),
        })
    }

    /// Notes that something had to be built.
    pub(crate) fn note_work(&self) {
        // Relaxed, here and below: it says nothing of anything else.
        self.built.store(true, Ordering::Relaxed);
    }

    /// Whether all that was asked for was there already.
    pub(crate) fn idle(&self) -> bool {
        !self.built.load(Ordering::Relaxed)
    }

    /// A path below the cache.
    pub(crate) fn cached(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.cache.join(relative)
    }

    /// Waits for the right to change the cache.
    pub(crate) fn lock(&self) -> Result<CacheLock> {
        let path = self.cached("lock");
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .with_context(|| format!("opening {}", path.display()))?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            let holder = fs::read_to_string(&path).unwrap_or_default();
            say!(
                "waiting for another xtask (pid {}) to finish building",
                holder.trim()
            );
            while flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
                signal::check()?;
                std::thread::sleep(std::time::Duration::from_millis(100));
            }
        }
        file.set_len(0)?;
        (&file).write_all(std::process::id().to_string().as_bytes())?;
        Ok(CacheLock { _file: file })
    }
}

/// The right to change the cache, until dropped.
pub(crate) struct CacheLock {
    _file: File,
}

fn repo_dir() -> Result<PathBuf> {
    // Cargo sets the variable when it runs xtask; the tree may have moved
    // since xtask was compiled.
    let manifest = env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    manifest
        .join("..")
        .canonicalize()
        .with_context(|| format!("finding the clone from {}", manifest.display()))
}

fn cache_dir(global: &Global) -> Result<PathBuf> {
    let absolute_env = |name| {
        env::var_os(name)
            .map(PathBuf::from)
            .filter(|p| p.is_absolute())
    };
    let dir = global
        .cache
        .clone()
        .or_else(|| Some(absolute_env("XDG_CACHE_HOME")?.join("faultline")))
        .or_else(|| Some(absolute_env("HOME")?.join(".cache/faultline")))
        .ok_or_else(|| Coded::usage("neither HOME nor XDG_CACHE_HOME is set: give --cache DIR"))?;
    let dir = std::path::absolute(&dir).with_context(|| format!("--cache {}", dir.display()))?;
    // Kbuild splits paths at blanks and colons.
    match dir
        .as_os_str()
        .as_encoded_bytes()
        .iter()
        .any(|b| b" :\t\n".contains(b))
    {
        true => Err(Coded::usage(format!(
            "the cache's path {} has a blank or colon in it, which Kbuild cannot cope with: give --cache DIR",
            dir.display()
        ))),
        false => Ok(dir),
    }
}
