// SPDX-License-Identifier: GPL-2.0-only

//! What is known of the region of a page, for the assertions: no step of any thread.

use std::cell::Cell;

use super::region::Region;

#[derive(Default)]
pub(crate) struct Known {
    /// What was stored last.
    region: Cell<Option<Region>>,
    is_changing: Cell<bool>,
}

impl Known {
    pub(crate) fn store(&self, region: Option<Region>) {
        self.region.set(region);
    }

    /// A change begins.
    pub(crate) fn begin(&self) {
        self.is_changing.set(true);
    }

    /// A change has done its work.
    pub(crate) fn end(&self) {
        self.is_changing.set(false);
    }

    pub(crate) fn region(&self) -> Option<Region> {
        self.region.get()
    }

    pub(crate) fn is_changing(&self) -> bool {
        self.is_changing.get()
    }
}
