// SPDX-License-Identifier: GPL-2.0-only
//! The calls whose time is taken, and the pages that they are made on.

use std::io;
use std::ptr;

use crate::bench::memory::{Piece, errno};
use crate::{PAGE_SIZE, Window};

const PAGE: usize = PAGE_SIZE as usize;

/// The last pages of a mapping, which go one by one. Others use the rest of it
/// meanwhile, and whoever owns it unmaps it in the end.
#[derive(Debug)]
pub(super) struct Tail {
    start: *mut u8,
    /// How much is left, in bytes.
    length: usize,
}

// SAFETY: It is a range of addresses that nobody else uses.
unsafe impl Send for Tail {}

impl Tail {
    /// The last `length` bytes of a window, which nobody may touch. To be taken
    /// once.
    pub(super) fn of_window(window: &Window, length: u64) -> Tail {
        Tail::of(window.ptr(), window.len(), length)
    }

    /// As [`of_window`](Self::of_window), of a piece.
    pub(super) fn of_piece(piece: &Piece, length: u64) -> Tail {
        Tail::of(piece.ptr(), piece.len() as usize, length)
    }

    fn of(start: *mut u8, whole: usize, length: u64) -> Tail {
        let length = length as usize;
        assert!(length <= whole, "longer than the mapping");
        Tail {
            start: start.wrapping_add(whole - length),
            length,
        }
    }

    /// Whether so many pages are left.
    pub(super) fn has(&self, pages: usize) -> bool {
        self.length >= pages * PAGE
    }

    /// mprotect(2) of the last page, which makes it a mapping of its own.
    pub(super) fn protect_last(&mut self) -> io::Result<()> {
        // SAFETY: The page is ours, and free of Rust objects.
        errno(unsafe { libc::mprotect(self.last().cast(), PAGE, libc::PROT_READ) })
    }

    /// munmap(2) of the last page.
    pub(super) fn unmap_last(&mut self) -> io::Result<()> {
        // SAFETY: As in `protect_last`.
        errno(unsafe { libc::munmap(self.last().cast(), PAGE) })?;
        self.length -= PAGE;
        Ok(())
    }

    /// Keeps the place of the page that was unmapped last, until the mapping's
    /// owner unmaps it all. If a thread has been given the place meanwhile, it is
    /// that of a piece, and will be given back before.
    pub(super) fn plug(&self) -> io::Result<()> {
        let place = self.start.wrapping_add(self.length);
        let flags = libc::MAP_PRIVATE
            | libc::MAP_ANONYMOUS
            | libc::MAP_NORESERVE
            | libc::MAP_FIXED_NOREPLACE;
        // SAFETY: Nothing is replaced.
        let start = unsafe { libc::mmap(place.cast(), PAGE, libc::PROT_NONE, flags, -1, 0) };
        match io::Error::last_os_error() {
            error if start == libc::MAP_FAILED && error.raw_os_error() != Some(libc::EEXIST) => {
                Err(error)
            }
            _ => Ok(()),
        }
    }

    fn last(&self) -> *mut u8 {
        assert!(self.has(1), "nothing is left");
        self.start.wrapping_add(self.length - PAGE)
    }
}

/// fork(2), by the bare system call; the child exits at once.
pub(super) fn fork_and_exit() -> io::Result<libc::pid_t> {
    // SAFETY: As fork(); the child does nothing but leave.
    match unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) } {
        -1 => Err(io::Error::last_os_error()),
        // SAFETY: It does not return.
        0 => unsafe { libc::_exit(0) },
        child => Ok(child as libc::pid_t),
    }
}

/// Waits for a child to end.
pub(super) fn reap(child: libc::pid_t) -> io::Result<()> {
    // SAFETY: No status is asked for.
    match unsafe { libc::waitpid(child, ptr::null_mut(), 0) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}
