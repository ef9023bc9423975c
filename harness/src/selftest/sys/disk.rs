// SPDX-License-Identifier: GPL-2.0-only
//! A disk as slow, and as broken, as a test wants it: null_blk over memory.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::erofs;
use super::file::Mount;
use crate::PAGE_SIZE;

const SECTOR: u64 = 512;

/// A disk with an EROFS on it. It goes when dropped, which waits for its users.
#[derive(Debug)]
pub(crate) struct Disk {
    // Fields are dropped in this order.
    mount: Mount,
    item: Item,
}

/// What stands for a disk in configfs.
#[derive(Debug)]
struct Item {
    path: PathBuf,
    _configfs: Mount,
}

impl Disk {
    /// A disk that takes `latency` to serve a request. Its file has `pages`
    /// pages, with `base + page` in the first word of each.
    pub(crate) fn new(latency: Duration, pages: u32, base: u64) -> io::Result<Disk> {
        let configfs = Mount::new("configfs", "none", "")?;
        let name = format!("faultline-{}", std::process::id());
        let path = configfs.path().join("nullb").join(&name);
        fs::create_dir(&path)?;
        let item = Item {
            path,
            _configfs: configfs,
        };
        let megabytes = (u64::from(erofs::CONTENTS + pages) * PAGE_SIZE).div_ceil(1 << 20);
        item.set("size", &megabytes.to_string())?;
        item.set("memory_backed", "1")?;
        item.set("irqmode", "2")?;
        item.set("completion_nsec", &latency.as_nanos().to_string())?;
        item.set("power", "1")?;
        let device = Path::new("/dev").join(name);
        erofs::format(&OpenOptions::new().write(true).open(&device)?, pages, base)?;
        let mount = Mount::new("erofs", &device.display().to_string(), "")?;
        Ok(Disk { mount, item })
    }

    /// Opens the file, of which the page cache has nothing that this does not
    /// bring.
    pub(crate) fn file(&self) -> io::Result<File> {
        File::open(self.mount.path().join(erofs::NAME))
    }

    /// From now on, reads of these pages of the file fail.
    pub(crate) fn spoil(&self, pages: Range<u32>) -> io::Result<()> {
        self.bad_blocks('+', pages)
    }

    /// They no longer do.
    pub(crate) fn mend(&self, pages: Range<u32>) -> io::Result<()> {
        self.bad_blocks('-', pages)
    }

    fn bad_blocks(&self, change: char, pages: Range<u32>) -> io::Result<()> {
        let sector = |page| u64::from(erofs::CONTENTS + page) * PAGE_SIZE / SECTOR;
        let (first, last) = (sector(pages.start), sector(pages.end) - 1);
        self.item
            .set("badblocks", &format!("{change}{first}-{last}"))
    }
}

impl Item {
    fn set(&self, attribute: &str, value: &str) -> io::Result<()> {
        fs::write(self.path.join(attribute), value)
    }
}

impl Drop for Item {
    fn drop(&mut self) {
        let _ = self.set("power", "0");
        let _ = fs::remove_dir(&self.path);
    }
}
