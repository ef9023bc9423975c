// SPDX-License-Identifier: GPL-2.0-only
//! Mappings that are free of Rust objects, and what can be done to them.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::check;
use crate::access::{Area, Fault};
use crate::selftest::check::{Outcome, Stop};

/// An mmap of our own, with every option of the system call.
#[derive(Debug)]
pub(crate) struct Mapping {
    start: NonNull<u8>,
    length: usize,
    leaked: bool,
}

// SAFETY: All accesses are atomic and may fault (`Area`).
unsafe impl Send for Mapping {}
// SAFETY: As above.
unsafe impl Sync for Mapping {}

/// Waits until every RCU reader of now has ended (membarrier); at once where
/// the kernel cannot do that.
pub(crate) fn wait_for_grace_period() {
    const GLOBAL: libc::c_int = 1;
    // SAFETY: No memory is passed.
    unsafe { libc::syscall(libc::SYS_membarrier, GLOBAL, 0, 0) };
}

/// PROT_READ | PROT_WRITE.
pub(crate) const READ_WRITE: libc::c_int = libc::PROT_READ | libc::PROT_WRITE;

impl Mapping {
    /// Maps `fd`; without MAP_FIXED in `flags`, so nobody is disturbed.
    pub(crate) fn of(
        fd: BorrowedFd<'_>,
        offset: u64,
        length: usize,
        prot: libc::c_int,
        flags: libc::c_int,
    ) -> io::Result<Mapping> {
        assert_eq!(flags & libc::MAP_FIXED, 0, "see `of_over`");
        // SAFETY: A mapping at an address of the kernel's choice disturbs nobody.
        unsafe { map(0, length, prot, flags, fd.as_raw_fd(), offset) }
    }

    /// Maps `fd` in the place of `old`.
    pub(crate) fn of_over(
        mut old: Mapping,
        fd: BorrowedFd<'_>,
        offset: u64,
    ) -> io::Result<Mapping> {
        let address = old.start.as_ptr().addr();
        let flags = libc::MAP_SHARED | libc::MAP_FIXED;
        // SAFETY: What is replaced is ours and holds no Rust object.
        let new = unsafe {
            map(
                address,
                old.length,
                READ_WRITE,
                flags,
                fd.as_raw_fd(),
                offset,
            )
        }?;
        old.leaked = true;
        Ok(new)
    }

    /// Zeroed private memory.
    pub(crate) fn anonymous(length: usize) -> io::Result<Mapping> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: As in `of`.
        unsafe { map(0, length, READ_WRITE, flags, -1, 0) }
    }

    pub(crate) fn ptr(&self) -> *mut u8 {
        self.start.as_ptr()
    }

    pub(crate) fn address(&self) -> usize {
        self.start.as_ptr().addr()
    }

    pub(crate) fn len(&self) -> usize {
        self.length
    }

    pub(crate) fn load(&self, at: usize) -> Result<u64, Fault> {
        self.area().load(at)
    }

    pub(crate) fn store(&self, at: usize, value: u64) -> Result<(), Fault> {
        self.area().store(at, value)
    }

    fn area(&self) -> Area<'_> {
        // SAFETY: No Rust object is ever placed in the mapping.
        unsafe { Area::new(self.start, self.length) }
    }

    pub(crate) fn protect(&self, from: usize, length: usize, prot: libc::c_int) -> io::Result<()> {
        // SAFETY: Only our own mapping changes, which holds no Rust object.
        check(unsafe { libc::mprotect(self.at(from, length), length, prot) }.into()).map(drop)
    }

    pub(crate) fn advise(&self, from: usize, length: usize, advice: libc::c_int) -> io::Result<()> {
        // SAFETY: As in `protect`.
        check(unsafe { libc::madvise(self.at(from, length), length, advice) }.into()).map(drop)
    }

    pub(crate) fn lock(&self) -> io::Result<()> {
        // SAFETY: As in `protect`.
        check(unsafe { libc::mlock(self.at(0, self.length), self.length) }.into()).map(drop)
    }

    pub(crate) fn sync(&self, flags: libc::c_int) -> io::Result<()> {
        // SAFETY: As in `protect`.
        check(unsafe { libc::msync(self.at(0, self.length), self.length, flags) }.into()).map(drop)
    }

    /// mincore: a byte for each page.
    pub(crate) fn resident(&self) -> io::Result<Vec<u8>> {
        let mut pages = vec![0u8; self.length.div_ceil(4096)];
        let start = self.at(0, self.length);
        // SAFETY: There is a byte for each page.
        check(unsafe { libc::mincore(start, self.length, pages.as_mut_ptr()) }.into())?;
        Ok(pages)
    }

    /// munmap of a part. The rest is left to the end of the process: something
    /// else may come to lie in the hole.
    pub(crate) fn unmap_part(&mut self, from: usize, length: usize) -> io::Result<()> {
        self.leaked = true;
        // SAFETY: As in `protect`.
        check(unsafe { libc::munmap(self.at(from, length), length) }.into()).map(drop)
    }

    /// munmap of the whole, while others use it. The mapping is to be forgotten then.
    pub(crate) fn take_away(&self) -> io::Result<()> {
        // SAFETY: As in `protect`.
        check(unsafe { libc::munmap(self.at(0, self.length), self.length) }.into()).map(drop)
    }

    /// mremap of the first `old_length` bytes. When it succeeds, this mapping
    /// may be gone and is left to the end of the process.
    pub(crate) fn remap(
        &mut self,
        old_length: usize,
        length: usize,
        flags: libc::c_int,
    ) -> io::Result<Mapping> {
        assert_eq!(flags & libc::MREMAP_FIXED, 0, "see `move_over`");
        // SAFETY: As in `protect`; the new place is of the kernel's choice.
        let new = unsafe { libc::mremap(self.at(0, old_length), old_length, length, flags) };
        self.remapped(new, length)
    }

    /// mremap of the whole into the place of `target`.
    pub(crate) fn move_over(&mut self, mut target: Mapping) -> io::Result<Mapping> {
        let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
        let length = self.length;
        let (old, place) = (self.at(0, length), target.at(0, length));
        // SAFETY: As in `protect`, for both.
        let new = unsafe { libc::mremap(old, length, length, flags, place) };
        target.leaked = true;
        self.remapped(new, length)
    }

    fn remapped(&mut self, new: *mut libc::c_void, length: usize) -> io::Result<Mapping> {
        if new == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        self.leaked = true;
        let start = NonNull::new(new.cast()).expect("mremap does not return null");
        Ok(Mapping {
            start,
            length,
            leaked: false,
        })
    }

    fn at(&self, from: usize, length: usize) -> *mut libc::c_void {
        assert!(
            from <= self.length && length <= self.length - from,
            "outside the mapping"
        );
        self.ptr().wrapping_add(from).cast()
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        if !self.leaked {
            // SAFETY: The mapping is ours and holds no Rust object.
            unsafe { libc::munmap(self.ptr().cast(), self.length) };
        }
    }
}

/// # Safety
/// With MAP_FIXED the range must hold nothing that is still needed.
unsafe fn map(
    address: usize,
    length: usize,
    prot: libc::c_int,
    flags: libc::c_int,
    fd: libc::c_int,
    offset: u64,
) -> io::Result<Mapping> {
    let place = ptr::without_provenance_mut(address);
    // SAFETY: By the caller.
    let start = unsafe { libc::mmap(place, length, prot, flags, fd, offset as libc::off_t) };
    if start == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    let start = NonNull::new(start.cast()).expect("mmap does not return null");
    Ok(Mapping {
        start,
        length,
        leaked: false,
    })
}

/// Words that the forked children of a test share with it.
pub(crate) struct Board([AtomicU64; 64]);

impl Board {
    /// A board of zeroes, which lives as long as the process.
    pub(crate) fn new() -> io::Result<&'static Board> {
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
        // SAFETY: As in `Mapping::of`.
        let mut mapping = unsafe { map(0, size_of::<Board>(), READ_WRITE, flags, -1, 0) }?;
        mapping.leaked = true;
        // SAFETY: The memory is large enough, aligned, and stays; zeroes are a
        // valid board, and it is only ever used through shared references.
        Ok(unsafe { mapping.start.cast::<Board>().as_ref() })
    }

    pub(crate) fn set(&self, word: usize, value: u64) {
        self.0[word].store(value, Ordering::SeqCst);
    }

    pub(crate) fn get(&self, word: usize) -> u64 {
        self.0[word].load(Ordering::SeqCst)
    }

    pub(crate) fn add(&self, word: usize) -> u64 {
        self.0[word].fetch_add(1, Ordering::SeqCst) + 1
    }

    /// Waits until the word is at least `value`.
    #[track_caller]
    pub(crate) fn wait(&self, word: usize, value: u64) -> Outcome {
        let limit = Instant::now() + Duration::from_secs(20);
        while self.get(word) < value {
            if Instant::now() > limit {
                let seen = self.get(word);
                return Err(Stop::fail(format!(
                    "step {word} did not reach {value}: {seen}"
                )));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }
}
