// SPDX-License-Identifier: GPL-2.0-only

//! Regions that a change has removed, and the files that they hold.
//!
//! What a region holds of its file is given up with the last reference to it,
//! rather than a grace period later: who unmaps a memfd may resize it at once. The
//! rest of it takes the inode's lock, for which no other may be held: see the lock
//! order. So it is left until the change is over.

use kernel::{
    alloc::{flags::__GFP_NOWARN, KVVec},
    prelude::*,
};

use super::super::{mistake::Mistake, region::Region};
use crate::kern::{frozen::Unheld, rcu_arc::RcuArc, rcu_maple::Removed};

/// To be dropped when no lock is held. May sleep then.
pub(super) struct Gone(KVVec<Unheld>);

impl Gone {
    pub(super) const fn new() -> Self {
        Self(KVVec::new())
    }

    /// Takes regions whose pages are in no window any more.
    pub(super) fn add(&mut self, removed: Removed<Region>) {
        removed.into_iter().for_each(|region| self.put(region));
    }

    /// Takes a reference, which may be the last.
    pub(super) fn put(&mut self, region: RcuArc<Region>) {
        if Mistake::LeakRegion.is_made() {
            return core::mem::forget(region);
        }
        region.put(|region| {
            if Mistake::ThawLate.is_made() {
                return;
            }
            if let Some(unheld) = region.attributes.backing.give_up() {
                // If there is no memory, it is dropped here, and thawed a moment later.
                let _ = self.0.push(unheld, GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
            }
        });
    }
}

impl Drop for Gone {
    fn drop(&mut self) {
        while let Some(unheld) = self.0.pop() {
            unheld.thaw();
        }
    }
}
