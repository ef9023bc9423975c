// SPDX-License-Identifier: GPL-2.0-only

//! ADVISE.

use kernel::prelude::*;

use super::super::{space::Space, stats::Counter};
use crate::portable::interval::Interval;

impl Space {
    /// Discards the pages of `range`, for every window: the regions stay. `ENOMEM`
    /// if there is a hole, `EINTR`. May sleep.
    pub(in super::super) fn discard_pages(&self, range: Interval) -> Result {
        self.lock.write(range, |held| {
            self.must_be_covered(range)?;
            self.discard(range, &mut |page| held.done_below(page));
            Ok(())
        })?;
        self.stats.count(Counter::Advises);
        Ok(())
    }
}
