// SPDX-License-Identifier: GPL-2.0-only

//! The portable range lock as a lock of the kernel: seen by lockdep,
//! `perf lock contention` and tracefs.
//!
//! For lockdep every range is the whole lock, as Peter Zijlstra advised for
//! Linux' own range locks: so a task may hold one range at a time, and one that
//! needs two asks for both at once.

use core::{marker::PhantomData, pin::Pin};

use kernel::{
    alloc::KVBox,
    bindings as c,
    prelude::*,
    str::CStr,
    sync::LockClassKey,
    task::might_sleep,
    types::{NotThreadSafe, Opaque},
};

use super::{bindings, trace};
use crate::portable::{
    interval::Interval,
    range_lock::{self, Queued},
};

pub(crate) use range_lock::{Read, Write};

/// Domains of 1 GiB granules, and shards of 2 MiB granules in each: 8 KiB of
/// spin locks and trees.
const DOMAINS: usize = 16;
const SHARDS: usize = 8;

type Portable = range_lock::RangeLock<DOMAINS, SHARDS>;

/// A request, to be pinned on the stack: see [`range_lock::Request`].
pub(crate) type Request<'l> = range_lock::Request<'l, DOMAINS, SHARDS>;

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

// SAFETY: All-zero bytes are a free lock: its spin locks are free, its links
// are `None` and its clocks start from zero.
unsafe impl Zeroable for Portable {}

/// A reader/writer lock over intervals of pages.
///
/// # Invariants
///
/// `map` is initialised.
#[pin_data]
pub(crate) struct RangeLock {
    #[pin]
    map: Opaque<c::lockdep_map>,
    lock: KVBox<Portable>,
}

// SAFETY: A lock may be used from any task.
unsafe impl Send for RangeLock {}
// SAFETY: That is what it is for.
unsafe impl Sync for RangeLock {}

impl RangeLock {
    /// A free lock, known to lockdep as `name` with class `key`. May sleep;
    /// charged to the memory cgroup.
    pub(crate) fn new(
        name: &'static CStr,
        key: Pin<&'static LockClassKey>,
    ) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            // INVARIANT: Initialised here.
            // SAFETY: `slot` is valid for writing; `name` and `key` are static.
            map <- Opaque::ffi_init(|slot| unsafe {
                bindings::faultline_lockdep_init_map(slot, name.as_char_ptr(), key.as_ptr())
            }),
            lock: KVBox::init(Portable::init_zeroed(), GFP_KERNEL_ACCOUNT)?,
        })
    }

    /// A request for this lock.
    pub(crate) fn request(&self) -> Request<'_> {
        Request::new(&self.lock)
    }

    /// Waits until no earlier request for any of the pages writes, or `EINTR`
    /// when a fatal signal arrives. May sleep.
    pub(crate) fn read_killable<'r, 'l>(
        &'l self,
        request: Pin<&'r mut Request<'l>>,
        range: Interval,
    ) -> Result<Guard<'r, 'l, Read>> {
        self.wait(range, || request.queue_read(range))
    }

    /// Waits until there is no earlier request for any of the pages, or
    /// `EINTR` when a fatal signal arrives. May sleep.
    pub(crate) fn write_killable<'r, 'l>(
        &'l self,
        request: Pin<&'r mut Request<'l>>,
        range: Interval,
    ) -> Result<Guard<'r, 'l, Write>> {
        self.wait(range, || request.queue_write(range))
    }

    /// As [`RangeLock::write_killable`], or `None` if there is an earlier
    /// request to write any of the pages. May sleep.
    pub(crate) fn write_behind_readers<'r, 'l>(
        &'l self,
        request: Pin<&'r mut Request<'l>>,
        range: Interval,
    ) -> Result<Option<Guard<'r, 'l, Write>>> {
        self.wait_if_queued(range, || request.queue_write_behind_readers(range))
    }

    fn wait<'r, 'l, M: Mode>(
        &'l self,
        range: Interval,
        queue: impl FnOnce() -> Queued<'r, 'l, M, DOMAINS, SHARDS>,
    ) -> Result<Guard<'r, 'l, M>> {
        let held = self.wait_if_queued(range, || Some(queue()))?;
        // It was queued.
        held.ok_or(EINVAL)
    }

    fn wait_if_queued<'r, 'l, M: Mode>(
        &'l self,
        range: Interval,
        queue: impl FnOnce() -> Option<Queued<'r, 'l, M, DOMAINS, SHARDS>>,
    ) -> Result<Option<Guard<'r, 'l, M>>> {
        might_sleep();
        self.trace_start::<M>(range);
        self.lockdep_acquire::<M>();
        let Some(queued) = queue() else {
            self.trace_returned::<M>(range, false);
            self.lockdep_release();
            return Ok(None);
        };
        let result = if queued.must_wait() {
            self.contention_begin(M::WRITE);
            let result = queued.wait_killable();
            self.contention_end(result.is_ok());
            result
        } else {
            Ok(queued.wait())
        };
        self.trace_returned::<M>(range, result.is_ok());
        match result {
            Ok(held) => {
                self.lockdep_acquired();
                Ok(Some(Guard::new(self, held, range)))
            }
            Err(range_lock::Killed) => {
                self.lockdep_release();
                Err(EINTR)
            }
        }
    }

    /// What tells this lock from others in traces.
    fn address(&self) -> usize {
        self.map.get() as usize
    }

    fn trace_start<M: Mode>(&self, range: Interval) {
        trace::range_start_locking(self.address(), range.start(), range.end(), M::WRITE);
    }

    fn trace_returned<M: Mode>(&self, range: Interval, success: bool) {
        let (start, end) = (range.start(), range.end());
        trace::range_acquire_returned(self.address(), start, end, M::WRITE, success);
    }

    #[cold]
    fn contention_begin(&self, write: bool) {
        // SAFETY: By the type invariants.
        unsafe { bindings::faultline_contention_begin(self.map.get(), write) }
    }

    #[cold]
    fn contention_end(&self, success: bool) {
        // SAFETY: By the type invariants.
        unsafe { bindings::faultline_contention_end(self.map.get(), success) }
    }

    fn lockdep_acquire<M: Mode>(&self) {
        if cfg!(CONFIG_LOCKDEP) {
            // SAFETY: By the type invariants.
            unsafe { bindings::faultline_lockdep_acquire(self.map.get(), M::WRITE) }
        }
    }

    fn lockdep_acquired(&self) {
        if cfg!(CONFIG_LOCK_STAT) {
            // SAFETY: By the type invariants, and this task has acquired it.
            unsafe { bindings::faultline_lockdep_acquired(self.map.get()) }
        }
    }

    fn lockdep_release(&self) {
        if cfg!(CONFIG_LOCKDEP) {
            // SAFETY: By the type invariants, and this task holds it.
            unsafe { bindings::faultline_lockdep_release(self.map.get()) }
        }
    }
}

/// A range held until dropped, in the task that took it.
#[must_use = "the range is released immediately when the guard is unused"]
pub(crate) struct Guard<'r, 'l, M: Mode> {
    lock: &'l RangeLock,
    held: range_lock::Guard<'r, 'l, M, DOMAINS, SHARDS>,
    /// What is held still.
    range: Option<Interval>,
    _mode: PhantomData<M>,
    _task: NotThreadSafe,
}

impl<'r, 'l, M: Mode> Guard<'r, 'l, M> {
    fn new(
        lock: &'l RangeLock,
        held: range_lock::Guard<'r, 'l, M, DOMAINS, SHARDS>,
        range: Interval,
    ) -> Self {
        Self {
            lock,
            held,
            range: Some(range),
            _mode: PhantomData,
            _task: NotThreadSafe,
        }
    }

    /// Gives back all pages below `page`, if anybody waits for any of the range.
    pub(crate) fn release_below_if_contended(&mut self, page: u64) {
        if !self.held.is_contended() {
            return;
        }
        if let Some(range) = self.range {
            // Before anybody else can say that it has them.
            self.trace_released(range.below(page));
            self.held.release_below(page);
            self.range = range.above(page);
        }
    }

    fn trace_released(&self, released: Option<Interval>) {
        if let Some(released) = released {
            let (start, end) = (released.start(), released.end());
            trace::range_released(self.lock.address(), start, end, M::WRITE);
        }
    }
}

impl<M: Mode> Drop for Guard<'_, '_, M> {
    fn drop(&mut self) {
        self.lock.lockdep_release();
        self.trace_released(self.range);
        // `held` goes next.
    }
}
