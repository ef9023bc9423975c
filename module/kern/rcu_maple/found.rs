// SPDX-License-Identifier: GPL-2.0-only

//! What is there before a store, and how many intervals that makes, before and behind.

use kernel::bindings as c;

use super::{count::Count, Entry, Locked, Value, BATCH, MOST};
use crate::kern::array_vec::ArrayVec;

/// An entry of the tree, as long as the lock is held and it is not overwritten.
pub(super) struct Raw<T> {
    pub(super) first: usize,
    pub(super) last: usize,
    pub(super) object: *mut T,
}

impl<T> Clone for Raw<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Raw<T> {}

/// What a store may overwrite.
pub(super) struct Found<T> {
    /// In ascending order.
    pub(super) entries: ArrayVec<Raw<T>, MOST>,
    /// Of these, that of the index before the first.
    pub(super) below: Option<Raw<T>>,
    /// That of the index behind the last.
    pub(super) above: Option<Raw<T>>,
    /// The last index, if there are too many entries.
    pub(super) end: Option<usize>,
    /// The entry behind it.
    beyond: Option<Raw<T>>,
}

impl<T> Found<T> {
    pub(super) fn new() -> Self {
        Self {
            entries: ArrayVec::new(),
            below: None,
            above: None,
            end: None,
            beyond: None,
        }
    }

    /// In ascending order.
    fn all(&self) -> impl Iterator<Item = Raw<T>> + '_ {
        Iterator::chain(self.entries.iter().copied(), self.beyond)
    }
}

impl<T: Value> Locked<'_, T> {
    /// Counts what was found.
    pub(super) fn count(&self, found: &Found<T>) -> Count<'_, T> {
        let mut count = Count::new();
        for entry in found.all() {
            count.add(self.entry(entry));
        }
        count
    }

    /// Counts what is there instead once `new` is in `[low, high]`.
    pub(super) fn count_behind<'g>(
        &'g self,
        found: &Found<T>,
        (low, high): (usize, usize),
        new: Option<&'g T>,
    ) -> Count<'g, T> {
        let mut count = Count::new();
        for entry in found.all().filter(|entry| entry.first < low) {
            count.add(Entry {
                last: entry.last.min(low - 1),
                ..self.entry(entry)
            });
        }
        if let Some(value) = new {
            count.add(Entry {
                first: low,
                last: high,
                value,
            });
        }
        for entry in found.all().filter(|entry| high < entry.last) {
            count.add(Entry {
                first: entry.first.max(high + 1),
                ..self.entry(entry)
            });
        }
        count
    }

    /// What stands at `[first, last]` and at `beside` indices on each side of it, as
    /// far as one store may overwrite it.
    #[inline]
    pub(super) fn scan(&self, first: usize, last: usize, beside: usize, found: &mut Found<T>) {
        let (from, to) = (first.saturating_sub(beside), last.saturating_add(beside));
        let mut mas = self.tree.state(from, from);
        let mut inside = 0;
        loop {
            // SAFETY: `mas` is initialised as MA_STATE() does, or was left so by the call
            // before, and the lock is held.
            let object = unsafe { c::mas_find(&mut mas, to) };
            if object.is_null() {
                break;
            }
            let entry = Raw {
                first: mas.index,
                last: mas.last,
                object: object.cast(),
            };
            if first <= entry.last && entry.first <= last {
                if inside == BATCH {
                    // Not this one: the store ends before it.
                    found.end = Some(entry.first - 1);
                    found.beyond = Some(entry);
                    break;
                }
                inside += 1;
            }
            if entry.first < first {
                found.below = Some(entry);
            }
            if last < entry.last {
                found.above = Some(entry);
            }
            found.entries.push(entry);
            if entry.last >= to {
                break;
            }
        }
    }
}
