// SPDX-License-Identifier: GPL-2.0-only

//! How many pages there may be.

use std::cell::Cell;

use super::lock::Lock;

pub(crate) struct Room {
    lock: Lock,
    /// How many more. Only used under the lock.
    left: Cell<usize>,
}

impl Room {
    pub(crate) fn new(pages: usize) -> Self {
        Self {
            lock: Lock::default(),
            left: Cell::new(pages),
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        let _held = self.lock.hold();
        self.left.get() == 0
    }

    /// Returns whether there was room.
    pub(crate) fn try_add_one(&self) -> bool {
        let _held = self.lock.hold();
        let less = self.left.get().checked_sub(1);
        less.map(|left| self.left.set(left)).is_some()
    }
}
