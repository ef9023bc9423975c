// SPDX-License-Identifier: GPL-2.0-only
//! A window: a part of a space in the address space of a process.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::{self, NonNull};

use crate::access::{Area, Fault};

/// An `mmap` of part of a space: `MAP_SHARED`, readable and writable. What an
/// access may do is decided by the region under it; where there is none, it is
/// a SIGBUS. The window is unmapped when dropped; a forked child has its own.
///
/// One space can have many windows, also overlapping ones. A window keeps its
/// space alive, the descriptor need not stay open.
#[derive(Debug)]
pub struct Window {
    start: NonNull<u8>,
    length: usize,
    offset: u64,
}

// SAFETY: A window is a range of addresses; it is the accesses that need care,
// and those are bounds-checked and atomic (`Area`) or the caller's (`ptr`).
unsafe impl Send for Window {}
// SAFETY: As above.
unsafe impl Sync for Window {}

impl Window {
    pub(super) fn new(fd: BorrowedFd<'_>, offset: u64, length: usize) -> io::Result<Window> {
        let offset_signed =
            i64::try_from(offset).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
        // SAFETY: A new mapping at an address of the kernel's choice disturbs
        // nobody.
        let start = unsafe { map(ptr::null_mut(), fd, offset_signed, length, 0) }?;
        Ok(Window {
            start,
            length,
            offset,
        })
    }

    pub(super) fn striped(
        fd: BorrowedFd<'_>,
        offset: u64,
        length: usize,
        stripe: usize,
    ) -> io::Result<Window> {
        if stripe == 0 {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        // Has the addresses, and unmaps all that it can of them if a stripe fails.
        let window = Window::new(fd, offset, length)?;
        for from in (0..length).step_by(stripe) {
            let place = window.ptr().wrapping_add(from);
            let length = stripe.min(length - from);
            let offset = (offset + from as u64) as libc::off_t;
            // SAFETY: What is replaced is a part of the window, which nobody
            // has seen yet.
            unsafe { map(place, fd, offset, length, libc::MAP_FIXED) }?;
        }
        Ok(window)
    }

    /// First byte of the window in this process. Accesses through it may fault,
    /// and others may write at the same time.
    pub fn ptr(&self) -> *mut u8 {
        self.start.as_ptr()
    }

    /// Length in bytes.
    #[allow(clippy::len_without_is_empty, reason = "mmap makes no empty mapping")]
    pub fn len(&self) -> usize {
        self.length
    }

    /// Address in the space of the first byte.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The window as memory that can be accessed without dying of a fault.
    pub fn area(&self) -> Area<'_> {
        // SAFETY: The mapping is ours, Rust keeps no object in it, and it
        // stays until the window is dropped, which the borrow excludes.
        unsafe { Area::new(self.start, self.length) }
    }

    /// Loads the 8-byte word at byte `at` of the window. See [`Area::load`].
    pub fn load(&self, at: usize) -> Result<u64, Fault> {
        self.area().load(at)
    }

    /// Stores to the 8-byte word at byte `at` of the window. See [`Area::store`].
    pub fn store(&self, at: usize, value: u64) -> Result<(), Fault> {
        self.area().store(at, value)
    }
}

/// # Safety
/// With MAP_FIXED the place must hold nothing that is still needed.
unsafe fn map(
    place: *mut u8,
    fd: BorrowedFd<'_>,
    offset: libc::off_t,
    length: usize,
    flags: libc::c_int,
) -> io::Result<NonNull<u8>> {
    // SAFETY: By the caller.
    let start = unsafe {
        libc::mmap(
            place.cast(),
            length,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED | flags,
            fd.as_raw_fd(),
            offset,
        )
    };
    if start == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    Ok(NonNull::new(start.cast()).expect("mmap does not return null"))
}

impl Drop for Window {
    fn drop(&mut self) {
        // SAFETY: The mapping is ours, and no `Area` of it is left.
        let result = unsafe { libc::munmap(self.ptr().cast(), self.length) };
        debug_assert_eq!(result, 0, "munmap of a whole mapping cannot fail");
    }
}
