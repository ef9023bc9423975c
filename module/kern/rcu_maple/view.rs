// SPDX-License-Identifier: GPL-2.0-only

//! A tree as it is at one moment: with its lock held, or without, if nothing is stored
//! meanwhile.
//!
//! Each step of a look without the lock makes sure that the sequence count is what it was
//! at the beginning. So all that has been found so far stood there at one and the same
//! moment, whatever a store does to nodes in place: no bound is one of an interval that
//! never was, and no two overlap. A step that comes too late finds nothing, and what the
//! look makes of that is thrown away; so is all of it if something is stored behind its
//! last step. What is used is true of a moment within the look.

use kernel::{
    bindings as c,
    sync::{atomic::Relaxed, rcu},
};

use super::{super::bindings, Entry, Raw, RcuMaple, Value};

/// How often a look is begun without the lock.
const LOOKS: usize = 3;

/// See the module.
///
/// # Invariants
///
/// As long as it is used, nobody else stores to `tree`; or, if there is a `begun`, it is used
/// in an RCU read section in which that was the sequence count, and nothing was being stored.
pub(crate) struct View<'a, T: Value> {
    pub(super) tree: &'a RcuMaple<T>,
    begun: Option<u32>,
}

impl<T: Value> RcuMaple<T> {
    /// What `look` makes of the tree at one moment, or `None` if it was being stored to
    /// again and again. `look` may be called several times; it does not sleep, and takes no
    /// reference: what it sees may just have been overwritten, and its last reference gone.
    pub(crate) fn try_look<R>(&self, mut look: impl FnMut(&View<'_, T>) -> R) -> Option<R> {
        for _ in 0..LOOKS {
            let _rcu = rcu::read_lock();
            // SAFETY: By the type invariants of the tree.
            let begun = unsafe { bindings::faultline_maple_begin_look(self.seq.get()) };
            // INVARIANT: Just begun, and dropped before the read section ends.
            let view = View {
                tree: self,
                begun: Some(begun),
            };
            let seen = look(&view);
            if !view.has_passed() {
                return Some(seen);
            }
        }
        None
    }

    /// As `try_look`, with the lock if it is not to be had without. Does not sleep.
    pub(crate) fn look<R>(&self, mut look: impl FnMut(&View<'_, T>) -> R) -> R {
        match self.try_look(&mut look) {
            Some(seen) => seen,
            None => look(&self.lock_to_look()),
        }
    }
}

impl<'a, T: Value> View<'a, T> {
    /// Of a tree to which nobody stores as long as this is used, but who has it, between
    /// its uses.
    pub(super) fn of_locked(tree: &'a RcuMaple<T>) -> Self {
        // INVARIANT: By the caller, who holds the lock or has the tree reserved.
        Self { tree, begun: None }
    }

    /// Whether something has been stored since the look began.
    fn has_passed(&self) -> bool {
        // SAFETY: By the type invariants of the tree.
        let has = |begun| unsafe { bindings::faultline_maple_end_look(self.tree.seq.get(), begun) };
        self.begun.is_some_and(has)
    }

    /// Whether any two intervals count as one.
    pub(crate) fn has_twins(&self) -> bool {
        // Relaxed: written as the tree is; without the lock, what is made of it is only
        // used if nothing was stored.
        self.tree.twins.load(Relaxed) != 0
    }

    /// The object that stands at `index`, or else the next above it that
    /// begins at or below `last`.
    pub(crate) fn find(&self, index: usize, last: usize) -> Option<Entry<'_, T>> {
        self.find_raw(index, last).map(|entry| self.entry(entry))
    }

    pub(super) fn find_raw(&self, index: usize, last: usize) -> Option<Raw<T>> {
        if self.begun.is_some() {
            return self.walk(index, last);
        }
        let mut mas = self.tree.state(index, index);
        // SAFETY: `mas` is initialised as MA_STATE() does, and the lock is held.
        let object = unsafe { c::mas_find(&mut mas, last) };
        (!object.is_null()).then_some(Raw {
            first: mas.index,
            last: mas.last,
            object: object.cast(),
        })
    }

    /// The same without the lock. Not by `mas_find()`: where that is in a node that dies, it
    /// begins again at the root, and takes for granted that there is a node (Linux 7.3,
    /// `mas_next_slot()`); but a tree that has become empty has none. `mas_walk()` knows, and
    /// goes no further than to what is at one index, be it nothing.
    fn walk(&self, mut index: usize, last: usize) -> Option<Raw<T>> {
        loop {
            let mut mas = self.tree.state(index, index);
            // SAFETY: `mas` is initialised as MA_STATE() does, and the RCU read lock is held.
            let object = unsafe { c::mas_walk(&mut mas) };
            // What it has found, and the bounds, are only used if they are of one moment.
            if self.has_passed() {
                return None;
            }
            if !object.is_null() {
                return Some(Raw {
                    first: mas.index,
                    last: mas.last,
                    object: object.cast(),
                });
            }
            // What is free goes on to at most `mas.last`.
            index = mas.last.checked_add(1).filter(|&next| next <= last)?;
        }
    }

    pub(super) fn entry(&self, entry: Raw<T>) -> Entry<'_, T> {
        Entry {
            first: entry.first,
            last: entry.last,
            // SAFETY: The lock is held, or else the RCU read lock since before it was found;
            // either at least as long as this is borrowed.
            value: unsafe { &*entry.object },
        }
    }
}
