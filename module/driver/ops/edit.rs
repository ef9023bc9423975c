// SPDX-License-Identifier: GPL-2.0-only

//! A change of regions under way.
//!
//! What a region holds of its file is given up with the last reference to it,
//! rather than a grace period later: who unmaps a memfd may resize it at once. The
//! rest of it takes the inode's lock, for which no other may be held: see the lock
//! order. So it is left until the change is over.

use kernel::{
    alloc::{flags::__GFP_NOWARN, KVVec},
    prelude::*,
};

use super::super::{
    backing::Backing,
    mistake::Mistake,
    point::Point,
    region::{Region, RegionRef},
    regions::{Progress, Regions},
};
use crate::{kern::frozen::Unheld, portable::interval::Interval};

/// To be dropped when no lock is held. May sleep then.
pub(super) struct Edit<'a> {
    regions: &'a Regions,
    progress: Progress<'a>,
    // Behind `progress`, whose room others need not wait for: dropped in this order.
    unheld: AllUnheld,
}

struct AllUnheld(KVVec<Unheld>);

impl<'a> Edit<'a> {
    /// Of `regions`, of which nothing has been changed so far.
    pub(super) fn new(regions: &'a Regions) -> Self {
        Self {
            regions,
            progress: regions.change(),
            unheld: AllUnheld(KVVec::new()),
        }
    }

    /// Keeps room for `more` regions than there are, and that of all regions that
    /// are removed. `ENOMEM`. May sleep.
    pub(super) fn reserve(&mut self, more: usize) -> Result {
        self.progress.room.reserve(more)
    }

    /// Puts `new`, or nothing, in place of all regions of `range`. `stored` is
    /// called with each part of it as soon as it is stored; it calls `put_removed`
    /// when the pages of what stood there are in no window any more, or another
    /// region's. The caller has locked the range, but `stored` may let others into
    /// the part. `ENOMEM` if nothing has been changed by this edit so far. May sleep.
    pub(super) fn store(
        &mut self,
        range: Interval,
        mut new: Option<RegionRef>,
        mut stored: impl FnMut(&mut Self, Interval),
    ) -> Result {
        let mut rest = Some(range);
        while let Some(todo) = rest {
            // A part joins the one before it, unless others, who were let in
            // there, have put something else in its place.
            let end = match &new {
                Some(new) => self.regions.replace(todo, new, &mut self.progress)?,
                None => self.regions.remove(todo, &mut self.progress)?,
            };
            Point::ChangeStored.reach();
            rest = range.above(end);
            if rest.is_none() {
                // Before others can remove it: theirs is to be the last reference.
                new.take().into_iter().for_each(|new| self.put(new));
            }
            stored(self, todo.below(end).unwrap_or(todo));
        }
        Ok(())
    }

    /// Puts `new` in place of all regions of `range`, which the caller keeps locked,
    /// and never in use before their pages are gone. `empty` is called with each
    /// part of it when it is in nobody's use: it takes the pages of what stood there
    /// out of every window and out of their slots, and calls `put_removed`.
    /// `settled` is called with each part when `new` is there: others may be let in.
    /// `ENOMEM` if nothing has been changed by this edit so far. May sleep.
    pub(super) fn replace(
        &mut self,
        range: Interval,
        new: RegionRef,
        mut empty: impl FnMut(&mut Self, Interval),
        mut settled: impl FnMut(&mut Self, Interval),
    ) -> Result {
        let pending = match Mistake::SkipPending.is_made() {
            true => Region::new(new.attributes.clone())?,
            false => Region::new(new.attributes.pending())?,
        };
        let mut regions = Some((pending, new));
        let mut rest = Some(range);
        while let (Some(todo), Some((pending, new))) = (rest, &regions) {
            let progress = &mut self.progress;
            let prepared = self.regions.prepare_to_replace(todo, pending, progress)?;
            let part = prepared.part;
            Point::ReplacePending.reach();
            empty(self, part);
            self.regions.settle(&prepared, new, &mut self.progress)?;
            Point::ReplaceSettled.reach();
            self.put_removed();
            rest = range.above(part.end());
            if rest.is_none() {
                // Before others can remove it: theirs is to be the last reference.
                if let Some((pending, new)) = regions.take() {
                    self.put(pending);
                    self.put(new);
                }
            }
            settled(self, part);
        }
        Ok(())
    }

    /// Puts `new` in `range`, which the caller has locked, if nothing is there.
    /// Returns whether that was so. `ENOMEM`. May sleep.
    pub(super) fn insert(&mut self, range: Interval, new: RegionRef) -> Result<bool> {
        let filled = self.regions.insert(range, &new, &mut self.progress);
        self.put(new);
        // Its like beside it, whose pages stay.
        self.put_removed();
        filled
    }

    /// Whether the last store has removed anything.
    pub(super) fn has_removed(&self) -> bool {
        self.progress.removed.len() != 0
    }

    /// Gives up what the last store has removed.
    pub(super) fn put_removed(&mut self) {
        while let Some(region) = self.progress.removed.pop() {
            self.put(region);
        }
    }

    /// Takes a reference, which may be the last.
    pub(super) fn put(&mut self, region: RegionRef) {
        if Mistake::LeakRegion.is_made() {
            return core::mem::forget(region);
        }
        region.put(|region| {
            if !Mistake::ThawLate.is_made() {
                self.give_up(&region.attributes.backing);
            }
        });
    }

    /// Gives up what `backing` holds of its file.
    pub(super) fn give_up(&mut self, backing: &Backing) {
        if let Some(unheld) = backing.give_up() {
            // If there is no memory, it is dropped here, and thawed a moment later.
            let _ = self.unheld.0.push(unheld, GFP_KERNEL | __GFP_NOWARN);
        }
    }
}

impl Drop for AllUnheld {
    fn drop(&mut self) {
        while let Some(unheld) = self.0.pop() {
            unheld.thaw();
        }
    }
}
