// SPDX-License-Identifier: GPL-2.0-only

//! Where the leaves are.

use std::{cell::RefCell, ops::Range, rc::Rc};

use faultline_portable_loom::{
    bug::Bug,
    fault,
    sync::{is_busted, Acquire, AtomicWord, Relaxed, Release},
};

use super::{
    leaf::{Leaf, LockedLeaf, LEAF_PAGES},
    lock::Lock,
};

/// An XArray: read under RCU, written under its lock.
///
/// Leaves are not freed before the end: a reference to one that has lost all others
/// cannot be had in the kernel, which does to whoever looks for one as much as a
/// dead leaf does.
pub(crate) struct Directory {
    /// The number of the leaf at each index; 0 if there is none.
    entries: Vec<AtomicWord>,
    lock: Lock,
    leaves: RefCell<Vec<Rc<Leaf>>>,
}

impl Directory {
    pub(crate) fn new(pages: usize) -> Self {
        Self {
            entries: (0..pages.div_ceil(LEAF_PAGES))
                .map(|_| AtomicWord::new(0))
                .collect(),
            lock: Lock::default(),
            leaves: RefCell::default(),
        }
    }

    pub(crate) fn leaf(&self, index: usize) -> Option<Rc<Leaf>> {
        let number = self.entries[index].load(Acquire);
        (number != 0).then(|| self.numbered(number))
    }

    fn numbered(&self, number: u32) -> Rc<Leaf> {
        self.leaves.borrow()[number as usize - 1].clone()
    }

    /// The leaves that have some of `pages`, as a change finds them that has stored the
    /// regions: each with its index and the slots.
    pub(crate) fn leaves_of(
        &self,
        pages: Range<usize>,
    ) -> impl Iterator<Item = (usize, Rc<Leaf>, Range<usize>)> + '_ {
        fault::before_leaves();
        let first = pages.start / LEAF_PAGES;
        let last = (pages.end - 1) / LEAF_PAGES;
        (first..=last).filter_map(move |index| {
            let base = index * LEAF_PAGES;
            let from = pages.start.max(base) - base;
            let to = pages.end.min(base + LEAF_PAGES) - base;
            Some((index, self.leaf(index)?, from..to))
        })
    }

    /// The leaf at `index`: `new`, if there is none.
    fn get_or_insert(&self, index: usize, new: &Rc<Leaf>) -> Rc<Leaf> {
        let _held = self.lock.hold();
        let entry = &self.entries[index];
        match entry.load(Relaxed) {
            0 => {
                let mut leaves = self.leaves.borrow_mut();
                leaves.push(new.clone());
                let number = leaves.len();
                drop(leaves);
                entry.store(number as u32, Release);
                new.clone()
            }
            number => self.numbered(number),
        }
    }

    /// The leaf at `index`, made if there is none.
    pub(crate) fn make_leaf(&self, index: usize) -> Rc<Leaf> {
        loop {
            if let Some(leaf) = self.leaf(index) {
                return leaf;
            }
            let leaf = Rc::new(Leaf::new());
            let is_there = self.publish_locked(index, &leaf).map(|locked| {
                let _locked = (!is_busted(Bug::UnlockEarly)).then_some(locked);
                fault::behind_publish();
            });
            if is_there.is_some() {
                return leaf;
            }
        }
    }

    /// None if there is a leaf already.
    pub(crate) fn publish_locked<'l>(
        &self,
        index: usize,
        leaf: &'l Rc<Leaf>,
    ) -> Option<LockedLeaf<'l>> {
        let locked = leaf.lock();
        let there = self.get_or_insert(index, leaf);
        Rc::ptr_eq(&there, leaf).then_some(locked)
    }

    pub(crate) fn bury_if_empty(&self, index: usize, leaf: &Rc<Leaf>, locked: &mut LockedLeaf<'_>) {
        if locked.die_if_empty() {
            let _held = self.lock.hold();
            let entry = &self.entries[index];
            let number = entry.load(Relaxed);
            if number != 0 && Rc::ptr_eq(&self.numbered(number), leaf) {
                entry.store(0, Release);
            }
        }
    }

    /// What must be true when nobody uses it.
    pub(crate) fn check_at_rest(&self) {
        for index in 0..self.entries.len() {
            if let Some(leaf) = self.leaf(index) {
                let locked = leaf.lock();
                assert!(locked.is_alive(), "a dead leaf is in the directory");
                let is_empty = (0..LEAF_PAGES).all(|slot| locked.get(slot).is_none());
                assert!(!is_empty, "an empty leaf is in the directory");
            }
        }
        for leaf in self.leaves.borrow().iter() {
            leaf.lock().check_at_rest();
        }
    }
}
