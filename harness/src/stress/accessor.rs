// SPDX-License-Identifier: GPL-2.0-only
//! A faulting thread: loads and stores all over the pages.

use super::worker::{Place, Worker};
use crate::oracle::Shadow;

impl Worker<'_> {
    /// One access: half of them stores; one in four to a page that was changed
    /// just now.
    pub(super) fn access(&mut self) {
        let pages = u64::from(self.world.options.spaces) * u64::from(self.world.options.pages);
        let page = if self.rng.one_in(4) {
            self.world.recent(&mut self.rng)
        } else {
            self.rng.below(pages) as u32
        };
        if self.rng.one_in(2) {
            self.store(page);
        } else {
            let place = Place {
                page,
                byte: self.pick_byte(),
                view: self.pick_view(page),
            };
            self.load(place, None);
        }
    }

    /// Mostly a word with a writer; now and then any.
    fn pick_byte(&mut self) -> usize {
        let writers = u64::from(self.world.shadow.writers());
        if writers == 0 || self.rng.one_in(5) {
            self.rng.below(crate::PAGE_SIZE / 8) as usize * 8
        } else {
            Shadow::byte_of(self.rng.below(writers) as u32)
        }
    }
}
