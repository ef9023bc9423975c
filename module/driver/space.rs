// SPDX-License-Identifier: GPL-2.0-only

//! A space: regions, pages, and the lock over both.

use kernel::{
    prelude::*,
    sync::{
        atomic::{Atomic, Relaxed},
        Arc,
    },
};

use super::{
    directory::Directory,
    live::{self, Live},
    mistake::Mistake,
    policy::Policy,
    regions::Regions,
    space_lock::SpaceLock,
    stats::{Counter, Stats},
};
use crate::{
    kern::{
        inode_file::InodeFile,
        page_count::{PageCount, Total},
        param,
        task::Process,
        trace_space, uapi,
    },
    portable::interval::{Interval, PAGE_SHIFT, PAGE_SIZE},
};

// The portable code has the page size as a constant. And on other machines than
// x86 a store barrier is missing between the zeroing of a page and its entry:
// the core has one in __folio_mark_uptodate(), vmf_insert_page_mkwrite() none.
const _: () = assert!(PAGE_SIZE as usize == kernel::page::PAGE_SIZE && cfg!(CONFIG_X86_64));

/// Pages of a space.
pub(crate) const SPACE_PAGES: u64 = uapi::FAULTLINE_SPACE_SIZE >> PAGE_SHIFT;

/// What is left of the pages that all spaces together may hold.
pub(crate) static TOTAL_PAGES: Total = Total::new(Atomic::new(0));

static NEXT_ID: Atomic<u64> = Atomic::new(1);

/// One open of the device.
#[pin_data]
pub(crate) struct Space {
    /// What faults and queries take for reading and changes for writing.
    #[pin]
    pub(crate) lock: SpaceLock,
    /// The regions, by page. Written under `lock`, read under it or RCU.
    #[pin]
    pub(crate) regions: Regions,
    /// The pages. Filled and emptied under a leaf's commit lock.
    #[pin]
    pub(crate) directory: Directory,
    /// The pages held, and how many there may be.
    #[pin]
    pub(crate) held: PageCount,
    /// Its reverse map finds the windows.
    pub(crate) inode: InodeFile,
    pub(crate) stats: Stats,
    /// Never used twice while the module is loaded; from 1 on.
    pub(crate) id: u64,
    /// Who has opened it.
    pub(crate) opener: Process,
    live: Live<{ live::SPACE }>,
}

impl Space {
    /// An empty space. May sleep.
    pub(crate) fn new() -> Result<Arc<Self>> {
        Arc::pin_init(
            try_pin_init!(Self {
                lock <- SpaceLock::new(Policy::of_new_spaces()?),
                regions <- Regions::new(param::max_regions()),
                directory <- Directory::new(),
                held <- PageCount::new(param::max_pages(), &TOTAL_PAGES),
                inode: InodeFile::new()?,
                stats: Stats::new()?,
                // Relaxed: only that no two are equal matters.
                id: NEXT_ID.fetch_add(1, Relaxed),
                opener: Process::current(),
                live: Live::new(),
            }),
            GFP_KERNEL_ACCOUNT,
        )
    }

    /// Lowers the limits that are not 0 here, in pages and in regions. `EPERM` if
    /// one is above that in force, and then neither is changed.
    pub(crate) fn lower_limits(&self, pages: u64, regions: u64) -> Result {
        if regions > self.regions.limit() {
            return Err(EPERM);
        }
        if pages != 0 {
            self.held.lower_limit(pages)?;
            if !Mistake::SkipRecall.is_made() {
                self.held.recall();
            }
        }
        if regions != 0 {
            self.regions.lower_limit(regions);
        }
        Ok(())
    }

    /// Discards the pages of `range`: zaps them in every window, then frees them.
    /// `done` is called with the page up to which that is done. May sleep.
    pub(crate) fn discard(&self, range: Interval, done: &mut impl FnMut(u64)) {
        #[cfg(faultline_test_hooks)]
        delay(param::delay_discard_ms());
        let zap = |first, pages| self.zap(first, pages);
        self.directory.remove(range, zap, |page, removed| {
            // Room for others before they can get at the pages.
            self.held.sub(removed);
            self.stats.add(Counter::PagesRemoved, removed as i64);
            done(page);
        });
        #[cfg(faultline_test_hooks)]
        delay(param::delay_discard_ms());
    }

    /// Takes the entries of the pages of `range` out of every window; the pages
    /// stay. `done` is called as by `discard`. May sleep.
    pub(crate) fn revoke(&self, range: Interval, done: &mut impl FnMut(u64)) {
        if Mistake::ProtectDiscards.is_made() {
            return self.discard(range, done);
        }
        if Mistake::SkipRevoke.is_made() {
            return done(range.end());
        }
        #[cfg(faultline_test_hooks)]
        delay(param::delay_discard_ms());
        let zap = |first, pages| self.zap(first, pages);
        self.directory.for_each_present(range, zap, done);
    }

    pub(crate) fn zap(&self, first: u64, pages: u64) {
        if !Mistake::SkipZap.is_made() {
            trace_space::zap(self.lock.id(), first, pages);
            self.inode.unmap_pages(first, pages);
        }
    }
}

/// Sleeps as long as the test wants, uninterruptibly.
#[cfg(faultline_test_hooks)]
pub(crate) fn delay(ms: u32) {
    use kernel::time::{delay::fsleep, Delta};

    if ms != 0 {
        fsleep(Delta::from_millis(ms.into()));
    }
}
