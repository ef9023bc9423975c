// SPDX-License-Identifier: GPL-2.0-only

//! A space: regions, pages, and the lock over both.

use kernel::{
    prelude::*,
    sync::{rcu, Arc},
};

use super::{
    directory::Directory,
    live::{self, Live},
    policy::Policy,
    region::Region,
    space_lock::{Change, SpaceLock},
    stats::{Counter, Stats},
};
use crate::{
    kern::{inode_file::InodeFile, page_count::PageCount, param, rcu_maple::RcuMaple, uapi},
    portable::interval::{Interval, PAGE_SHIFT, PAGE_SIZE},
};

// The portable code has the page size as a constant. And on other machines than
// x86 a store barrier is missing between the zeroing of a page and its entry:
// the core has one in __folio_mark_uptodate(), vmf_insert_page_mkwrite() none.
const _: () = assert!(PAGE_SIZE as usize == kernel::page::PAGE_SIZE && cfg!(CONFIG_X86_64));

/// Pages of a space.
pub(crate) const SPACE_PAGES: u64 = uapi::FAULTLINE_SPACE_SIZE >> PAGE_SHIFT;

/// One open of the device.
#[pin_data]
pub(crate) struct Space {
    /// What faults and queries take for reading and changes for writing.
    #[pin]
    pub(crate) lock: SpaceLock,
    /// The regions, by page. Written under `lock`, read under it or RCU.
    #[pin]
    pub(crate) regions: RcuMaple<Region>,
    /// The pages. Filled and emptied under a leaf's commit lock.
    #[pin]
    pub(crate) directory: Directory,
    /// The pages held, and how many there may be.
    #[pin]
    pub(crate) held: PageCount,
    /// Its reverse map finds the windows.
    pub(crate) inode: InodeFile,
    pub(crate) stats: Stats,
    live: Live<{ live::SPACE }>,
}

impl Space {
    /// An empty space. May sleep.
    pub(crate) fn new() -> Result<Arc<Self>> {
        Arc::pin_init(
            try_pin_init!(Self {
                lock <- SpaceLock::new(Policy::of_new_spaces()?),
                regions <- RcuMaple::new(),
                directory <- Directory::new(),
                held <- PageCount::new(param::max_pages()),
                inode: InodeFile::new()?,
                stats: Stats::new()?,
                live: Live::new(),
            }),
            GFP_KERNEL_ACCOUNT,
        )
    }

    /// What `look` makes of the region at `page`, if there is one. It does not
    /// sleep.
    pub(crate) fn with_region<R>(&self, page: usize, look: impl FnOnce(&Region) -> R) -> Option<R> {
        let rcu = rcu::read_lock();
        self.regions.get(page, &rcu).map(look)
    }

    /// Empties the slots of `range`, whose regions have been removed but not
    /// yet [released](super::backing::Backing::release): zaps
    /// them in every window, then frees them. Gives the lock of the pages back
    /// on the way, as far as it gets. May sleep.
    pub(crate) fn discard(&self, range: Interval, held: &mut Change<'_>) {
        let zap = |first, pages| {
            if !cfg!(faultline_busted_skip_zap) {
                self.inode.unmap_pages(first, pages);
            }
        };
        self.directory.remove(range, zap, |page, removed| {
            // Room for others before they can get at the pages.
            self.held.sub(removed);
            self.stats.add(Counter::PagesRemoved, removed as i64);
            held.done_below(page);
        });
    }
}
