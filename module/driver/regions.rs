// SPDX-License-Identifier: GPL-2.0-only

//! The regions of a space, in canonical form: no two that touch have the same
//! attributes.
//!
//! A change stores a run of pages at a time, with the tree locked, for a bounded
//! number of regions. A store may fail for want of memory or of room; an
//! operation allows that of its first store only.

use kernel::{
    c_str,
    prelude::*,
    static_lock_class,
    sync::{
        atomic::{Atomic, Relaxed},
        rcu,
    },
};

use super::{
    mistake::Mistake,
    region::{Attributes, Region},
};
use crate::{
    kern::{
        rcu_arc::RcuArc,
        rcu_maple::{Allowance, Entry, Locked, Place, RcuMaple, Removed},
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
    /// How many of these are kept for changes that have begun. Only used with the
    /// tree locked.
    reserved: Atomic<usize>,
}

/// What a store may do if it does not succeed at once.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effort {
    /// Fail: nothing has been changed so far.
    MayFail,
    /// As `MayFail`, but only for want of memory: there is [`Room`].
    HasRoom,
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

/// Room for some regions more, until it is dropped.
pub(crate) struct Room<'a> {
    regions: &'a Regions,
    more: usize,
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        if self.more != 0 {
            let _tree = self.regions.tree.lock();
            let reserved = self.regions.reserved.load(Relaxed);
            self.regions.reserved.store(reserved - self.more, Relaxed);
        }
    }
}

impl Regions {
    /// None, of at most `limit`.
    pub(crate) fn new(limit: u64) -> impl PinInit<Self> {
        pin_init!(Self {
            tree <- RcuMaple::new(c_str!("Regions::tree"), static_lock_class!()),
            limit: Atomic::new(limit as usize),
            reserved: Atomic::new(0),
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

    /// Keeps room for so many regions more, or `ENOMEM`. May sleep.
    pub(crate) fn reserve(&self, more: usize) -> Result<Room<'_>> {
        if more != 0 {
            let _tree = self.tree.lock();
            let reserved = self.reserved.load(Relaxed) + more;
            if self.len() + reserved > self.limit() as usize && !Mistake::SkipRoom.is_made() {
                return Err(ENOMEM);
            }
            self.reserved.store(reserved, Relaxed);
        }
        Ok(Room {
            regions: self,
            more,
        })
    }

    /// What `show` makes of the region of `page`.
    pub(crate) fn at<R>(&self, page: u64, show: impl FnOnce(&Region) -> R) -> Option<R> {
        let rcu = rcu::read_lock();
        self.tree.get(page as usize, &rcu).map(show)
    }

    /// What `show` makes of the first region that overlaps `range`. With the tree
    /// locked: RCU readers may see the bounds of an interval half changed, and
    /// what they find may have given up what it holds. May sleep.
    pub(crate) fn find<R>(
        &self,
        range: Interval,
        show: impl FnOnce(Interval, &Region) -> R,
    ) -> Option<R> {
        let tree = self.tree.lock();
        let entry = tree.find(range.start() as usize, range.last() as usize)?;
        Some(show(interval(&entry), entry.value))
    }

    /// The parts of all regions in `range`, which the caller has locked. May sleep.
    pub(crate) fn pieces(&self, range: Interval) -> impl Iterator<Item = Piece<Attributes>> + '_ {
        let mut rest = Some(range);
        core::iter::from_fn(move || {
            let todo = rest?;
            let piece = self.find(todo, |whole, region| {
                Some(Piece {
                    interval: whole.intersect(todo)?,
                    attributes: region.attributes.clone(),
                })
            })??;
            rest = range.above(piece.interval.end());
            Some(piece)
        })
    }

    /// Shows the parts of all regions in `range` one by one, until `look` fails.
    /// May sleep.
    pub(crate) fn walk(
        &self,
        range: Interval,
        mut look: impl FnMut(Interval, &Attributes) -> Result,
    ) -> Result {
        let mut rest = Some(range);
        while let Some(todo) = rest {
            let looked = self.find(todo, |whole, region| {
                let part = whole.intersect(todo).unwrap_or(todo);
                look(part, &region.attributes).map(|()| part.end())
            });
            rest = match looked {
                Some(end) => range.above(end?),
                None => None,
            };
        }
        Ok(())
    }

    /// The first two regions that overlap `range`, as they were at one moment. May
    /// sleep.
    pub(crate) fn first_two(&self, range: Interval) -> [Option<Interval>; 2] {
        let tree = self.tree.lock();
        let from = |range: Interval| {
            let entry = tree.find(range.start() as usize, range.last() as usize)?;
            Some(interval(&entry))
        };
        let first = from(range);
        let rest = first.and_then(|first| range.above(first.end()));
        [first, rest.and_then(from)]
    }

    /// The lowest free interval of so many pages in `range`, a moment ago. May sleep.
    pub(crate) fn find_gap(&self, pages: u64, range: Interval) -> Option<Interval> {
        let (min, max) = (range.start() as usize, range.last() as usize);
        let first = self.tree.lock().find_gap(pages as usize, min, max)? as u64;
        Interval::new(first, first + pages)
    }

    /// Puts `new` in `range`, which the caller has locked, if nothing is there;
    /// `None` if something is. `ENOMEM`. May sleep.
    pub(crate) fn insert(&self, range: Interval, new: &RcuArc<Region>) -> Result<Option<Stored>> {
        let mut tree = self.tree.lock();
        if tree
            .find(range.start() as usize, range.last() as usize)
            .is_some()
        {
            return Ok(None);
        }
        self.store_joined(&mut tree, range, new, Effort::MayFail)
            .map(Some)
    }

    /// Removes what stands in `range`, which the caller has locked, or in the
    /// first part of it. `ENOMEM` if it may fail. May sleep.
    pub(crate) fn remove(&self, range: Interval, effort: Effort) -> Result<Stored> {
        let place = Place {
            first: range.start() as usize,
            last: range.last() as usize,
            may_end_before: range.last() as usize,
        };
        self.store(&mut self.tree.lock(), place, None, effort)
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
        self.store_joined(&mut self.tree.lock(), run, new, effort)
    }

    /// Stores `new` in `run`, and as far as its like reaches beside it.
    fn store_joined(
        &self,
        tree: &mut Locked<'_, Region>,
        run: Interval,
        new: &RcuArc<Region>,
        effort: Effort,
    ) -> Result<Stored> {
        let below = run
            .start()
            .checked_sub(1)
            .and_then(|page| piece_at(tree, page));
        let above = piece_at(tree, run.end());
        let whole = match Mistake::SkipJoin.is_made() {
            true => run,
            false => plan::joined(&piece(run, new), below.as_ref(), above.as_ref()),
        };
        let place = Place {
            first: whole.start() as usize,
            last: whole.last() as usize,
            may_end_before: run.last() as usize,
        };
        self.store(tree, place, Some(new), effort)
    }

    fn store(
        &self,
        tree: &mut Locked<'_, Region>,
        place: Place,
        new: Option<&RcuArc<Region>>,
        effort: Effort,
    ) -> Result<Stored> {
        let max = match effort {
            Effort::MayFail => (self.limit() as usize).saturating_sub(self.reserved.load(Relaxed)),
            Effort::HasRoom | Effort::MustSucceed => usize::MAX,
        };
        let nofail = effort == Effort::MustSucceed;
        let (last, removed) = tree.store(place, new, Allowance { max, nofail })?;
        Ok(Stored {
            end: last as u64 + 1,
            removed,
        })
    }
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
