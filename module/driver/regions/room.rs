// SPDX-License-Identifier: GPL-2.0-only

//! Room for the regions that a change makes.

use kernel::{prelude::*, sync::atomic::Relaxed};

use super::{super::mistake::Mistake, Regions};
use crate::kern::rcu_maple::Memory;

/// What a change may do to the number of regions: it may have room for some more
/// than there are, which no other gets until this is dropped.
pub(crate) struct Room<'a> {
    regions: &'a Regions,
    held: usize,
    /// Also that of all regions it removes.
    keeps_all: bool,
    /// It has changed something, so it may not fail any more.
    has_begun: bool,
}

impl<'a> Room<'a> {
    /// None, for a change that has not begun.
    pub(super) fn new(regions: &'a Regions) -> Self {
        Self {
            regions,
            held: 0,
            keeps_all: false,
            has_begun: false,
        }
    }

    /// Whether the change may not fail any more.
    pub(super) fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// Has room for `more` regions, or `ENOMEM`; and keeps that of all regions that
    /// are removed. May sleep.
    pub(crate) fn reserve(&mut self, more: usize) -> Result {
        let regions = self.regions;
        let _tree = regions.tree.lock(Memory::NoWait);
        let reserved = regions.reserved.load(Relaxed) + more;
        let max = regions.limit() as usize;
        if more != 0 && regions.len() + reserved > max && !Mistake::SkipRoom.is_made() {
            return Err(ENOMEM);
        }
        regions.reserved.store(reserved, Relaxed);
        self.held += more;
        self.keeps_all = true;
        Ok(())
    }

    /// How many regions there may be behind a store. With the tree locked.
    pub(super) fn max(&self) -> usize {
        if self.has_begun || Mistake::SkipRoom.is_made() {
            return usize::MAX;
        }
        let of_others = self.regions.reserved.load(Relaxed) - self.held;
        (self.regions.limit() as usize).saturating_sub(of_others)
    }

    /// A store has changed the number of regions, and `is_done` if nothing else is
    /// to be stored. With the tree locked.
    pub(super) fn spend(&mut self, before: usize, behind: usize, is_done: bool) {
        self.has_begun = true;
        let held = (self.held + before).saturating_sub(behind);
        let held = match (self.keeps_all, is_done) {
            (true, _) => held,
            // Its last part may cut a region in two, for one of its own between.
            (false, false) => held.min(2),
            (false, true) => 0,
        };
        // Most changes have no room: all of them would write the line.
        if held != self.held {
            let reserved = &self.regions.reserved;
            reserved.store(reserved.load(Relaxed) - self.held + held, Relaxed);
            self.held = held;
        }
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        if self.held != 0 {
            let _tree = self.regions.tree.lock(Memory::NoWait);
            let reserved = &self.regions.reserved;
            reserved.store(reserved.load(Relaxed) - self.held, Relaxed);
        }
    }
}
