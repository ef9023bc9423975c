// SPDX-License-Identifier: GPL-2.0-only

//! An object of the tree, and what is known of it.

use std::cell::Cell as Plain;

use faultline_portable_loom::{lock_set::Lock, sync::Cell};

pub(crate) struct Object {
    lock: Lock,
    /// Loom sees a use that the end of the object does not wait for.
    is_freed: Cell<bool>,
    /// What readers look at, and changes that have locked the object change: loom sees
    /// if one does not come behind the other.
    content: Cell<()>,
    /// A change that is under way has locked it. For the assertions: no step.
    is_locked: Plain<bool>,
}

impl Object {
    pub(crate) fn new() -> Self {
        Self {
            lock: Lock::new(),
            is_freed: Cell::new(false),
            content: Cell::new(()),
            is_locked: Plain::new(false),
        }
    }

    /// Its lock, if it is there.
    #[track_caller]
    pub(crate) fn lock(&self) -> &Lock {
        assert!(!self.is_freed.get(), "the object has been freed");
        &self.lock
    }

    /// For who has locked it for reading.
    #[track_caller]
    pub(crate) fn look(&self) {
        assert!(!self.is_locked.get(), "a change has locked it");
        self.content.get();
    }

    /// For the change that has locked it.
    #[track_caller]
    pub(crate) fn change(&self) {
        self.is_locked.set(true);
        self.content.set(());
    }

    /// The change that has locked it ends.
    pub(crate) fn let_go(&self) {
        self.is_locked.set(false);
    }

    #[track_caller]
    pub(crate) fn free(&self) {
        assert!(self.lock().is_free(), "freed with readers");
        self.is_freed.set(true);
    }
}
