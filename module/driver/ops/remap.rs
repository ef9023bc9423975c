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
    kern::{range_lock::Pages, rcu_arc::RcuArc, task::fatal_signal_pending},
    portable::interval::Interval,
};

/// Where the pages may go.
#[derive(Clone, Copy)]
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
    /// `EFAULT`, `EINVAL`, `ENOMEM`, `EOVERFLOW`, `EINTR`. May sleep.
    pub(in super::super) fn remap(&self, request: RemapRequest) -> Result<u64> {
        let RemapRequest { old, new_pages, .. } = request;
        if let Target::Fixed(new) = request.target {
            Pages::two(old, new).ok_or(EINVAL)?;
        }
        let first = loop {
            let done = if new_pages > old.pages() {
                let wanted = self.grown(old, new_pages)?;
                let done = self.remap_to(&request, Some(&wanted));
                // No lock is held any more, and the regions have backings of their own.
                wanted.backing.release();
                done?
            } else {
                self.remap_to(&request, None)?
            };
            if let Some(first) = done {
                break first;
            }
        };
        self.stats.count(Counter::Remaps);
        Ok(first)
    }

    /// What the region of `old` has in common, which may have so many pages
    /// instead. `EFAULT` if there is none, and the errors of MAP. May sleep.
    fn grown(&self, old: Interval, new_pages: u64) -> Result<Attributes> {
        let (_, attributes) = self.region_with(old)?;
        // More of the file, wherever it is to stand.
        let more = Interval::new(old.end(), old.start() + new_pages).ok_or(EINVAL)?;
        let verified = attributes.backing.verify(more, attributes.protection);
        if verified.is_err() {
            attributes.backing.release();
        }
        verified.map(|()| attributes)
    }

    /// Returns the first page, or `None` if a region that is to grow has become
    /// another than is `wanted`.
    fn remap_to(&self, request: &RemapRequest, wanted: Option<&Attributes>) -> Result<Option<u64>> {
        let RemapRequest { old, new_pages, .. } = *request;
        match (request.target, wanted) {
            (Target::Fixed(new), _) => {
                let pages = Pages::two(old, new).ok_or(EINVAL)?;
                let mut gone = Gone::new();
                let moved = self
                    .lock
                    .write(pages, |_| self.move_locked(old, new, wanted, &mut gone))?;
                Ok(moved.then_some(new.start()))
            }
            (_, None) => self.shrink(old, new_pages).map(|()| Some(old.start())),
            (target, Some(wanted)) => match (self.grow(old, new_pages, wanted), target) {
                (Err(ENOMEM), Target::Anywhere) => self.move_anywhere(old, new_pages, wanted),
                (grown, _) => Ok(grown?.then_some(old.start())),
            },
        }
    }

    /// Unmaps the tail. As for mremap(2), only the first page must have a region.
    fn shrink(&self, old: Interval, new_pages: u64) -> Result {
        let first = Interval::new(old.start(), old.start() + 1).ok_or(EINVAL)?;
        let tail = old.above(old.start() + new_pages);
        let mut gone = Gone::new();
        let locked = tail.and_then(|tail| Pages::two(first, tail));
        self.lock.write(locked.unwrap_or(first.into()), |held| {
            self.regions.at(old.start(), |_| ()).ok_or(EFAULT)?;
            let Some(tail) = tail else { return Ok(()) };
            let effort = &mut Effort::MayFail;
            self.remove_regions(tail, effort, &mut gone, &mut |page| held.done_below(page))
        })
    }

    /// Extends the region that has `old` and ends with it. `EFAULT` if there is
    /// none that has it, `ENOMEM` if it cannot be extended.
    fn grow(&self, old: Interval, new_pages: u64, wanted: &Attributes) -> Result<bool> {
        let tail = Interval::new(old.end(), old.start() + new_pages).ok_or(EINVAL)?;
        // Who is in the way may be busy for long.
        self.must_be_free(old, tail)?;
        // With its last page locked it is there as long as this takes.
        let locked = Interval::new(old.last(), tail.end()).ok_or(EINVAL)?;
        let mut gone = Gone::new();
        self.lock.write(locked, |_| {
            self.must_be_free(old, tail)?;
            let (_, attributes) = self.region_with(old)?;
            if attributes != *wanted {
                return Ok(false);
            }
            let region = Region::new(attributes)?;
            // It joins what it is like.
            let stored = self.regions.insert(tail, &region);
            gone.put(region);
            gone.add(stored?.ok_or(ENOMEM)?.removed);
            Ok(true)
        })
    }

    /// `EFAULT` unless one region has `old`, `ENOMEM` unless it ends with it and
    /// there is none in `tail` behind it.
    fn must_be_free(&self, old: Interval, tail: Interval) -> Result {
        match self.regions.first_two(old.hull(tail)) {
            [Some(first), second] if first.covers(old) => {
                let ends = first.end() == old.end() && tail.end() <= SPACE_PAGES;
                match second {
                    None if ends => Ok(()),
                    _ => Err(ENOMEM),
                }
            }
            _ => Err(EFAULT),
        }
    }

    /// The region that has all of `pages`. `EFAULT` if there is none.
    fn region_with(&self, pages: Interval) -> Result<(Interval, Attributes)> {
        let first = Interval::new(pages.start(), pages.start() + 1).ok_or(EINVAL)?;
        self.regions
            .find(first, |whole, region| {
                let has_all = whole.covers(pages);
                has_all.then(|| (whole, region.attributes.clone()))
            })
            .flatten()
            .ok_or(EFAULT)
    }

    /// Moves to the lowest free interval that no other change is busy with.
    fn move_anywhere(
        &self,
        old: Interval,
        new_pages: u64,
        wanted: &Attributes,
    ) -> Result<Option<u64>> {
        let mut gone = Gone::new();
        loop {
            let mut is_wanted = true;
            // A gap that has old pages in it is none: `old` has lost its region.
            let locked = |gap| Pages::two(old, gap).ok_or(EFAULT);
            let moved = self.fill_a_gap(0, new_pages, locked, |gap| {
                if self.regions.find(gap, |_, _| ()).is_some() {
                    return Ok(false);
                }
                is_wanted = self.move_locked(old, gap, Some(wanted), &mut gone)?;
                Ok(is_wanted)
            })?;
            if moved.is_some() || !is_wanted {
                return Ok(moved);
            }
        }
    }

    /// Moves to `new`, in place of what is there. Both ranges are locked, to the
    /// end: what is moved is nowhere to be seen until it has arrived. Returns
    /// whether it was what is `wanted`, if anything is.
    fn move_locked(
        &self,
        old: Interval,
        new: Interval,
        wanted: Option<&Attributes>,
        gone: &mut Gone,
    ) -> Result<bool> {
        let head = old.below(old.start() + new.pages()).ok_or(EINVAL)?;
        let tail = old.above(head.end());
        let movers = if old.pages() == new.pages() {
            self.several_movers(head, new)?
        } else {
            match self.one_mover(head, new, wanted)? {
                Some(movers) => movers,
                None => return Ok(false),
            }
        };
        let pages = self.directory.prepare_move(head, new.start())?;
        let cuts = [old.start(), old.end()].map(|page| usize::from(self.is_cut_at(page)));
        let splits = self.splits(&movers);
        let _room = self.regions.reserve(cuts[0] + cuts[1] + splits)?;

        // Nothing behind the first store fails.
        let effort = &mut Effort::HasRoom;
        for (to, _) in movers.iter() {
            self.remove_regions(*to, effort, gone, &mut |_| ())?;
        }
        if let Some(tail) = tail {
            self.remove_regions(tail, effort, gone, &mut |_| ())?;
        }
        // Not their pages: the files of these are held by what the regions become.
        self.store_all(head, None, effort, gone, |gone, _, removed| {
            gone.add(removed)
        })?;
        let moved = pages.carry_out(|first, count| self.zap(first, count));
        self.stats.add(Counter::PagesMoved, moved as i64);
        for (to, region) in movers {
            let joined = |gone: &mut Gone, _, removed| gone.add(removed);
            self.store_all(to, Some(region), effort, gone, joined)?;
        }
        Ok(true)
    }

    /// What becomes of the region that has all of `head`: `EFAULT` if there is
    /// none, `None` if it is another than is `wanted`.
    fn one_mover(
        &self,
        head: Interval,
        new: Interval,
        wanted: Option<&Attributes>,
    ) -> Result<Option<Movers>> {
        let (_, attributes) = self.region_with(head)?;
        if wanted.is_some_and(|wanted| *wanted != attributes) {
            return Ok(None);
        }
        let mut movers = Movers::with_capacity(1, GFP_KERNEL_ACCOUNT)?;
        let up = new.start().wrapping_sub(head.start());
        let region = Region::new(attributes.moved_up(up))?;
        movers.push((new, region), GFP_KERNEL_ACCOUNT)?;
        Ok(Some(movers))
    }

    /// What becomes of the regions of `head`. `EFAULT` unless there is one at the
    /// first page.
    fn several_movers(&self, head: Interval, new: Interval) -> Result<Movers> {
        self.regions.at(head.start(), |_| ()).ok_or(EFAULT)?;
        let up = new.start().wrapping_sub(head.start());
        let mut movers = Movers::new();
        for piece in self.regions.pieces(head) {
            if fatal_signal_pending() {
                return Err(EINTR);
            }
            let start = piece.interval.start() - head.start() + new.start();
            let to = Interval::new(start, start + piece.interval.pages()).ok_or(EINVAL)?;
            let region = Region::new(piece.attributes.moved_up(up))?;
            movers.push((to, region), GFP_KERNEL_ACCOUNT)?;
        }
        Ok(movers)
    }

    /// How many regions more there are when what is where the movers go has been
    /// removed: one for each row of them that lies inside a region.
    fn splits(&self, movers: &Movers) -> usize {
        let mut splits = 0;
        let mut rest = movers.iter().map(|(to, _)| *to).peekable();
        while let Some(mut row) = rest.next() {
            while let Some(next) = rest.next_if(|next| next.start() == row.end()) {
                row = row.hull(next);
            }
            let below = row.start().checked_sub(1);
            splits += usize::from(below.is_some_and(|below| self.is_in_one(below, row.end())));
        }
        splits
    }
}
