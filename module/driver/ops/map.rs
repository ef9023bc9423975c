// SPDX-License-Identifier: GPL-2.0-only

//! MAP.

use kernel::prelude::*;

use super::{
    super::{
        region::{Attributes, Region, RegionRef},
        space::Space,
        stats::Counter,
    },
    edit::Edit,
};
use crate::portable::interval::Interval;

/// Where a region is to be.
pub(in super::super) enum Placement {
    /// The lowest free interval of so many pages at or above the hint, or else
    /// the lowest of the space.
    Lowest { hint: u64, pages: u64 },
    /// Exactly there, in place of what is there.
    Fixed(Interval),
    /// Exactly there, if nothing is there.
    FixedNoReplace(Interval),
}

/// A checked MAP request.
pub(in super::super) struct MapRequest {
    pub(in super::super) placement: Placement,
    /// Those of a region at page 0.
    pub(in super::super) attributes: Attributes,
}

impl MapRequest {
    /// The region, to be put at page `first`.
    fn region_at(&self, first: u64) -> Result<RegionRef> {
        Region::new(self.attributes.moved_up(first))
    }
}

impl Space {
    /// Makes a region and returns its first page. `EEXIST`, `ENOMEM`, `EINTR`.
    /// May sleep.
    pub(in super::super) fn map(&self, request: MapRequest) -> Result<u64> {
        let mapped = self.map_placed(&request);
        // No lock is held any more. If there is a region, it has a backing of its own.
        request.attributes.backing.release();
        let first = mapped?;
        self.stats.count(Counter::Maps);
        Ok(first)
    }

    fn map_placed(&self, request: &MapRequest) -> Result<u64> {
        let (range, may_replace) = match request.placement {
            Placement::Lowest { hint, pages } => return self.map_lowest(request, hint, pages),
            Placement::Fixed(range) => (range, true),
            Placement::FixedNoReplace(range) => (range, false),
        };
        let mut edit = Edit::new(&self.regions);
        self.lock.write(&self.regions, range, |held| {
            if !may_replace && !self.regions.is_free(range) {
                return Err(EEXIST);
            }
            let region = request.region_at(range.start())?;
            if edit.insert(range, region.clone())? {
                // Before others can remove the region.
                edit.put(region);
                edit.give_up(&request.attributes.backing);
                return Ok(());
            }
            let empty = |edit: &mut Edit<'_>, part: Interval| {
                self.discard_removed(part, edit, &mut |_| ());
            };
            edit.replace(range, region, empty, |edit, part| {
                if part.end() == range.end() {
                    // Before others can remove the region.
                    edit.give_up(&request.attributes.backing);
                }
                held.done_below(part.end());
            })
        })?;
        Ok(range.start())
    }

    fn map_lowest(&self, request: &MapRequest, hint: u64, pages: u64) -> Result<u64> {
        let mut edit = Edit::new(&self.regions);
        loop {
            let insert = || self.insert_lowest(request, hint, pages, &mut edit);
            if let Some(first) = self.lock.write_if_global(&self.regions, insert)? {
                return first;
            }
            let placed = self.try_gaps(hint, pages, |gap, waits| {
                let mut fill = || self.fill_gap(gap, request, &mut edit);
                match waits {
                    true => self.lock.write(&self.regions, gap, |_| fill()).map(Some),
                    false => self.lock.write_if_no_writer(gap, fill)?.transpose(),
                }
            })?;
            if let Some(first) = placed {
                return Ok(first);
            }
        }
    }

    /// Puts the region in the lowest free interval. The caller has locked the
    /// whole space.
    fn insert_lowest(
        &self,
        request: &MapRequest,
        hint: u64,
        pages: u64,
        edit: &mut Edit<'_>,
    ) -> Result<u64> {
        loop {
            let gap = self.lowest_gap(hint, pages)?;
            if self.fill_gap(gap, request, edit)? {
                return Ok(gap.start());
            }
        }
    }

    /// Whether the gap, which the caller has locked, was one still; it has the
    /// region now.
    fn fill_gap(&self, gap: Interval, request: &MapRequest, edit: &mut Edit<'_>) -> Result<bool> {
        let filled = edit.insert(gap, request.region_at(gap.start())?)?;
        if filled {
            // Before others can remove the region.
            edit.give_up(&request.attributes.backing);
        }
        Ok(filled)
    }
}
