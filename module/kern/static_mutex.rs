// SPDX-License-Identifier: GPL-2.0-only

//! A mutex that is a static.
//!
//! `kernel::sync::global_lock!` has one whose initialisation before its first use is
//! promised, which what has the static, the driver, cannot do without being unsafe; here it
//! is checked.

use core::{cell::UnsafeCell, pin::Pin};

use kernel::{
    prelude::*,
    str::CStr,
    sync::{
        atomic::{Acquire, Atomic, Relaxed, Release},
        LockClassKey,
    },
    types::{NotThreadSafe, Opaque},
};

use super::bindings;

/// A sleeping lock around a `T`.
///
/// # Invariants
///
/// `mutex` is initialised once `state` is [`READY`].
pub(crate) struct StaticMutex<T> {
    mutex: Opaque<kernel::bindings::mutex>,
    state: Atomic<u32>,
    data: UnsafeCell<T>,
}

const NEW: u32 = 0;
const BEGUN: u32 = 1;
const READY: u32 = 2;

// SAFETY: The mutex serialises all access to `data`.
unsafe impl<T: Send> Sync for StaticMutex<T> {}

impl<T> StaticMutex<T> {
    /// A lock that cannot be taken yet.
    pub(crate) const fn new(data: T) -> Self {
        Self {
            mutex: Opaque::uninit(),
            state: Atomic::new(NEW),
            data: UnsafeCell::new(data),
        }
    }

    /// Makes the lock ready, known to lockdep as `name` with class `key`, unless that
    /// has been done.
    pub(crate) fn init(&'static self, name: &'static CStr, key: Pin<&'static LockClassKey>) {
        // Relaxed: only that no two do it matters.
        if self.state.cmpxchg(NEW, BEGUN, Relaxed).is_ok() {
            // SAFETY: Nobody else uses it before it is ready; it is static, as `name` and `key`.
            unsafe {
                bindings::faultline_mutex_init(self.mutex.get(), name.as_char_ptr(), key.as_ptr())
            };
            // INVARIANT: Just initialised. Pairs with the acquire in `lock`.
            self.state.store(READY, Release);
        }
    }

    /// Runs `use_it` with the lock held. Panics if it is not ready. May sleep.
    pub(crate) fn with<R>(&'static self, use_it: impl FnOnce(&mut T) -> R) -> R {
        let _held = self.lock();
        // SAFETY: The lock is held until `use_it` has returned, so there is no other reference.
        use_it(unsafe { &mut *self.data.get() })
    }

    fn lock(&'static self) -> Held<T> {
        // Pairs with the release in `init`.
        assert!(self.state.load(Acquire) == READY);
        // SAFETY: By the type invariants.
        unsafe { bindings::faultline_mutex_lock(self.mutex.get()) };
        Held(self, NotThreadSafe)
    }
}

/// The lock, held until dropped, in the task that took it.
struct Held<T: 'static>(&'static StaticMutex<T>, NotThreadSafe);

impl<T> Drop for Held<T> {
    fn drop(&mut self) {
        // SAFETY: This task has taken the lock.
        unsafe { kernel::bindings::mutex_unlock(self.0.mutex.get()) }
    }
}
