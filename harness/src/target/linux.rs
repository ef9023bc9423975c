// SPDX-License-Identifier: GPL-2.0-only
//! Linux's own private memory as a target: the honest peer.

use std::io;
use std::ops::Range;
use std::os::fd::RawFd;
use std::ptr::{self, NonNull};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Features, Operations, Pages, Target, To, View};
use crate::access::{Area, Signal};
use crate::{Advice, PAGE_SIZE, Placement, Prot, Source};

/// A range of addresses in which pages are mapped with `mmap(MAP_FIXED)`.
///
/// Where nothing is mapped there is a `PROT_NONE` mapping, not a hole: into a
/// hole the process could put a stack or a heap of its own, and the next stray
/// store would hit it. So an access there is a SIGSEGV, an unmap is an `mmap`
/// too, and what is mapped has to be kept track of here.
#[derive(Debug)]
pub struct LinuxTarget {
    start: NonNull<u8>,
    pages: u32,
    cells: Mutex<Vec<Option<Cell>>>,
}

/// What a page was mapped with.
#[derive(Clone, Copy, Debug)]
struct Cell {
    prot: Prot,
    flags: libc::c_int,
    /// -1 for anonymous memory.
    fd: RawFd,
    offset: u64,
}

impl Cell {
    /// What the page `pages` further on has.
    fn plus(self, pages: u32) -> Cell {
        let more = if self.fd < 0 { 0 } else { bytes(pages) as u64 };
        Cell {
            offset: self.offset + more,
            ..self
        }
    }
}

// SAFETY: It owns a range of addresses; accesses go through `Area`.
unsafe impl Send for LinuxTarget {}
// SAFETY: As above, and mmap may be called by many threads.
unsafe impl Sync for LinuxTarget {}

const PRIVATE_ZERO: libc::c_int = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
const GUARD: libc::c_int = PRIVATE_ZERO | libc::MAP_NORESERVE;

const fn bytes(pages: u32) -> usize {
    pages as usize * PAGE_SIZE as usize
}

fn errno<T>(errno: i32) -> io::Result<T> {
    Err(io::Error::from_raw_os_error(errno))
}

impl LinuxTarget {
    /// `pages` pages, none of them mapped.
    pub fn new(pages: u32) -> io::Result<LinuxTarget> {
        let length = bytes(pages);
        // SAFETY: A new mapping at an address of the kernel's choice.
        let start = unsafe { libc::mmap(ptr::null_mut(), length, libc::PROT_NONE, GUARD, -1, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(LinuxTarget {
            start: NonNull::new(start.cast()).expect("mmap does not return null"),
            pages,
            cells: Mutex::new(vec![None; pages as usize]),
        })
    }

    /// Locked, changes come one after the other, which they do in Linux anyway.
    fn cells(&self) -> MutexGuard<'_, Vec<Option<Cell>>> {
        self.cells.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn at(&self, page: u32) -> *mut libc::c_void {
        self.start.as_ptr().wrapping_add(bytes(page)).cast()
    }

    fn place(&self, pages: &Range<u32>, cell: Cell) -> io::Result<()> {
        assert!(
            pages.start < pages.end && pages.end <= self.pages,
            "{pages:?}"
        );
        let (at, length) = (self.at(pages.start), bytes(pages.end - pages.start));
        let (prot, flags) = (cell.prot.bits() as i32, cell.flags | libc::MAP_FIXED);
        // SAFETY: The range is inside ours, which holds no Rust object.
        let got = unsafe { libc::mmap(at, length, prot, flags, cell.fd, cell.offset as i64) };
        if got == libc::MAP_FAILED {
            Err(io::Error::last_os_error())
        } else {
            Ok(())
        }
    }

    fn guard(&self, pages: &Range<u32>) -> io::Result<()> {
        let cell = Cell {
            prot: Prot::NONE,
            flags: GUARD,
            fd: -1,
            offset: 0,
        };
        self.place(pages, cell)
    }

    fn fill(&self, cells: &mut [Option<Cell>], pages: Range<u32>, cell: Cell) -> io::Result<()> {
        self.place(&pages, cell)?;
        for page in pages.clone() {
            cells[page as usize] = Some(cell.plus(page - pages.start));
        }
        Ok(())
    }

    fn empty(&self, cells: &mut [Option<Cell>], pages: Range<u32>) -> io::Result<()> {
        self.guard(&pages)?;
        cells[pages.start as usize..pages.end as usize].fill(None);
        Ok(())
    }

    /// Moves one page, and leaves a guard: no moment is without a mapping.
    fn carry(&self, cells: &mut [Option<Cell>], from: u32, to: u32) -> io::Result<()> {
        let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED | libc::MREMAP_DONTUNMAP;
        let (page, old, new) = (bytes(1), self.at(from), self.at(to));
        // SAFETY: Both pages are ours, and hold no Rust object.
        let got = unsafe { libc::mremap(old, page, page, flags, new) };
        if got == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        cells[to as usize] = cells[from as usize].take();
        self.guard(&(from..from + 1))
    }

    fn move_to(
        &self,
        cells: &mut [Option<Cell>],
        old: Range<u32>,
        count: u32,
        to: u32,
    ) -> io::Result<u32> {
        for (from, to) in old.clone().zip(to..to + count) {
            if cells[from as usize].is_some() {
                self.carry(cells, from, to)?;
            }
        }
        let length = old.end - old.start;
        match cells[(to + length.min(count) - 1) as usize] {
            Some(last) if count > length => {
                self.fill(cells, to + length..to + count, last.plus(1))?;
            }
            _ => {}
        }
        Ok(to)
    }
}

impl Target for LinuxTarget {
    fn features(&self) -> Features {
        Features {
            placements: false,
            processes: false,
            operations: Operations::all(),
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
        if placement != Placement::Fixed {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let flags = match source {
            Source::Anon => PRIVATE_ZERO,
            Source::Shared(..) => libc::MAP_SHARED,
            Source::Private(..) => libc::MAP_PRIVATE,
        };
        let cell = Cell {
            prot,
            flags,
            fd: source.raw_fd(),
            offset: source.offset(),
        };
        let first = pages.start;
        self.fill(&mut self.cells(), pages, cell)?;
        Ok(first)
    }

    fn unmap(&self, pages: Range<u32>) -> io::Result<()> {
        self.empty(&mut self.cells(), pages)
    }

    fn protect(&self, pages: Range<u32>, prot: Prot) -> io::Result<()> {
        let mut cells = self.cells();
        let cells = &mut cells[pages.start as usize..pages.end as usize];
        if cells.iter().any(Option::is_none) {
            return errno(libc::ENOMEM);
        }
        let length = bytes(pages.end - pages.start);
        // SAFETY: The range is ours and holds no Rust object.
        let result =
            unsafe { libc::mprotect(self.at(pages.start), length, prot.bits() as libc::c_int) };
        if result < 0 {
            return Err(io::Error::last_os_error());
        }
        cells.iter_mut().flatten().for_each(|cell| cell.prot = prot);
        Ok(())
    }

    fn remap(&self, old: Range<u32>, count: u32, to: To) -> io::Result<u32> {
        let mut cells = self.cells();
        let first = cells[old.start as usize];
        let end = old.start + count;
        match (to, first) {
            (To::Fixed(new), _) if new < old.end && old.start < new + count => errno(libc::EINVAL),
            (_, None) => errno(libc::EFAULT),
            (To::Fixed(new), _) => self.move_to(&mut cells, old, count, new),
            _ if end < old.end => {
                self.empty(&mut cells, end..old.end)?;
                Ok(old.start)
            }
            (_, Some(_))
                if cells[old.end as usize..end as usize]
                    .iter()
                    .any(Option::is_some) =>
            {
                errno(libc::ENOMEM)
            }
            (_, Some(cell)) => {
                if old.end < end {
                    let last = cell.plus(old.end - old.start);
                    self.fill(&mut cells, old.end..end, last)?;
                }
                Ok(old.start)
            }
        }
    }

    fn advise(&self, pages: Range<u32>, advice: Advice) -> io::Result<()> {
        let cells = self.cells();
        let (from, to) = (pages.start as usize, pages.end as usize);
        if cells[from..to].iter().any(Option::is_none) {
            return errno(libc::ENOMEM);
        }
        if advice == Advice::WillNeed {
            // Linux may do as much.
            return Ok(());
        }
        let (at, length) = (self.at(pages.start), bytes(pages.end - pages.start));
        // SAFETY: The range is ours and holds no Rust object.
        match unsafe { libc::madvise(at, length, libc::MADV_DONTNEED) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    fn query(&self, _page: u32) -> io::Result<Option<Pages>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn views(&self) -> Vec<View<'_>> {
        // SAFETY: The range is ours and stays reserved until it is dropped.
        let area = unsafe { Area::new(self.start, bytes(self.pages)) };
        vec![View {
            first: 0,
            pages: self.pages,
            area,
        }]
    }
}

impl Drop for LinuxTarget {
    fn drop(&mut self) {
        // SAFETY: The range is ours, and no `Area` of it is left.
        unsafe { libc::munmap(self.start.as_ptr().cast(), bytes(self.pages)) };
    }
}
