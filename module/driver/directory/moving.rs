// SPDX-License-Identifier: GPL-2.0-only

//! Moving pages to other indices, for REMAP.
//!
//! No leaf is locked while another is: pages rest in a buffer on their way. The
//! caller has locked the pages of both ranges, so nobody misses them meanwhile.
//!
//! Leaves for the pages that there are get made before anything is changed, as that
//! may fail. Until the regions are gone faults that speculate may add more pages;
//! for what few leaves these take memory is waited for as long as it takes.

use kernel::{
    alloc::KVVec,
    prelude::*,
    time::{delay::fsleep, Delta},
};

use super::{position, slots_of, Content, Directory, Leaf, LEAF_PAGES, LEAF_SHIFT};
use crate::{
    driver::{mistake::Mistake, point::Point},
    kern::{array_vec::ArrayVec, rcu_arc::RcuArc, task::fatal_signal_pending},
    portable::interval::Interval,
};

/// All the memory that a move takes.
///
/// # Invariants
///
/// Each of `leaves` and `late` is reserved once for this.
pub(crate) struct Move<'a> {
    directory: &'a Directory,
    from: Interval,
    /// The first page of where to.
    to: u64,
    /// The leaves that get pages, in ascending order.
    leaves: KVVec<(usize, RcuArc<Leaf>)>,
    /// Those that get pages of the leaf that is being moved, and were not thought of.
    late: ArrayVec<(usize, RcuArc<Leaf>), 2>,
    buffer: KBox<[Option<Content>; LEAF_PAGES]>,
}

impl Directory {
    /// Gets ready to move the pages of `from` to `to` and behind. `ENOMEM`, `EINTR`.
    /// May sleep.
    pub(crate) fn prepare_move(&self, from: Interval, to: u64) -> Result<Move<'_>> {
        let mut planned = Move {
            directory: self,
            from,
            to,
            // INVARIANT: None so far.
            leaves: KVVec::new(),
            late: ArrayVec::new(),
            buffer: KBox::init(
                pin_init::init_array_from_fn(|_| None::<Content>),
                GFP_KERNEL_ACCOUNT,
            )?,
        };
        for (index, leaf) in self.leaves_of(from) {
            if fatal_signal_pending() {
                return Err(EINTR);
            }
            let (low, high) = slots_of(index, from);
            let bounds = leaf.lock().present_bounds(low, high);
            if let Some(bounds) = bounds {
                for index in planned.targets(index, bounds) {
                    planned.reserve(index)?;
                }
            }
        }
        Point::MovePrepared.reach();
        Ok(planned)
    }
}

impl Directory {
    /// The leaf at `index`, made if there is none, which stays until it is unreserved.
    /// `ENOMEM`. May sleep.
    fn reserved_leaf(&self, index: usize) -> Result<RcuArc<Leaf>> {
        loop {
            let leaf = self.make_leaf(index)?;
            let mut locked = leaf.lock();
            if !locked.slots.dead {
                locked.slots.reserved += 1;
                drop(locked);
                return Ok(leaf);
            }
        }
    }

    /// What is reserved need not stay any more, if it is empty.
    fn unreserve(&self, index: usize, leaf: &RcuArc<Leaf>) {
        let mut locked = leaf.lock();
        locked.slots.reserved -= 1;
        self.bury_if_empty(index, leaf, &mut locked);
    }
}

impl Move<'_> {
    fn to_of(&self, page: u64) -> u64 {
        page - self.from.start() + self.to
    }

    /// The leaves that get what the leaf at `index` has from the first to the last of
    /// these slots.
    fn targets(
        &self,
        index: usize,
        (first, last): (usize, usize),
    ) -> core::ops::RangeInclusive<usize> {
        let base = (index << LEAF_SHIFT) as u64;
        let (low, _) = position(self.to_of(base + first as u64) as usize);
        let (high, _) = position(self.to_of(base + last as u64) as usize);
        low..=high
    }

    /// Makes the leaf at `index`, if there is none, and sees to it that it stays.
    fn reserve(&mut self, index: usize) -> Result {
        if self.leaves.last().is_some_and(|(last, _)| *last == index) {
            return Ok(());
        }
        // Memory first: a leaf that is reserved must get into the list.
        self.leaves.reserve(1, GFP_KERNEL_ACCOUNT)?;
        let leaf = self.directory.reserved_leaf(index)?;
        // INVARIANT: Just reserved. Within the capacity.
        Ok(self.leaves.push((index, leaf), GFP_KERNEL_ACCOUNT)?)
    }

    /// Reserves the leaf at `index`, if that has not been done. May sleep, as long as
    /// there is no memory.
    fn reserve_late(&mut self, index: usize) {
        if self.find(index).is_some() || Mistake::SkipLate.is_made() {
            return;
        }
        let leaf = loop {
            match self.directory.reserved_leaf(index) {
                Ok(leaf) => break leaf,
                Err(_) => fsleep(Delta::from_millis(1)),
            }
        };
        // INVARIANT: Just reserved.
        self.late.push((index, leaf));
    }

    /// The leaf at `index` that is reserved.
    fn find(&self, index: usize) -> Option<&RcuArc<Leaf>> {
        let at = self.leaves.partition_point(|(other, _)| *other < index);
        let is_it = |reserved: &&(usize, RcuArc<Leaf>)| reserved.0 == index;
        let thought_of = self.leaves.get(at).filter(is_it);
        let found = thought_of.or_else(|| self.late.iter().find(is_it));
        found.map(|(_, leaf)| leaf)
    }

    /// Moves the pages and returns how many there were. `zap` is called for the
    /// pieces (first page, number of pages) that hold pages before these are
    /// moved, as in [`Directory::remove`]. May sleep.
    pub(crate) fn carry_out(mut self, mut zap: impl FnMut(u64, u64)) -> u64 {
        let directory = self.directory;
        let mut moved = 0;
        for (index, leaf) in directory.leaves_of(self.from) {
            let taken = self.take(index, &leaf, &mut zap);
            if let Some((first, slots)) = taken {
                moved += self.put(first, slots);
                Point::MovePut.reach();
            }
            while let Some((index, leaf)) = self.late.pop() {
                directory.unreserve(index, &leaf);
            }
        }
        moved
    }

    /// Takes the pages out of a leaf into the buffer. Returns the index of the
    /// first and the number of slots.
    fn take(
        &mut self,
        index: usize,
        leaf: &RcuArc<Leaf>,
        zap: &mut impl FnMut(u64, u64),
    ) -> Option<(u64, usize)> {
        let _counted = self.directory.passes.change(index);
        let (from, to) = slots_of(index, self.from);
        // Passing through the lock, as in `Directory::remove`. The regions are gone, so
        // that nothing is added any more.
        let (first, last) = leaf.lock().present_bounds(from, to)?;
        for target in self.targets(index, (first, last)) {
            self.reserve_late(target);
        }
        let base = (index << LEAF_SHIFT) as u64;
        let slots = last - first + 1;
        zap(base + first as u64, slots as u64);
        Point::MoveZapped.reach();

        let mut locked = leaf.lock();
        for slot in first..=last {
            self.buffer[slot - first] = locked.lift(slot);
        }
        self.directory.bury_if_empty(index, leaf, &mut locked);
        drop(locked);
        Point::MoveTaken.reach();
        Some((base + first as u64, slots))
    }

    /// Puts the pages of the buffer, of which the first was at `first`, where they
    /// are to be. Returns how many there were.
    fn put(&mut self, first: u64, slots: usize) -> u64 {
        let to = self.to_of(first);
        let mut moved = 0;
        let (from, slot) = position(first as usize);
        for index in self.targets(from, (slot, slot + slots - 1)) {
            let base = (index << LEAF_SHIFT) as u64;
            let here = Interval::new(to, to + slots as u64)
                .and_then(|all| all.intersect(Interval::new(base, base + LEAF_PAGES as u64)?));
            let (Some(here), Some(leaf)) = (here, self.find(index).cloned()) else {
                continue;
            };
            let mut locked = leaf.lock();
            for page in here.start()..here.end() {
                if let Some(found) = self.buffer[(page - to) as usize].take() {
                    if Mistake::LoseMove.is_made() {
                        continue;
                    }
                    locked.put((page - base) as usize, found);
                    moved += 1;
                }
            }
        }
        moved
    }
}

impl Drop for Move<'_> {
    fn drop(&mut self) {
        for (index, leaf) in self.leaves.iter() {
            // INVARIANT: Not looked at again.
            self.directory.unreserve(*index, leaf);
        }
    }
}
