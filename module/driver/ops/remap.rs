// SPDX-License-Identifier: GPL-2.0-only

//! REMAP.

use kernel::{alloc::KVVec, prelude::*};

use super::{
    super::{
        region::{Attributes, Region},
        regions::Effort,
        space::{Space, SPACE_PAGES},
        stats::Counter,
    },
    gone::Gone,
};
use crate::{
    kern::{range_lock::Pages, rcu_arc::RcuArc},
    portable::{interval::Interval, plan::Piece},
};

/// Where the pages may go.
pub(in super::super) enum Target {
    /// Nowhere.
    InPlace,
    /// Anywhere, if they cannot stay.
    Anywhere,
    /// There, in place of what is there.
    Fixed(Interval),
}

/// A checked REMAP request.
pub(in super::super) struct RemapRequest {
    pub(in super::super) old: Interval,
    /// The new length.
    pub(in super::super) new_pages: u64,
    pub(in super::super) target: Target,
}

/// Regions on their way, with where they go.
type Movers = KVVec<(Interval, RcuArc<Region>)>;

impl Space {
    /// Changes the length or the place of regions, and returns their first page.
    /// `EFAULT`, `EINVAL`, `ENOMEM`, `EINTR`. May sleep.
    pub(in super::super) fn remap(&self, request: RemapRequest) -> Result<u64> {
        let RemapRequest {
            old,
            new_pages,
            target,
        } = request;
        let first = match target {
            Target::Fixed(new) => {
                self.move_to(old, new)?;
                new.start()
            }
            _ if new_pages <= old.pages() => self.shrink(old, new_pages)?,
            _ => match (self.grow(old, new_pages), target) {
                (Err(ENOMEM), Target::Anywhere) => self.move_anywhere(old, new_pages)?,
                (grown, _) => grown.map(|()| old.start())?,
            },
        };
        self.stats.count(Counter::Remaps);
        Ok(first)
    }

    /// Unmaps the tail. As for mremap(2), only the first page must have a region.
    fn shrink(&self, old: Interval, new_pages: u64) -> Result<u64> {
        self.regions.at(old.start(), |_| ()).ok_or(EFAULT)?;
        if let Some(tail) = old.above(old.start() + new_pages) {
            let mut gone = Gone::new();
            self.lock.write(tail, |held| {
                let effort = &mut Effort::MayFail;
                self.remove_regions(tail, effort, &mut gone, |page| held.done_below(page))
            })?;
        }
        Ok(old.start())
    }

    /// Extends the region that has `old` and ends with it. `EFAULT` if there is
    /// none that has it, `ENOMEM` if it cannot be extended.
    fn grow(&self, old: Interval, new_pages: u64) -> Result {
        let end = old.start() + new_pages;
        // With its last page locked it is there as long as this takes.
        let locked = Interval::new(old.last(), end.min(SPACE_PAGES)).ok_or(EINVAL)?;
        self.lock.write(locked, |_| {
            let (whole, attributes) = self.region_with(old)?;
            let tail = Interval::new(old.end(), end).ok_or(EINVAL)?;
            if whole.end() != old.end() || end > SPACE_PAGES {
                return Err(ENOMEM);
            }
            // It joins what it is like.
            match self.regions.insert(tail, &Region::new(attributes)?)? {
                true => Ok(()),
                false => Err(ENOMEM),
            }
        })
    }

    /// The region that has all of `pages`. `EFAULT` if there is none.
    fn region_with(&self, pages: Interval) -> Result<(Interval, Attributes)> {
        let first = Interval::new(pages.start(), pages.start() + 1).ok_or(EINVAL)?;
        self.regions
            .find(first, |whole, region| (whole, region.attributes.clone()))
            .filter(|(whole, _)| whole.covers(pages))
            .ok_or(EFAULT)
    }

    /// Moves to the lowest free interval.
    fn move_anywhere(&self, old: Interval, new_pages: u64) -> Result<u64> {
        loop {
            let gap = self.lowest_gap(0, new_pages)?;
            // A gap that has old pages in it is none: `old` has lost its region.
            let pages = Pages::two(old, gap).ok_or(EFAULT)?;
            let mut gone = Gone::new();
            let moved = self.lock.write(pages, |_| {
                if self.regions.first_in(gap).is_some() {
                    return Ok(false);
                }
                self.move_locked(old, gap, &mut gone).map(|()| true)
            })?;
            if moved {
                return Ok(gap.start());
            }
        }
    }

    /// Moves to `new`, in place of what is there. `EINVAL` if they overlap.
    fn move_to(&self, old: Interval, new: Interval) -> Result {
        let pages = Pages::two(old, new).ok_or(EINVAL)?;
        let mut gone = Gone::new();
        self.lock.write(pages, |_| self.move_locked(old, new, &mut gone))
    }

    /// Both ranges are locked, to the end: what is moved is nowhere to be seen
    /// until it has arrived.
    fn move_locked(&self, old: Interval, new: Interval, gone: &mut Gone) -> Result {
        let head = old.below(old.start() + new.pages()).ok_or(EINVAL)?;
        let tail = old.above(head.end());
        let movers = self.movers(head, new, old.pages() == new.pages())?;
        let pages = self.directory.prepare_move(head, new.start())?;
        self.must_have_room(self.cuts(old) + self.cuts(new))?;

        // Nothing behind the first store fails.
        let effort = &mut Effort::MayFail;
        for (to, _) in movers.iter() {
            self.remove_regions(*to, effort, gone, |_| ())?;
        }
        if let Some(tail) = tail {
            self.remove_regions(tail, effort, gone, |_| ())?;
        }
        self.remove_only_regions(head, effort)?;
        let moved = pages.carry_out(|first, count| self.zap(first, count));
        self.stats.add(Counter::PagesMoved, moved as i64);
        for (to, region) in movers.iter() {
            self.put_mover(*to, region, effort)?;
        }
        Ok(())
    }

    /// What becomes of the regions of `head`. `EFAULT` unless there is one at the
    /// first page; unless `several` may move, it must have all pages.
    fn movers(&self, head: Interval, new: Interval, several: bool) -> Result<Movers> {
        let up = new.start().wrapping_sub(head.start());
        if !several {
            let (_, attributes) = self.region_with(head)?;
            let mut movers = Movers::with_capacity(1, GFP_KERNEL_ACCOUNT)?;
            let region = Region::new(attributes.moved_up(up))?;
            movers.push((new, region), GFP_KERNEL_ACCOUNT)?;
            return Ok(movers);
        }
        self.regions.at(head.start(), |_| ()).ok_or(EFAULT)?;
        let mut movers = Movers::new();
        for Piece {
            interval,
            attributes,
        } in self.regions.pieces(head)
        {
            let start = interval.start() - head.start() + new.start();
            let to = Interval::new(start, start + interval.pages()).ok_or(EINVAL)?;
            let region = Region::new(attributes.moved_up(up))?;
            movers.push((to, region), GFP_KERNEL_ACCOUNT)?;
        }
        Ok(movers)
    }

    /// Removes the regions of `range`, but not their pages. What holds these, the
    /// regions' files, is held by what they become.
    fn remove_only_regions(&self, range: Interval, effort: &mut Effort) -> Result {
        let mut rest = Some(range);
        while let Some(todo) = rest {
            rest = range.above(self.regions.remove(todo, *effort)?.end);
            *effort = Effort::MustSucceed;
        }
        Ok(())
    }

    fn put_mover(&self, to: Interval, region: &RcuArc<Region>, effort: &mut Effort) -> Result {
        let mut rest = Some(to);
        while rest.is_some() {
            rest = to.above(self.regions.replace(to, region, *effort)?.end);
            *effort = Effort::MustSucceed;
        }
        Ok(())
    }
}
