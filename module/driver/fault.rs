// SPDX-License-Identifier: GPL-2.0-only

//! The fault handler.

use kernel::prelude::*;

use super::{
    directory::{position, Leaf, LockedLeaf, SpacePage},
    space::Space,
    stats::Counter,
};
use crate::{
    kern::{
        rcu_arc::RcuArc,
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
}

impl Failure {
    /// What the core is told, and what is counted.
    fn report(self) -> (VmFaultResult, Counter) {
        match self {
            Self::NoRegion => (VmFaultResult::SIGBUS, Counter::FaultNoRegion),
            Self::Denied => (VmFaultResult::SIGSEGV, Counter::FaultDenied),
            // Not OOM, with which the core would try for ever.
            Self::Limit => (VmFaultResult::SIGBUS, Counter::FaultLimit),
            // Not NOPAGE, with which an access from the kernel would loop.
            Self::Killed => (VmFaultResult::SIGBUS, Counter::FaultKilled),
            Self::NoMemory => (VmFaultResult::OOM, Counter::FaultNoMemory),
            // The access is made again, as after finish_fault() of the core.
            Self::TableGone => (VmFaultResult::NOPAGE, Counter::FaultAgain),
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
        self.lock
            .read_page(page, || self.handle_page(fault, access))
            .unwrap_or(Err(Failure::Killed))
    }

    fn handle_page(&self, fault: &mut VmFault<'_>, access: Access) -> Result<(), Failure> {
        let page = fault.pgoff() as u64;
        let protection = self.regions.at(page, |region| region.attributes.protection);
        if !protection.ok_or(Failure::NoRegion)?.allows(access) {
            return Err(Failure::Denied);
        }
        self.install(fault, access)
    }

    /// Gets the page and maps it, under the commit lock of its leaf. Memory is
    /// allocated before the lock is taken.
    fn install(&self, fault: &mut VmFault<'_>, access: Access) -> Result<(), Failure> {
        let (index, slot) = position(fault.pgoff());
        let mut fresh = None;
        loop {
            let leaf = self.leaf_for_fault(index)?;
            if fresh.is_none() && !leaf.seems_present(slot) {
                fresh = Some(SpacePage::new());
            }
            let locked = leaf.lock_killable().map_err(|_| Failure::Killed)?;
            // A dead leaf is no longer in the directory: look again.
            let Some(mut locked) = locked else { continue };
            if locked.get(slot).is_none() {
                // Without a fresh page the hint was wrong: look again.
                let Some(page) = fresh.take() else { continue };
                self.fill(&mut locked, slot, page.map_err(|_| Failure::NoMemory)?)?;
            }
            if let Some(page) = locked.get(slot) {
                return insert(fault, page, access);
            }
        }
    }

    /// The leaf at `index`. None is made once the limit is reached, so that
    /// leaves, which it does not count, are bounded by it too.
    fn leaf_for_fault(&self, index: usize) -> Result<RcuArc<Leaf>, Failure> {
        match self.directory.leaf(index) {
            Some(leaf) => Ok(leaf),
            None if self.held.is_full() => Err(Failure::Limit),
            None => self
                .directory
                .make_leaf(index)
                .map_err(|_| Failure::NoMemory),
        }
    }

    /// Puts `page` into the empty `slot`. It is counted only here, under the
    /// lock: counted earlier, of two faults on the last page that the limit
    /// allows one would find the limit reached by the other.
    fn fill(&self, leaf: &mut LockedLeaf<'_>, slot: usize, page: SpacePage) -> Result<(), Failure> {
        if !self.held.try_add_one() {
            return Err(Failure::Limit);
        }
        leaf.fill(slot, page);
        self.stats.count(Counter::PagesAdded);
        Ok(())
    }
}

/// Maps `page`. The caller holds the commit lock of its leaf.
fn insert(fault: &mut VmFault<'_>, page: &SpacePage, access: Access) -> Result<(), Failure> {
    match fault.insert_page(page.page(), access == Access::Write) {
        Ok(()) => Ok(()),
        Err(InsertError::NoTable) => Err(why_no_table()),
        Err(InsertError::Refused) => {
            // Another page's entry: a slot was filled before its zap.
            kernel::warn_on!(true);
            Err(Failure::NoRegion)
        }
    }
}

/// Why there was no page table for an entry: for lack of memory, or because an
/// `MADV_DONTNEED` of the window freed it at that moment (`PT_RECLAIM`). The
/// core says the same in both cases, so memory of the same kind is asked for.
#[cold]
fn why_no_table() -> Failure {
    if fatal_signal_pending() {
        // An access from the kernel would be made again and again.
        Failure::Killed
    } else if SpacePage::new().is_ok() {
        Failure::TableGone
    } else {
        Failure::NoMemory
    }
}
