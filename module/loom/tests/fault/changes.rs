// SPDX-License-Identifier: GPL-2.0-only

//! The changes: what they do is what the driver's do.

use std::{ops::Range, rc::Rc};

use faultline_portable_loom::{
    bug::Bug,
    fault::{empty, Emptying},
    sync::is_busted,
};

use super::{
    leaf::{Leaf, LockedLeaf, LEAF_PAGES},
    pages::PageId,
    region::Region,
    world::{position, World},
};

impl World {
    pub(crate) fn unmap(&self, pages: Range<usize>) {
        self.change(pages.clone(), || {
            if is_busted(Bug::StoreLate) {
                self.discard_pages(pages.clone());
                self.store(pages.clone(), None);
            } else {
                self.store(pages.clone(), None);
                self.discard_pages(pages.clone());
            }
            self.free(pages.clone());
        });
    }

    /// UNMAP under one lock for all: faults may lock the pages when the region is gone.
    pub(crate) fn unmap_and_let_in(&self, pages: Range<usize>) {
        let discard = || {
            self.discard_pages(pages.clone());
            self.free(pages.clone());
        };
        self.change_and_let_in(pages.clone(), || self.store(pages.clone(), None), discard);
    }

    /// A MAP where nothing is.
    pub(crate) fn insert(&self, pages: Range<usize>, new: Region) {
        self.change(pages.clone(), || self.store(pages.clone(), Some(new)));
    }

    /// A MAP in place of what is there.
    pub(crate) fn replace(&self, pages: Range<usize>, new: Region) {
        let pending = Region {
            pending: !is_busted(Bug::ReplaceAtOnce),
            ..new
        };
        self.change(pages.clone(), || {
            self.store(pages.clone(), Some(pending));
            self.discard_pages(pages.clone());
            self.store(pages.clone(), Some(new));
        });
    }

    /// DONTNEED.
    pub(crate) fn discard(&self, pages: Range<usize>) {
        self.change(pages.clone(), || self.discard_pages(pages.clone()));
    }

    pub(crate) fn protect(&self, pages: Range<usize>, new: Region) {
        self.change(pages.clone(), || {
            if is_busted(Bug::StoreLate) {
                self.revoke(pages.clone(), new);
                self.store(pages.clone(), Some(new));
            } else {
                self.store(pages.clone(), Some(new));
                self.revoke(pages.clone(), new);
            }
        });
    }

    /// The pages stay. A fault that upgrades an entry looks at the region then.
    fn revoke(&self, pages: Range<usize>, new: Region) {
        if !new.writable {
            for (index, leaf, slots) in self.directory.leaves_of(pages) {
                self.pass_and_zap(index, &leaf, slots);
            }
        }
    }

    /// Returns the first and the last slot that are not empty.
    fn pass_and_zap(
        &self,
        index: usize,
        leaf: &Leaf,
        slots: Range<usize>,
    ) -> Option<(usize, usize)> {
        let pass = || leaf.lock().present_bounds(slots.clone());
        if is_busted(Bug::ZapBeforePass) {
            self.zap(pages_of(index, slots.start, slots.end - 1));
            return pass();
        }
        let bounds = pass();
        if let Some((first, last)) = bounds {
            self.zap(pages_of(index, first, last));
        }
        bounds
    }

    /// A REMAP of one page, in place of what is there. What gets ready for it goes by
    /// what the slot has before the region is removed, and then by what has come since.
    pub(crate) fn move_page(&self, from: usize, to: usize) {
        self.change([from, to], || {
            let moved = self.region(from).expect("a region").region;
            let mut target = self.reserve(from, to);
            if self.region(to).is_some() {
                self.store([to], None);
                self.discard_pages(to..to + 1);
            }
            self.store([from], None);
            // Now no page is added any more.
            if target.is_none() && !is_busted(Bug::NoLateLeaf) {
                target = self.reserve(from, to);
            }
            self.take(from).into_iter().for_each(|page| {
                if let Some(target) = &target {
                    target.lock().fill(position(to).1, page);
                }
            });
            self.store([to], Some(moved));
            if let Some(target) = target {
                let mut locked = target.lock();
                locked.release();
                let index = position(to).0;
                self.directory.bury_if_empty(index, &target, &mut locked);
            }
        });
    }

    /// Sees to it that the leaf of `to` is there, if `from` has a page.
    fn reserve(&self, from: usize, to: usize) -> Option<Rc<Leaf>> {
        let (_, leaf, slots) = self.directory.leaves_of(from..from + 1).next()?;
        leaf.lock().present_bounds(slots)?;
        loop {
            let target = self.directory.make_leaf(position(to).0);
            let mut locked = target.lock();
            if locked.is_alive() {
                locked.reserve();
                drop(locked);
                return Some(target);
            }
        }
    }

    /// Takes the page out of the page tables and out of its slot.
    fn take(&self, from: usize) -> Option<PageId> {
        let (index, leaf, slots) = self.directory.leaves_of(from..from + 1).next()?;
        let (slot, _) = self.pass_and_zap(index, &leaf, slots)?;
        let mut locked = leaf.lock();
        let page = locked.lift(slot);
        self.directory.bury_if_empty(index, &leaf, &mut locked);
        page
    }

    /// Takes the pages out of the page tables and out of their slots.
    fn discard_pages(&self, pages: Range<usize>) {
        for (index, leaf, slots) in self.directory.leaves_of(pages) {
            empty(&mut LeafEmptying {
                world: self,
                index,
                leaf: &leaf,
                slots,
            });
        }
    }
}

/// The pages of these slots.
fn pages_of(index: usize, first: usize, last: usize) -> Range<usize> {
    let base = index * LEAF_PAGES;
    base + first..base + last + 1
}

/// Slots of a leaf that are being emptied.
struct LeafEmptying<'a> {
    world: &'a World,
    index: usize,
    leaf: &'a Rc<Leaf>,
    slots: Range<usize>,
}

impl LeafEmptying<'_> {
    #[track_caller]
    fn end(&self, locked: &mut LockedLeaf<'_>, (first, last): (usize, usize)) {
        for slot in first..=last {
            if let Some(page) = locked.end_to_empty(slot) {
                self.world.free_page(page);
            }
        }
    }
}

impl Emptying for LeafEmptying<'_> {
    type Bounds = (usize, usize);

    fn pass(&mut self) -> Option<(usize, usize)> {
        if is_busted(Bug::ZapBeforePass) {
            let (first, end) = (self.slots.start, self.slots.end);
            self.world.zap(pages_of(self.index, first, end - 1));
        }
        let mut locked = self.leaf.lock();
        let bounds = locked.begin_to_empty(self.slots.clone())?;
        if is_busted(Bug::EmptyBeforeZap) {
            self.end(&mut locked, bounds);
        }
        Some(bounds)
    }

    fn zap(&mut self, &(first, last): &(usize, usize)) {
        if !is_busted(Bug::ZapBeforePass) {
            self.world.zap(pages_of(self.index, first, last));
        }
    }

    fn empty(&mut self, bounds: Option<(usize, usize)>) {
        let mut locked = self.leaf.lock();
        if let Some(bounds) = bounds {
            self.end(&mut locked, bounds);
        }
        let directory = &self.world.directory;
        directory.bury_if_empty(self.index, self.leaf, &mut locked);
    }
}
