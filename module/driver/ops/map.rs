// SPDX-License-Identifier: GPL-2.0-only

//! MAP.

use kernel::prelude::*;

use super::{
    super::{
        region::{Attributes, Region},
        regions::Effort,
        space::Space,
        stats::Counter,
    },
    gone::Gone,
};
use crate::{kern::rcu_arc::RcuArc, portable::interval::Interval};

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
            if !may_replace && self.regions.find(range, |_, _| ()).is_some() {
                return Err(EEXIST);
            }
            let region = request.region_at(range.start())?;
            let effort = &mut Effort::MayFail;
            self.store_all(
                range,
                Some(region),
                effort,
                &mut gone,
                |gone, part, removed| {
                    self.discard_removed(part, removed, gone, &mut |page| held.done_below(page));
                },
            )
        })?;
        Ok(range.start())
    }

    fn map_lowest(&self, request: &MapRequest, hint: u64, pages: u64) -> Result<u64> {
        let mut gone = Gone::new();
        loop {
            let insert = || self.insert_lowest(request, hint, pages, &mut gone);
            if let Some(first) = self.lock.write_if_global(insert)? {
                return first;
            }
            let fill = |gap| self.fill_gap(gap, request, &mut gone);
            if let Some(first) = self.fill_a_gap(hint, pages, |gap| Ok(gap.into()), fill)? {
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
        gone: &mut Gone,
    ) -> Result<u64> {
        loop {
            let gap = self.lowest_gap(hint, pages)?;
            if self.fill_gap(gap, request, gone)? {
                return Ok(gap.start());
            }
        }
    }

    /// Whether the gap, which the caller has locked, was one still; it has the
    /// region now.
    fn fill_gap(&self, gap: Interval, request: &MapRequest, gone: &mut Gone) -> Result<bool> {
        let region = request.region_at(gap.start())?;
        let stored = self.regions.insert(gap, &region);
        gone.put(region);
        let Some(stored) = stored? else {
            return Ok(false);
        };
        // Its like beside it, whose pages stay.
        gone.add(stored.removed);
        Ok(true)
    }
}
