// SPDX-License-Identifier: GPL-2.0-only

//! A count with a limit, per CPU as long as the limit is far.
//!
//! C header: [`include/linux/percpu_counter.h`](srctree/include/linux/percpu_counter.h)
//!
//! `percpu_counter_limited_add()`, which tmpfs uses for the same purpose, is
//! not exported to modules; this follows it with what is.

use kernel::{
    error::to_result,
    prelude::*,
    sync::{
        atomic::{Atomic, Relaxed},
        new_spinlock, SpinLock,
    },
    types::Opaque,
};

use super::bindings;

/// A count of pages with a limit: of those who count one more, no more succeed
/// than keep within it.
///
/// # Invariants
///
/// `counter` is initialised.
#[pin_data(PinnedDrop)]
pub(crate) struct PageCount {
    #[pin]
    counter: Opaque<kernel::bindings::percpu_counter>,
    limit: Atomic<i64>,
    /// Serialises additions near the limit, and changes of the limit.
    #[pin]
    near_limit: SpinLock<()>,
}

// SAFETY: A `percpu_counter` is not tied to a task.
unsafe impl Send for PageCount {}
// SAFETY: The functions of `percpu_counter` may be called concurrently.
unsafe impl Sync for PageCount {}

impl PageCount {
    /// Zero, with `limit` in pages. May sleep.
    pub(crate) fn new(limit: u64) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            // INVARIANT: Initialised here.
            // SAFETY: `slot` is valid for writing.
            counter <- Opaque::try_ffi_init(|slot| to_result(unsafe {
                bindings::faultline_percpu_counter_init(slot)
            })),
            limit: Atomic::new(clamp(limit)),
            near_limit <- new_spinlock!((), "PageCount::near_limit"),
        })
    }

    /// Counts one page more. Returns whether that kept within the limit; if
    /// not, nothing was counted.
    ///
    /// Far from the limit this writes nothing that other CPUs write.
    pub(crate) fn try_add_one(&self) -> bool {
        // Counted first and checked then, so that no addition can be missed by
        // the checks of others, however long this task is delayed in between.
        self.add(1);
        self.is_far_from_limit() || self.keep_one_near_limit()
    }

    /// Whether the one just added fits; it is taken back if not.
    ///
    /// The checks are serialised: of those that have added one each with room
    /// for only some of them, the first to check fail until the rest fit.
    #[cold]
    fn keep_one_near_limit(&self) -> bool {
        let _guard = self.near_limit.lock();
        let fits = self.sum() <= self.limit.load(Relaxed);
        if !fits {
            self.add(-1);
        }
        fits
    }

    /// Whether the limit is reached.
    pub(crate) fn is_full(&self) -> bool {
        !self.is_far_from_limit() && self.sum() >= self.limit.load(Relaxed)
    }

    /// Whether the count is below the limit whatever each CPU holds back.
    fn is_far_from_limit(&self) -> bool {
        // SAFETY: By the type invariants.
        let read = unsafe { bindings::faultline_percpu_counter_read(self.counter.get()) };
        // SAFETY: No requirements.
        let slack = unsafe { bindings::faultline_percpu_counter_slack() };
        // Relaxed: a limit lowered meanwhile need not stop an addition.
        read + slack < self.limit.load(Relaxed)
    }

    /// Counts `pages` less.
    pub(crate) fn sub(&self, pages: u64) {
        self.add(-(pages as i64));
    }

    /// The number of pages counted; exact once nobody counts.
    pub(crate) fn get(&self) -> u64 {
        self.sum().max(0) as u64
    }

    /// The limit in force, in pages.
    pub(crate) fn limit(&self) -> u64 {
        self.limit.load(Relaxed) as u64
    }

    /// Lowers the limit; `EPERM` if `limit` is above the one in force.
    pub(crate) fn lower_limit(&self, limit: u64) -> Result {
        let _guard = self.near_limit.lock();
        if limit > self.limit() {
            return Err(EPERM);
        }
        self.limit.store(clamp(limit), Relaxed);
        Ok(())
    }

    fn add(&self, amount: i64) {
        // SAFETY: Reading an `int` that is only written at CPU hotplug.
        let batch = unsafe { (&raw const kernel::bindings::percpu_counter_batch).read_volatile() };
        // SAFETY: By the type invariants.
        unsafe { kernel::bindings::percpu_counter_add_batch(self.counter.get(), amount, batch) }
    }

    fn sum(&self) -> i64 {
        // SAFETY: By the type invariants.
        unsafe { kernel::bindings::__percpu_counter_sum(self.counter.get()) }
    }
}

fn clamp(limit: u64) -> i64 {
    limit.min(i64::MAX as u64) as i64
}

#[pinned_drop]
impl PinnedDrop for PageCount {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariants, and nobody uses it any more.
        unsafe { bindings::faultline_percpu_counter_destroy(self.counter.get()) }
    }
}
