// SPDX-License-Identifier: GPL-2.0-only
//! Accesses that report a SIGBUS or SIGSEGV as a value.
//!
//! Each is one instruction at an address known by name. The signal handler
//! looks where the signal came from: if it was that instruction, and the memory
//! it was given, execution goes on behind it with the signal as the result.
//!
//! # The handler
//! It is installed for SIGBUS and SIGSEGV by [`install`], which the first [`Area`]
//! does (every [`Window`](crate::Window) makes one when it is accessed). It belongs
//! to the process; forked children inherit it.
//!
//! * *Handlers that were there before* get every other signal, with the same
//!   arguments, as if ours were not there; their mask, `SA_NODEFER`, `SA_RESTART`
//!   and `SA_RESETHAND` stay in force. It runs on the alternate signal stack where
//!   there is one. Where there was no handler, a signal that is not ours has its
//!   default action. (The standard library has one, for overflows of the stack.)
//! * *Handlers installed later* take the place of ours. They must pass on what is
//!   not theirs, or accesses die as any others would. Who has handlers of its own
//!   and cannot do so calls [`install`] behind them.
//! * A thread must not block SIGBUS or SIGSEGV: of a fault with its signal blocked
//!   the kernel kills, and asks no handler.

mod handler;
mod trap;

use std::fmt;
use std::marker::PhantomData;
use std::ptr::NonNull;

pub use handler::install;

/// Which signal an access raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Signal {
    /// SIGBUS: in a window, nothing is mapped there, or a limit is reached.
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

impl std::error::Error for Fault {}

/// A copy of which only a part was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stopped {
    /// How many bytes were copied before.
    pub copied: usize,
    /// Why no more were.
    pub fault: Fault,
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} after {} bytes", self.fault, self.copied)
    }
}

impl std::error::Error for Stopped {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.fault)
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

// SAFETY: All accesses are made by instructions of `trap`, which no optimizer sees,
// to memory that holds no Rust object.
unsafe impl Send for Area<'_> {}
// SAFETY: As above.
unsafe impl Sync for Area<'_> {}

impl<'a> Area<'a> {
    /// The `length` bytes from `start` on. [Installs](install) the handler.
    ///
    /// # Safety
    /// For all of `'a` the range must be free of Rust objects, mapped or not,
    /// and nobody may place any there.
    pub unsafe fn new(start: NonNull<u8>, length: usize) -> Area<'a> {
        install();
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

    /// Copies the bytes from `at` on into `bytes`, upwards until one faults.
    ///
    /// They are read in no certain pieces, so who reads beside a writer may get some
    /// bytes from before and some from after: [`load`](Area::load) does not.
    ///
    /// # Panics
    /// If the bytes are not all inside the area.
    pub fn read(&self, at: usize, bytes: &mut [u8]) -> Result<(), Stopped> {
        let from = self.bytes(at, bytes.len());
        // SAFETY: By the contract of `new` there is no Rust object at `from`, and
        // the other side is a slice of this length.
        unsafe { trap::read(bytes.as_mut_ptr(), from, bytes.len()) }
    }

    /// Copies `bytes` to `at` and behind, upwards until one faults; in no certain
    /// pieces, as [`read`](Area::read).
    ///
    /// # Panics
    /// As for [`read`](Area::read).
    pub fn write(&self, at: usize, bytes: &[u8]) -> Result<(), Stopped> {
        let to = self.bytes(at, bytes.len());
        // SAFETY: As in `read`.
        unsafe { trap::write(to, bytes.as_ptr(), bytes.len()) }
    }

    fn word(&self, at: usize) -> *mut u64 {
        assert!(at % 8 == 0, "byte {at} is not the start of a word");
        self.bytes(at, 8).cast()
    }

    fn bytes(&self, at: usize, count: usize) -> *mut u8 {
        assert!(
            at <= self.length && self.length - at >= count,
            "byte {at} of {}, and {count} from there on",
            self.length
        );
        self.start.as_ptr().wrapping_add(at)
    }
}

#[cfg(test)]
mod tests;
