// SPDX-License-Identifier: GPL-2.0-only

//! Moving pages to other indices, for REMAP.
//!
//! No leaf is locked while another is: pages rest in a buffer on their way. The
//! caller has locked the pages of both ranges, so nobody misses them meanwhile.

use kernel::{alloc::KVVec, prelude::*};

use super::{position, slots_of, Content, Directory, Leaf, LEAF_PAGES, LEAF_SHIFT};
use crate::{
    driver::{mistake::Mistake, point::Point},
    kern::{rcu_arc::RcuArc, task::fatal_signal_pending},
    portable::interval::Interval,
};

/// All the memory that a move takes.
///
/// # Invariants
///
/// Each of `leaves` is reserved once for this.
pub(crate) struct Move<'a> {
    directory: &'a Directory,
    from: Interval,
    /// The first page of where to.
    to: u64,
    /// The leaves that get pages, in ascending order.
    leaves: KVVec<(usize, RcuArc<Leaf>)>,
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
            if let Some((first, last)) = bounds {
                let base = (index << LEAF_SHIFT) as u64;
                let (low, _) = position(planned.to_of(base + first as u64) as usize);
                let (high, _) = position(planned.to_of(base + last as u64) as usize);
                for index in low..=high {
                    planned.reserve(index)?;
                }
            }
        }
        Ok(planned)
    }
}

impl Move<'_> {
    fn to_of(&self, page: u64) -> u64 {
        page - self.from.start() + self.to
    }

    /// Makes the leaf at `index`, if there is none, and sees to it that it stays.
    fn reserve(&mut self, index: usize) -> Result {
        if self.leaves.last().is_some_and(|(last, _)| *last == index) {
            return Ok(());
        }
        // Memory first: a leaf that is reserved must get into the list.
        self.leaves.reserve(1, GFP_KERNEL_ACCOUNT)?;
        loop {
            let leaf = self.directory.make_leaf(index)?;
            let mut locked = leaf.lock();
            if !locked.slots.dead {
                locked.slots.reserved += 1;
                drop(locked);
                // INVARIANT: Just reserved. Within the capacity.
                return Ok(self.leaves.push((index, leaf), GFP_KERNEL_ACCOUNT)?);
            }
        }
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
        let (from, to) = slots_of(index, self.from);
        // Passing through the lock, as in `Directory::remove_leaf`.
        let (first, last) = leaf.lock().present_bounds(from, to)?;
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
        let (lowest, _) = position(to as usize);
        let begin = self.leaves.partition_point(|(index, _)| *index < lowest);
        let mut moved = 0;
        for (index, leaf) in self.leaves[begin..].iter() {
            let base = (index << LEAF_SHIFT) as u64;
            let Some(here) = Interval::new(to, to + slots as u64)
                .and_then(|all| all.intersect(Interval::new(base, base + LEAF_PAGES as u64)?))
            else {
                break;
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
            let mut locked = leaf.lock();
            // INVARIANT: Not reserved any more, and not looked at again.
            locked.slots.reserved -= 1;
            self.directory.bury_if_empty(*index, leaf, &mut locked);
        }
    }
}
