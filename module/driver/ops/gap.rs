// SPDX-License-Identifier: GPL-2.0-only

//! The search for free intervals.

use kernel::prelude::*;

use super::super::space::{Space, SPACE_PAGES};
use crate::{kern::range_lock::Pages, portable::interval::Interval};

/// How far beyond a free interval that another change is busy with the next is
/// looked for, in its lengths: that change may be a large one.
const BUSY_GAP_STEPS: [u64; 4] = [1, 1 << 8, 1 << 16, 1 << 24];

impl Space {
    /// The lowest free interval from `from` on, or else from 0 on. `ENOMEM` if
    /// there is none, as for mmap(2).
    pub(super) fn lowest_gap(&self, from: u64, pages: u64) -> Result<Interval> {
        let lowest = |min: u64| {
            let range = Interval::new(min, SPACE_PAGES)?;
            self.regions.find_gap(pages, range)
        };
        lowest(from).or_else(|| lowest(0)).ok_or(ENOMEM)
    }

    /// Calls `fill` with the lowest free interval from `hint` on that no other
    /// change is busy with, a few of them tried; else waits for the lowest of
    /// all. What `locked` says is locked then. Returns the first page if `fill`
    /// says that the interval is free still and filled.
    pub(super) fn fill_a_gap(
        &self,
        hint: u64,
        pages: u64,
        locked: impl Fn(Interval) -> Result<Pages>,
        mut fill: impl FnMut(Interval) -> Result<bool>,
    ) -> Result<Option<u64>> {
        let mut from = hint;
        for step in BUSY_GAP_STEPS {
            let gap = self.lowest_gap(from, pages)?;
            match self.lock.write_if_no_writer(locked(gap)?, || fill(gap))? {
                Some(filled) => return Ok(filled?.then_some(gap.start())),
                None => from = gap.start().saturating_add(pages.saturating_mul(step)),
            }
        }
        let gap = self.lowest_gap(hint, pages)?;
        let filled = self.lock.write(locked(gap)?, |_| fill(gap))?;
        Ok(filled.then_some(gap.start()))
    }
}
