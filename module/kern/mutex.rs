// SPDX-License-Identifier: GPL-2.0-only

//! A mutex whose waits can be killed.
//!
//! C header: [`include/linux/mutex.h`](srctree/include/linux/mutex.h)
//!
//! `kernel::sync::Mutex` has no `mutex_lock_killable()`.

use core::{
    cell::UnsafeCell,
    ops::{Deref, DerefMut},
    pin::Pin,
};

use kernel::{
    error::to_result,
    prelude::*,
    str::CStr,
    sync::LockClassKey,
    types::{NotThreadSafe, Opaque},
};

use super::bindings;

/// A sleeping lock around a `T`.
///
/// # Invariants
///
/// `mutex` is initialised.
#[pin_data]
pub(crate) struct Mutex<T> {
    #[pin]
    mutex: Opaque<kernel::bindings::mutex>,
    data: UnsafeCell<T>,
}

// SAFETY: As for `kernel::sync::Mutex`.
unsafe impl<T: Send> Send for Mutex<T> {}
// SAFETY: As for `kernel::sync::Mutex`: the mutex serialises all access to `data`.
unsafe impl<T: Send> Sync for Mutex<T> {}

/// The lock, held until dropped, in the task that took it.
#[must_use = "the lock is released immediately when the guard is unused"]
pub(crate) struct Guard<'a, T>(&'a Mutex<T>, NotThreadSafe);

impl<T> Mutex<T> {
    /// A free lock, known to lockdep as `name` with class `key`.
    pub(crate) fn new(
        data: T,
        name: &'static CStr,
        key: Pin<&'static LockClassKey>,
    ) -> impl PinInit<Self> {
        pin_init!(Self {
            // INVARIANT: Initialised here.
            // SAFETY: `slot` is valid for writing and pinned; `name` and `key` are static.
            mutex <- Opaque::ffi_init(|slot| unsafe {
                bindings::faultline_mutex_init(slot, name.as_char_ptr(), key.as_ptr())
            }),
            data: UnsafeCell::new(data),
        })
    }

    /// Waits for the lock. May sleep.
    pub(crate) fn lock(&self) -> Guard<'_, T> {
        // SAFETY: By the type invariants.
        unsafe { bindings::faultline_mutex_lock(self.mutex.get()) };
        Guard(self, NotThreadSafe)
    }

    /// Waits for the lock, or `EINTR` when a fatal signal arrives. May sleep.
    pub(crate) fn lock_killable(&self) -> Result<Guard<'_, T>> {
        // SAFETY: By the type invariants.
        to_result(unsafe { bindings::faultline_mutex_lock_killable(self.mutex.get()) })?;
        Ok(Guard(self, NotThreadSafe))
    }
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: The lock is held.
        unsafe { &*self.0.data.get() }
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: The lock is held, and the guard is borrowed mutably.
        unsafe { &mut *self.0.data.get() }
    }
}

impl<T> Drop for Guard<'_, T> {
    fn drop(&mut self) {
        // SAFETY: This task holds the lock.
        unsafe { kernel::bindings::mutex_unlock(self.0.mutex.get()) }
    }
}
