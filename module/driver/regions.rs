// SPDX-License-Identifier: GPL-2.0-only

//! The regions of a space, in canonical form: no two that touch have the same
//! attributes.
//!
//! A change stores a run of pages at a time, under the tree's spin lock, which
//! is held for a bounded number of regions. A store may fail for want of memory;
//! an operation allows that of its first store only.

use kernel::{
    prelude::*,
    sync::{
        atomic::{Atomic, Relaxed},
        rcu,
    },
};

use super::region::{Attributes, Region};
use crate::{
    kern::{
        rcu_arc::RcuArc,
        rcu_maple::{Entry, Locked, RcuMaple, Removed, StoreError},
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
    tree: RcuMaple<Region>,
    /// How many there may be.
    limit: Atomic<usize>,
}

/// What a store may do if it does not succeed at once.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effort {
    /// Fail: nothing has been changed so far.
    MayFail,
    /// Go on until it is done.
    MustSucceed,
}

/// What a store has done.
pub(crate) struct Stored {
    /// The page up to which it is done.
    pub(crate) end: u64,
    /// The regions that stood there. They are to be kept until their pages have
    /// been taken out of every window.
    pub(crate) removed: Removed<Region>,
}

impl Regions {
    /// None, of at most `limit`.
    pub(crate) fn new(limit: u64) -> impl PinInit<Self> {
        pin_init!(Self {
            tree <- RcuMaple::new(),
            limit: Atomic::new(limit as usize),
        })
    }

    /// How many there are, a moment ago.
    pub(crate) fn len(&self) -> usize {
        self.tree.len()
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

    /// What `show` makes of the region of `page`.
    pub(crate) fn at<R>(&self, page: u64, show: impl FnOnce(&Region) -> R) -> Option<R> {
        let rcu = rcu::read_lock();
        self.tree.get(page as usize, &rcu).map(show)
    }

    /// The part in `range` of the first region that overlaps it. Of what others
    /// may change meanwhile it is what stood there a moment ago.
    ///
    /// With the tree locked, for a neighbour's change may put another region in
    /// its place and release what it holds: a copy made then would hold nothing.
    pub(crate) fn first_in(&self, range: Interval) -> Option<Piece<Attributes>> {
        let tree = self.tree.lock();
        let entry = tree.find(range.start() as usize, range.last() as usize)?;
        Some(Piece {
            interval: interval(&entry).intersect(range)?,
            attributes: entry.value.attributes.clone(),
        })
    }

    /// The parts of all regions in `range`, which the caller has locked.
    pub(crate) fn pieces(&self, range: Interval) -> impl Iterator<Item = Piece<Attributes>> + '_ {
        let mut rest = Some(range);
        core::iter::from_fn(move || {
            let piece = self.first_in(rest?)?;
            rest = range.above(piece.interval.end());
            Some(piece)
        })
    }

    /// What `show` makes of the first region that overlaps `range`. With the tree
    /// locked, since RCU readers may see the bounds of an interval half changed.
    pub(crate) fn find<R>(
        &self,
        range: Interval,
        show: impl FnOnce(Interval, &Region) -> R,
    ) -> Option<R> {
        let tree = self.tree.lock();
        let entry = tree.find(range.start() as usize, range.last() as usize)?;
        Some(show(interval(&entry), entry.value))
    }

    /// The lowest free interval of so many pages in `range`, a moment ago.
    pub(crate) fn find_gap(&self, pages: u64, range: Interval) -> Option<Interval> {
        let (min, max) = (range.start() as usize, range.last() as usize);
        let first = self.tree.lock().find_gap(pages as usize, min, max)? as u64;
        Interval::new(first, first + pages)
    }

    /// Puts `new` in `range`, which the caller has locked, if nothing is there.
    /// Returns whether that was so. `ENOMEM`. May sleep.
    pub(crate) fn insert(&self, range: Interval, new: &RcuArc<Region>) -> Result<bool> {
        let mut filled = true;
        self.attempt(Effort::MayFail, |tree, limit| {
            filled = tree.find(range.start() as usize, range.last() as usize).is_none();
            match filled {
                true => store_joined(tree, range, new, limit).map(drop),
                false => Ok(()),
            }
        })?;
        Ok(filled)
    }

    /// Removes what stands in `range`, which the caller has locked, or in the
    /// first part of it. `ENOMEM` if it may fail. May sleep.
    pub(crate) fn remove(&self, range: Interval, effort: Effort) -> Result<Stored> {
        self.attempt(effort, |tree, limit| store(tree, range, None, limit))
    }

    /// Puts `new` in place of what stands in `run`, which the caller has locked,
    /// or in the first part of it, and joins it with its like beside the run.
    /// `ENOMEM` if it may fail. May sleep.
    pub(crate) fn replace(
        &self,
        run: Interval,
        new: &RcuArc<Region>,
        effort: Effort,
    ) -> Result<Stored> {
        self.attempt(effort, |tree, limit| store_joined(tree, run, new, limit))
    }

    /// Calls `store` with the tree locked until it has memory enough.
    fn attempt<R>(
        &self,
        effort: Effort,
        mut store: impl FnMut(&mut Locked<'_, Region>, usize) -> Result<R, StoreError>,
    ) -> Result<R> {
        let limit = match effort {
            Effort::MayFail => self.limit.load(Relaxed),
            Effort::MustSucceed => usize::MAX,
        };
        loop {
            let stored = store(&mut self.tree.lock(), limit);
            match (stored, effort) {
                (Ok(done), _) => return Ok(done),
                (Err(StoreError::Full), _) => return Err(ENOMEM),
                (Err(StoreError::NoMemory), Effort::MayFail) => RcuMaple::<Region>::get_memory()?,
                (Err(StoreError::NoMemory), Effort::MustSucceed) => {
                    RcuMaple::<Region>::get_memory_nofail()
                }
            }
        }
    }
}

/// Stores `new` in `run`, and as far as its like reaches beside it.
fn store_joined(
    tree: &mut Locked<'_, Region>,
    run: Interval,
    new: &RcuArc<Region>,
    limit: usize,
) -> Result<Stored, StoreError> {
    let below = run.start().checked_sub(1).and_then(|page| piece_at(tree, page));
    let above = piece_at(tree, run.end());
    let whole = plan::joined(&piece(run, new), below.as_ref(), above.as_ref());
    store(tree, whole, Some(new), limit)
}

fn store(
    tree: &mut Locked<'_, Region>,
    interval: Interval,
    new: Option<&RcuArc<Region>>,
    limit: usize,
) -> Result<Stored, StoreError> {
    let (first, last) = (interval.start() as usize, interval.last() as usize);
    let (last, removed) = tree.store(first, last, new, limit)?;
    Ok(Stored {
        end: last as u64 + 1,
        removed,
    })
}

fn piece_at<'a>(tree: &'a Locked<'_, Region>, page: u64) -> Option<Piece<&'a Attributes>> {
    let entry = tree.find(page as usize, page as usize)?;
    Some(piece(interval(&entry), entry.value))
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
