// SPDX-License-Identifier: GPL-2.0-only

//! The fault handler.

use kernel::prelude::*;

use super::{
    backing::{NewPage, Source},
    directory::{position, Leaf, LockedLeaf, SpacePage},
    mistake::Mistake,
    region::Region,
    space::Space,
    stats::Counter,
};
use crate::{
    kern::{
        held_file::ReadError,
        page_ref::PageRef,
        task::fatal_signal_pending,
        vm_ops::{InsertError, VmFault, VmFaultResult, VmOperations},
    },
    portable::protection::Access,
};

/// How a fault failed.
#[derive(Clone, Copy)]
enum Failure {
    /// There is no region.
    NoRegion,
    /// The region forbids the access.
    Denied,
    /// The space holds as many pages as it may.
    Limit,
    /// A fatal signal ended a wait.
    Killed,
    /// The allocator or the memory cgroup has nothing left.
    NoMemory,
    /// The page table was freed before the entry was in it.
    TableGone,
    /// The page is beyond the end of its file.
    NoPage,
    /// The file could not be read.
    Io,
    /// The file has to be read first, with nothing held: the fault is made again.
    NotCached,
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::BeyondEnd => Self::NoPage,
            ReadError::NotCached => Self::NotCached,
            ReadError::NoMemory => Self::NoMemory,
            ReadError::Killed => Self::Killed,
            ReadError::Failed => Self::Io,
        }
    }
}

impl Failure {
    /// What the core is told, and what is counted.
    fn report(self) -> (VmFaultResult, Counter) {
        match self {
            Self::NoRegion => (VmFaultResult::SIGBUS, Counter::FaultNoRegion),
            Self::Denied => (VmFaultResult::SIGSEGV, Counter::FaultDenied),
            // Not OOM, with which the core would try for ever.
            Self::Limit => (VmFaultResult::SIGBUS, Counter::FaultLimit),
            Self::Killed if Mistake::RetryKilled.is_made() => {
                (VmFaultResult::NOPAGE, Counter::FaultKilled)
            }
            // Not NOPAGE, with which an access from the kernel would loop.
            Self::Killed => (VmFaultResult::SIGBUS, Counter::FaultKilled),
            Self::NoMemory => (VmFaultResult::OOM, Counter::FaultNoMemory),
            // The access is made again, as after finish_fault() of the core.
            Self::TableGone => (VmFaultResult::NOPAGE, Counter::FaultAgain),
            Self::NoPage => (VmFaultResult::SIGBUS, Counter::FaultNoPage),
            Self::Io => (VmFaultResult::SIGBUS, Counter::FaultIo),
            // What `VmFault::retry_behind_read` says is returned instead.
            Self::NotCached => (VmFaultResult::NOPAGE, Counter::FaultRetried),
        }
    }
}

impl Failure {
    /// What a call is told, if it is not the fault of an access.
    fn errno(self) -> Error {
        match self {
            Self::NoPage => EFAULT,
            Self::Io => EIO,
            Self::Killed => EINTR,
            _ => ENOMEM,
        }
    }
}

impl VmOperations for Space {
    fn fault(&self, fault: &mut VmFault<'_>) -> VmFaultResult {
        self.handle(fault)
    }

    fn page_mkwrite(&self, fault: &mut VmFault<'_>) -> VmFaultResult {
        self.stats.count(Counter::FaultMkwrite);
        self.handle(fault)
    }
}

impl Space {
    fn handle(&self, fault: &mut VmFault<'_>) -> VmFaultResult {
        let access = if fault.is_write() {
            self.stats.count(Counter::FaultWrite);
            Access::Write
        } else {
            Access::Read
        };
        let (result, outcome) = match self.handle_locked(fault, access) {
            Ok(()) => (VmFaultResult::NOPAGE, Counter::FaultOk),
            Err(failure) => failure.report(),
        };
        self.stats.count(Counter::Faults);
        self.stats.count(outcome);
        result
    }

    /// No region of the page changes while the fault is handled.
    fn handle_locked(&self, fault: &mut VmFault<'_>, access: Access) -> Result<(), Failure> {
        let page = fault.pgoff() as u64;
        if let Some(region) = self.lock.try_read_region(&self.regions, page) {
            self.stats.count(Counter::FaultRegionLocked);
            let source = source_of(&region, page, access)?;
            return self.handle_source(fault, source, access);
        }
        self.lock
            .read_page(page, || self.handle_page(fault, access))
            .unwrap_or(Err(Failure::Killed))
    }

    fn handle_page(&self, fault: &mut VmFault<'_>, access: Access) -> Result<(), Failure> {
        let page = fault.pgoff() as u64;
        let source = self
            .regions
            .at(page, |region| source_of(region, page, access));
        self.handle_source(fault, source.ok_or(Failure::NoRegion)??, access)
    }

    /// The page comes from `source`, as its region says.
    fn handle_source(
        &self,
        fault: &mut VmFault<'_>,
        source: Source,
        access: Access,
    ) -> Result<(), Failure> {
        let page = fault.pgoff();
        // The policy does not change: the caller holds the space's lock, or the region's.
        let source = match self.lock.policy().retries() && fault.may_retry() {
            true => source.without_reading(),
            false => source,
        };
        #[cfg(faultline_test_hooks)]
        super::space::delay(crate::kern::param::delay_fault_ms());
        let filled = self.fill_page(page, &source, access, |page| insert(fault, page, access));
        if let Err(Failure::NotCached) = filled {
            source.read_and_retry(fault);
        }
        filled
    }

    /// Brings `page`, which the caller has locked, into the space, but into no page
    /// table; `source` is its region's. May sleep.
    pub(crate) fn bring(&self, page: u64, source: &Source) -> Result {
        self.fill_page(page as usize, source, Access::Read, |_| Ok(()))
            .map_err(Failure::errno)
    }

    /// Gets the page at `page` from `source`, unless its slot has it already,
    /// fills the slot, and calls `map` with the page, under the commit lock of
    /// its leaf. Memory is allocated and files are read before that lock is
    /// taken. The caller has locked the page, and `source` is its region's.
    ///
    /// A leaf is only made for a page that there is, and it does not stay if it
    /// gets none: leaves, which no limit counts, are no more than pages.
    fn fill_page(
        &self,
        page: usize,
        source: &Source,
        access: Access,
        map: impl FnOnce(&PageRef) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let (index, slot) = position(page);
        let mut new = None;
        loop {
            let mut found = self.directory.leaf(index);
            let seems_empty = found.as_ref().is_none_or(|leaf| !leaf.seems_present(slot));
            if new.is_none() && (source.is_cached() || seems_empty) {
                new = Some(self.new_page(source, access, seems_empty));
                // It may have been made meanwhile, with the page that found the limit reached.
                found = found.or_else(|| self.directory.leaf(index));
            }
            let is_made = found.is_none();
            let leaf = match (found, &new) {
                (Some(leaf), _) => leaf,
                (None, Some(Ok(_))) => Leaf::new().map_err(|_| Failure::NoMemory)?,
                (None, Some(Err(failure))) => return Err(*failure),
                // Cannot be: without a leaf the slot seems empty.
                (None, None) => continue,
            };
            let locked = if is_made {
                let locked = self.directory.publish_locked(index, &leaf);
                locked.map_err(|_| Failure::NoMemory)?
            } else {
                leaf.lock_killable().map_err(|_| Failure::Killed)?
            };
            // A dead leaf is no longer in the directory, or another is there: look again.
            let Some(mut locked) = locked else { continue };
            let mut cached = None;
            if source.is_cached() || locked.is_empty(slot) {
                // Without a new page the hint was wrong: look again.
                let Some(new) = new.take() else { continue };
                // Likewise if there seemed to be no room, but none is needed.
                if matches!(new, Err(Failure::Limit)) && !locked.is_empty(slot) {
                    continue;
                }
                let filled = new.and_then(|new| self.fill(&mut locked, slot, new));
                if filled.is_err() {
                    self.directory.bury_if_empty(index, &leaf, &mut locked);
                }
                cached = filled?;
            }
            return match cached.as_ref().or(locked.get(slot).map(SpacePage::page)) {
                Some(page) => map(page),
                None => Err(not_ours()),
            };
        }
    }

    /// A page from `source`; `Limit`, without asking it, if the page would be
    /// one more than there may be, for even then a memfd would keep it.
    fn new_page(
        &self,
        source: &Source,
        access: Access,
        is_one_more: bool,
    ) -> Result<NewPage, Failure> {
        if is_one_more && self.held.is_full() && !Mistake::SkipLimit.is_made() {
            return Err(Failure::Limit);
        }
        source.get(access).map_err(Failure::from)
    }

    /// Puts `new` into `slot`, unless it is there, and returns the page if it
    /// belongs to a page cache. It is counted only here, under the lock: counted
    /// earlier, of two faults on the last page that the limit allows one would
    /// find the limit reached by the other.
    fn fill(
        &self,
        leaf: &mut LockedLeaf<'_>,
        slot: usize,
        new: NewPage,
    ) -> Result<Option<PageRef>, Failure> {
        if leaf.is_empty(slot) {
            if !self.held.try_add_one() && !Mistake::SkipLimit.is_made() {
                return Err(Failure::Limit);
            }
            self.stats.count(Counter::PagesAdded);
        }
        match new {
            NewPage::Own(page) => {
                leaf.fill(slot, page);
                Ok(None)
            }
            NewPage::Cached(page) => {
                leaf.mark(slot);
                Ok(Some(page))
            }
        }
    }
}

/// Where `page` of `region` comes from, if it allows the access.
fn source_of(region: &Region, page: u64, access: Access) -> Result<Source, Failure> {
    let allowed = region.attributes.protection.allows(access);
    allowed
        .then(|| region.attributes.backing.source(page))
        .ok_or(Failure::Denied)
}

/// Maps `page`. The caller holds the commit lock of its leaf.
fn insert(fault: &mut VmFault<'_>, page: &PageRef, access: Access) -> Result<(), Failure> {
    match fault.insert_page(page, access == Access::Write) {
        Ok(()) => Ok(()),
        Err(InsertError::NoTable) => Err(why_no_table()),
        Err(InsertError::Refused) => Err(not_ours()),
    }
}

/// Another region's page is in the slot, or in the page table: a slot was
/// filled before its zap. That is a bug.
#[cold]
fn not_ours() -> Failure {
    kernel::warn_on!(true);
    Failure::NoRegion
}

/// Why there was no page table for an entry: for lack of memory, or because an
/// `MADV_DONTNEED` of the window freed it at that moment (`PT_RECLAIM`). The
/// core says the same in both cases, so memory of the same kind is asked for.
#[cold]
fn why_no_table() -> Failure {
    if fatal_signal_pending() {
        // An access from the kernel would be made again and again.
        Failure::Killed
    } else if SpacePage::zeroed().is_ok() {
        Failure::TableGone
    } else {
        Failure::NoMemory
    }
}
