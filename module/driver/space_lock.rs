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
    time::{Delta, Instant, Monotonic},
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
        extent::Extent,
        lock_set::{self, ReadGuard},
        range_lock::{self, Mode, Pages, RangeLock, Read, Write},
        rwsem::{self, RwSemaphore},
        trace_space,
    },
    portable::interval::Interval,
};

/// See the module.
#[pin_data]
pub(crate) struct SpaceLock {
    policy: Atomic<u32>,
    #[pin]
    global: Global,
    #[pin]
    range: RangeLock,
    /// Those that change, or still take pages out.
    pub(super) changes: Count,
}

/// The semaphore, in a line of its own: who only looks at the policy, as faults that
/// speculate do, is not disturbed by who takes it.
#[pin_data]
#[repr(align(64))]
struct Global {
    #[pin]
    semaphore: RwSemaphore,
    /// What its holder changes: start and end of two intervals, which may be empty.
    /// Statistics only.
    ///
    /// Relaxed: a fault that waits looks at it beside the holder, which sets it a moment
    /// after it has got the semaphore. It may see one bound without the other.
    changing: [Atomic<u64>; 4],
}

/// What events say of a request for the semaphore.
#[derive(Clone, Copy)]
struct Traced {
    /// That of the space.
    id: usize,
    /// From the first page that is meant to the last.
    start: u64,
    end: u64,
    write: bool,
}

/// The semaphore held for reading.
pub(crate) struct GlobalRead<'a> {
    traced: Traced,
    _held: rwsem::ReadGuard<'a>,
}

/// The semaphore held for a change: for writing, and for reading once that is enough.
pub(crate) struct GlobalWrite<'a> {
    global: &'a Global,
    /// As it is held now.
    traced: Traced,
    /// The regions that it has locked, under `region`.
    regions: Option<lock_set::Change<'a>>,
    write: Option<rwsem::WriteGuard<'a>>,
    _read: Option<rwsem::ReadGuard<'a>>,
}

/// How a fault has waited for the lock.
pub(crate) struct Wait {
    pub(crate) time: Delta,
    /// No change that had the lock when it came was one of its page.
    pub(crate) is_false: bool,
}

impl Traced {
    /// A request for `ranges`. It has begun.
    fn start(id: usize, ranges: impl Iterator<Item = Interval>, write: bool) -> Self {
        let bounds = ranges.map(|range| (range.start(), range.end()));
        let (start, end) = bounds
            .reduce(|all, next| (all.0.min(next.0), all.1.max(next.1)))
            .unwrap_or((0, 0));
        trace_space::space_start_locking(id, start, end, write);
        Self {
            id,
            start,
            end,
            write,
        }
    }

    /// It is over.
    fn returned<T>(&self, held: Result<T>) -> Result<T> {
        let success = held.is_ok();
        trace_space::space_acquire_returned(self.id, self.start, self.end, self.write, success);
        held
    }

    fn released(&self) {
        trace_space::space_released(self.id, self.start, self.end, self.write);
    }
}

impl Global {
    fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            semaphore <- RwSemaphore::new(c_str!("SpaceLock::global"), static_lock_class!()),
            changing: [const { Atomic::new(0) }; 4],
        })
    }

    /// For a change of `ranges`. `EINTR`. May sleep.
    fn write_killable(
        &self,
        id: usize,
        ranges: impl Iterator<Item = Interval> + Clone,
    ) -> Result<GlobalWrite<'_>> {
        let traced = Traced::start(id, ranges.clone(), true);
        let held = traced.returned(self.semaphore.write_killable())?;
        for (range, bounds) in ranges.zip(self.changing.chunks(2)) {
            bounds[0].store(range.start(), Relaxed);
            bounds[1].store(range.end(), Relaxed);
        }
        Ok(GlobalWrite {
            global: self,
            traced,
            regions: None,
            write: Some(held),
            _read: None,
        })
    }

    /// For `range`; `count` is told if it has to wait. `EINTR`. May sleep.
    fn read_killable(
        &self,
        id: usize,
        range: Interval,
        count: &mut impl FnMut(Wait),
    ) -> Result<GlobalRead<'_>> {
        let traced = Traced::start(id, core::iter::once(range), false);
        let held = match self.semaphore.try_read() {
            Some(held) => Ok(held),
            None => self.wait(range, count),
        };
        Ok(GlobalRead {
            traced,
            _held: traced.returned(held)?,
        })
    }

    #[cold]
    fn wait(&self, range: Interval, count: &mut impl FnMut(Wait)) -> Result<rwsem::ReadGuard<'_>> {
        let is_false = !self.is_changing(range);
        let start = Instant::<Monotonic>::now();
        let held = self.semaphore.read_killable();
        let time = start.elapsed();
        count(Wait { time, is_false });
        held
    }

    /// Whether a change of a page of `range` is under way.
    fn is_changing(&self, range: Interval) -> bool {
        self.changing.chunks(2).any(|bounds| {
            let changing = Interval::new(bounds[0].load(Relaxed), bounds[1].load(Relaxed));
            changing.is_some_and(|changing| changing.intersect(range).is_some())
        })
    }
}

impl GlobalWrite<'_> {
    /// As `mmap_write_downgrade()`: whatever it has locked, only changes wait from here.
    fn downgrade(&mut self) {
        self.let_faults_in();
        if let Some(write) = self.write.take() {
            self.traced.released();
            self._read = Some(write.downgrade());
            self.traced.write = false;
            let _ = self.traced.returned(Ok(()));
        }
    }

    fn let_faults_in(&mut self) {
        self.regions = None;
        for bound in &self.global.changing {
            bound.store(0, Relaxed);
        }
    }
}

impl Drop for GlobalRead<'_> {
    fn drop(&mut self) {
        self.traced.released();
        // The semaphore goes next.
    }
}

impl Drop for GlobalWrite<'_> {
    fn drop(&mut self) {
        self.let_faults_in();
        self.traced.released();
        // The semaphore goes next.
    }
}

/// Pages that are locked: the guard is that of the semaphore or of the range lock.
pub(crate) enum Held<'a, G, M: Mode> {
    Global(G),
    Range(range_lock::Guard<'a, 'a, M>),
}

/// Pages that are locked for a change.
pub(crate) type Change<'a> = Held<'a, GlobalWrite<'a>, Write>;
/// Pages of which no region changes.
pub(crate) type Look<'a> = Held<'a, GlobalRead<'a>, Read>;

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

impl Change<'_> {
    /// No region is to be changed any more, and no fault can reach the pages that are
    /// still to go: others that want the semaphore may read, as munmap(2) lets them.
    pub(crate) fn regions_are_done(&mut self) {
        if let Self::Global(held) = self {
            held.downgrade();
        }
    }
}

impl SpaceLock {
    /// A free lock. May sleep; charged to the memory cgroup.
    pub(crate) fn new(policy: Policy) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            policy: Atomic::new(policy as u32),
            global <- Global::new(),
            range <- RangeLock::new(c_str!("SpaceLock::range"), static_lock_class!()),
            changes: Count::new(),
        })
    }

    fn write_global(
        &self,
        ranges: impl Iterator<Item = Interval> + Clone,
    ) -> Result<GlobalWrite<'_>> {
        self.global.write_killable(self.id(), ranges)
    }

    /// What tells this lock, and its space, from others in traces.
    pub(crate) fn id(&self) -> usize {
        self.range.address()
    }

    /// Where the semaphore is, and what the range lock has, which is not in this.
    pub(super) fn extents(&self) -> [Extent; 2] {
        [Extent::of(&self.global), self.range.extent()]
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
        let _global = self.write_global([Interval::ALL].into_iter())?;
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

    /// Runs `handle` with one page locked for reading; `count` is told if that has to
    /// wait. `EINTR`. May sleep.
    pub(crate) fn read_page<R>(
        &self,
        page: u64,
        count: impl FnMut(Wait),
        handle: impl FnOnce() -> R,
    ) -> Result<R> {
        let range = Interval::new(page, page.wrapping_add(1)).ok_or(EINVAL)?;
        self.read_counted(range, count, |_| handle())
    }

    /// Runs `look` with `range` locked for reading. `EINTR`. May sleep.
    pub(crate) fn read<R>(
        &self,
        range: Interval,
        look: impl FnOnce(&mut Look<'_>) -> R,
    ) -> Result<R> {
        self.read_counted(range, |_| (), look)
    }

    fn read_counted<R>(
        &self,
        range: Interval,
        mut count: impl FnMut(Wait),
        look: impl FnOnce(&mut Look<'_>) -> R,
    ) -> Result<R> {
        loop {
            match self.locking() {
                Locking::Global | Locking::Region => {
                    let held = self.global.read_killable(self.id(), range, &mut count)?;
                    if self.locking() != Locking::Range {
                        return Ok(look(&mut Held::Global(held)));
                    }
                }
                Locking::Range => {
                    let request = pin!(self.range.request());
                    let (held, waited) = self.range.read_killable_timed(request, range);
                    if let Some(waited) = waited {
                        count(Wait {
                            time: waited.time,
                            // It stands behind another that waits.
                            is_false: !waited.behind_holder,
                        });
                    }
                    let held = held?;
                    if self.locking() == Locking::Range {
                        return Ok(look(&mut Held::Range(held)));
                    }
                }
            }
        }
    }

    /// Runs `change` with `range` locked for writing, of a space with `regions`.
    /// `EINTR`, or what it returns. May sleep.
    pub(crate) fn write<'a, R>(
        &'a self,
        regions: &'a Regions,
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
                    let held = self.write_global(range.intervals())?;
                    if self.locking() == Locking::Global {
                        return change(&mut Held::Global(held));
                    }
                }
                Locking::Region => {
                    let mut held = self.write_global(range.intervals())?;
                    if self.locking() == Locking::Region {
                        held.regions = Some(regions.write(range.intervals())?);
                        return change(&mut Held::Global(held));
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
        let _held = self
            .global
            .read_killable(self.id(), Interval::ALL, &mut |_| ())?;
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
        // Where it finds one is not known yet: who waits has no region there.
        let _held = self.write_global(core::iter::empty())?;
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
