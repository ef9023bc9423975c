// SPDX-License-Identifier: GPL-2.0-only

//! A lock with a guard. (A guard of loom's must not be dropped once a model has
//! failed; see the seam.)

use faultline_portable_loom::sync::SpinLock;

#[derive(Default)]
pub(crate) struct Lock(SpinLock);

impl Lock {
    #[track_caller]
    pub(crate) fn hold(&self) -> Held<'_> {
        self.0.lock();
        Held(self)
    }
}

/// Gives the lock back when it is dropped.
pub(crate) struct Held<'a>(&'a Lock);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        // SAFETY: It was taken when this was made.
        unsafe { self.0 .0.unlock() };
    }
}
