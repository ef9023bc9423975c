// SPDX-License-Identifier: GPL-2.0-only

//! The changes: what they do is what the driver's do.

use std::rc::Rc;

use faultline_portable_loom::{
    bug::Bug,
    fault::{empty, Emptying, Slot},
    sync::is_busted,
};

use super::{
    leaf::{Leaf, LockedLeaf},
    region::Region,
    world::{position, World},
};

impl World {
    pub(crate) fn unmap(&self, page: usize) {
        self.change(&[page], || {
            if is_busted(Bug::StoreLate) {
                self.discard_pages(page);
                self.store(page, None);
            } else {
                self.store(page, None);
                self.discard_pages(page);
            }
            self.free(page);
        });
    }

    /// A MAP where nothing is.
    pub(crate) fn insert(&self, page: usize, new: Region) {
        self.change(&[page], || self.store(page, Some(new)));
    }

    /// A MAP in place of what is there.
    pub(crate) fn replace(&self, page: usize, new: Region) {
        let pending = match is_busted(Bug::ReplaceAtOnce) {
            true => new,
            false => Region {
                pending: true,
                ..new
            },
        };
        self.change(&[page], || {
            self.store(page, Some(pending));
            self.discard_pages(page);
            self.store(page, Some(new));
        });
    }

    /// DONTNEED.
    pub(crate) fn discard(&self, page: usize) {
        self.change(&[page], || self.discard_pages(page));
    }

    pub(crate) fn protect(&self, page: usize, new: Region) {
        self.change(&[page], || {
            if is_busted(Bug::StoreLate) {
                self.revoke(page, new);
                self.store(page, Some(new));
            } else {
                self.store(page, Some(new));
                self.revoke(page, new);
            }
        });
    }

    fn revoke(&self, page: usize, new: Region) {
        let (index, slot) = position(page);
        if new.writable {
            return;
        }
        if let Some(leaf) = self.directory.leaf_to_pass(index) {
            self.pass_and_zap(page, || leaf.lock().slot(slot) != Slot::Empty);
        }
    }

    /// `pass` says whether the slot has something.
    fn pass_and_zap(&self, page: usize, pass: impl FnOnce() -> bool) -> bool {
        if is_busted(Bug::ZapBeforePass) {
            self.table.zap(page);
            return pass();
        }
        let is_present = pass();
        if is_present {
            self.table.zap(page);
        }
        is_present
    }

    /// A REMAP of one page to where nothing is. What gets ready for pages goes by
    /// what the slot has before the region is removed.
    pub(crate) fn move_page(&self, from: usize, to: usize) {
        self.change(&[from, to], || {
            let moved = self.region(from).expect("a region").region;
            let reserved = self.reserve(from, to);
            self.store(from, None);
            let (index, slot) = position(from);
            if let Some(leaf) = self.directory.leaf_to_pass(index) {
                let pass = || leaf.lock().slot(slot) != Slot::Empty;
                if self.pass_and_zap(from, pass) {
                    let mut locked = leaf.lock();
                    let page = locked.lift(slot);
                    self.directory.bury_if_empty(index, &leaf, &mut locked);
                    drop(locked);
                    if let (Some(target), Some(page)) = (&reserved, page) {
                        target.lock().fill(position(to).1, page);
                    }
                }
            }
            self.store(to, Some(moved));
            if let Some(target) = reserved {
                let mut locked = target.lock();
                locked.release();
                let index = position(to).0;
                self.directory.bury_if_empty(index, &target, &mut locked);
            }
        });
    }

    /// Sees to it that the leaf of `to` is there, if `from` has a page.
    fn reserve(&self, from: usize, to: usize) -> Option<Rc<Leaf>> {
        let (index, slot) = position(from);
        let leaf = self.directory.leaf_to_pass(index)?;
        if leaf.lock().slot(slot) == Slot::Empty {
            return None;
        }
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

    /// Takes the page out of the page table and out of the slot.
    fn discard_pages(&self, page: usize) {
        let (index, slot) = position(page);
        if let Some(leaf) = self.directory.leaf_to_pass(index) {
            empty(&mut LeafEmptying {
                world: self,
                page,
                index,
                slot,
                leaf: &leaf,
            });
        }
    }
}

/// A slot of a leaf that is being emptied.
struct LeafEmptying<'a> {
    world: &'a World,
    page: usize,
    index: usize,
    slot: usize,
    leaf: &'a Rc<Leaf>,
}

impl LeafEmptying<'_> {
    #[track_caller]
    fn end(&self, locked: &mut LockedLeaf<'_>) {
        if let Some(page) = locked.end_to_empty(self.slot) {
            let is_mapped = self.world.table.has(page);
            assert!(!is_mapped, "a page is freed while an entry has it");
            self.world.pages.discard(page);
        }
    }
}

impl Emptying for LeafEmptying<'_> {
    type Bounds = ();

    fn pass(&mut self) -> Option<()> {
        if is_busted(Bug::ZapBeforePass) {
            self.world.table.zap(self.page);
        }
        let mut locked = self.leaf.lock();
        let is_present = locked.begin_to_empty(self.slot);
        if is_busted(Bug::EmptyBeforeZap) {
            self.end(&mut locked);
        }
        is_present.then_some(())
    }

    fn zap(&mut self, (): &()) {
        if !is_busted(Bug::ZapBeforePass) {
            self.world.table.zap(self.page);
        }
    }

    fn empty(&mut self, bounds: Option<()>) {
        let mut locked = self.leaf.lock();
        if bounds.is_some() || is_busted(Bug::EmptyYounger) {
            self.end(&mut locked);
        }
        let directory = &self.world.directory;
        directory.bury_if_empty(self.index, self.leaf, &mut locked);
    }
}
