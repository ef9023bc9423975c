// SPDX-License-Identifier: GPL-2.0-only
//! Linux's own shared anonymous memory as a target: the honest peer.

use std::io;
use std::ops::Range;
use std::ptr::{self, NonNull};

use super::{Features, Operations, Pages, Target, View};
use crate::access::{Area, Signal};
use crate::{PAGE_SIZE, Placement, Prot, Source};

/// A range of addresses in which pages are mapped with `mmap(MAP_FIXED)`.
///
/// Where nothing is mapped there is a `PROT_NONE` mapping, not a hole: into a
/// hole the process could put a stack or a heap of its own, and the next stray
/// store would hit it. So an access there is a SIGSEGV, and an unmap is an
/// `mmap` too.
#[derive(Debug)]
pub struct LinuxTarget {
    start: NonNull<u8>,
    pages: u32,
}

// SAFETY: It owns a range of addresses; accesses go through `Area`.
unsafe impl Send for LinuxTarget {}
// SAFETY: As above, and mmap may be called by many threads.
unsafe impl Sync for LinuxTarget {}

const GUARD: libc::c_int = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;

impl LinuxTarget {
    /// `pages` pages, none of them mapped.
    pub fn new(pages: u32) -> io::Result<LinuxTarget> {
        let length = pages as usize * PAGE_SIZE as usize;
        // SAFETY: A new mapping at an address of the kernel's choice.
        let start = unsafe { libc::mmap(ptr::null_mut(), length, libc::PROT_NONE, GUARD, -1, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).expect("mmap does not return null");
        Ok(LinuxTarget { start, pages })
    }

    fn replace(&self, pages: Range<u32>, prot: libc::c_int, flags: libc::c_int) -> io::Result<()> {
        assert!(
            pages.start < pages.end && pages.end <= self.pages,
            "{pages:?}"
        );
        let length = (pages.end - pages.start) as usize * PAGE_SIZE as usize;
        let at = self
            .start
            .as_ptr()
            .wrapping_add(pages.start as usize * PAGE_SIZE as usize);
        // SAFETY: The range is inside ours, which holds no Rust object.
        let got = unsafe { libc::mmap(at.cast(), length, prot, flags | libc::MAP_FIXED, -1, 0) };
        if got == libc::MAP_FAILED {
            Err(io::Error::last_os_error())
        } else {
            Ok(())
        }
    }
}

impl Target for LinuxTarget {
    fn features(&self) -> Features {
        Features {
            placements: false,
            processes: false,
            operations: Operations::NONE,
        }
    }

    fn pages(&self) -> u32 {
        self.pages
    }

    fn unmapped_signal(&self) -> Signal {
        Signal::Segv
    }

    fn map(
        &self,
        pages: Range<u32>,
        prot: Prot,
        placement: Placement,
        source: Source<'_>,
    ) -> io::Result<u32> {
        if placement != Placement::Fixed || !matches!(source, Source::Anon) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let first = pages.start;
        self.replace(
            pages,
            prot.bits() as i32,
            libc::MAP_SHARED | libc::MAP_ANONYMOUS,
        )?;
        Ok(first)
    }

    fn unmap(&self, pages: Range<u32>) -> io::Result<()> {
        self.replace(pages, libc::PROT_NONE, GUARD)
    }

    fn query(&self, _page: u32) -> io::Result<Option<Pages>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn views(&self) -> Vec<View<'_>> {
        // SAFETY: The range is ours and stays reserved until it is dropped.
        let area = unsafe { Area::new(self.start, self.pages as usize * PAGE_SIZE as usize) };
        vec![View {
            first: 0,
            pages: self.pages,
            area,
        }]
    }
}

impl Drop for LinuxTarget {
    fn drop(&mut self) {
        let length = self.pages as usize * PAGE_SIZE as usize;
        // SAFETY: The range is ours, and no `Area` of it is left.
        unsafe { libc::munmap(self.start.as_ptr().cast(), length) };
    }
}
