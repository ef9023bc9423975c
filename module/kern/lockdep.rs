// SPDX-License-Identifier: GPL-2.0-only

//! A lock of one's own as lockdep, lock statistics and `perf lock contention` see it.
//!
//! C header: [`include/linux/lockdep.h`](srctree/include/linux/lockdep.h)
//!
//! What is inlined is so that they show where a lock is taken.

use core::pin::Pin;

use kernel::{bindings as c, prelude::*, str::CStr, sync::LockClassKey, types::Opaque};

use super::bindings;

/// The map of a lock that may sleep and has readers and writers: `write` says which.
///
/// # Invariants
///
/// `map` is initialised.
#[pin_data]
pub(crate) struct Lockdep {
    #[pin]
    map: Opaque<c::lockdep_map>,
}

// SAFETY: A map may be used from any task.
unsafe impl Send for Lockdep {}
// SAFETY: That is what it is for.
unsafe impl Sync for Lockdep {}

impl Lockdep {
    /// Of a lock that lockdep knows as `name` with class `key`.
    pub(crate) fn new(name: &'static CStr, key: Pin<&'static LockClassKey>) -> impl PinInit<Self> {
        pin_init!(Self {
            // INVARIANT: Initialised here.
            // SAFETY: `slot` is valid for writing; `name` and `key` are static.
            map <- Opaque::ffi_init(|slot| unsafe {
                bindings::faultline_lockdep_init_map(slot, name.as_char_ptr(), key.as_ptr())
            }),
        })
    }

    /// What tells the lock from others in traces.
    pub(crate) fn address(&self) -> usize {
        self.map.get() as usize
    }

    /// The task is about to lock it, and may have to wait; or gives up with `release`.
    #[inline(always)]
    pub(crate) fn acquire(&self, write: bool) {
        if cfg!(CONFIG_LOCKDEP) {
            // SAFETY: By the type invariants.
            unsafe { bindings::faultline_lockdep_acquire(self.map.get(), write) }
        }
    }

    /// The task has it, behind `acquire`: ends the wait, for the statistics.
    #[inline(always)]
    pub(crate) fn acquired(&self) {
        if cfg!(CONFIG_LOCK_STAT) {
            // SAFETY: By the type invariants.
            unsafe { bindings::faultline_lockdep_acquired(self.map.get()) }
        }
    }

    /// The task has it, and would not have waited. As for Linux' own locks that is all.
    #[inline(always)]
    pub(crate) fn try_acquired(&self, write: bool) {
        if cfg!(CONFIG_LOCKDEP) {
            // SAFETY: By the type invariants.
            unsafe { bindings::faultline_lockdep_try_acquired(self.map.get(), write) }
        }
    }

    /// The task has it for writing, and for reading from here on.
    #[allow(dead_code)] // Used by the torture only, so far.
    #[inline(always)]
    pub(crate) fn downgrade(&self) {
        if cfg!(CONFIG_LOCKDEP) {
            // SAFETY: By the type invariants.
            unsafe { bindings::faultline_lockdep_downgrade(self.map.get()) }
        }
    }

    /// The task is about to give it back.
    #[inline(always)]
    pub(crate) fn release(&self) {
        if cfg!(CONFIG_LOCKDEP) {
            // SAFETY: By the type invariants.
            unsafe { bindings::faultline_lockdep_release(self.map.get()) }
        }
    }

    /// The task has to wait, behind `acquire`.
    #[cold]
    pub(crate) fn contention_begin(&self, write: bool) {
        // SAFETY: By the type invariants.
        unsafe { bindings::faultline_contention_begin(self.map.get(), write) }
    }

    /// The wait is over; `success` says whether the task has the lock.
    #[cold]
    pub(crate) fn contention_end(&self, success: bool) {
        // SAFETY: By the type invariants.
        unsafe { bindings::faultline_contention_end(self.map.get(), success) }
    }
}
