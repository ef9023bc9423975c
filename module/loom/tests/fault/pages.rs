// SPDX-License-Identifier: GPL-2.0-only

//! The pages, and what is known of each for the assertions: no step of any thread.

use std::cell::RefCell;

use super::region::Region;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PageId(usize);

/// All pages that there have been.
#[derive(Default)]
pub(crate) struct Pages(RefCell<Vec<Page>>);

#[derive(Clone, Copy, Debug)]
pub(crate) struct Page {
    /// What it is made of.
    pub(crate) source: u32,
    /// Whose it is since it has been in a slot.
    mapping: Option<u32>,
    is_written: bool,
    is_discarded: bool,
}

impl Pages {
    /// A new page, in no slot.
    pub(crate) fn make(&self, source: u32) -> PageId {
        let mut pages = self.0.borrow_mut();
        pages.push(Page {
            source,
            mapping: None,
            is_written: false,
            is_discarded: false,
        });
        PageId(pages.len() - 1)
    }

    pub(crate) fn get(&self, id: PageId) -> Page {
        self.0.borrow()[id.0]
    }

    fn update(&self, id: PageId, update: impl FnOnce(&mut Page)) {
        update(&mut self.0.borrow_mut()[id.0]);
    }

    /// It gets into a slot, for this region.
    pub(crate) fn belongs_to(&self, id: PageId, region: Region) {
        self.update(id, |page| page.mapping = Some(region.mapping));
    }

    pub(crate) fn write(&self, id: PageId) {
        self.update(id, |page| page.is_written = true);
    }

    /// It was taken out of its slot to be freed.
    pub(crate) fn discard(&self, id: PageId) {
        self.update(id, |page| page.is_discarded = true);
    }

    pub(crate) fn is_discarded(&self, id: PageId) -> bool {
        self.get(id).is_discarded
    }

    /// An entry for it may be where `region` stands.
    #[track_caller]
    pub(crate) fn check_in(&self, id: PageId, region: Region) {
        let page = self.get(id);
        assert!(!page.is_discarded, "an entry for a page that is discarded");
        let is_its = page.mapping == Some(region.mapping) && page.source == region.source;
        assert!(is_its, "an entry for a page of another region");
    }

    /// Every page that was written is in one of `slots`, or discarded.
    pub(crate) fn check_at_rest(&self, slots: &[Option<PageId>]) {
        for (id, page) in self.0.borrow().iter().enumerate() {
            let is_there = slots.contains(&Some(PageId(id)));
            let is_lost = page.is_written && !page.is_discarded && !is_there;
            assert!(!is_lost, "a write is lost");
            let is_left = is_there && page.is_discarded;
            assert!(!is_left, "a page that is discarded is in a slot");
        }
    }
}
