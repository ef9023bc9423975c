// SPDX-License-Identifier: GPL-2.0-only
//! Memory that is measured: the kernel's own, or a space under a policy.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;

use crate::selftest::sys::memory::READ_WRITE;
use crate::{Advice, PAGE_SIZE, Placement, Policy, Prot, Source, Space, Window, sys};

/// What something is measured on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum On {
    /// Private anonymous memory of Linux.
    Linux,
    /// A memfd, mapped shared.
    Memfd,
    /// A space under this policy.
    Space(Policy),
}

impl On {
    /// As it is typed and printed.
    pub(crate) fn name(self) -> &'static str {
        match self {
            On::Linux => "linux",
            On::Memfd => "linux memfd",
            On::Space(policy) => policy.name(),
        }
    }
}

/// How a space is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Show {
    /// As one window.
    Whole,
    /// As adjacent windows of so many bytes each.
    Striped(usize),
}

/// Where pieces of memory can be mapped.
#[derive(Debug)]
pub(crate) enum Arena {
    /// Anywhere.
    Linux,
    /// Anywhere, shared, and gone with its mapping.
    SharedAnonymous,
    /// Anywhere, shared, each a part of this file.
    File(OwnedFd),
    /// Inside this window of the space, at equal offsets.
    Space(Space, Window),
}

/// A mapped piece of memory. It stays mapped until [`Arena::unmap`].
#[derive(Debug)]
pub(crate) struct Piece {
    pub(super) start: *mut u8,
    /// In the arena, in bytes.
    pub(super) at: u64,
    pub(super) length: u64,
}

// SAFETY: It is a range of addresses; what touches it says why it may.
unsafe impl Send for Piece {}
// SAFETY: As above.
unsafe impl Sync for Piece {}

impl Arena {
    /// An arena of `length` bytes in which pieces of `pages` pages may be
    /// touched at a time.
    pub(crate) fn new(on: On, length: u64, pages: u64) -> io::Result<Arena> {
        Arena::shown(on, length, pages, Show::Whole)
    }

    /// As [`new`](Self::new), shown like this if it is a space.
    pub(crate) fn shown(on: On, length: u64, pages: u64, show: Show) -> io::Result<Arena> {
        let policy = match on {
            On::Linux => return Ok(Arena::Linux),
            On::Memfd => return Ok(Arena::File(sys::memfd(length)?)),
            On::Space(policy) => policy,
        };
        let space = Space::open()?;
        space.set_policy(policy)?;
        let limit = space.stats()?.max_pages;
        if limit < pages {
            let text = format!(
                "a space may hold {limit} pages, and this takes {pages}: give the VM more memory \
                 (cargo xtask run --mem 4G), or load the module with max_pages={pages}"
            );
            return Err(io::Error::new(io::ErrorKind::QuotaExceeded, text));
        }
        let window = match show {
            Show::Whole => space.window(0, length as usize)?,
            Show::Striped(stripe) => space.striped_window(0, length as usize, stripe)?,
        };
        Ok(Arena::Space(space, window))
    }

    /// The space, if it is one.
    pub(crate) fn space(&self) -> Option<&Space> {
        match self {
            Arena::Space(space, _) => Some(space),
            Arena::Linux | Arena::SharedAnonymous | Arena::File(_) => None,
        }
    }

    /// Maps `length` bytes: at byte `at` of a space, or where the kernel likes.
    pub(crate) fn map(&self, at: u64, length: u64) -> io::Result<Piece> {
        let start = match self {
            Arena::Linux => mmap(ptr::null_mut(), length, ANONYMOUS, None, 0)?,
            Arena::SharedAnonymous => mmap(ptr::null_mut(), length, SHARED_ANONYMOUS, None, 0)?,
            Arena::File(fd) => {
                let fd = Some(fd.as_raw_fd());
                mmap(ptr::null_mut(), length, libc::MAP_SHARED, fd, at)?
            }
            Arena::Space(space, window) => {
                space.map(at, length, Prot::READ_WRITE, Placement::Fixed)?;
                window.ptr().wrapping_add(at as usize)
            }
        };
        Ok(Piece { start, at, length })
    }

    /// Maps a file privately, from its start on.
    pub(crate) fn map_file(&self, at: u64, length: u64, file: BorrowedFd<'_>) -> io::Result<Piece> {
        let start = match self {
            Arena::Linux | Arena::SharedAnonymous | Arena::File(_) => {
                let fd = Some(file.as_raw_fd());
                mmap(ptr::null_mut(), length, libc::MAP_PRIVATE, fd, 0)?
            }
            Arena::Space(space, window) => {
                let source = Source::Private(file, 0);
                space.map_from(at, length, Prot::READ_WRITE, Placement::Fixed, source)?;
                window.ptr().wrapping_add(at as usize)
            }
        };
        Ok(Piece { start, at, length })
    }

    /// Maps the pages of a memfd, from its start on, shared.
    pub(crate) fn map_memfd(&self, at: u64, length: u64, fd: BorrowedFd<'_>) -> io::Result<Piece> {
        let start = match self {
            Arena::Linux | Arena::SharedAnonymous | Arena::File(_) => {
                let fd = Some(fd.as_raw_fd());
                mmap(ptr::null_mut(), length, libc::MAP_SHARED, fd, 0)?
            }
            Arena::Space(space, window) => {
                let source = Source::Shared(fd, 0);
                space.map_from(at, length, Prot::READ_WRITE, Placement::Fixed, source)?;
                window.ptr().wrapping_add(at as usize)
            }
        };
        Ok(Piece { start, at, length })
    }

    /// Maps fresh pages over those of `piece`, which is there at every moment.
    pub(crate) fn replace(&self, piece: &Piece) -> io::Result<()> {
        let fixed = libc::MAP_FIXED;
        match self {
            Arena::Linux => mmap(piece.start, piece.length, ANONYMOUS | fixed, None, 0).map(drop),
            Arena::SharedAnonymous => {
                mmap(piece.start, piece.length, SHARED_ANONYMOUS | fixed, None, 0).map(drop)
            }
            Arena::File(fd) => {
                let (flags, fd) = (libc::MAP_SHARED | fixed, Some(fd.as_raw_fd()));
                mmap(piece.start, piece.length, flags, fd, piece.at).map(drop)
            }
            Arena::Space(space, _) => space
                .map(piece.at, piece.length, Prot::READ_WRITE, Placement::Fixed)
                .map(drop),
        }
    }

    /// Makes all pages of the piece, by one call. (Page tables of a window are
    /// filled by who touches it.)
    pub(crate) fn populate(&self, piece: &Piece) -> io::Result<()> {
        match self {
            Arena::Linux | Arena::SharedAnonymous | Arena::File(_) => {
                piece.madvise(libc::MADV_POPULATE_WRITE)
            }
            Arena::Space(space, _) => space.advise(piece.at, piece.length, Advice::WillNeed),
        }
    }

    /// Discards the pages of the piece, so that the next touch is the first.
    pub(crate) fn empty(&self, piece: &Piece) -> io::Result<()> {
        match self {
            Arena::Linux => piece.madvise(libc::MADV_DONTNEED),
            Arena::SharedAnonymous | Arena::File(_) => piece.madvise(libc::MADV_REMOVE),
            Arena::Space(space, _) => space.advise(piece.at, piece.length, Advice::DontNeed),
        }
    }

    /// Unmaps the piece. (A file keeps its pages.)
    pub(crate) fn unmap(&self, piece: Piece) -> io::Result<()> {
        match self {
            Arena::Linux | Arena::SharedAnonymous | Arena::File(_) => {
                // SAFETY: Our own mapping, free of Rust objects.
                let result = unsafe { libc::munmap(piece.start.cast(), piece.length as usize) };
                errno(result)
            }
            Arena::Space(space, _) => space.unmap(piece.at, piece.length),
        }
    }
}

impl Piece {
    /// Its first byte.
    pub(crate) fn ptr(&self) -> *mut u8 {
        self.start
    }

    /// Its length in bytes.
    pub(crate) fn len(&self) -> u64 {
        self.length
    }

    /// Stores to one byte of each page.
    pub(crate) fn touch(&self) {
        self.touch_part(0, self.length);
    }

    /// As [`touch`](Self::touch), of `length` bytes from byte `from` on.
    pub(crate) fn touch_part(&self, from: u64, length: u64) {
        assert!(from + length <= self.length, "outside the piece");
        for at in (from..from + length).step_by(PAGE_SIZE as usize) {
            // SAFETY: Inside the piece, which is mapped for writing and free of
            // Rust objects.
            unsafe { ptr::write_volatile(self.start.wrapping_add(at as usize), 1) };
        }
    }

    /// As [`touch`](Self::touch), as long as `go_on` says so before each page; returns how
    /// many were touched.
    pub(crate) fn touch_while(&self, mut go_on: impl FnMut() -> bool) -> u64 {
        for at in (0..self.length).step_by(PAGE_SIZE as usize) {
            if !go_on() {
                return at / PAGE_SIZE;
            }
            // SAFETY: As in `touch_part`.
            unsafe { ptr::write_volatile(self.start.wrapping_add(at as usize), 1) };
        }
        self.length / PAGE_SIZE
    }

    /// A part of it, which goes with it.
    pub(crate) fn part(&self, from: u64, length: u64) -> Piece {
        assert!(from + length <= self.length, "outside the piece");
        Piece {
            start: self.start.wrapping_add(from as usize),
            at: self.at + from,
            length,
        }
    }

    fn madvise(&self, advice: libc::c_int) -> io::Result<()> {
        // SAFETY: Our own mapping, free of Rust objects.
        let result = unsafe { libc::madvise(self.start.cast(), self.length as usize, advice) };
        errno(result)
    }
}

const SHARED_ANONYMOUS: libc::c_int = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
const ANONYMOUS: libc::c_int = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;

/// With MAP_FIXED, `start` is a [`Piece`]'s.
fn mmap(
    start: *mut u8,
    length: u64,
    flags: libc::c_int,
    fd: Option<libc::c_int>,
    offset: u64,
) -> io::Result<*mut u8> {
    // SAFETY: What is replaced, if anything, is a piece, free of Rust objects.
    let start = unsafe {
        libc::mmap(
            start.cast(),
            length as usize,
            READ_WRITE,
            flags,
            fd.unwrap_or(-1),
            offset as libc::off_t,
        )
    };
    if start == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    Ok(start.cast())
}

/// What a call that returns 0 or -1 has returned.
pub(crate) fn errno(result: libc::c_int) -> io::Result<()> {
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Keeps huge pages from this process, so that each first touch is a fault of
/// 4 KiB on all kinds of memory.
pub(crate) fn forbid_huge_pages() -> io::Result<()> {
    // SAFETY: Only changes this process.
    errno(unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0) })
}

/// Faults of this thread so far, as the core counts them.
pub(crate) fn thread_faults() -> io::Result<u64> {
    faults_of(libc::RUSAGE_THREAD)
}

/// Faults of all threads of this process so far.
pub(crate) fn process_faults() -> io::Result<u64> {
    faults_of(libc::RUSAGE_SELF)
}

fn faults_of(who: libc::c_int) -> io::Result<u64> {
    // SAFETY: All zeroes is a valid rusage.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: The structure is ours.
    errno(unsafe { libc::getrusage(who, &mut usage) })?;
    Ok((usage.ru_minflt + usage.ru_majflt) as u64)
}

/// A new file in `dir` that has no name.
pub(crate) fn unnamed_file(dir: &Path) -> io::Result<File> {
    let dir = CString::new(dir.as_os_str().as_bytes())?;
    let flags = libc::O_TMPFILE | libc::O_RDWR | libc::O_CLOEXEC;
    // SAFETY: The name ends with a zero.
    let fd = unsafe { libc::open(dir.as_ptr(), flags, 0o600) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: Just made, and nobody else's.
    Ok(File::from(unsafe { OwnedFd::from_raw_fd(fd) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_first_touch_is_a_fault_of_its_own() {
        forbid_huge_pages().unwrap();
        let length = 4 << 20;
        for on in [On::Linux, On::Memfd] {
            let arena = Arena::new(on, length, 0).unwrap();
            let piece = arena.map(0, length).unwrap();
            for turn in 0..2 {
                let before = thread_faults().unwrap();
                piece.touch();
                let faults = thread_faults().unwrap() - before;
                assert!(faults >= length / PAGE_SIZE, "{on:?}, {turn}: {faults}");
                arena.empty(&piece).unwrap();
            }
            arena.replace(&piece).unwrap();
            arena.populate(&piece).unwrap();
            arena.unmap(piece).unwrap();
        }
    }
}
