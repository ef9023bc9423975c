// SPDX-License-Identifier: GPL-2.0-only
//! A window: a part of a space in the address space of a process.

use std::mem;
use std::ptr::NonNull;

use crate::access::{Area, Fault};

/// An `mmap` of part of a space: `MAP_SHARED`, readable and writable. What an
/// access may do is decided by the region under it; where there is none, it is
/// a SIGBUS.
///
/// One space can have many windows, also overlapping ones. A window keeps its
/// space alive, the descriptor need not stay open. It is unmapped when dropped;
/// after `fork` parent and child each have one of their own, of the same space.
///
/// Windows are made by [`Space::window`](super::Space::window) and
/// [`WindowOptions`](super::WindowOptions).
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
    /// # Safety
    /// The mapping, or the mappings side by side, must be nobody else's.
    pub(super) unsafe fn from_raw(start: NonNull<u8>, length: usize, offset: u64) -> Window {
        Window {
            start,
            length,
            offset,
        }
    }

    /// First byte of the window in this process.
    ///
    /// Accesses through it may fault, which kills the process, and others may write
    /// at the same time, so what is there is no place for a `&mut T`. Who knows that
    /// a region is mapped, and stays so, may use it as any memory shared with others:
    /// by `AtomicU64::from_ptr` and the like.
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

    /// Keeps the window for as long as the process runs.
    pub fn leak(self) -> Area<'static> {
        let window = mem::ManuallyDrop::new(self);
        // SAFETY: As in `area`, and it is never dropped.
        unsafe { Area::new(window.start, window.length) }
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

impl Drop for Window {
    fn drop(&mut self) {
        // SAFETY: The mapping is ours, and no `Area` of it is left.
        let result = unsafe { libc::munmap(self.ptr().cast(), self.length) };
        debug_assert_eq!(result, 0, "munmap of a whole mapping cannot fail");
    }
}
