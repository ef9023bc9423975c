// SPDX-License-Identifier: GPL-2.0-only

//! The regions of a space, in canonical form: no two that touch have the same
//! attributes.
//!
//! A change stores a run of pages at a time, with the tree locked, for a bounded
//! number of regions. A store may fail for want of memory or of room; an
//! operation allows that of its first store only.

mod look;
mod room;

use kernel::{
    c_str,
    prelude::*,
    static_lock_class,
    sync::atomic::{Atomic, Relaxed},
};

use self::room::Room;
use super::{
    mistake::Mistake,
    region::{Attributes, Region, RegionRef},
};
use crate::{
    kern::{
        lock_set::{Change, LockSet, Member, ReadGuard},
        rcu_maple::{Entry, Locked, Memory, RcuMaple, Removed, StoreError, Stored, View},
        sync::Sleep,
    },
    portable::{
        interval::Interval,
        plan::{self, Piece},
    },
};

/// What stands in a space.
#[pin_data]
pub(crate) struct Regions {
    #[pin]
    tree: RcuMaple<Member<Region>>,
    /// What the locks of single regions have in common.
    #[pin]
    locks: LockSet,
    /// How many there may be.
    limit: Atomic<usize>,
    /// How many of these changes under way have for themselves: the sum of what
    /// their [`Room`]s hold. Only used with the tree locked.
    reserved: Atomic<usize>,
}

/// What a change has so far: room, and what it has taken out.
pub(crate) struct Progress<'a> {
    pub(crate) room: Room<'a>,
    /// The regions that stood where it has stored something. They are to be taken
    /// out before the next store, but kept until their pages have been taken out
    /// of every window.
    pub(crate) removed: Removed<Member<Region>>,
}

/// A place that has a pending region.
pub(crate) struct Prepared {
    pub(crate) part: Interval,
    /// What was asked for.
    run: Interval,
}

impl Regions {
    /// None, of at most `limit`.
    pub(crate) fn new(limit: u64) -> impl PinInit<Self> {
        pin_init!(Self {
            tree <- RcuMaple::new(c_str!("Regions::tree"), static_lock_class!()),
            locks <- LockSet::new(c_str!("Regions::locks"), static_lock_class!()),
            limit: Atomic::new(limit as usize),
            reserved: Atomic::new(0),
        })
    }

    /// How many there are, a moment ago; as many as when none is pending.
    pub(crate) fn len(&self) -> usize {
        self.tree.len()
    }

    /// A hash of all regions. May sleep.
    #[cfg(faultline_test_hooks)]
    pub(super) fn hash(&self) -> u32 {
        let (mut hash, mut first) = (0, 0);
        while let Some((last, region)) = self.tree.lock_to_look().find_object(first, usize::MAX - 1)
        {
            hash = region.hash(hash);
            first = last + 1;
        }
        hash
    }

    /// The limit in force.
    pub(crate) fn limit(&self) -> u64 {
        // Relaxed: a limit lowered meanwhile need not stop a change.
        self.limit.load(Relaxed) as u64
    }

    /// Lowers the limit to `limit`, unless it is lower already.
    pub(crate) fn lower_limit(&self, limit: u64) {
        let limit = limit as usize;
        let mut now = self.limit.load(Relaxed);
        while limit < now {
            match self.limit.cmpxchg(now, limit, Relaxed) {
                Ok(_) => break,
                Err(other) => now = other,
            }
        }
    }

    /// Locks the region of `page` for reading, unless there is none, or not `still`,
    /// or a change has locked it. Does not sleep. See [`RcuMaple::try_read`].
    pub(crate) fn try_read(
        &self,
        page: u64,
        still: impl Fn() -> bool,
    ) -> Option<ReadGuard<'_, Region>> {
        self.tree.try_read(page as usize, &self.locks, still)
    }

    /// Locks all regions of `ranges` for writing, and those that are stored or joined
    /// from here on, until what is returned is dropped: waits for who has locked one
    /// of them for reading. The caller sees to it that there is no other change.
    /// `EINTR`. May sleep.
    pub(crate) fn write(&self, ranges: impl Iterator<Item = Interval>) -> Result<Change<'_>> {
        let change = self.locks.begin();
        if Mistake::SkipRegion.is_made() {
            return Ok(change);
        }
        for range in ranges {
            let mut rest = Some(range);
            while let Some((first, last)) = rest.map(indices) {
                // Not with the tree locked: REMAP looks at it without any other lock.
                let found = self.tree.lock_to_look().find_object(first, last);
                rest = match found {
                    Some((last, region)) => {
                        self.locks.write(&region, Sleep::Killable)?;
                        range.above(last as u64 + 1)
                    }
                    None => None,
                };
            }
        }
        Ok(change)
    }

    /// A change that has not begun.
    pub(crate) fn change(&self) -> Progress<'_> {
        Progress {
            room: Room::new(self),
            removed: Removed::new(),
        }
    }

    /// Puts `new` in `range`, which the caller has locked, if nothing is there.
    /// Returns whether that was so. `ENOMEM`. May sleep.
    pub(crate) fn insert(
        &self,
        range: Interval,
        new: &RegionRef,
        progress: &mut Progress<'_>,
    ) -> Result<bool> {
        self.lock_beside(range, new);
        let end = self.attempt(range, progress, |tree, max, removed| {
            if tree
                .find(range.start() as usize, range.last() as usize)
                .is_some()
            {
                return Ok(None);
            }
            self.store(tree, range, new, max, removed).map(Some)
        });
        end.map(|end| end.is_some())
    }

    /// Removes what stands in `range`, which the caller has locked, or in the
    /// first part of it. Returns the page up to which that is done. `ENOMEM` if
    /// the change has not begun. May sleep.
    pub(crate) fn remove(&self, range: Interval, progress: &mut Progress<'_>) -> Result<u64> {
        let whole = indices(range);
        // Where nothing stands there is nothing to store, and that is seen without the
        // lock that all changes meet in. It was so at some moment since the caller has had
        // the range, and so it still is: whoever puts a region where none was has locked
        // those pages. That holds for MAP, pending regions and what becomes of them, and
        // the target of REMAP; and a region that grows over others beside its own pages
        // only grows over such as are there (`plan::joined`). What who had the range before
        // has stored is seen: that came before the range was released.
        let is_empty = |tree: &View<'_, Member<Region>>| tree.find(whole.0, whole.1).is_none();
        if self.tree.try_look(is_empty) == Some(true) {
            return Ok(range.end());
        }
        let end = self.attempt(range, progress, |tree, max, removed| {
            let join = |_: Option<RegionEntry<'_>>, _: Option<RegionEntry<'_>>| whole;
            tree.store(whole, None, join, max, removed).map(Some)
        });
        end?.ok_or(ENOMEM)
    }

    /// Puts `new` in place of what stands in `run`, which the caller has locked,
    /// or in the first part of it, and joins it with its like beside the run.
    /// Returns the page up to which that is done. `ENOMEM` if the change has not
    /// begun. May sleep.
    pub(crate) fn replace(
        &self,
        run: Interval,
        new: &RegionRef,
        progress: &mut Progress<'_>,
    ) -> Result<u64> {
        self.lock_beside(run, new);
        let end = self.attempt(run, progress, |tree, max, removed| {
            self.store(tree, run, new, max, removed).map(Some)
        });
        end?.ok_or(ENOMEM)
    }

    /// Puts `pending` in place of what stands in `run`, which the caller has locked,
    /// or in the first part of it, for `settle` to put another in its place. `ENOMEM`
    /// if the change has not begun. May sleep.
    pub(crate) fn prepare_to_replace(
        &self,
        run: Interval,
        pending: &RegionRef,
        progress: &mut Progress<'_>,
    ) -> Result<Prepared> {
        let whole = indices(run);
        let end = self.attempt(run, progress, |tree, max, removed| {
            self.locks.write_new(pending);
            let join = |_: Option<RegionEntry<'_>>, _: Option<RegionEntry<'_>>| whole;
            tree.store(whole, Some(pending), join, max, removed)
                .map(Some)
        });
        let end = end?.ok_or(ENOMEM)?;
        Ok(Prepared {
            part: run.below(end).unwrap_or(run),
            run,
        })
    }

    /// Puts `new` where `prepare_to_replace` has put a pending region. Never fails.
    /// May sleep.
    pub(crate) fn settle(
        &self,
        prepared: &Prepared,
        new: &RegionRef,
        progress: &mut Progress<'_>,
    ) -> Result {
        let Prepared { part, run } = *prepared;
        self.lock_beside(part, new);
        let end = self.attempt(run, progress, |tree, max, removed| {
            // One store does it: the pending one is all that is there.
            let stored = self.store(tree, part, new, max, removed)?;
            Ok(Some(Stored {
                // There may be more, which it has joined.
                last: part.last() as usize,
                ..stored
            }))
        });
        end.map(|_| ())
    }

    /// Calls `store`, to `range` or a part of it, with the tree locked. Returns the page
    /// up to which it is done, or `None` if it did not want to. Memory is waited for without
    /// the lock, which all changes need, as long as that helps.
    fn attempt(
        &self,
        range: Interval,
        progress: &mut Progress<'_>,
        mut store: impl FnMut(
            &mut Locked<'_, Member<Region>>,
            usize,
            &mut Removed<Member<Region>>,
        ) -> Result<Option<Stored>, StoreError>,
    ) -> Result<Option<u64>> {
        let last = if progress.room.has_begun() {
            Memory::Surely
        } else {
            Memory::Wait
        };
        for memory in [Memory::NoWait, Memory::NoWait, Memory::NoWait, last] {
            let mut tree = self.tree.lock(memory);
            let before = tree.len();
            let max = progress.room.max();
            match store(&mut tree, max, &mut progress.removed) {
                Ok(None) => return Ok(None),
                Ok(Some(stored)) => {
                    let removed = progress.removed.iter();
                    removed.for_each(|region| region.changes.raise());
                    let end = stored.last as u64 + 1;
                    if stored.has_changed {
                        progress.room.spend(before, tree.len(), end >= range.end());
                    }
                    return Ok(Some(end));
                }
                Err(StoreError::Full) => return Err(ENOMEM),
                Err(StoreError::NoMemory) => drop(tree),
            }
            RcuMaple::<Member<Region>>::get_memory();
        }
        Err(ENOMEM)
    }

    /// Stores `new` in `run`, and as far as its like reaches beside it.
    fn store(
        &self,
        tree: &mut Locked<'_, Member<Region>>,
        run: Interval,
        new: &RegionRef,
        max: usize,
        removed: &mut Removed<Member<Region>>,
    ) -> Result<Stored, StoreError> {
        self.locks.write_new(new);
        let join = |below: Option<RegionEntry<'_>>, above: Option<RegionEntry<'_>>| {
            indices(joined(run, new, [&below, &above]))
        };
        tree.store(indices(run), Some(new), join, max, removed)
    }

    /// Locks the regions beside `run` that `new` will be joined with, if the change that
    /// the caller makes has to: until it stores they are the same, as it is the only one.
    /// May sleep.
    fn lock_beside(&self, run: Interval, new: &Region) {
        if !self.locks.is_changing() || Mistake::SkipBeside.is_made() {
            return;
        }
        let tree = self.tree.lock_to_look();
        let at = |page: u64| tree.find(page as usize, page as usize);
        let beside = [run.start().checked_sub(1).and_then(at), at(run.end())];
        let joined = joined(run, new, [&beside[0], &beside[1]]);
        let to_lock = beside.map(|entry| {
            let entry = entry.filter(|entry| joined.intersect(interval(entry)).is_some())?;
            tree.find_object(entry.first, entry.last)
        });
        drop(tree);
        for (_, region) in to_lock.into_iter().flatten() {
            // What is in the run is locked already. Cannot be killed, as in vma_merge():
            // readers that sleep on a file unlock first, if they may.
            let _ = self.locks.write(&region, Sleep::Uninterruptible);
        }
    }
}

type RegionEntry<'g> = Entry<'g, Member<Region>>;

/// How far `new` reaches once it is in `run`, between these.
fn joined(run: Interval, new: &Region, beside: [&Option<RegionEntry<'_>>; 2]) -> Interval {
    if Mistake::SkipJoin.is_made() {
        return run;
    }
    let [low, high] = beside.map(|entry| {
        let entry = entry.as_ref()?;
        Some(piece(interval(entry), entry.value))
    });
    plan::joined(&piece(run, new), low.as_ref(), high.as_ref())
}

/// The first and the last.
fn indices(range: Interval) -> (usize, usize) {
    (range.start() as usize, range.last() as usize)
}

fn piece(interval: Interval, region: &Region) -> Piece<&Attributes> {
    Piece {
        interval,
        attributes: &region.attributes,
    }
}

fn interval<T>(entry: &Entry<'_, T>) -> Interval {
    // An entry is never empty.
    Interval::new(entry.first as u64, entry.last as u64 + 1)
        .unwrap_or_else(|| unreachable!("empty entry"))
}
