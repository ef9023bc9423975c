// SPDX-License-Identifier: GPL-2.0-only

//! The lock itself: what it has for shards, domains and the root, and their spin locks.

use core::borrow::Borrow;

use super::{
    super::{
        bug::Bug,
        sync::{is_busted, Cell, NoPreempt, SpinLock},
    },
    place::{Kind, Place, Shape, Shards},
    waiter::{Part, Trees, PARTS},
};

/// What a lock has for each of its places, in a line of its own.
#[repr(align(64))]
pub struct Slot {
    /// Of a shard; domains and the root are guarded by those of all their shards.
    lock: SpinLock,
    /// The greatest number of any request that took `lock`.
    clock: Cell<u64>,
    /// The requests whose place this is.
    trees: Trees,
}

// SAFETY: All it has is guarded by spin locks, by the invariants of `RangeLock`.
unsafe impl Send for Slot {}
// SAFETY: As above.
unsafe impl Sync for Slot {}

impl Slot {
    /// Where nothing stands.
    pub fn new() -> Self {
        Self {
            lock: SpinLock::new(),
            clock: Cell::new(0),
            trees: Trees::new(),
        }
    }
}

impl Default for Slot {
    fn default() -> Self {
        Self::new()
    }
}

/// A reader/writer lock over page intervals, whose places are in memory that the caller
/// supplies. Intervals that cross one boundary of granules are cut in two.
///
/// # Invariants
///
/// - There is a slot for each place of the shape, always the same, and no other lock's.
/// - The trees of a place are changed under the spin locks of all its shards,
///   and read under one of them at least.
pub struct RangeLock<B> {
    shape: Shape,
    slots: B,
}

impl<B: Borrow<[Slot]>> RangeLock<B> {
    /// A free lock, with new slots, at least as many as the shape has places.
    ///
    /// # Safety
    ///
    /// `slots` always borrows the same slots, which nothing else uses.
    pub unsafe fn new(shape: Shape, slots: B) -> Self {
        assert!(slots.borrow().len() >= shape.places());
        Self { shape, slots }
    }

    /// Its places.
    #[inline]
    pub(super) fn places(&self) -> Places<'_> {
        Places {
            shape: self.shape,
            slots: self.slots.borrow(),
        }
    }

    /// All that requests of it write, but for themselves.
    pub fn slots(&self) -> &[Slot] {
        self.slots.borrow()
    }
}

impl<const N: usize> RangeLock<[Slot; N]> {
    /// A free lock that has its slots itself, at least as many as the shape has places.
    pub fn in_place(shape: Shape) -> Self {
        // SAFETY: The array is the lock's own.
        unsafe { Self::new(shape, core::array::from_fn(|_| Slot::new())) }
    }
}

/// The places of a lock.
#[derive(Clone, Copy)]
pub(super) struct Places<'l> {
    shape: Shape,
    slots: &'l [Slot],
}

impl<'l> Places<'l> {
    /// Whether there is no request.
    #[cfg(test)]
    pub(super) fn is_empty(self) -> bool {
        let mut empty = true;
        self.for_each_related(Place::ROOT, |trees| {
            empty &= trees.is_empty();
        });
        empty
    }

    /// How many parts stand here, in trees that are as they should be.
    #[cfg(test)]
    pub(super) fn check_trees(self) -> usize {
        let mut all = Spans::none();
        all.add(Place::ROOT.shards(self.shape));
        let _locked = self.lock_shards(all);
        let mut parts = 0;
        self.for_each_related(Place::ROOT, |trees| parts += trees.check());
        parts
    }

    #[inline]
    pub(super) fn shape(self) -> Shape {
        self.shape
    }

    #[inline]
    fn slot(self, place: Place) -> &'l Slot {
        &self.slots[usize::from(place.index())]
    }

    #[inline]
    pub(super) fn trees(self, place: Place) -> &'l Trees {
        &self.slot(place).trees
    }

    /// The shard of this index over all domains.
    #[inline]
    fn shard(self, index: u16) -> &'l Slot {
        self.slot(Place::of_shard(index, self.shape))
    }

    /// The places where an overlapping request can stand: that of the part
    /// itself, those above it, and those below it.
    #[inline]
    pub(super) fn for_each_related(self, place: Place, mut visit: impl FnMut(&Trees)) {
        if is_busted(Bug::OwnPlaceOnly) {
            return visit(self.trees(place));
        }
        visit(self.trees(Place::ROOT));
        match place.kind(self.shape) {
            Kind::Shard(shard) => {
                let domain = self.shape.domain_of(shard);
                visit(self.trees(Place::of_domain(domain)));
                visit(self.trees(place));
            }
            Kind::Domain(domain) => {
                visit(self.trees(place));
                let Shards { first, end } = self.shape.shards_of(domain);
                (first..end).for_each(|shard| visit(&self.shard(shard).trees));
            }
            Kind::Root => {
                let below = &self.slots[1..self.shape.places()];
                below.iter().for_each(|slot| visit(&slot.trees));
            }
        }
    }

    /// Takes the spin lock of a shard, of this index over all domains.
    #[inline]
    pub(super) fn lock_shard(self, index: u16) -> Locked<'l, One> {
        self.lock_shards(One(index))
    }

    /// Takes the spin locks of the places of `parts`, in ascending order.
    #[inline]
    pub(super) fn lock_places<'p>(
        self,
        parts: impl Iterator<Item = &'p Part>,
    ) -> Locked<'l, Spans> {
        let mut spans = Spans::none();
        parts
            .filter_map(|part| part.place.get())
            .for_each(|place| spans.add(place.shards(self.shape)));
        if is_busted(Bug::FirstSpinLockOnly) {
            spans.keep_first();
        }
        self.lock_shards(spans)
    }

    #[inline]
    fn lock_shards<T: Set>(self, shards: T) -> Locked<'l, T> {
        let no_preempt = NoPreempt::new();
        shards.for_each(|index| self.shard(index).lock.lock());
        Locked {
            places: self,
            shards,
            _no_preempt: no_preempt,
        }
    }
}

/// A set of shards.
pub(super) trait Set {
    /// Each shard once, in ascending order.
    fn for_each(&self, visit: impl FnMut(u16));
}

/// One shard.
pub(super) struct One(u16);

impl Set for One {
    #[inline]
    fn for_each(&self, mut visit: impl FnMut(u16)) {
        visit(self.0);
    }
}

/// Spans of shards, in ascending order of their first.
pub(super) struct Spans {
    spans: [Shards; PARTS],
    len: usize,
}

impl Spans {
    const fn none() -> Self {
        let spans = [Shards { first: 0, end: 0 }; PARTS];
        Self { spans, len: 0 }
    }

    #[inline]
    fn add(&mut self, span: Shards) {
        let mut at = self.len;
        while at > 0 && self.spans[at - 1].first > span.first {
            self.spans[at] = self.spans[at - 1];
            at -= 1;
        }
        self.spans[at] = span;
        self.len += 1;
    }

    fn keep_first(&mut self) {
        self.len = self.len.min(1);
        self.spans[0].end = self.spans[0].end.min(self.spans[0].first + 1);
    }
}

impl Set for Spans {
    #[inline]
    fn for_each(&self, mut visit: impl FnMut(u16)) {
        let mut next = 0;
        for span in &self.spans[..self.len] {
            (span.first.max(next)..span.end).for_each(&mut visit);
            next = next.max(span.end);
        }
    }
}

/// The spin locks of some places, held until dropped.
pub(super) struct Locked<'l, T: Set> {
    places: Places<'l>,
    shards: T,
    _no_preempt: NoPreempt,
}

impl<T: Set> Locked<'_, T> {
    /// A number higher than that of any request that took one of these locks
    /// before (Lamport's logical clock: an event for each shard).
    #[inline]
    pub(super) fn next_number(&self) -> u64 {
        let mut number = 0;
        self.shards
            .for_each(|index| number = number.max(self.places.shard(index).clock.get()));
        number += 1;
        self.shards
            .for_each(|index| self.places.shard(index).clock.set(number));
        number
    }
}

impl<T: Set> Drop for Locked<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.shards.for_each(|index| {
            // SAFETY: Taken by `lock_shard` or `lock_places`.
            unsafe { self.places.shard(index).lock.unlock() }
        });
    }
}
