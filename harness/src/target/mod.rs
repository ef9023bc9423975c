// SPDX-License-Identifier: GPL-2.0-only
//! What is put under stress: something in which pages can be mapped and
//! unmapped while others access them.
//!
//! The oracle knows nothing of the device, so it can be tried on Linux's own
//! memory, on any machine, and on targets that are broken on purpose.

#[cfg(test)]
pub mod busted;
mod device;
mod linux;
mod operations;

use std::io;
use std::ops::Range;
use std::os::unix::net::UnixStream;

pub use device::DeviceTarget;
pub use linux::LinuxTarget;
pub use operations::{Operation, Operations};

use crate::access::{Area, Signal};
use crate::{Advice, Backing, Placement, Prot, Source, Stats};

/// A part of the target as memory: one window.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// Number of the page at the start of the area.
    pub first: u32,
    /// Number of pages.
    pub pages: u32,
    /// The memory.
    pub area: Area<'a>,
}

impl View<'_> {
    /// The byte of the area that is this byte of this page, if it is in it.
    pub fn byte(&self, page: u32, byte: usize) -> Option<usize> {
        let index = page
            .checked_sub(self.first)
            .filter(|&index| index < self.pages)?;
        Some(index as usize * crate::PAGE_SIZE as usize + byte)
    }
}

/// What a target can do beyond mapping at a fixed place and unmapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Features {
    /// MAP with a hint and with FIXED_NOREPLACE, and QUERY.
    pub placements: bool,
    /// Other processes can use it.
    pub processes: bool,
    /// What else.
    pub operations: Operations,
}

/// A region in numbers of pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pages {
    /// The pages, relative to the first one under test; saturated at both ends.
    pub range: Range<u32>,
    /// What an access may do.
    pub prot: Prot,
    /// What its pages are made of.
    pub backing: Backing,
    /// Page of the file that the first page of `range` is.
    pub file_page: u64,
}

/// Where REMAP may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// Nowhere.
    Stay,
    /// Anywhere, if it cannot stay.
    MayMove,
    /// To this page.
    Fixed(u32),
}

/// Something with pages `0..pages()` that can be mapped, unmapped and accessed.
/// Nothing is mapped at first.
pub trait Target: Sync {
    /// What it can do.
    fn features(&self) -> Features;

    /// Number of pages under test.
    fn pages(&self) -> u32;

    /// The signal of an access where nothing is mapped.
    fn unmapped_signal(&self) -> Signal;

    /// Makes a fresh region and returns its first page.
    fn map(
        &self,
        pages: Range<u32>,
        prot: Prot,
        placement: Placement,
        source: Source<'_>,
    ) -> io::Result<u32>;

    /// Removes what is mapped in the range.
    fn unmap(&self, pages: Range<u32>) -> io::Result<()>;

    /// Sets the protection of the range.
    fn protect(&self, pages: Range<u32>, prot: Prot) -> io::Result<()> {
        let _ = (pages, prot);
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Makes `old` a region of `count` pages and returns its first page.
    fn remap(&self, old: Range<u32>, count: u32, to: To) -> io::Result<u32> {
        let _ = (old, count, to);
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Fills or discards the pages of the range.
    fn advise(&self, pages: Range<u32>, advice: Advice) -> io::Result<()> {
        let _ = (pages, advice);
        Err(io::ErrorKind::Unsupported.into())
    }

    /// The region with this page, or the next one above it.
    fn query(&self, page: u32) -> io::Result<Option<Pages>>;

    /// The windows of this process; the first one shows all pages.
    fn views(&self) -> Vec<View<'_>>;

    /// The counters, if it has any.
    fn stats(&self) -> io::Result<Option<Stats>> {
        Ok(None)
    }

    /// Passes the means to use it on to the process at the other end.
    fn hand_over(&self, socket: &UnixStream) -> io::Result<()> {
        let _ = socket;
        Err(io::ErrorKind::Unsupported.into())
    }

    /// In a forked child: opens a window of its own on what was handed over.
    fn take_over(&mut self, socket: &UnixStream) -> io::Result<()> {
        let _ = socket;
        Err(io::ErrorKind::Unsupported.into())
    }
}
