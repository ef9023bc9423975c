// SPDX-License-Identifier: GPL-2.0-only
//! Words of memory that forked processes share.

use std::io;
use std::ops::Deref;
use std::ptr::{self, NonNull};
use std::sync::atomic::AtomicU64;

/// An array of atomic words, zero at first, in a shared anonymous mapping: a
/// process forked after it was made sees the same words at the same address.
#[derive(Debug)]
pub(crate) struct SharedWords {
    start: NonNull<AtomicU64>,
    count: usize,
}

// SAFETY: It is an owned array of atomics.
unsafe impl Send for SharedWords {}
// SAFETY: As above.
unsafe impl Sync for SharedWords {}

impl SharedWords {
    /// `count` words; at least one is made.
    pub(crate) fn new(count: usize) -> io::Result<SharedWords> {
        let count = count.max(1);
        // SAFETY: A new mapping at an address of the kernel's choice.
        let start = unsafe {
            libc::mmap(
                ptr::null_mut(),
                count * size_of::<AtomicU64>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).expect("mmap does not return null");
        Ok(SharedWords { start, count })
    }
}

impl Deref for SharedWords {
    type Target = [AtomicU64];

    fn deref(&self) -> &[AtomicU64] {
        // SAFETY: The mapping is ours, aligned, zero-filled, `count` words
        // long, and only ever seen as atomics.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.count) }
    }
}

impl Drop for SharedWords {
    fn drop(&mut self) {
        // SAFETY: The mapping is ours and no reference to it is left.
        unsafe {
            libc::munmap(
                self.start.as_ptr().cast(),
                self.count * size_of::<AtomicU64>(),
            )
        };
    }
}
