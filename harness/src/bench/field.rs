// SPDX-License-Identifier: GPL-2.0-only
//! Pages that are mapped, unmapped and protected at fixed places while others access
//! them: of a space, or of the kernel's own memory.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::ptr::{self, NonNull};

use super::memory::{Arena, Show, errno};
use super::target::Subject;
use crate::access::Area;
use crate::{Advice, Placement, Prot, Space, Window};

/// A range of pages.
#[derive(Debug)]
pub(crate) enum Field {
    /// In a window of a space, from byte 0 on.
    Space(Space, Window),
    /// In a range of addresses that is ours.
    Kernel(Range),
}

/// A range of addresses, and how it is mapped.
#[derive(Debug)]
pub(crate) struct Range {
    start: NonNull<u8>,
    length: usize,
    flags: libc::c_int,
    file: Option<OwnedFd>,
}

// SAFETY: It owns a range of addresses; accesses go through `Area`.
unsafe impl Send for Range {}
// SAFETY: As above, and the calls may be made by many threads.
unsafe impl Sync for Range {}

const ANONYMOUS: libc::c_int = libc::MAP_ANONYMOUS;
const INACCESSIBLE: libc::c_int = ANONYMOUS | libc::MAP_PRIVATE | libc::MAP_NORESERVE;

impl Field {
    /// `length` bytes, nothing mapped.
    pub(crate) fn new(on: Subject, dir: &Path, length: u64) -> io::Result<Field> {
        let pages = length / crate::PAGE_SIZE;
        let (flags, file) = match on.arena(dir, length, pages, Show::Whole)? {
            Arena::Space(space, window) => return Ok(Field::Space(space, window)),
            Arena::Linux => (ANONYMOUS | libc::MAP_PRIVATE, None),
            Arena::SharedAnonymous => (ANONYMOUS | libc::MAP_SHARED, None),
            Arena::File(file) => (libc::MAP_SHARED, Some(file)),
        };
        let length = length as usize;
        // SAFETY: A new mapping at an address of the kernel's choice.
        let start = unsafe {
            libc::mmap(
                ptr::null_mut(),
                length,
                libc::PROT_NONE,
                INACCESSIBLE,
                -1,
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Field::Kernel(Range {
            start: NonNull::new(start.cast()).expect("mmap does not return null"),
            length,
            flags,
            file,
        }))
    }

    /// The space, if it is one.
    pub(crate) fn space(&self) -> Option<&Space> {
        match self {
            Field::Space(space, _) => Some(space),
            Field::Kernel(_) => None,
        }
    }

    /// The memory, to be accessed.
    pub(crate) fn area(&self) -> Area<'_> {
        match self {
            Field::Space(_, window) => window.area(),
            // SAFETY: The range is ours as long as `self` lives, and holds no Rust object.
            Field::Kernel(range) => unsafe { Area::new(range.start, range.length) },
        }
    }

    /// Maps at a place, in the stead of what is there or (EEXIST) only if nothing is.
    pub(crate) fn map(&self, at: u64, length: u64, prot: Prot, replace: bool) -> io::Result<()> {
        match self {
            Field::Space(space, _) => {
                let placement = match replace {
                    true => Placement::Fixed,
                    false => Placement::FixedNoreplace,
                };
                space.map(at, length, prot, placement).map(drop)
            }
            Field::Kernel(range) => {
                let how = match replace {
                    true => libc::MAP_FIXED,
                    false => libc::MAP_FIXED_NOREPLACE,
                };
                let fd = range.file.as_ref().map_or(-1, |file| file.as_raw_fd());
                range.mmap(at, length, prot, range.flags | how, fd)
            }
        }
    }

    /// Unmaps; holes are fine. Whoever leaves holes in the kernel's memory has to
    /// [`close`](Self::close) them before anybody else maps something.
    pub(crate) fn unmap(&self, at: u64, length: u64) -> io::Result<()> {
        match self {
            Field::Space(space, _) => space.unmap(at, length),
            Field::Kernel(range) => {
                let place = range.at(at, length);
                // SAFETY: The range is ours and holds no Rust object.
                errno(unsafe { libc::munmap(place, length as usize) })
            }
        }
    }

    /// Puts inaccessible memory into the holes of the kernel's, and over the rest.
    pub(crate) fn close(&self) -> io::Result<()> {
        match self {
            Field::Space(..) => Ok(()),
            Field::Kernel(range) => {
                let length = range.length as u64;
                range.mmap(0, length, Prot::NONE, INACCESSIBLE | libc::MAP_FIXED, -1)
            }
        }
    }

    /// Changes the protection; ENOMEM at a hole.
    pub(crate) fn protect(&self, at: u64, length: u64, prot: Prot) -> io::Result<()> {
        match self {
            Field::Space(space, _) => space.protect(at, length, prot),
            Field::Kernel(range) => {
                let place = range.at(at, length);
                // SAFETY: As in `unmap`.
                errno(unsafe { libc::mprotect(place, length as usize, prot.bits() as i32) })
            }
        }
    }

    /// Discards pages (of a file: only their entries); ENOMEM at a hole.
    pub(crate) fn discard(&self, at: u64, length: u64) -> io::Result<()> {
        match self {
            Field::Space(space, _) => space.advise(at, length, Advice::DontNeed),
            Field::Kernel(range) => {
                let place = range.at(at, length);
                // SAFETY: As in `unmap`.
                errno(unsafe { libc::madvise(place, length as usize, libc::MADV_DONTNEED) })
            }
        }
    }
}

impl Range {
    fn at(&self, at: u64, length: u64) -> *mut libc::c_void {
        assert!(at + length <= self.length as u64, "outside the range");
        self.start.as_ptr().wrapping_add(at as usize).cast()
    }

    fn mmap(
        &self,
        at: u64,
        length: u64,
        prot: Prot,
        flags: libc::c_int,
        fd: libc::c_int,
    ) -> io::Result<()> {
        let (place, prot) = (self.at(at, length), prot.bits() as i32);
        let offset = if fd < 0 { 0 } else { at as libc::off_t };
        // SAFETY: What is replaced is ours, or nothing, and holds no Rust object.
        let got = unsafe { libc::mmap(place, length as usize, prot, flags, fd, offset) };
        match got == libc::MAP_FAILED {
            true => Err(io::Error::last_os_error()),
            false => Ok(()),
        }
    }
}

impl Drop for Range {
    fn drop(&mut self) {
        // SAFETY: The range is ours, without holes, and no `Area` of it is left.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.length) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Signal;

    #[test]
    fn what_is_not_mapped_or_forbidden_is_a_signal() {
        for on in [
            Subject::Anon,
            Subject::SharedAnon,
            Subject::Memfd,
            Subject::File,
        ] {
            let field = Field::new(on, &std::env::temp_dir(), 8 * 4096).unwrap();
            let area = field.area();
            let segv = |result: Result<(), crate::access::Fault>| {
                assert_eq!(result.unwrap_err().signal, Signal::Segv, "{on:?}");
            };
            segv(area.store(4096, 1));
            field.map(4096, 4096, Prot::READ_WRITE, true).unwrap();
            area.store(4096, 1).unwrap();
            let there = field.map(0, 8192, Prot::READ, false).unwrap_err();
            assert_eq!(there.raw_os_error(), Some(libc::EEXIST), "{on:?}");
            field.protect(4096, 4096, Prot::READ).unwrap();
            segv(area.store(4096, 1));
            assert_eq!(area.load(4096), Ok(1), "{on:?}");
            field.discard(4096, 4096).unwrap();
            area.load(4096).unwrap();
            field.unmap(4096, 4096).unwrap();
            segv(area.load(4096).map(drop));
            field.close().unwrap();
        }
    }
}
