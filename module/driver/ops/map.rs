// SPDX-License-Identifier: GPL-2.0-only

//! MAP.

use kernel::prelude::*;

use super::super::{
    region::{Attributes, Region},
    regions::Effort,
    space::{Space, SPACE_PAGES},
    space_lock::Change,
    stats::Counter,
};
use crate::{
    kern::rcu_arc::RcuArc,
    portable::interval::Interval,
};

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
    pub(in super::super) attributes: Attributes,
}

impl Space {
    /// Makes a region and returns its first page. `EEXIST`, `ENOMEM`, `EINTR`.
    /// May sleep.
    pub(in super::super) fn map(&self, request: MapRequest) -> Result<u64> {
        let region = Region::new(request.attributes)?;
        let first = match request.placement {
            Placement::Lowest { hint, pages } => self.map_lowest(&region, hint, pages)?,
            Placement::Fixed(range) => self.lock.write(range, |held| {
                self.put_region(range, &region, held)
            })?,
            Placement::FixedNoReplace(range) => self.lock.write(range, |held| {
                if self.regions.first_in(range).is_some() {
                    return Err(EEXIST);
                }
                self.put_region(range, &region, held)
            })?,
        };
        self.stats.count(Counter::Maps);
        Ok(first)
    }

    /// Puts the region in place of what is in `range`, and returns where.
    fn put_region(
        &self,
        range: Interval,
        region: &RcuArc<Region>,
        held: &mut Change<'_>,
    ) -> Result<u64> {
        let effort = &mut Effort::MayFail;
        self.replace_regions(range, region, effort, |page| held.done_below(page))?;
        Ok(range.start())
    }

    fn map_lowest(&self, region: &RcuArc<Region>, hint: u64, pages: u64) -> Result<u64> {
        loop {
            let insert = || self.insert_lowest(region, hint, pages);
            if let Some(first) = self.lock.write_if_global(insert)? {
                return first;
            }
            if let Some(first) = self.insert_in_gap(region, hint, pages)? {
                return Ok(first);
            }
        }
    }

    /// Puts the region in the lowest free interval. The caller has locked the
    /// whole space.
    fn insert_lowest(
        &self,
        region: &RcuArc<Region>,
        hint: u64,
        pages: u64,
    ) -> Result<u64> {
        loop {
            let gap = self.lowest_gap(hint, pages)?;
            if self.regions.insert(gap, region)? {
                return Ok(gap.start());
            }
        }
    }

    /// Puts the region in the lowest free interval that no other change is busy
    /// with, a few of them tried; then waits for the lowest of all. `None` if
    /// the interval was taken meanwhile, or the policy has changed.
    fn insert_in_gap(
        &self,
        region: &RcuArc<Region>,
        hint: u64,
        pages: u64,
    ) -> Result<Option<u64>> {
        let mut from = hint;
        for step in BUSY_GAP_STEPS {
            let gap = self.lowest_gap(from, pages)?;
            let fill = || self.regions.insert(gap, region);
            match self.lock.write_if_no_writer(gap, fill)? {
                Some(filled) => return Ok(filled?.then_some(gap.start())),
                None => from = gap.start().saturating_add(pages.saturating_mul(step)),
            }
        }
        let gap = self.lowest_gap(hint, pages)?;
        let filled = self.lock.write(gap, |_| self.regions.insert(gap, region))?;
        Ok(filled.then_some(gap.start()))
    }

    /// The lowest free interval from `from` on, or else from 0 on. `ENOMEM` if
    /// there is none, as for mmap(2).
    pub(super) fn lowest_gap(&self, from: u64, pages: u64) -> Result<Interval> {
        let lowest = |min: u64| {
            let range = Interval::new(min, SPACE_PAGES)?;
            self.regions.find_gap(pages, range)
        };
        lowest(from).or_else(|| lowest(0)).ok_or(ENOMEM)
    }
}

/// How far beyond a free interval that another change is busy with the next is
/// looked for, in its lengths: that change may be a large one.
const BUSY_GAP_STEPS: [u64; 4] = [1, 1 << 8, 1 << 16, 1 << 24];
