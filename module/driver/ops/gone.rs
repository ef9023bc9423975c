// SPDX-License-Identifier: GPL-2.0-only

//! Regions that a change has removed, and the files that they hold.
//!
//! A file is given up only when no lock is held: see the lock order. So regions
//! are kept until the change is over, and what they hold is given up then rather
//! than a grace period later: who unmaps a memfd may resize it at once.

use kernel::{alloc::KVVec, prelude::*};

use super::super::region::Region;
use crate::kern::{rcu_arc::RcuArc, rcu_maple::Removed};

/// To be dropped when no lock is held. May sleep then.
pub(super) struct Gone(KVVec<RcuArc<Region>>);

impl Gone {
    pub(super) const fn new() -> Self {
        Self(KVVec::new())
    }

    /// Keeps what holds a file. The pages of the regions are discarded.
    pub(super) fn add(&mut self, removed: Removed<Region>) {
        for region in removed.into_iter() {
            if region.attributes.backing.holds_file() {
                // If there is no memory, the file is given up a moment later.
                let _ = self.0.push(region, GFP_KERNEL_ACCOUNT);
            }
        }
    }
}

impl Drop for Gone {
    fn drop(&mut self) {
        while let Some(region) = self.0.pop() {
            // Others are of what a change has left of it.
            if region.is_last() {
                region.attributes.backing.release();
            }
        }
    }
}
