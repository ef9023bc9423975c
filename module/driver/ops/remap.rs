// SPDX-License-Identifier: GPL-2.0-only

//! REMAP.

use kernel::{alloc::KVVec, prelude::*};

use super::{
    super::{
        region::{Attributes, Region, RegionRef},
        space::{Space, SPACE_PAGES},
        stats::Counter,
    },
    edit::Edit,
};
use crate::{
    kern::{range_lock::Pages, task::fatal_signal_pending},
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
type Movers = KVVec<(Interval, RegionRef)>;

impl Space {
    /// Changes the length or the place of regions, and returns their first page.
    /// `EFAULT`, `EINVAL`, `ENOMEM`, `EOVERFLOW`, `EINTR`. May sleep.
    pub(in super::super) fn remap(&self, request: RemapRequest) -> Result<u64> {
        let RemapRequest { old, new_pages, .. } = request;
        if let Target::Fixed(new) = request.target {
            Pages::two(old, new).ok_or(EINVAL)?;
        }
        let first = loop {
            if fatal_signal_pending() {
                return Err(EINTR);
            }
            let wanted = match new_pages > old.pages() {
                true => Some(self.grown(old, new_pages)?),
                false => None,
            };
            if let Some(first) = self.remap_to(&request, wanted.as_ref())? {
                break first;
            }
        };
        self.stats.count(Counter::Remaps);
        Ok(first)
    }

    /// What the region of `old` has in common, which may have so many pages
    /// instead. `EFAULT` if there is none, and the errors of MAP. May sleep.
    fn grown(&self, old: Interval, new_pages: u64) -> Result<Attributes> {
        let look = || self.look_at(old, Attributes::without_hold);
        let wanted = match look() {
            Ok(wanted) => wanted,
            // Others may be about to put one there, or back.
            Err(_) => self.lock.read(old, |_| look())??,
        };
        // More of the file, wherever it is to stand.
        let more = Interval::new(old.end(), old.start() + new_pages).ok_or(EINVAL)?;
        wanted.backing.verify(more, wanted.protection)?;
        Ok(wanted)
    }

    /// Returns the first page, or `None` if a region that is to grow has become
    /// another than is `wanted`.
    fn remap_to(&self, request: &RemapRequest, wanted: Option<&Attributes>) -> Result<Option<u64>> {
        let RemapRequest { old, new_pages, .. } = *request;
        match (request.target, wanted) {
            (Target::Fixed(new), _) => {
                let pages = Pages::two(old, new).ok_or(EINVAL)?;
                let mut edit = Edit::new(&self.regions);
                let moved = self.lock.write(&self.regions, pages, |_| {
                    self.move_locked(old, new, wanted, &mut edit)
                })?;
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
        let locked = tail.and_then(|tail| Pages::two(first, tail));
        let mut edit = Edit::new(&self.regions);
        self.lock
            .write(&self.regions, locked.unwrap_or(first.into()), |held| {
                self.regions.at(old.start(), |_| ()).ok_or(EFAULT)?;
                let Some(tail) = tail else { return Ok(()) };
                self.unmap_held(tail, &mut edit, held)
            })
    }

    /// Extends the region that has `old` and ends with it. `EFAULT` if there is
    /// none that has it, `ENOMEM` if it cannot be extended.
    fn grow(&self, old: Interval, new_pages: u64, wanted: &Attributes) -> Result<bool> {
        let tail = Interval::new(old.end(), old.start() + new_pages).ok_or(EINVAL)?;
        // Who is in the way may be busy for long.
        if let Err(ENOMEM) = self.must_be_free(old, tail) {
            return Err(ENOMEM);
        }
        // With its last page locked it is there as long as this takes.
        let locked = Interval::new(old.last(), tail.end().min(SPACE_PAGES)).ok_or(EINVAL)?;
        let mut edit = Edit::new(&self.regions);
        self.lock.write(&self.regions, locked, |_| {
            // Not all of `old` is locked: if it has no region now, look again with it.
            let attributes = match self.look_at(old, Attributes::clone) {
                Ok(attributes) if attributes == *wanted => attributes,
                _ => return Ok(false),
            };
            self.must_be_free(old, tail)?;
            // It joins what it is like.
            match edit.insert(tail, Region::new(attributes)?)? {
                true => Ok(true),
                false => Err(ENOMEM),
            }
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

    /// What `look` makes of the region that has all of `pages`. `EFAULT` if there
    /// is none.
    fn look_at<R>(&self, pages: Interval, look: impl FnOnce(&Attributes) -> R) -> Result<R> {
        self.regions
            .find(pages, |whole, region| {
                let has_all = whole.covers(pages);
                has_all.then(|| look(&region.attributes))
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
        let mut edit = Edit::new(&self.regions);
        loop {
            let mut is_wanted = true;
            let moved = self.try_gaps(0, new_pages, |gap, waits| {
                if !waits && self.lock.write_if_no_writer(gap, || ())?.is_none() {
                    return Ok(None);
                }
                // A gap that has old pages in it is none: `old` has lost its region.
                let both = Pages::two(old, gap).unwrap_or_else(|| old.hull(gap).into());
                let moved = self.lock.write(&self.regions, both, |_| {
                    self.look_at(old, |_| ())?;
                    if !self.regions.is_free(gap) {
                        return Ok(false);
                    }
                    is_wanted = self.move_locked(old, gap, Some(wanted), &mut edit)?;
                    Ok(is_wanted)
                });
                moved.map(Some)
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
        edit: &mut Edit<'_>,
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
        edit.reserve(self.more_moved(old, &movers))?;

        // Nothing behind the first store fails.
        for row in rows(&movers) {
            self.remove_regions(row, edit)?;
        }
        if let Some(tail) = tail {
            self.remove_regions(tail, edit)?;
        }
        // Not their pages: the files of these are held by what the regions become.
        edit.store(head, None, |edit, _| edit.put_removed())?;
        let moved = pages.carry_out(|first, count| self.zap(first, count));
        self.stats.add(Counter::PagesMoved, moved as i64);
        for (to, region) in movers {
            edit.store(to, Some(region), |edit, _| edit.put_removed())?;
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
        let up = new.start().wrapping_sub(head.start());
        let attributes = self.look_at(head, |attributes| {
            let is_wanted = wanted.is_none_or(|wanted| wanted == attributes);
            is_wanted.then(|| attributes.moved_up(up))
        })?;
        let Some(attributes) = attributes else {
            return Ok(None);
        };
        let mut movers = Movers::with_capacity(1, GFP_KERNEL_ACCOUNT)?;
        movers.push((new, Region::new(attributes)?), GFP_KERNEL_ACCOUNT)?;
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

    /// How many more regions than now there are at most while what is where the
    /// movers go and in `old` is removed, and then the movers are stored.
    fn more_moved(&self, old: Interval, movers: &Movers) -> usize {
        let (mut more, mut most) = (0, 0);
        for row in rows(movers) {
            more += self.regions.more_without(row);
            most = most.max(more);
        }
        more += self.regions.more_without(old) + movers.len() as isize;
        most.max(more) as usize
    }
}

/// Where movers go that touch.
fn rows(movers: &Movers) -> impl Iterator<Item = Interval> + '_ {
    let mut rest = movers.iter().map(|(to, _)| *to).peekable();
    core::iter::from_fn(move || {
        let mut row = rest.next()?;
        while let Some(next) = rest.next_if(|next| next.start() == row.end()) {
            row = row.hull(next);
        }
        Some(row)
    })
}
