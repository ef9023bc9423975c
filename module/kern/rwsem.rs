// SPDX-License-Identifier: GPL-2.0-only

//! Reader/writer semaphores.
//!
//! C header: [`include/linux/rwsem.h`](srctree/include/linux/rwsem.h)

use core::pin::Pin;

use kernel::{
    bindings,
    error::to_result,
    prelude::*,
    str::CStr,
    sync::LockClassKey,
    types::{NotThreadSafe, Opaque},
};

/// A `struct rw_semaphore`: sleeping, many readers or one writer.
///
/// # Invariants
///
/// `inner` is initialised.
#[pin_data]
pub(crate) struct RwSemaphore {
    #[pin]
    inner: Opaque<bindings::rw_semaphore>,
}

// SAFETY: A semaphore may be used from any task.
unsafe impl Send for RwSemaphore {}
// SAFETY: That is what it is for.
unsafe impl Sync for RwSemaphore {}

/// Held for reading until dropped, in the task that took it.
#[must_use = "the semaphore is released immediately when the guard is unused"]
pub(crate) struct ReadGuard<'a>(&'a RwSemaphore, NotThreadSafe);

/// Held for writing until dropped, in the task that took it.
#[must_use = "the semaphore is released immediately when the guard is unused"]
pub(crate) struct WriteGuard<'a>(&'a RwSemaphore, NotThreadSafe);

impl RwSemaphore {
    /// A free semaphore, known to lockdep as `name` with class `key`.
    pub(crate) fn new(name: &'static CStr, key: Pin<&'static LockClassKey>) -> impl PinInit<Self> {
        pin_init!(Self {
            // INVARIANT: Initialised here.
            // SAFETY: `slot` is valid for writing and pinned; `name` and `key` are static.
            inner <- Opaque::ffi_init(|slot| unsafe {
                bindings::__init_rwsem(slot, name.as_char_ptr(), key.as_ptr())
            }),
        })
    }

    /// If there is no writer, and nobody waits. Does not sleep.
    pub(crate) fn try_read(&self) -> Option<ReadGuard<'_>> {
        // SAFETY: By the type invariants.
        let held = unsafe { bindings::down_read_trylock(self.inner.get()) } != 0;
        held.then(|| ReadGuard(self, NotThreadSafe))
    }

    /// Waits until there is no writer, or `EINTR` when a fatal signal arrives.
    /// May sleep.
    pub(crate) fn read_killable(&self) -> Result<ReadGuard<'_>> {
        // SAFETY: By the type invariants.
        to_result(unsafe { bindings::down_read_killable(self.inner.get()) })?;
        Ok(ReadGuard(self, NotThreadSafe))
    }

    /// Waits until there is nobody, or `EINTR` when a fatal signal arrives.
    /// May sleep.
    pub(crate) fn write_killable(&self) -> Result<WriteGuard<'_>> {
        // SAFETY: By the type invariants.
        to_result(unsafe { bindings::down_write_killable(self.inner.get()) })?;
        Ok(WriteGuard(self, NotThreadSafe))
    }
}

impl<'a> WriteGuard<'a> {
    /// Lets readers in, but no writer before this task is done. Does not sleep.
    pub(crate) fn downgrade(self) -> ReadGuard<'a> {
        let semaphore = core::mem::ManuallyDrop::new(self).0;
        // SAFETY: This task holds it for writing, and the guard for that is gone.
        unsafe { bindings::downgrade_write(semaphore.inner.get()) };
        ReadGuard(semaphore, NotThreadSafe)
    }
}

impl Drop for ReadGuard<'_> {
    fn drop(&mut self) {
        // SAFETY: This task holds it for reading.
        unsafe { bindings::up_read(self.0.inner.get()) }
    }
}

impl Drop for WriteGuard<'_> {
    fn drop(&mut self) {
        // SAFETY: This task holds it for writing.
        unsafe { bindings::up_write(self.0.inner.get()) }
    }
}
