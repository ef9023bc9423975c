// SPDX-License-Identifier: GPL-2.0-only

//! The page directory of a space: which page stands at which index.
//!
//! Its leaves cover 512 pages (2 MiB) each. A leaf's commit lock is held while
//! an entry for one of its pages is put into a page table, so whoever has
//! passed through it knows that every entry installed before is there to be
//! zapped.

mod emptying;
mod moving;
mod shown;

use kernel::{
    alloc::{flags::GFP_NOWAIT, Flags, KBox},
    c_str,
    prelude::*,
    static_lock_class,
    sync::atomic::{Atomic, Relaxed},
};

use self::emptying::LeafEmptying;
use super::{
    live::{self, Live},
    mistake::Mistake,
    point::Point,
    precision::LeafCounts,
};
use crate::{
    kern::{
        extent::Extent,
        mutex::{Guard, Mutex},
        page_ref::PageRef,
        rcu_arc::RcuArc,
        rcu_xarray::RcuXArray,
    },
    portable::{
        fault::{self, Slot},
        interval::Interval,
    },
};

/// log2 of the pages of a leaf.
const LEAF_SHIFT: u32 = 9;
/// Pages of a leaf.
pub(crate) const LEAF_PAGES: usize = 1 << LEAF_SHIFT;

const WORD_BITS: usize = u64::BITS as usize;

/// A page that belongs to a space.
pub(crate) struct SpacePage {
    page: PageRef,
    _live: Live<{ live::PAGE }>,
}

impl SpacePage {
    /// `page`, of order 0, becomes the space's.
    pub(crate) fn new(page: PageRef) -> Self {
        Self {
            page,
            _live: Live::new(),
        }
    }

    /// A fresh page, which reads zero. May sleep; charged to the memory cgroup.
    ///
    /// Not movable: nothing could migrate it.
    pub(crate) fn zeroed() -> Result<Self> {
        Self::zeroed_by(GFP_KERNEL)
    }

    /// The same if it can be had at once: nothing is reclaimed for it, or killed.
    pub(crate) fn zeroed_at_once() -> Result<Self> {
        Self::zeroed_by(GFP_NOWAIT)
    }

    fn zeroed_by(how: Flags) -> Result<Self> {
        let zero = match Mistake::SkipZero.is_made() {
            true => kernel::alloc::flags::__GFP_NOWARN,
            false => kernel::alloc::flags::__GFP_ZERO,
        };
        let charged = match Mistake::SkipCharge.is_made() {
            true => how,
            // The flag itself has no name here.
            false => how | (GFP_KERNEL_ACCOUNT & !GFP_KERNEL),
        };
        Ok(Self::new(PageRef::alloc(charged | zero)?))
    }

    pub(crate) fn page(&self) -> &PageRef {
        &self.page
    }
}

/// The slots of a leaf. One is empty, holds a page of the space, or is marked:
/// then entries for a page of a page cache may be in page tables.
pub(crate) struct Slots {
    /// None if the slot is empty or marked, which `Leaf::present` tells apart.
    pages: KBox<[Option<SpacePage>; LEAF_PAGES]>,
    /// The leaf has been removed from the directory: nothing may be added.
    dead: bool,
    /// A bit for each slot that a change has passed and will empty.
    leaving: [u64; LEAF_PAGES / WORD_BITS],
    /// How many moves are about to put pages here: until then it stays.
    reserved: usize,
}

/// What is in a slot that is not empty.
enum Content {
    Page(SpacePage),
    Mark,
}

/// A leaf of the directory.
#[pin_data]
pub(crate) struct Leaf {
    #[pin]
    slots: Mutex<Slots>,
    /// A bit for each slot that is not empty. Written under the commit lock;
    /// read without it as a hint, to allocate outside the lock.
    present: [Atomic<u64>; LEAF_PAGES / WORD_BITS],
    /// Where its slots are, for who may not take the lock.
    slots_at: Extent,
    /// Whether the last fault that filled a slot got it zeroes, and none has failed with
    /// the leaf locked since. As `present`.
    zeroes: Atomic<bool>,
    live: Live<{ live::LEAF }>,
}

impl Leaf {
    /// An empty leaf, in no directory. May sleep; charged to the memory cgroup.
    pub(crate) fn new() -> Result<RcuArc<Self>> {
        let pages = KBox::init(
            pin_init::init_array_from_fn(|_| None::<SpacePage>),
            GFP_KERNEL_ACCOUNT,
        )?;
        let slots_at = Extent::of(&*pages);
        let slots = Slots {
            pages,
            dead: false,
            leaving: [0; LEAF_PAGES / WORD_BITS],
            reserved: 0,
        };
        let leaf = pin_init!(Self {
            slots <- Mutex::new(slots, c_str!("Leaf::slots"), static_lock_class!()),
            present: [const { Atomic::new(0) }; LEAF_PAGES / WORD_BITS],
            slots_at,
            zeroes: Atomic::new(false),
            live: Live::new(),
        });
        Ok(RcuArc::new(leaf, GFP_KERNEL_ACCOUNT)?)
    }

    /// Whether `slot` was not empty a moment ago.
    pub(crate) fn seems_present(&self, slot: usize) -> bool {
        // Relaxed: a hint, checked again under the commit lock.
        let (word, bit) = word_and_bit(slot);
        self.present[word].load(Relaxed) & bit != 0
    }

    /// Whether a page of zeroes is a good guess of what an empty slot will get.
    pub(crate) fn expects_zeroes(&self) -> bool {
        // Relaxed: a hint.
        self.zeroes.load(Relaxed)
    }

    /// The first and the last slot in `[from, to)` that are not empty: a hint, as
    /// [`seems_present`](Self::seems_present).
    fn present_bounds(&self, from: usize, to: usize) -> Option<(usize, usize)> {
        let mut present = (from..to).filter(|&slot| self.seems_present(slot));
        let first = present.next()?;
        Some((first, present.last().unwrap_or(first)))
    }

    /// The commit lock, unless the leaf is dead (`Ok(None)`), or `EINTR` when a
    /// fatal signal ends the wait. May sleep.
    pub(crate) fn lock_killable(&self) -> Result<Option<LockedLeaf<'_>>> {
        let slots = self.slots.lock_killable()?;
        Ok((!slots.dead).then_some(LockedLeaf { leaf: self, slots }))
    }

    fn lock(&self) -> LockedLeaf<'_> {
        LockedLeaf {
            leaf: self,
            slots: self.slots.lock(),
        }
    }
}

/// A leaf whose commit lock is held.
pub(crate) struct LockedLeaf<'a> {
    leaf: &'a Leaf,
    slots: Guard<'a, Slots>,
}

impl LockedLeaf<'_> {
    /// What `slot` has.
    pub(crate) fn slot(&self, slot: usize) -> Slot {
        let (word, bit) = word_and_bit(slot);
        if self.is_empty(slot) {
            Slot::Empty
        } else if self.slots.leaving[word] & bit != 0 {
            Slot::Leaving
        } else {
            Slot::Full
        }
    }

    /// Whether `slot` neither holds a page nor is marked.
    fn is_empty(&self, slot: usize) -> bool {
        // The commit lock is held, so this is no mere hint.
        !self.leaf.seems_present(slot)
    }

    /// The page in `slot`; none if it is empty or marked.
    pub(crate) fn get(&self, slot: usize) -> Option<&SpacePage> {
        self.slots.pages[slot].as_ref()
    }

    /// Puts `page` into the empty `slot`.
    pub(crate) fn fill(&mut self, slot: usize, page: SpacePage) {
        self.slots.pages[slot] = Some(page);
        self.mark(slot);
    }

    /// What is a good guess from now on, see [`Leaf::expects_zeroes`].
    pub(crate) fn expect_zeroes(&self, is_good: bool) {
        // Relaxed: a hint.
        self.leaf.zeroes.store(is_good, Relaxed);
    }

    /// Marks the empty `slot`: an entry for a page of a page cache is about to
    /// be installed.
    pub(crate) fn mark(&mut self, slot: usize) {
        self.update_present(slot, |word, bit| word | bit);
    }

    /// Empties `slot`, and returns what was in it.
    fn lift(&mut self, slot: usize) -> Option<Content> {
        if self.is_empty(slot) {
            return None;
        }
        let page = self.slots.pages[slot].take();
        self.clear(slot);
        Some(page.map_or(Content::Mark, Content::Page))
    }

    /// Puts what was lifted into the empty `slot`.
    fn put(&mut self, slot: usize, content: Content) {
        match content {
            Content::Page(page) => self.fill(slot, page),
            Content::Mark => self.mark(slot),
        }
    }

    /// Marks those slots in `[from, to)` that are not empty as about to be emptied.
    /// Returns the first and the last of them.
    fn begin_to_empty(&mut self, from: usize, to: usize) -> Option<(usize, usize)> {
        let bounds = self.present_bounds(from, to);
        if let Some((first, last)) = bounds {
            for slot in first..=last {
                if !self.is_empty(slot) && !Mistake::SkipLeaving.is_made() {
                    let (word, bit) = word_and_bit(slot);
                    self.slots.leaving[word] |= bit;
                }
            }
        }
        bounds
    }

    /// Empties `slot`, if that was begun. Returns whether it was.
    fn end_to_empty(&mut self, slot: usize) -> bool {
        let was_begun = match Mistake::SkipLeaving.is_made() {
            true => !self.is_empty(slot),
            false => self.slot(slot) == Slot::Leaving,
        };
        if was_begun {
            let (word, bit) = word_and_bit(slot);
            self.slots.leaving[word] &= !bit;
            self.clear(slot);
        }
        was_begun
    }

    fn clear(&mut self, slot: usize) {
        self.slots.pages[slot] = None;
        self.update_present(slot, |word, bit| word & !bit);
    }

    fn update_present(&mut self, slot: usize, update: impl FnOnce(u64, u64) -> u64) {
        let (word, bit) = word_and_bit(slot);
        let word = &self.leaf.present[word];
        // Relaxed: only written under the commit lock.
        word.store(update(word.load(Relaxed), bit), Relaxed);
    }

    /// The first and the last slot in `[from, to)` that are not empty.
    fn present_bounds(&self, from: usize, to: usize) -> Option<(usize, usize)> {
        self.leaf.present_bounds(from, to)
    }
}

/// Where the bit of `slot` is.
fn word_and_bit(slot: usize) -> (usize, u64) {
    (slot / WORD_BITS, 1 << (slot % WORD_BITS))
}

/// The slots `[from, to)` of the leaf at `index` that belong to `range`.
fn slots_of(index: usize, range: Interval) -> (usize, usize) {
    let base = (index << LEAF_SHIFT) as u64;
    let from = range.start().max(base) - base;
    let to = range.end().min(base + LEAF_PAGES as u64) - base;
    (from as usize, to as usize)
}

/// The end of what the leaf at `index` has of `range`: behind the range is what
/// others may still have to remove.
fn end_of(index: usize, range: Interval) -> u64 {
    (((index + 1) << LEAF_SHIFT) as u64).min(range.end())
}

/// The leaf and the slot of a page.
pub(crate) fn position(page: usize) -> (usize, usize) {
    (page >> LEAF_SHIFT, page & (LEAF_PAGES - 1))
}

/// The page directory of a space.
#[pin_data(PinnedDrop)]
pub(crate) struct Directory {
    #[pin]
    leaves: RcuXArray<Leaf>,
    /// Changes that pass leaves.
    #[pin]
    pub(super) passes: LeafCounts,
}

impl Directory {
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            leaves <- RcuXArray::new(),
            passes <- LeafCounts::new(),
        })
    }

    /// The leaf at `index`.
    pub(crate) fn leaf(&self, index: usize) -> Option<RcuArc<Leaf>> {
        self.leaves.get(index)
    }

    /// The leaf at `index`, made if there is none. May sleep; charged to the
    /// memory cgroup.
    fn make_leaf(&self, index: usize) -> Result<RcuArc<Leaf>> {
        loop {
            if let Some(leaf) = self.leaf(index) {
                return Ok(leaf);
            }
            let leaf = Leaf::new()?;
            let is_there = self.publish_locked(index, &leaf)?.map(|_locked| {
                // For whoever finds it, and has its lock behind us.
                fault::behind_publish();
            });
            if is_there.is_some() {
                return Ok(leaf);
            }
        }
    }

    /// Puts `leaf`, which is new, at `index`, locked: nobody else has had its
    /// lock, so nobody has seen it empty. `None` if there is a leaf already.
    /// May sleep; charged to the memory cgroup.
    pub(crate) fn publish_locked<'a>(
        &self,
        index: usize,
        leaf: &'a RcuArc<Leaf>,
    ) -> Result<Option<LockedLeaf<'a>>> {
        let locked = leaf.lock();
        let there = self.leaves.get_or_insert(index, leaf.clone())?;
        Ok(core::ptr::eq(&*there, &**leaf).then_some(locked))
    }

    /// Empties all slots of `range`, and frees the pages in them.
    ///
    /// `zap` is called for pieces of the range (first page, number of pages)
    /// that hold pages or marks, before these are removed: when it has returned,
    /// no translation of the piece may be left. `done` is called with the page
    /// up to which all is removed now, and with the number of pages removed
    /// since it was called last. Up to that page the caller may let others in.
    /// Faults that speculate may fill slots meanwhile if they find a region
    /// that is not pending: these pages stay. May sleep.
    pub(crate) fn remove(
        &self,
        range: Interval,
        mut zap: impl FnMut(u64, u64),
        mut done: impl FnMut(u64, u64),
    ) {
        for (index, leaf) in self.leaves_of(range) {
            let removed = self.remove_leaf(index, &leaf, range, &mut zap);
            done(end_of(index, range), removed);
        }
        done(range.end(), 0);
    }

    /// Calls `zap` for pieces of `range` (first page, number of pages) that hold
    /// pages, behind whatever faults have installed of them, and `done` as
    /// `remove` does. May sleep.
    pub(crate) fn for_each_present(
        &self,
        range: Interval,
        mut zap: impl FnMut(u64, u64),
        done: &mut impl FnMut(u64),
    ) {
        for (index, leaf) in self.leaves_of(range) {
            let (from, to) = slots_of(index, range);
            let base = (index << LEAF_SHIFT) as u64;
            let _counted = self.passes.change(index);
            // Passing through the lock, as in `remove_leaf`.
            let bounds = leaf.lock().present_bounds(from, to);
            Point::RevokePassed.reach();
            if let Some((first, last)) = bounds {
                zap(base + first as u64, (last - first + 1) as u64);
            }
            done(end_of(index, range));
        }
        done(range.end());
    }

    /// The leaves that have pages of `range`, in ascending order. May sleep
    /// between one and the next.
    fn leaves_of(&self, range: Interval) -> impl Iterator<Item = (usize, RcuArc<Leaf>)> + '_ {
        // What the caller has stored of the regions comes before.
        fault::before_leaves();
        let last = position(range.last() as usize).0;
        let mut next = position(range.start() as usize).0;
        core::iter::from_fn(move || {
            let found = self.leaves.find(next, last)?;
            next = found.0 + 1;
            Some(found)
        })
    }

    fn remove_leaf(
        &self,
        index: usize,
        leaf: &RcuArc<Leaf>,
        range: Interval,
        zap: &mut impl FnMut(u64, u64),
    ) -> u64 {
        let _counted = self.passes.change(index);
        LeafEmptying::new(self, index, leaf, slots_of(index, range), zap).run()
    }

    /// A leaf goes with its last page, or if it gets none. It leaves the directory
    /// before its lock is released: who finds it dead then finds another, or none.
    pub(crate) fn bury_if_empty(
        &self,
        index: usize,
        leaf: &RcuArc<Leaf>,
        locked: &mut LockedLeaf<'_>,
    ) {
        // Relaxed: only written under the commit lock, which is held.
        let is_empty = leaf.present.iter().all(|word| word.load(Relaxed) == 0);
        let is_reserved = locked.slots.reserved != 0 && !Mistake::SkipReserve.is_made();
        if is_empty && !is_reserved && !locked.slots.dead {
            locked.slots.dead = true;
            self.leaves.remove(index, leaf);
        }
    }
}

#[pinned_drop]
impl PinnedDrop for Directory {
    fn drop(self: Pin<&mut Self>) {
        // Here and now: a leaf's own end comes after a grace period, which is
        // too late for the pages of a whole space. No window is left to zap.
        if let Some(everything) = Interval::new(0, super::space::SPACE_PAGES) {
            self.remove(everything, |_, _| (), |_, _| ());
        }
    }
}
