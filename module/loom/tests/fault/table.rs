// SPDX-License-Identifier: GPL-2.0-only

//! The page table of a window.

use std::{cell::RefCell, ops::Range};

use super::{lock::Lock, pages::PageId, region::Access};

/// Its entries are only used under its lock, but for assertions.
pub(crate) struct Table {
    lock: Lock,
    entries: RefCell<Vec<Option<Entry>>>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) page: PageId,
    pub(crate) writable: bool,
}

impl Table {
    pub(crate) fn new(pages: usize) -> Self {
        Self {
            lock: Lock::default(),
            entries: RefCell::new(vec![None; pages]),
        }
    }

    /// As `vmf_insert_page_mkwrite()`: an entry of the same page is left or made
    /// writable, and one of another is a failure, which must not come.
    #[track_caller]
    pub(crate) fn install(&self, at: usize, page: PageId, access: Access) -> Entry {
        let _held = self.lock.hold();
        let mut entries = self.entries.borrow_mut();
        let writable = access == Access::Write;
        let entry = entries[at].get_or_insert(Entry { page, writable });
        assert_eq!(entry.page, page, "an entry of another page is there");
        entry.writable |= writable;
        *entry
    }

    pub(crate) fn zap(&self, pages: Range<usize>) {
        let _held = self.lock.hold();
        self.entries.borrow_mut()[pages].fill(None);
    }

    /// What a CPU does that makes an access: `with` is called with the entry.
    pub(crate) fn walk<R>(&self, at: usize, with: impl FnOnce(Option<Entry>) -> R) -> R {
        let _held = self.lock.hold();
        let entry = self.entries.borrow()[at];
        with(entry)
    }

    /// Whether any entry is for this page. No step.
    pub(crate) fn has(&self, page: PageId) -> bool {
        let entries = self.entries.borrow();
        entries.iter().flatten().any(|entry| entry.page == page)
    }
}
