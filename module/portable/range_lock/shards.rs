// SPDX-License-Identifier: GPL-2.0-only

//! The lock itself: shards, domains and the root, and their spin locks.

use super::{
    super::{
        bug::Bug,
        sync::{is_busted, Cell, NoPreempt, SpinLock},
    },
    place::{Kind, Place, Shards},
    waiter::{Part, Trees, PARTS},
};

/// What lies in a line of its own.
#[repr(align(64))]
struct Line<T>(T);

/// The requests whose places are the shards that hash to it.
struct Shard {
    lock: SpinLock,
    /// The greatest number of any request that took `lock`.
    clock: Cell<u64>,
    trees: Trees,
}

/// Some shards, and the requests that are too large for one of them.
struct Domain<const S: usize> {
    trees: Line<Trees>,
    shards: [Line<Shard>; S],
}

/// A reader/writer lock over page intervals, of `D` domains of `S` shards
/// (both powers of two).
///
/// More domains help requests of up to 1 GiB in different GiB, more shards
/// those of up to 2 MiB; a request takes one spin lock for up to 2 MiB, `S`
/// for up to 1 GiB and `D * S` beyond. Intervals that cross one boundary of
/// these granules are cut in two.
///
/// # Invariants
///
/// The trees of a place are changed under the spin locks of all its shards,
/// and read under one of them at least.
pub struct RangeLock<const D: usize, const S: usize> {
    trees: Line<Trees>,
    domains: [Domain<S>; D],
}

// SAFETY: All it has is guarded by spin locks, by the type invariants.
unsafe impl<const D: usize, const S: usize> Send for RangeLock<D, S> {}
// SAFETY: As above.
unsafe impl<const D: usize, const S: usize> Sync for RangeLock<D, S> {}

impl<const D: usize, const S: usize> Default for RangeLock<D, S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const D: usize, const S: usize> RangeLock<D, S> {
    /// A free lock.
    pub fn new() -> Self {
        let shard = |_| {
            Line(Shard {
                lock: SpinLock::new(),
                clock: Cell::new(0),
                trees: Trees::new(),
            })
        };
        Self {
            trees: Line(Trees::new()),
            domains: core::array::from_fn(|_| Domain {
                trees: Line(Trees::new()),
                shards: core::array::from_fn(shard),
            }),
        }
    }

    /// Whether there is no request.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        let mut empty = true;
        self.for_each_related(Place::ROOT, |trees| {
            empty &= trees.is_empty();
        });
        empty
    }

    /// How many parts stand here, in trees that are as they should be.
    #[cfg(test)]
    pub(super) fn check_trees(&self) -> usize {
        let mut all = Spans::none();
        all.add(Place::ROOT.shards::<D, S>());
        let _locked = self.lock_shards(all);
        let mut parts = 0;
        self.for_each_related(Place::ROOT, |trees| parts += trees.check());
        parts
    }

    #[inline]
    pub(super) fn trees(&self, place: Place) -> &Trees {
        match place.kind::<D>() {
            Kind::Shard(shard) => &self.shard(shard).trees,
            Kind::Domain(domain) => &self.domain(domain).trees.0,
            Kind::Root => &self.trees.0,
        }
    }

    #[inline]
    fn domain(&self, index: u16) -> &Domain<S> {
        &self.domains[usize::from(index)]
    }

    /// The shard of this index over all domains.
    #[inline]
    fn shard(&self, index: u16) -> &Shard {
        self.domain(index / S as u16).shard(index % S as u16)
    }

    /// The places where an overlapping request can stand: that of the part
    /// itself, those above it, and those below it.
    #[inline]
    pub(super) fn for_each_related(&self, place: Place, mut visit: impl FnMut(&Trees)) {
        if is_busted(Bug::OwnPlaceOnly) {
            return visit(self.trees(place));
        }
        visit(&self.trees.0);
        match place.kind::<D>() {
            Kind::Shard(shard) => {
                visit(&self.domain(shard / S as u16).trees.0);
                visit(&self.shard(shard).trees);
            }
            Kind::Domain(domain) => self.domain(domain).for_each(&mut visit),
            Kind::Root => self.domains.iter().for_each(|d| d.for_each(&mut visit)),
        }
    }

    /// Takes the spin lock of a shard, of this index over all domains.
    #[inline]
    pub(super) fn lock_shard(&self, index: u16) -> Locked<'_, One, D, S> {
        self.lock_shards(One(index))
    }

    /// Takes the spin locks of the places of `parts`, in ascending order.
    #[inline]
    pub(super) fn lock_places<'p>(
        &self,
        parts: impl Iterator<Item = &'p Part>,
    ) -> Locked<'_, Spans, D, S> {
        let mut spans = Spans::none();
        parts
            .filter_map(|part| part.place.get())
            .for_each(|place| spans.add(place.shards::<D, S>()));
        if is_busted(Bug::FirstSpinLockOnly) {
            spans.keep_first();
        }
        self.lock_shards(spans)
    }

    #[inline]
    fn lock_shards<T: Set>(&self, shards: T) -> Locked<'_, T, D, S> {
        let no_preempt = NoPreempt::new();
        shards.for_each(|index| self.shard(index).lock.lock());
        Locked {
            lock: self,
            shards,
            _no_preempt: no_preempt,
        }
    }
}

impl<const S: usize> Domain<S> {
    #[inline]
    fn shard(&self, index: u16) -> &Shard {
        &self.shards[usize::from(index)].0
    }

    fn for_each(&self, mut visit: impl FnMut(&Trees)) {
        visit(&self.trees.0);
        self.shards.iter().for_each(|shard| visit(&shard.0.trees));
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
pub(super) struct Locked<'a, T: Set, const D: usize, const S: usize> {
    lock: &'a RangeLock<D, S>,
    shards: T,
    _no_preempt: NoPreempt,
}

impl<T: Set, const D: usize, const S: usize> Locked<'_, T, D, S> {
    /// A number higher than that of any request that took one of these locks
    /// before (Lamport's logical clock: an event for each shard).
    #[inline]
    pub(super) fn next_number(&self) -> u64 {
        let mut number = 0;
        self.shards
            .for_each(|index| number = number.max(self.lock.shard(index).clock.get()));
        number += 1;
        self.shards
            .for_each(|index| self.lock.shard(index).clock.set(number));
        number
    }
}

impl<T: Set, const D: usize, const S: usize> Drop for Locked<'_, T, D, S> {
    #[inline]
    fn drop(&mut self) {
        self.shards.for_each(|index| {
            // SAFETY: Taken by `lock_shard` or `lock_places`.
            unsafe { self.lock.shard(index).lock.unlock() }
        });
    }
}
