// SPDX-License-Identifier: GPL-2.0-only

//! MAP.

use kernel::prelude::*;

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
    /// Those of a region at page 0.
    pub(in super::super) attributes: Attributes,
}

impl MapRequest {
    /// The region, to be put at page `first`.
    fn region_at(&self, first: u64) -> Result<RcuArc<Region>> {
        Region::new(self.attributes.moved_up(first))
    }
}

impl Space {
    /// Makes a region and returns its first page. `EEXIST`, `ENOMEM`, `EINTR`.
    /// May sleep.
    pub(in super::super) fn map(&self, request: MapRequest) -> Result<u64> {
        let mapped = self.map_placed(&request);
        // No lock is held any more, and the region has a backing of its own.
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
        let mut gone = Gone::new();
        self.lock.write(range, |held| {
            if !may_replace && self.regions.first_in(range).is_some() {
                return Err(EEXIST);
            }
            let region = request.region_at(range.start())?;
            let effort = &mut Effort::MayFail;
            let done = |page| held.done_below(page);
            self.replace_regions(range, &region, effort, &mut gone, done)
        })?;
        Ok(range.start())
    }

    fn map_lowest(&self, request: &MapRequest, hint: u64, pages: u64) -> Result<u64> {
        loop {
            let insert = || self.insert_lowest(request, hint, pages);
            if let Some(first) = self.lock.write_if_global(insert)? {
                return first;
            }
            if let Some(first) = self.insert_in_gap(request, hint, pages)? {
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
    ) -> Result<u64> {
        loop {
            let gap = self.lowest_gap(hint, pages)?;
            if self.fill_gap(gap, request)? {
                return Ok(gap.start());
            }
        }
    }

    /// Puts the region in the lowest free interval that no other change is busy
    /// with, a few of them tried; then waits for the lowest of all. `None` if
    /// the interval was taken meanwhile, or the policy has changed.
    fn insert_in_gap(
        &self,
        request: &MapRequest,
        hint: u64,
        pages: u64,
    ) -> Result<Option<u64>> {
        let mut from = hint;
        for step in BUSY_GAP_STEPS {
            let gap = self.lowest_gap(from, pages)?;
            let fill = || self.fill_gap(gap, request);
            match self.lock.write_if_no_writer(gap, fill)? {
                Some(filled) => return Ok(filled?.then_some(gap.start())),
                None => from = gap.start().saturating_add(pages.saturating_mul(step)),
            }
        }
        let gap = self.lowest_gap(hint, pages)?;
        let filled = self.lock.write(gap, |_| self.fill_gap(gap, request))?;
        Ok(filled.then_some(gap.start()))
    }

    /// Whether the gap, which the caller has locked, was one still; it has the
    /// region now.
    fn fill_gap(&self, gap: Interval, request: &MapRequest) -> Result<bool> {
        self.regions.insert(gap, &request.region_at(gap.start())?)
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
