// SPDX-License-Identifier: GPL-2.0-only
//! Loads and stores that report a SIGBUS or SIGSEGV as a value.
//!
//! Each is one instruction at an address known by name. The signal handler
//! looks where the signal came from: if it was that instruction and the address
//! it was given, execution goes on behind it with the signal as the result. Any
//! other SIGBUS or SIGSEGV takes its default action.

mod trap;

use std::fmt;
use std::marker::PhantomData;
use std::ptr::NonNull;

/// Which signal an access raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Signal {
    /// SIGBUS: in a window, nothing is mapped there.
    Bus,
    /// SIGSEGV: in a window, the region forbids the access.
    Segv,
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Signal::Bus => "SIGBUS",
            Signal::Segv => "SIGSEGV",
        })
    }
}

/// An access that did not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fault {
    /// The signal it raised.
    pub signal: Signal,
    /// `si_code` of the signal, for example `BUS_ADRERR` or `SEGV_MAPERR`.
    pub code: i32,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (si_code {})", self.signal, self.code)
    }
}

/// Memory outside the world of Rust objects: others may write it, and any part
/// of it may be unmapped, at any time.
#[derive(Clone, Copy, Debug)]
pub struct Area<'a> {
    start: NonNull<u8>,
    length: usize,
    _memory: PhantomData<&'a ()>,
}

// SAFETY: All accesses are atomic, see `trap`.
unsafe impl Send for Area<'_> {}
// SAFETY: As above.
unsafe impl Sync for Area<'_> {}

impl<'a> Area<'a> {
    /// The `length` bytes from `start` on.
    ///
    /// # Safety
    /// For all of `'a` the range must be free of Rust objects, mapped or not,
    /// and nobody may place any there.
    pub unsafe fn new(start: NonNull<u8>, length: usize) -> Area<'a> {
        trap::install();
        Area {
            start,
            length,
            _memory: PhantomData,
        }
    }

    /// Length in bytes.
    #[allow(clippy::len_without_is_empty, reason = "no use for an empty one")]
    pub fn len(&self) -> usize {
        self.length
    }

    /// Loads the 8-byte word at byte `at`, in one piece. It is not reordered
    /// with other loads (x86), so it has acquire semantics.
    ///
    /// # Panics
    /// If `at` is not a multiple of 8 or the word is not inside the area.
    pub fn load(&self, at: usize) -> Result<u64, Fault> {
        // SAFETY: By the contract of `new` there is no Rust object there.
        unsafe { trap::load(self.word(at)) }
    }

    /// Stores `value` to the 8-byte word at byte `at`, in one piece. It is not
    /// reordered with earlier accesses (x86), so it has release semantics; it
    /// may still be invisible to others when this returns: see `fence(SeqCst)`.
    ///
    /// # Panics
    /// As for [`load`](Area::load).
    pub fn store(&self, at: usize, value: u64) -> Result<(), Fault> {
        // SAFETY: By the contract of `new` there is no Rust object there.
        unsafe { trap::store(self.word(at), value) }
    }

    fn word(&self, at: usize) -> *mut u64 {
        assert!(at % 8 == 0, "byte {at} is not the start of a word");
        assert!(
            at < self.length && self.length - at >= 8,
            "byte {at} of {}",
            self.length
        );
        self.start.as_ptr().wrapping_add(at).cast()
    }
}

#[cfg(test)]
mod tests;
