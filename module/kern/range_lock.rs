// SPDX-License-Identifier: GPL-2.0-only

//! The portable range lock as a lock of the kernel: seen by lockdep,
//! `perf lock contention` and tracefs.
//!
//! For lockdep every range is the whole lock, as Peter Zijlstra advised for
//! Linux' own range locks: so a task may hold one range at a time, and one that
//! needs two asks for both at once.

use core::{convert::Infallible, mem::ManuallyDrop, pin::Pin};

use kernel::{
    alloc::KVVec,
    prelude::*,
    str::CStr,
    sync::LockClassKey,
    task::might_sleep,
    time::{Delta, Instant, Monotonic},
    types::NotThreadSafe,
};

use super::{bindings, extent::Extent, lockdep::Lockdep, trace};
use crate::portable::{
    interval::Interval,
    range_lock::{self, Queued, Shape, Slot},
};

pub(crate) use range_lock::{Read, Request, Write};

/// What a request asks for, as [`range_lock::Ranges`], and what is left of it.
#[derive(Clone, Copy)]
pub(crate) struct Pages {
    ranges: range_lock::Ranges,
    left: [Option<Interval>; 2],
}

impl Pages {
    /// Two intervals, `None` if they overlap.
    pub(crate) fn two(first: Interval, second: Interval) -> Option<Self> {
        let ranges = range_lock::Ranges::two(first, second)?;
        Some(Self {
            ranges,
            left: [Some(first), Some(second)],
        })
    }

    /// The intervals of a request.
    pub(crate) fn intervals(&self) -> impl Iterator<Item = Interval> + Clone {
        self.left()
    }

    fn left(&self) -> impl Iterator<Item = Interval> + Clone {
        self.left.into_iter().flatten()
    }

    /// Takes out what `part` says of each interval.
    fn keep(&mut self, part: impl Fn(Interval) -> Option<Interval>) {
        self.left = self.left.map(|range| range.and_then(&part));
    }
}

impl From<Interval> for Pages {
    fn from(range: Interval) -> Self {
        Self {
            ranges: range.into(),
            left: [Some(range), None],
        }
    }
}

/// As many domains of 1 GiB granules that threads of all processors seldom meet in one,
/// and 8 shards of 2 MiB granules in each: a line for each shard, each domain and the root,
/// 9 KiB with up to 8 processors and 72 KiB at most (and what the allocator makes of it).
/// Not more, and not more shards: a request beyond 2 MiB takes the spin locks of all of its
/// domain, and one beyond 1 GiB all that there are, 1024 at most, with preemption disabled.
fn shape() -> Shape {
    // SAFETY: No requirements.
    let cpus = unsafe { bindings::faultline_num_possible_cpus() } as usize;
    Shape::new((2 * cpus).clamp(16, 128), 8)
}

type Portable = range_lock::RangeLock<KVVec<Slot>>;

type Held<'r, 'l, M> = range_lock::Guard<'r, 'l, M>;

/// How a guard holds its range.
pub(crate) trait Mode {
    /// Whether for writing.
    const WRITE: bool;
}

impl Mode for Read {
    const WRITE: bool = false;
}

impl Mode for Write {
    const WRITE: bool = true;
}

/// How a request has waited.
pub(crate) struct Waited {
    pub(crate) time: Delta,
    /// Whether anybody that was in the way had the pages when it came: else all of
    /// these waited, too.
    pub(crate) behind_holder: bool,
}

/// A reader/writer lock over intervals of pages.
#[pin_data]
pub(crate) struct RangeLock {
    #[pin]
    lockdep: Lockdep,
    lock: Portable,
}

impl RangeLock {
    /// A hash of `seed` and of all that it has, on its own lines in memory.
    #[cfg(faultline_test_hooks)]
    pub(crate) fn hash(&self, seed: u32) -> u32 {
        super::bytes::hash(self.lock.slots(), seed)
    }

    /// A free lock, known to lockdep as `name` with class `key`. May sleep;
    /// charged to the memory cgroup.
    pub(crate) fn new(
        name: &'static CStr,
        key: Pin<&'static LockClassKey>,
    ) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            lockdep <- Lockdep::new(name, key),
            lock: {
                let shape = shape();
                let mut slots = KVVec::with_capacity(shape.places(), GFP_KERNEL_ACCOUNT)?;
                for _ in 0..shape.places() {
                    slots.push(Slot::new(), GFP_KERNEL_ACCOUNT)?;
                }
                // SAFETY: The slots are new, the vector's only, and stay where they are.
                unsafe { Portable::new(shape, slots) }
            },
        })
    }

    /// A request for this lock.
    pub(crate) fn request(&self) -> Request<'_> {
        Request::new(&self.lock)
    }

    /// Waits until no earlier request for any of the pages writes, or `EINTR` when a
    /// fatal signal arrives. Tells how it has waited, if it has. May sleep.
    pub(crate) fn read_killable_timed<'r, 'l>(
        &'l self,
        request: Pin<&'r mut Request<'l>>,
        pages: impl Into<Pages>,
    ) -> (Result<Guard<'r, 'l, Read>>, Option<Waited>) {
        let pages = pages.into();
        self.start::<Read>(&pages);
        let queued = request.queue_read(pages.ranges);
        let mut waited = None;
        let held = self.finish(pages, queued, |queued| {
            let behind_holder = queued.is_behind_holder();
            let start = Instant::<Monotonic>::now();
            let held = queued.wait_killable();
            waited = Some(Waited {
                time: start.elapsed(),
                behind_holder,
            });
            held
        });
        (held.map_err(|range_lock::Killed| EINTR), waited)
    }

    /// Waits until there is no earlier request for any of the pages, or
    /// `EINTR` when a fatal signal arrives. May sleep.
    pub(crate) fn write_killable<'r, 'l>(
        &'l self,
        request: Pin<&'r mut Request<'l>>,
        pages: impl Into<Pages>,
    ) -> Result<Guard<'r, 'l, Write>> {
        let pages = pages.into();
        self.start::<Write>(&pages);
        let queued = request.queue_write(pages.ranges);
        self.finish_killable(pages, queued)
    }

    /// As [`RangeLock::write_killable`], or `None` if there is an earlier
    /// request to write any of the pages. May sleep.
    pub(crate) fn write_behind_readers<'r, 'l>(
        &'l self,
        request: Pin<&'r mut Request<'l>>,
        pages: impl Into<Pages>,
    ) -> Result<Option<Guard<'r, 'l, Write>>> {
        let pages = pages.into();
        self.start::<Write>(&pages);
        let Some(queued) = request.queue_write_behind_readers(pages.ranges) else {
            self.trace_returned::<Write>(&pages, false);
            self.lockdep.release();
            return Ok(None);
        };
        self.finish_killable(pages, queued).map(Some)
    }

    fn start<M: Mode>(&self, pages: &Pages) {
        might_sleep();
        self.trace_start::<M>(pages);
        self.lockdep.acquire(M::WRITE);
    }

    fn finish_killable<'r, 'l, M: Mode>(
        &'l self,
        pages: Pages,
        queued: Queued<'r, 'l, M>,
    ) -> Result<Guard<'r, 'l, M>> {
        let held = self.finish(pages, queued, Queued::wait_killable);
        held.map_err(|range_lock::Killed| EINTR)
    }

    fn finish<'r, 'l, M: Mode, E>(
        &'l self,
        pages: Pages,
        queued: Queued<'r, 'l, M>,
        wait: impl FnOnce(Queued<'r, 'l, M>) -> Result<Held<'r, 'l, M>, E>,
    ) -> Result<Guard<'r, 'l, M>, E> {
        let result = if queued.must_wait() {
            self.lockdep.contention_begin(M::WRITE);
            let result = wait(queued);
            self.lockdep.contention_end(result.is_ok());
            result
        } else {
            Ok(queued.wait())
        };
        self.trace_returned::<M>(&pages, result.is_ok());
        match result {
            Ok(held) => {
                self.lockdep.acquired();
                Ok(Guard::new(self, held, pages))
            }
            Err(error) => {
                self.lockdep.release();
                Err(error)
            }
        }
    }

    /// Where the shards and all else are that requests of it write.
    pub(crate) fn extent(&self) -> Extent {
        Extent::of(self.lock.slots())
    }

    /// What tells this lock from others in traces.
    pub(crate) fn address(&self) -> usize {
        self.lockdep.address()
    }

    fn trace_start<M: Mode>(&self, pages: &Pages) {
        for range in pages.left() {
            trace::range_start_locking(self.address(), range.start(), range.end(), M::WRITE);
        }
    }

    fn trace_returned<M: Mode>(&self, pages: &Pages, success: bool) {
        for range in pages.left() {
            let (start, end) = (range.start(), range.end());
            trace::range_acquire_returned(self.address(), start, end, M::WRITE, success);
        }
    }
}

/// What only the torture uses, so far.
#[allow(dead_code)]
impl RangeLock {
    /// Waits until no earlier request for any of the pages writes. May sleep.
    pub(crate) fn read<'r, 'l>(
        &'l self,
        request: Pin<&'r mut Request<'l>>,
        pages: impl Into<Pages>,
    ) -> Guard<'r, 'l, Read> {
        let pages = pages.into();
        self.start::<Read>(&pages);
        self.finish_surely(pages, request.queue_read(pages.ranges))
    }

    /// Waits until no earlier request for any of the pages writes, or `EINTR`
    /// when a fatal signal arrives. May sleep.
    pub(crate) fn read_killable<'r, 'l>(
        &'l self,
        request: Pin<&'r mut Request<'l>>,
        pages: impl Into<Pages>,
    ) -> Result<Guard<'r, 'l, Read>> {
        let pages = pages.into();
        self.start::<Read>(&pages);
        let queued = request.queue_read(pages.ranges);
        self.finish_killable(pages, queued)
    }

    /// Waits until there is no earlier request for any of the pages. May sleep.
    pub(crate) fn write<'r, 'l>(
        &'l self,
        request: Pin<&'r mut Request<'l>>,
        pages: impl Into<Pages>,
    ) -> Guard<'r, 'l, Write> {
        let pages = pages.into();
        self.start::<Write>(&pages);
        self.finish_surely(pages, request.queue_write(pages.ranges))
    }

    /// The pages for reading, if no earlier request is in the way. Does not sleep.
    pub(crate) fn try_read<'r, 'l>(
        &'l self,
        request: Pin<&'r mut Request<'l>>,
        pages: impl Into<Pages>,
    ) -> Option<Guard<'r, 'l, Read>> {
        let pages = pages.into();
        self.tried(pages, request.try_read(pages.ranges))
    }

    /// The pages for writing, if no earlier request is in the way. Does not sleep.
    pub(crate) fn try_write<'r, 'l>(
        &'l self,
        request: Pin<&'r mut Request<'l>>,
        pages: impl Into<Pages>,
    ) -> Option<Guard<'r, 'l, Write>> {
        let pages = pages.into();
        self.tried(pages, request.try_write(pages.ranges))
    }

    fn finish_surely<'r, 'l, M: Mode>(
        &'l self,
        pages: Pages,
        queued: Queued<'r, 'l, M>,
    ) -> Guard<'r, 'l, M> {
        let Ok(held) = self.finish(pages, queued, |q| Ok::<_, Infallible>(q.wait()));
        held
    }

    fn tried<'r, 'l, M: Mode>(
        &'l self,
        pages: Pages,
        held: Option<Held<'r, 'l, M>>,
    ) -> Option<Guard<'r, 'l, M>> {
        self.trace_returned::<M>(&pages, held.is_some());
        let held = held?;
        self.lockdep.try_acquired(M::WRITE);
        Some(Guard::new(self, held, pages))
    }
}

/// Pages held until dropped, in the task that took them.
#[must_use = "the pages are released immediately when the guard is unused"]
pub(crate) struct Guard<'r, 'l, M: Mode> {
    lock: &'l RangeLock,
    held: Held<'r, 'l, M>,
    pages: Pages,
    _task: NotThreadSafe,
}

impl<'r, 'l, M: Mode> Guard<'r, 'l, M> {
    fn new(lock: &'l RangeLock, held: Held<'r, 'l, M>, pages: Pages) -> Self {
        Self {
            lock,
            held,
            pages,
            _task: NotThreadSafe,
        }
    }

    /// Gives back all pages below `page`, if anybody waits for any of them.
    pub(crate) fn release_below_if_contended(&mut self, page: u64) {
        if self.held.is_contended() {
            self.release_below(page);
        }
    }

    /// Gives back all pages below `page`.
    pub(crate) fn release_below(&mut self, page: u64) {
        // Before anybody else can say that it has them.
        self.trace_released(|range| range.below(page));
        self.held.release_below(page);
        self.pages.keep(|range| range.above(page));
    }

    /// Gives back `page` and all pages above it.
    #[allow(dead_code)] // Used by the torture only, so far.
    pub(crate) fn release_from(&mut self, page: u64) {
        self.trace_released(|range| range.above(page));
        self.held.release_from(page);
        self.pages.keep(|range| range.below(page));
    }

    fn trace_released(&self, released: impl Fn(Interval) -> Option<Interval>) {
        for range in self.pages.left().filter_map(released) {
            let (start, end) = (range.start(), range.end());
            trace::range_released(self.lock.address(), start, end, M::WRITE);
        }
    }
}

impl<'r, 'l> Guard<'r, 'l, Write> {
    /// Holds the pages for reading from here on, without ever giving them back.
    #[allow(dead_code)] // Used by the torture only, so far.
    pub(crate) fn downgrade(self) -> Guard<'r, 'l, Read> {
        let this = ManuallyDrop::new(self);
        this.lock.lockdep.downgrade();
        // SAFETY: It is neither used nor dropped where it was.
        let held = unsafe { core::ptr::read(&this.held) };
        Guard::new(this.lock, held.downgrade(), this.pages)
    }
}

impl<M: Mode> Drop for Guard<'_, '_, M> {
    fn drop(&mut self) {
        self.lock.lockdep.release();
        self.trace_released(Some);
        // `held` goes next.
    }
}
