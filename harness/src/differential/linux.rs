// SPDX-License-Identifier: GPL-2.0-only
//! Linux's own memory: the real system calls, at addresses that nobody else uses.

use std::fs;
use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::call::{Call, FileName, Piece, Side, Source};
use super::files::Files;
use crate::access::{Area, Fault};
use crate::target::To;
use crate::{Advice, PAGE_SIZE, Placement, Prot};

const PAGE: usize = PAGE_SIZE as usize;
/// Far above the heap and far below what mmap(2) chooses: holes stay holes.
const FIRST: usize = 0x1000_0000_0000;
/// Between two arenas of one process.
const APART: usize = 1 << 30;

/// An arena. Where nothing is mapped there is nothing, not even a reservation.
#[derive(Debug)]
pub struct Linux {
    start: NonNull<u8>,
    pages: u32,
    files: Files,
}

impl Linux {
    /// An arena of so many pages, empty.
    pub fn new(pages: u32) -> io::Result<Linux> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        // Relaxed: only that no two are equal matters.
        let address = FIRST + NEXT.fetch_add(1, Relaxed) * APART;
        let start = NonNull::new(ptr::without_provenance_mut(address));
        let linux = Linux {
            start: start.expect("an address that is not null"),
            pages,
            files: Files::new()?,
        };
        // Nothing may be there yet.
        let whole = linux.map_at(
            0..pages,
            Prot::NONE,
            Source::Anon,
            libc::MAP_FIXED_NOREPLACE,
        );
        if whole? != 0 {
            return Err(io::Error::other("this kernel lacks MAP_FIXED_NOREPLACE"));
        }
        linux.unmap(0..pages)?;
        Ok(linux)
    }

    /// Number of pages.
    pub fn pages(&self) -> u32 {
        self.pages
    }

    fn at(&self, page: u32) -> *mut libc::c_void {
        self.start
            .as_ptr()
            .wrapping_add(page as usize * PAGE)
            .cast()
    }

    /// The page at this address, `None` if it is outside.
    pub fn page_of(&self, address: usize) -> Option<u32> {
        let page = address.checked_sub(self.start.as_ptr().addr())? / PAGE;
        u32::try_from(page).ok().filter(|&page| page < self.pages)
    }

    /// mmap(2). `flags` say how the address is meant. Returns the first page;
    /// outside the arena nothing stays mapped.
    pub fn map_at(
        &self,
        pages: Range<u32>,
        prot: Prot,
        source: Source,
        flags: libc::c_int,
    ) -> io::Result<u32> {
        let (kind, fd, offset) = match source {
            Source::Anon => (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0),
            Source::File(name, page) => {
                let kind = match name {
                    FileName::Private => libc::MAP_PRIVATE,
                    FileName::Shared | FileName::ReadOnly => libc::MAP_SHARED,
                };
                let fd = self.files.fd(name).as_raw_fd();
                (kind, fd, i64::from(page) * PAGE as i64)
            }
        };
        let (at, length) = (self.at(pages.start), bytes(&pages));
        let prot = prot.bits() as libc::c_int;
        // SAFETY: The arena is ours and holds no Rust object; elsewhere the
        // kernel takes free addresses only.
        let got = unsafe { libc::mmap(at, length, prot, kind | flags, fd, offset) };
        if got == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        self.page_or_unmap(got.addr(), length)
    }

    fn page_or_unmap(&self, address: usize, length: usize) -> io::Result<u32> {
        match self.page_of(address) {
            Some(page) => Ok(page),
            None => {
                let place = ptr::without_provenance_mut(address);
                // SAFETY: It was mapped just now, and nobody knows of it.
                check(unsafe { libc::munmap(place, length) })?;
                Ok(u32::MAX)
            }
        }
    }

    /// munmap(2).
    pub fn unmap(&self, pages: Range<u32>) -> io::Result<()> {
        // SAFETY: The arena is ours and holds no Rust object.
        check(unsafe { libc::munmap(self.at(pages.start), bytes(&pages)) })
    }

    /// mprotect(2).
    pub fn protect(&self, pages: &Range<u32>, prot: Prot) -> io::Result<()> {
        let prot = prot.bits() as libc::c_int;
        // SAFETY: As in `unmap`.
        check(unsafe { libc::mprotect(self.at(pages.start), bytes(pages), prot) })
    }

    /// madvise(2), with any advice.
    pub fn advise(&self, pages: &Range<u32>, advice: libc::c_int) -> io::Result<()> {
        // SAFETY: As in `unmap`.
        check(unsafe { libc::madvise(self.at(pages.start), bytes(pages), advice) })
    }

    /// mremap(2); returns the address, which may be outside the arena.
    pub fn remap(&self, old: &Range<u32>, count: u32, to: To) -> io::Result<usize> {
        let flags = match to {
            To::Stay => 0,
            To::MayMove => libc::MREMAP_MAYMOVE,
            To::Fixed(_) => libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED,
        };
        let new = match to {
            To::Fixed(page) => self.at(page),
            To::Stay | To::MayMove => ptr::null_mut(),
        };
        let (at, from, length) = (self.at(old.start), bytes(old), count as usize * PAGE);
        // SAFETY: As in `map_at`.
        let got = unsafe { libc::mremap(at, from, length, flags, new) };
        if got == libc::MAP_FAILED {
            Err(io::Error::last_os_error())
        } else {
            Ok(got.addr())
        }
    }

    /// Brings `count` pages that a `remap` moved out of the arena to page `to`
    /// of it, or unmaps them.
    pub fn bring_back(&self, address: usize, count: u32, to: Option<u32>) -> io::Result<()> {
        let length = count as usize * PAGE;
        let place = ptr::without_provenance_mut(address);
        let Some(to) = to else {
            // SAFETY: It is ours: `remap` put it there.
            return check(unsafe { libc::munmap(place, length) });
        };
        let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
        // SAFETY: As above, and the arena is ours.
        let got = unsafe { libc::mremap(place, length, length, flags, self.at(to)) };
        if got == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }

    fn area(&self) -> Area<'_> {
        // SAFETY: Only mappings of this arena are ever made there.
        unsafe { Area::new(self.start, self.pages as usize * PAGE) }
    }

    /// The areas of `/proc/self/maps` that lie in the arena.
    pub fn areas(&self) -> io::Result<Vec<Piece>> {
        let mut areas = Vec::new();
        for line in fs::read_to_string("/proc/self/maps")?.lines() {
            areas.extend(self.area_of(line)?);
        }
        Ok(areas)
    }

    fn area_of(&self, line: &str) -> io::Result<Option<Piece>> {
        let bad = || io::Error::other(format!("/proc/self/maps: {line}"));
        let mut fields = line.split_ascii_whitespace();
        let mut next = || fields.next().ok_or_else(bad);
        let (range, letters, offset) = (next()?, next()?, next()?);
        let (start, end) = range.split_once('-').ok_or_else(bad)?;
        let hex = |text| usize::from_str_radix(text, 16).map_err(|_| bad());
        let (Some(first), end) = (self.page_of(hex(start)?), hex(end)?) else {
            return Ok(None);
        };
        let inode: u64 = fields.nth(1).ok_or_else(bad)?.parse().map_err(|_| bad())?;
        let source = match self.files.find(inode)? {
            _ if inode == 0 => Source::Anon,
            Some(name) => Source::File(name, (hex(offset)? / PAGE) as u32),
            None => return Err(bad()),
        };
        let bit = |letter, prot| {
            if letters.contains(letter) {
                prot
            } else {
                Prot::NONE
            }
        };
        Ok(Some(Piece {
            pages: first..((end - self.start.as_ptr().addr()) / PAGE) as u32,
            prot: bit('r', Prot::READ) | bit('w', Prot::WRITE),
            source,
        }))
    }
}

impl Side for Linux {
    /// The system call of the same name, whatever it does.
    fn call(&mut self, call: &Call) -> io::Result<u32> {
        match call {
            Call::Map {
                pages,
                prot,
                placement,
                source,
            } => {
                let flags = match placement {
                    Placement::Hint => 0,
                    Placement::Fixed => libc::MAP_FIXED,
                    Placement::FixedNoreplace => libc::MAP_FIXED_NOREPLACE,
                };
                self.map_at(pages.clone(), *prot, *source, flags)
            }
            Call::Unmap { pages } => self.unmap(pages.clone()).map(|()| pages.start),
            Call::Protect { pages, prot } => self.protect(pages, *prot).map(|()| pages.start),
            Call::Remap { old, count, to } => {
                let address = self.remap(old, *count, *to)?;
                self.page_or_unmap(address, *count as usize * PAGE)
            }
            Call::Advise { pages, advice } => {
                let advice = match advice {
                    Advice::WillNeed => libc::MADV_POPULATE_READ,
                    Advice::DontNeed => libc::MADV_DONTNEED,
                };
                self.advise(pages, advice).map(|()| pages.start)
            }
        }
    }

    fn load(&mut self, page: u32, byte: usize) -> Result<u64, Fault> {
        self.area().load(page as usize * PAGE + byte)
    }

    fn store(&mut self, page: u32, byte: usize, value: u64) -> Result<(), Fault> {
        self.area().store(page as usize * PAGE + byte, value)
    }

    fn regions(&mut self) -> io::Result<Vec<Piece>> {
        self.areas()
    }

    fn file_word(&self, file: FileName, page: u32, byte: usize) -> io::Result<Option<u64>> {
        self.files.word(file, page, byte)
    }
}

impl Drop for Linux {
    fn drop(&mut self) {
        // Nothing sensible is left to do if that fails.
        let _ = self.unmap(0..self.pages);
    }
}

fn bytes(pages: &Range<u32>) -> usize {
    (pages.end - pages.start) as usize * PAGE
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}
