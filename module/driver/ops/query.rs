// SPDX-License-Identifier: GPL-2.0-only

//! QUERY, and the question whether anything is there.

use kernel::prelude::*;

use super::super::{
    backing::Kind,
    mistake::Mistake,
    space::{Space, SPACE_PAGES},
};
use crate::portable::{interval::Interval, protection::Protection};

/// A region as QUERY shows it.
pub(in super::super) struct Found {
    pub(in super::super) interval: Interval,
    pub(in super::super) protection: Protection,
    pub(in super::super) generation: u64,
    pub(in super::super) backing: Kind,
    /// The page of the backing file at the start of the interval.
    pub(in super::super) file_page: u64,
}

impl Found {
    /// The part of it from `page` on, which is below its end.
    fn from(self, page: u64) -> Self {
        let start = self.interval.start();
        let Some(interval) = self.interval.above(page) else {
            return self;
        };
        if page <= start || Mistake::SkipClip.is_made() {
            return self;
        }
        let file_page = match self.backing {
            Kind::Anon => 0,
            Kind::Shared | Kind::Private => self.file_page + (page - start),
        };
        Self {
            interval,
            file_page,
            ..self
        }
    }
}

impl Space {
    /// The region that contains `page`, or else the next above it. `ENOENT`,
    /// `EINTR`. May sleep.
    pub(in super::super) fn query(&self, page: u64) -> Result<Found> {
        // What is found was true at one moment, which is all that a query can
        // tell; only without a range lock it waits for changes of regions that are
        // under way.
        match self.lock.read_if_global(|| self.find(page))? {
            Some(found) => found,
            None => self.find(page),
        }
        .ok_or(ENOENT)
    }

    /// What is at or above `page` of the region that contains it, or else the next
    /// region above it. Waits for no change. May sleep.
    pub(in super::super) fn region_from(&self, page: u64) -> Option<Found> {
        self.find(page).map(|found| found.from(page))
    }

    fn find(&self, page: u64) -> Option<Found> {
        let range = Interval::new(page, SPACE_PAGES)?;
        self.regions.find_whole(range, |interval, region| Found {
            interval,
            protection: region.attributes.protection,
            generation: region.generation,
            backing: region.attributes.backing.kind(),
            file_page: region.attributes.backing.file_page(interval.start()),
        })
    }
}
