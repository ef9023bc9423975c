// SPDX-License-Identifier: GPL-2.0-only

//! A leaf of the directory: what it does is what the driver's does.

use std::{mem, ops::Range};

use faultline_portable_loom::{
    bug::Bug,
    fault::Slot,
    sync::{is_busted, AtomicWord, Cell, Relaxed},
};

use super::{
    lock::{Held, Lock},
    pages::PageId,
};

/// Pages of a leaf.
pub(crate) const LEAF_PAGES: usize = 3;

pub(crate) struct Leaf {
    commit: Lock,
    /// Only used under the commit lock, which loom checks.
    slots: Cell<Slots>,
    /// A bit for each slot that is not empty. Read without the lock as a hint.
    present: AtomicWord,
    /// What the page that was put in last is made of, and one more; 0 before. A hint.
    last_source: AtomicWord,
}

#[derive(Clone, Copy, Default)]
struct Slots {
    pages: [Option<PageId>; LEAF_PAGES],
    leaving: [bool; LEAF_PAGES],
    dead: bool,
    reserved: usize,
}

impl Leaf {
    pub(crate) fn new() -> Self {
        Self {
            commit: Lock::default(),
            slots: Cell::new(Slots::default()),
            present: AtomicWord::new(0),
            last_source: AtomicWord::new(0),
        }
    }

    pub(crate) fn seems_present(&self, slot: usize) -> bool {
        self.present.load(Relaxed) & (1 << slot) != 0
    }

    /// What an empty slot may get next.
    pub(crate) fn expected_source(&self) -> Option<u32> {
        self.last_source.load(Relaxed).checked_sub(1)
    }

    pub(crate) fn lock(&self) -> LockedLeaf<'_> {
        LockedLeaf {
            leaf: self,
            held: Some(self.commit.hold()),
        }
    }

    /// None if it is dead.
    pub(crate) fn lock_alive(&self) -> Option<LockedLeaf<'_>> {
        let mut locked = self.lock();
        let is_alive = locked.is_alive() || is_busted(Bug::FillDeadLeaf);
        if is_busted(Bug::NoLeafLock) {
            locked.held = None;
        }
        is_alive.then_some(locked)
    }
}

/// A leaf whose commit lock is held.
pub(crate) struct LockedLeaf<'a> {
    leaf: &'a Leaf,
    /// None only if that is the bug.
    held: Option<Held<'a>>,
}

impl LockedLeaf<'_> {
    /// Shows the slots.
    fn look<R>(&self, show: impl FnOnce(&Slots) -> R) -> R {
        let _brief = self.held.is_none().then(|| self.leaf.commit.hold());
        show(&self.leaf.slots.get())
    }

    fn change<R>(&mut self, change: impl FnOnce(&mut Slots) -> R) -> R {
        let _brief = self.held.is_none().then(|| self.leaf.commit.hold());
        let mut slots = self.leaf.slots.get();
        let result = change(&mut slots);
        self.leaf.slots.set(slots);
        result
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.look(|slots| !slots.dead)
    }

    pub(crate) fn slot(&self, slot: usize) -> Slot {
        let all_leave = is_busted(Bug::LeafLeaves);
        let leaves = self.look(|slots| match all_leave {
            true => slots.leaving.contains(&true),
            false => slots.leaving[slot],
        });
        match self.leaf.seems_present(slot) {
            _ if leaves => Slot::Leaving,
            true => Slot::Full,
            false => Slot::Empty,
        }
    }

    pub(crate) fn get(&self, slot: usize) -> Option<PageId> {
        self.look(|slots| slots.pages[slot])
    }

    pub(crate) fn fill(&mut self, slot: usize, page: PageId) {
        let old = self.change(|slots| slots.pages[slot].replace(page));
        assert_eq!(old, None, "slot {slot} is filled twice");
        self.update_present(|bits| bits | 1 << slot);
    }

    pub(crate) fn expect(&self, source: Option<u32>) {
        let word = source.map_or(0, |source| source + 1);
        self.leaf.last_source.store(word, Relaxed);
    }

    /// Empties the slot, and returns what was in it.
    pub(crate) fn lift(&mut self, slot: usize) -> Option<PageId> {
        let page = self.change(|slots| slots.pages[slot].take());
        self.update_present(|bits| bits & !(1 << slot));
        page
    }

    /// The first and the last slot in `slots` that are not empty.
    pub(crate) fn present_bounds(&self, slots: Range<usize>) -> Option<(usize, usize)> {
        let present = self.leaf.present.load(Relaxed);
        let mut there = slots.filter(|slot| present & (1 << slot) != 0);
        let first = there.next()?;
        Some((first, there.next_back().unwrap_or(first)))
    }

    /// Marks those that are not empty as about to be emptied, and returns their bounds.
    pub(crate) fn begin_to_empty(&mut self, slots: Range<usize>) -> Option<(usize, usize)> {
        let bounds = self.present_bounds(slots);
        if let Some((first, last)) = bounds {
            self.change(|slots| {
                for slot in first..=last {
                    slots.leaving[slot] = slots.pages[slot].is_some();
                }
            });
        }
        bounds
    }

    /// Empties the slot, if that was begun, and returns what was in it.
    pub(crate) fn end_to_empty(&mut self, slot: usize) -> Option<PageId> {
        let was_begun = self.change(|slots| mem::take(&mut slots.leaving[slot]));
        let empties = was_begun || is_busted(Bug::EmptyYounger);
        empties.then(|| self.lift(slot))?
    }

    /// Sees to it that the leaf stays until [`Self::release`].
    pub(crate) fn reserve(&mut self) {
        self.change(|slots| slots.reserved += 1);
    }

    pub(crate) fn release(&mut self) {
        self.change(|slots| slots.reserved -= 1);
    }

    /// Marks the leaf as dead, if nothing is in it or about to be. Returns whether
    /// that was so.
    pub(crate) fn die_if_empty(&mut self) -> bool {
        let is_empty = self.leaf.present.load(Relaxed) == 0;
        let is_free = |slots: &Slots| slots.reserved == 0 || is_busted(Bug::NoReserve);
        let dies = is_empty && self.look(|slots| is_free(slots) && !slots.dead);
        if dies {
            self.change(|slots| slots.dead = true);
        }
        dies
    }

    fn update_present(&mut self, update: impl FnOnce(u32) -> u32) {
        let present = &self.leaf.present;
        present.store(update(present.load(Relaxed)), Relaxed);
    }

    /// What must be true when nobody uses it.
    pub(crate) fn check_at_rest(&self) {
        self.look(|slots| {
            assert!(!slots.leaving.contains(&true), "a slot leaves for ever");
            assert_eq!(slots.reserved, 0, "a leaf is reserved for ever");
            for (slot, page) in slots.pages.iter().enumerate() {
                let seems_present = self.leaf.seems_present(slot);
                assert_eq!(page.is_some(), seems_present, "the hint of slot {slot}");
            }
        });
    }
}
