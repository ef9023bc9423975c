// SPDX-License-Identifier: GPL-2.0-only

//! The lock of a space, under each policy.
//!
//! Whoever holds it, in whatever way, has a policy that does not change: to
//! change it takes the semaphore for writing, the whole range lock, and the locks of
//! all regions if these are in use. Faults that speculate hold nothing, and need not:
//! what they rely on, changes do under each policy.
//!
//! Under `region`, which stands for the locks of single areas that Linux has since
//! 6.4, a fault tries the lock of its region, and takes the semaphore if a change has
//! it or there is no region. A change holds the semaphore, and locks the regions of
//! its range before it begins; see [`lock_set`](crate::kern::lock_set).

use core::pin::pin;

use kernel::{
    c_str,
    prelude::*,
    static_lock_class,
    sync::atomic::{Acquire, Atomic, Relaxed, Release},
};

use super::{
    mistake::Mistake,
    policy::{Locking, Policy},
    precision::Count,
    region::Region,
    regions::Regions,
};
use crate::{
    kern::{
        lock_set::ReadGuard,
        range_lock::{self, Mode, Pages, RangeLock, Read, Write},
        rwsem::{self, RwSemaphore},
    },
    portable::interval::Interval,
};

/// See the module.
#[pin_data]
pub(crate) struct SpaceLock {
    policy: Atomic<u32>,
    #[pin]
    global: RwSemaphore,
    #[pin]
    range: RangeLock,
    /// Those that hold it for writing.
    pub(super) changes: Count,
}

/// Pages that are locked: the guard is that of the semaphore or of the range lock.
pub(crate) enum Held<'a, G, M: Mode> {
    Global(G),
    Range(range_lock::Guard<'a, 'a, M>),
}

/// Pages that are locked for a change.
pub(crate) type Change<'a> = Held<'a, rwsem::WriteGuard<'a>, Write>;
/// Pages of which no region changes.
pub(crate) type Look<'a> = Held<'a, rwsem::ReadGuard<'a>, Read>;

impl<G, M: Mode> Held<'_, G, M> {
    /// All pages below `page` are done with.
    pub(crate) fn done_below(&mut self, page: u64) {
        if let Self::Range(held) = self {
            if Mistake::KeepAll.is_made() {
                return;
            }
            held.release_below_if_contended(page);
        }
    }
}

impl SpaceLock {
    /// A free lock. May sleep; charged to the memory cgroup.
    pub(crate) fn new(policy: Policy) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            policy: Atomic::new(policy as u32),
            global <- RwSemaphore::new(c_str!("SpaceLock::global"), static_lock_class!()),
            range <- RangeLock::new(c_str!("SpaceLock::range"), static_lock_class!()),
            changes: Count::new(),
        })
    }

    /// A hash of what the range lock has, which is not in this.
    #[cfg(faultline_test_hooks)]
    pub(super) fn hash(&self) -> u32 {
        self.range.hash(0)
    }

    /// The policy, which may change any time unless the lock is held.
    pub(crate) fn policy(&self) -> Policy {
        // Relaxed: who holds the lock is ordered behind the last change by it;
        // who does not looks again when it does.
        Policy::try_from(self.policy.load(Relaxed)).unwrap_or(Policy::Global)
    }

    /// A mistake on purpose.
    pub(super) fn store_same(&self) {
        self.policy.store(self.policy.load(Relaxed), Relaxed);
    }

    fn locking(&self) -> Locking {
        self.policy().locking()
    }

    /// Changes the policy when nobody holds the lock, of a space with `regions`.
    /// `EINTR`. May sleep.
    pub(crate) fn set_policy(&self, regions: &Regions, policy: Policy) -> Result {
        let _global = self.global.write_killable()?;
        let request = pin!(self.range.request());
        let _range = self.range.write_killable(request, Interval::ALL)?;
        // Also if none is locked: faults that try one see that something has changed.
        let in_use = (self.locking() == Locking::Region).then_some(Interval::ALL);
        let _locked = regions.write(in_use.into_iter())?;
        // Pairs with the acquire in `try_read_region`.
        self.policy.store(policy as u32, Release);
        Ok(())
    }

    /// Locks the region of one page for reading, if the policy is `region`, there is
    /// one, and no change has it. Does not sleep.
    pub(crate) fn try_read_region<'a>(
        &self,
        regions: &'a Regions,
        page: u64,
    ) -> Option<ReadGuard<'a, Region>> {
        let is_region = || self.policy.load(Acquire) == Policy::Region as u32;
        is_region()
            .then(|| regions.try_read(page, is_region))
            .flatten()
    }

    /// Runs `handle` with one page locked for reading. `EINTR`. May sleep.
    pub(crate) fn read_page<R>(&self, page: u64, handle: impl FnOnce() -> R) -> Result<R> {
        let range = Interval::new(page, page.wrapping_add(1)).ok_or(EINVAL)?;
        self.read(range, |_| handle())
    }

    /// Runs `look` with `range` locked for reading. `EINTR`. May sleep.
    pub(crate) fn read<R>(
        &self,
        range: Interval,
        look: impl FnOnce(&mut Look<'_>) -> R,
    ) -> Result<R> {
        loop {
            match self.locking() {
                Locking::Global | Locking::Region => {
                    let held = self.global.read_killable()?;
                    if self.locking() != Locking::Range {
                        return Ok(look(&mut Held::Global(held)));
                    }
                }
                Locking::Range => {
                    let request = pin!(self.range.request());
                    let held = self.range.read_killable(request, range)?;
                    if self.locking() == Locking::Range {
                        return Ok(look(&mut Held::Range(held)));
                    }
                }
            }
        }
    }

    /// Runs `change` with `range` locked for writing, of a space with `regions`.
    /// `EINTR`, or what it returns. May sleep.
    pub(crate) fn write<R>(
        &self,
        regions: &Regions,
        range: impl Into<Pages> + Copy,
        change: impl FnOnce(&mut Change<'_>) -> Result<R>,
    ) -> Result<R> {
        let range: Pages = match Mistake::LockAll.is_made() {
            true => Interval::ALL.into(),
            false => range.into(),
        };
        let change = |held: &mut Change<'_>| {
            let _counted = self.changes.change();
            change(held)
        };
        loop {
            match self.locking() {
                Locking::Global => {
                    let held = self.global.write_killable()?;
                    if self.locking() == Locking::Global {
                        return change(&mut Held::Global(held));
                    }
                }
                Locking::Region => {
                    let mut held = Held::Global(self.global.write_killable()?);
                    if self.locking() == Locking::Region {
                        // Given back before the semaphore is.
                        let _locked = regions.write(range.intervals())?;
                        return change(&mut held);
                    }
                }
                Locking::Range => {
                    let request = pin!(self.range.request());
                    let held = self.range.write_killable(request, range)?;
                    if self.locking() == Locking::Range {
                        return change(&mut Held::Range(held));
                    }
                }
            }
        }
    }

    /// Runs `look` with the whole space locked for reading, unless the policy
    /// has a range lock. `EINTR`. May sleep.
    pub(crate) fn read_if_global<R>(&self, look: impl FnOnce() -> R) -> Result<Option<R>> {
        if self.locking() == Locking::Range {
            return Ok(None);
        }
        let _held = self.global.read_killable()?;
        Ok((self.locking() != Locking::Range).then(look))
    }

    /// Runs `change`, which only fills gaps, with the whole space locked for
    /// writing, unless the policy has a range lock. `EINTR`. May sleep.
    pub(crate) fn write_if_global<R>(
        &self,
        regions: &Regions,
        change: impl FnOnce() -> R,
    ) -> Result<Option<R>> {
        if self.locking() == Locking::Range {
            return Ok(None);
        }
        let _held = self.global.write_killable()?;
        let _counted = self.changes.change();
        match self.locking() {
            Locking::Global => Ok(Some(change())),
            Locking::Region => {
                let _locked = regions.write(core::iter::empty())?;
                Ok(Some(change()))
            }
            Locking::Range => Ok(None),
        }
    }

    /// Runs `change` with `range` locked for writing, unless another change is
    /// in the way or the policy has no range lock. Waits for readers only.
    /// `EINTR`. May sleep.
    pub(crate) fn write_if_no_writer<R>(
        &self,
        range: impl Into<Pages>,
        change: impl FnOnce() -> R,
    ) -> Result<Option<R>> {
        if self.locking() != Locking::Range {
            return Ok(None);
        }
        let request = pin!(self.range.request());
        let held = self.range.write_behind_readers(request, range)?;
        let still = held.is_some() && self.locking() == Locking::Range;
        Ok(still.then(|| {
            let _counted = self.changes.change();
            change()
        }))
    }
}
