// SPDX-License-Identifier: GPL-2.0-only

//! The search for free intervals.

use kernel::prelude::*;

use super::super::space::{Space, SPACE_PAGES};
use crate::{kern::task::fatal_signal_pending, portable::interval::Interval};

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

    /// Calls `fill` with the lowest free interval from `hint` on, and then others,
    /// further up, as long as it returns `None`: another change is busy with it.
    /// After a few of them with the lowest again, and `true`: it has to wait.
    /// Returns the first page if `fill` says that it has filled the interval;
    /// it was none any more if not.
    pub(super) fn try_gaps(
        &self,
        hint: u64,
        pages: u64,
        mut fill: impl FnMut(Interval, bool) -> Result<Option<bool>>,
    ) -> Result<Option<u64>> {
        if fatal_signal_pending() {
            return Err(EINTR);
        }
        let mut from = hint;
        for step in BUSY_GAP_STEPS {
            let gap = self.lowest_gap(from, pages)?;
            match fill(gap, false)? {
                Some(filled) => return Ok(filled.then_some(gap.start())),
                None => from = gap.start().saturating_add(pages.saturating_mul(step)),
            }
        }
        let gap = self.lowest_gap(hint, pages)?;
        let filled = fill(gap, true)? == Some(true);
        Ok(filled.then_some(gap.start()))
    }
}
