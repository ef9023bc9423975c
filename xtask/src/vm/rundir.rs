// SPDX-License-Identifier: GPL-2.0-only
//! The directory in which each boot leaves its console, output and record.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;

use crate::ctx::Ctx;
use crate::fsx;

/// How many are kept: a run of the test suite makes about eighty.
const KEPT: usize = 120;

/// One boot's directory.
#[derive(Clone, Debug)]
pub(crate) struct RunDir {
    path: PathBuf,
}

impl RunDir {
    /// Makes a new one and removes the oldest.
    pub(crate) fn create(ctx: &Ctx, title: &str) -> Result<Self> {
        let parent = Self::parent(ctx);
        fsx::make_dir(&parent)?;
        prune(&parent)?;
        let dir = Self::name(ctx, title);
        fsx::make_dir(&dir.path)?;
        Ok(dir)
    }

    /// The name that a new one would have now.
    pub(crate) fn name(ctx: &Ctx, title: &str) -> Self {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let (stamp, millis) = (utc(now.as_secs()), now.subsec_millis());
        Self::at(Self::parent(ctx).join(format!("{stamp}.{millis:03}-{title}")))
    }

    /// A directory by its path.
    pub(crate) fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// Where all of them are.
    pub(crate) fn parent(ctx: &Ctx) -> PathBuf {
        ctx.repo.join("target/faultline")
    }

    /// The directory itself.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The kernel's messages.
    pub(crate) fn console(&self) -> PathBuf {
        self.path.join("console.log")
    }

    /// The command's stdout and stderr.
    pub(crate) fn output(&self) -> PathBuf {
        self.path.join("out.log")
    }

    /// The guest's progress reports.
    pub(crate) fn control(&self) -> PathBuf {
        self.path.join("control.log")
    }

    /// What the plugin of QEMU has counted.
    pub(crate) fn coherence(&self) -> PathBuf {
        self.path.join("coherence.jsonl")
    }

    /// The archive of what comes back from the guest; removed once it is unpacked.
    pub(crate) fn archive(&self) -> PathBuf {
        self.path.join("out.tar")
    }

    /// What came back from the guest.
    pub(crate) fn brought(&self) -> PathBuf {
        self.path.join("out")
    }

    /// QEMU's own messages.
    pub(crate) fn qemu_log(&self) -> PathBuf {
        self.path.join("qemu.log")
    }

    /// The command line, to be pasted into a shell.
    pub(crate) fn qemu_command(&self) -> PathBuf {
        self.path.join("qemu-command")
    }

    /// The guest's files; removed when the run was right.
    pub(crate) fn initramfs(&self) -> PathBuf {
        self.path.join("initramfs.cpio")
    }

    /// What came out of it.
    pub(crate) fn status(&self) -> PathBuf {
        self.path.join("status.json")
    }
}

fn prune(parent: &Path) -> Result<()> {
    static PRUNING: Mutex<()> = Mutex::new(());
    let _one_at_a_time = PRUNING.lock().unwrap_or_else(PoisonError::into_inner);
    let mut dirs: Vec<PathBuf> = fs::read_dir(parent)?
        .filter_map(|e| Some(e.ok()?.path()))
        .collect();
    dirs.sort();
    let excess = dirs.len().saturating_sub(KEPT - 1);
    dirs[..excess].iter().try_for_each(|dir| fsx::remove(dir))
}

/// "20260423T101500Z" from seconds since 1970.
fn utc(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = date(days);
    format!(
        "{year}{month:02}{day:02}T{:02}{:02}{:02}Z",
        rest / 3600,
        rest / 60 % 60,
        rest % 60
    )
}

/// The date `days` after 1970-01-01, counting in years that begin in March.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_dates() {
        assert_eq!(utc(0), "19700101T000000Z");
        assert_eq!(utc(951_782_400), "20000229T000000Z");
        assert_eq!(utc(1_776_174_245), "20260414T134405Z");
    }
}
