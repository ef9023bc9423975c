// SPDX-License-Identifier: GPL-2.0-only

//! The fault handler.
//!
//! A fault speculates, if the policy says so, and else, or if that was given up,
//! looks the space's lock up: once, and there it ends. Errors come from the locked
//! path only. Both take the same steps: see [`filling`](super::filling).

use kernel::prelude::*;

use super::{
    backing::Source,
    directory::SpacePage,
    directory::LEAF_PAGES,
    filling::{Filling, Target, Way as _},
    locked::Locked,
    mistake::{share_line, Mistake},
    point::Point,
    region::Region,
    space::Space,
    speculative::Speculative,
    stats::{Counter, Tally},
};
use crate::{
    kern::{
        held_file::ReadError,
        page_ref::PageRef,
        task::fatal_signal_pending,
        trace_space::{self, Outcome, Path},
        vm_ops::{InsertError, VmFault, VmFaultResult, VmOperations},
    },
    portable::{
        fault::{self, Cause},
        protection::Access,
    },
};

/// How a fault failed.
#[derive(Clone, Copy)]
pub(super) enum Failure {
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
    /// What the core is told, and what is counted and traced.
    fn report(self) -> (VmFaultResult, Outcome) {
        match self {
            Self::NoRegion => (VmFaultResult::SIGBUS, Outcome::NoRegion),
            Self::Denied => (VmFaultResult::SIGSEGV, Outcome::Denied),
            // Not OOM, with which the core would try for ever.
            Self::Limit => (VmFaultResult::SIGBUS, Outcome::Limit),
            Self::Killed if Mistake::RetryKilled.is_made() => {
                (VmFaultResult::NOPAGE, Outcome::Killed)
            }
            // Not NOPAGE, with which an access from the kernel would loop.
            Self::Killed => (VmFaultResult::SIGBUS, Outcome::Killed),
            Self::NoMemory => (VmFaultResult::OOM, Outcome::NoMemory),
            // The access is made again, as after finish_fault() of the core.
            Self::TableGone => (VmFaultResult::NOPAGE, Outcome::Again),
            Self::NoPage => (VmFaultResult::SIGBUS, Outcome::NoPage),
            Self::Io => (VmFaultResult::SIGBUS, Outcome::Io),
            // What `VmFault::retry_behind_read` says is returned instead.
            Self::NotCached => (VmFaultResult::NOPAGE, Outcome::Retried),
        }
    }

    /// What a call is told, if it is not the fault of an access.
    fn errno(self) -> Error {
        match self {
            Self::NoPage => EFAULT,
            Self::Io => EIO,
            Self::Killed => EINTR,
            _ => ENOMEM,
        }
    }

    /// Why a speculation is given up that meets this.
    pub(super) fn cause(self) -> Cause {
        match self {
            Self::NoRegion => Cause::NoRegion,
            Self::Denied => Cause::Denied,
            Self::Limit | Self::NoMemory => Cause::NoMemory,
            Self::Killed => Cause::LeafBusy,
            Self::TableGone => Cause::Raced,
            Self::NoPage | Self::Io | Self::NotCached => Cause::NotCached,
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
        let mut tally = Tally::new();
        let access = if fault.is_write() {
            tally.note(Counter::FaultWrite);
            Access::Write
        } else {
            Access::Read
        };
        let speculates = self.lock.policy().speculates();
        let (path, handled) = if speculates && self.speculate(fault, access, &mut tally) {
            (Path::Speculative, Ok(()))
        } else {
            self.handle_locked(fault, access)
        };
        let (result, outcome) = match handled {
            Ok(()) => (VmFaultResult::NOPAGE, Outcome::Ok),
            Err(failure) => failure.report(),
        };
        tally.note(Counter::Faults);
        tally.note(outcome.into());
        self.stats.count_all(tally);
        let (address, page, write) = traced(fault);
        let (path, outcome) = (path as u32, outcome as u32);
        trace_space::fault_completed(self.lock.id(), address, page, write, path, outcome);
        result
    }

    /// Handles the fault without any lock that a change waits for but its leaf's.
    /// Returns whether that was possible. Never fails.
    fn speculate(&self, fault: &mut VmFault<'_>, access: Access, tally: &mut Tally) -> bool {
        tally.note(Counter::SpfAttempts);
        let target = Target::new(self, fault.pgoff(), access);
        let _held = Mistake::HoldRegion
            .is_made()
            .then(|| self.regions.try_read(target.page as u64, || true));
        let mut steps = Filling::new(target, Speculative::new(), |page: &PageRef| {
            insert(fault, page, access)
        });
        let handled = fault::handle(&mut steps);
        let way = steps.way;
        let ((address, page, write), id) = (traced(fault), self.lock.id());
        match handled {
            Ok(()) => {
                tally.note_success(way.kind(), access);
                if Mistake::SharedCount.is_made() {
                    self.lock.changes.raise();
                }
                if Mistake::ShareLine.is_made() {
                    share_line(target.page as u64 / LEAF_PAGES as u64);
                }
                if Mistake::StoreSame.is_made() {
                    self.lock.store_same();
                }
                let backing = way.kind().number();
                trace_space::fault_speculated(id, address, page, write, backing);
                true
            }
            Err(cause) => {
                if way.was_aborted_falsely(&target, cause) {
                    tally.note(Counter::SpfFalseAborts);
                }
                // The fallback comes once: the caller goes the locked path.
                tally.note_abort(cause);
                let sequence = way.generation();
                trace_space::fault_aborted(id, address, page, write, cause as u32, sequence);
                Point::FaultAborted.reach();
                trace_space::fault_fell_back(id, address, page, write);
                false
            }
        }
    }

    /// No region of the page changes while the fault is handled.
    fn handle_locked(
        &self,
        fault: &mut VmFault<'_>,
        access: Access,
    ) -> (Path, Result<(), Failure>) {
        let page = fault.pgoff() as u64;
        if let Some(region) = self.lock.try_read_region(&self.regions, page) {
            self.stats.count(Counter::FaultRegionLocked);
            let handled = source_of(&region, page, access)
                .and_then(|source| self.handle_source(fault, source, access));
            return (Path::Region, handled);
        }
        let handled = self
            .lock
            .read_page(
                page,
                |wait| self.stats.count_wait(wait),
                || self.handle_page(fault, access),
            )
            .unwrap_or(Err(Failure::Killed));
        (Path::Locked, handled)
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
        Point::FaultLocked.reach();
        let target = Target::new(self, page, access);
        let map = |page: &PageRef| insert(fault, page, access);
        let filled = fault::handle(&mut Filling::new(target, Locked::new(&source), map));
        match filled {
            Ok(()) => self.stats.count_locked(source.kind(), access),
            Err(Failure::NotCached) => source.read_and_retry(fault),
            Err(_) => (),
        }
        filled
    }

    /// Brings `page`, which the caller has locked, into the space, but into no page
    /// table; `source` is its region's. May sleep.
    pub(crate) fn bring(&self, page: u64, source: &Source) -> Result {
        let target = Target::new(self, page as usize, Access::Read);
        let map = |_: &PageRef| Ok(());
        fault::handle(&mut Filling::new(target, Locked::new(source), map)).map_err(Failure::errno)
    }
}

/// What events say of a fault: the address, the page, and whether it writes.
fn traced(fault: &VmFault<'_>) -> (usize, u64, bool) {
    (fault.address(), fault.pgoff() as u64, fault.is_write())
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
pub(super) fn not_ours() -> Failure {
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
