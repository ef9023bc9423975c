// SPDX-License-Identifier: GPL-2.0-only

//! Emptying slots of a leaf beside faults: see `portable/fault.rs`.

use super::{Directory, Leaf, LEAF_SHIFT};
use crate::{
    driver::{mistake::Mistake, point::Point},
    kern::rcu_arc::RcuArc,
    portable::fault::{self, Emptying},
};

/// Slots of a leaf that are being emptied.
pub(super) struct LeafEmptying<'a, Z> {
    directory: &'a Directory,
    index: usize,
    leaf: &'a RcuArc<Leaf>,
    slots: (usize, usize),
    zap: &'a mut Z,
    /// How many were.
    removed: u64,
}

impl<'a, Z: FnMut(u64, u64)> LeafEmptying<'a, Z> {
    /// The slots `[from, to)` of the leaf at `index`.
    pub(super) fn new(
        directory: &'a Directory,
        index: usize,
        leaf: &'a RcuArc<Leaf>,
        slots: (usize, usize),
        zap: &'a mut Z,
    ) -> Self {
        Self {
            directory,
            index,
            leaf,
            slots,
            zap,
            removed: 0,
        }
    }

    /// Empties them, and returns how many were emptied.
    pub(super) fn run(mut self) -> u64 {
        fault::empty(&mut self);
        self.removed
    }

    fn zap_slots(&mut self, &(first, last): &(usize, usize)) {
        let base = (self.index << LEAF_SHIFT) as u64;
        (self.zap)(base + first as u64, (last - first + 1) as u64);
    }
}

impl<Z: FnMut(u64, u64)> Emptying for LeafEmptying<'_, Z> {
    type Bounds = (usize, usize);

    fn pass(&mut self) -> Option<(usize, usize)> {
        let (from, to) = self.slots;
        if Mistake::ZapBeforePass.is_made() {
            if let Some(bounds) = self.leaf.present_bounds(from, to) {
                self.zap_slots(&bounds);
            }
            Point::LeafZapped.reach();
        }
        let bounds = self.leaf.lock().begin_to_empty(from, to);
        Point::LeafPassed.reach();
        bounds
    }

    fn zap(&mut self, bounds: &(usize, usize)) {
        if !Mistake::ZapBeforePass.is_made() {
            self.zap_slots(bounds);
        }
        Point::LeafZapped.reach();
    }

    fn empty(&mut self, bounds: Option<(usize, usize)>) {
        let mut locked = self.leaf.lock();
        if let Some((first, last)) = bounds {
            self.removed = (first..=last)
                .filter(|&slot| locked.end_to_empty(slot))
                .count() as u64;
        }
        self.directory
            .bury_if_empty(self.index, self.leaf, &mut locked);
        drop(locked);
        Point::LeafEmptied.reach();
    }
}
