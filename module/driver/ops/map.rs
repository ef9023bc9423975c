// SPDX-License-Identifier: GPL-2.0-only

//! MAP.

use kernel::prelude::*;

use super::super::{
    region::Region,
    space::{Space, SPACE_PAGES},
    stats::Counter,
};
use crate::{
    kern::rcu_box::RcuBox,
    portable::{interval::Interval, protection::Protection},
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
    pub(in super::super) protection: Protection,
}

impl Space {
    /// Makes a region and returns its first page. `EEXIST`, `ENOMEM`, `EINTR`.
    /// May sleep.
    pub(in super::super) fn map(&self, request: MapRequest) -> Result<u64> {
        let region = Region::new(request.protection)?;
        let _guard = self.lock.write_killable()?;
        let first = match request.placement {
            Placement::Lowest { hint, pages } => self.insert_lowest(region, hint, pages)?,
            Placement::FixedNoReplace(range) if self.has_region_in(range) => {
                return Err(EEXIST);
            }
            Placement::Fixed(range) | Placement::FixedNoReplace(range) => {
                self.replace_regions(range, Some(region))?;
                range.start()
            }
        };
        self.stats.count(Counter::Maps);
        Ok(first)
    }

    fn insert_lowest(&self, region: RcuBox<Region>, hint: u64, pages: u64) -> Result<u64> {
        let insert = |region, min: u64| {
            self.regions.insert_lowest(
                region,
                pages as usize,
                min as usize,
                SPACE_PAGES as usize - 1,
            )
        };
        let hinted = match insert(region, hint) {
            Err((EBUSY | EINVAL, region)) if hint != 0 => insert(region, 0),
            result => result,
        };
        // No interval is free: ENOMEM, as for mmap(2).
        let first = hinted.map_err(|_| ENOMEM)?;
        self.stats.add(Counter::Regions, 1);
        Ok(first as u64)
    }
}
