// SPDX-License-Identifier: GPL-2.0-only

//! UNMAP.

use kernel::prelude::*;

use super::{
    super::{space::Space, stats::Counter},
    edit::Edit,
};
use crate::portable::interval::Interval;

impl Space {
    /// Removes all regions of `range`. When it has returned, no CPU can use a
    /// translation of theirs. `ENOMEM`, `EINTR`. May sleep.
    pub(in super::super) fn unmap(&self, range: Interval) -> Result {
        let mut edit = Edit::new(&self.regions);
        self.lock.write(&self.regions, range, |held| {
            #[cfg(faultline_test_hooks)]
            delay();
            self.unmap_held(range, &mut edit, held)
        })?;
        self.stats.count(Counter::Unmaps);
        Ok(())
    }
}

/// Sleeps as long as the test wants, uninterruptibly.
#[cfg(faultline_test_hooks)]
fn delay() {
    use kernel::time::{delay::fsleep, Delta};

    let delay_ms = crate::kern::param::delay_unmap_ms();
    if delay_ms != 0 {
        fsleep(Delta::from_millis(delay_ms.into()));
    }
}
