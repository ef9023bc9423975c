// SPDX-License-Identifier: GPL-2.0-only

//! ADVISE.

use kernel::prelude::*;

use super::super::{directory::LEAF_PAGES, space::Space, stats::Counter};
use crate::{kern::task::fatal_signal_pending, portable::interval::Interval};

impl Space {
    /// Discards the pages of `range`, for every window: the regions stay. `ENOMEM`
    /// if there is a hole, `EINTR`. May sleep.
    pub(in super::super) fn discard_pages(&self, range: Interval) -> Result {
        self.lock.write(&self.regions, range, |held| {
            self.must_be_covered(range, |_| Ok(()))?;
            self.discard(range, &mut |page| held.done_below(page));
            Ok(())
        })?;
        self.stats.count(Counter::Advises);
        Ok(())
    }

    /// Brings the pages of `range` into the space. `ENOMEM` (also if there is a
    /// hole, and then before the first page), `EFAULT`, `EIO`, `EINTR`. May sleep.
    pub(in super::super) fn populate(&self, range: Interval) -> Result {
        self.lock.read(range, |held| {
            self.must_be_covered(range, |_| Ok(()))?;
            for page in range.start()..range.end() {
                if fatal_signal_pending() {
                    return Err(EINTR);
                }
                let source = self
                    .regions
                    .at(page, |region| region.attributes.backing.source(page));
                self.bring(page, &source.ok_or(ENOMEM)?)?;
                if (page + 1) % LEAF_PAGES as u64 == 0 {
                    held.done_below(page + 1);
                }
            }
            Ok(())
        })??;
        self.stats.count(Counter::Advises);
        Ok(())
    }
}
