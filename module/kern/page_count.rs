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

/// Pages that all counts together may hand out, and how many are left. Counts
/// take and return them in batches, so one may have some that it does not use.
pub(crate) struct Total(Atomic<i64>);

/// The most pages that a count takes at once.
const BATCH: i64 = 4096;

impl Total {
    /// `pages` are left.
    pub(crate) const fn new(pages: i64) -> Self {
        Self(Atomic::new(pages))
    }

    /// Sets how many are left, before any count has taken some.
    pub(crate) fn init(&self, pages: u64) {
        self.0.store(clamp(pages), Relaxed);
    }

    /// Whether none are left.
    fn is_empty(&self) -> bool {
        self.0.load(Relaxed) <= 0
    }

    /// Takes up to `wanted`, as many as are left.
    fn take(&self, wanted: i64) -> i64 {
        let mut left = self.0.load(Relaxed);
        loop {
            let taken = wanted.min(left).max(0);
            // Relaxed: a number, which stands for nothing else in memory.
            match self.0.cmpxchg(left, left - taken, Relaxed) {
                Ok(_) => return taken,
                Err(now) => left = now,
            }
        }
    }

    fn give_back(&self, pages: i64) {
        self.0.fetch_add(pages, Relaxed);
    }
}

/// A count of pages with a limit: of those who count one more, no more succeed
/// than keep within it, and within the total of all counts.
///
/// # Invariants
///
/// `counter` is initialised. `granted` pages were taken from `total`; it is only
/// written with `near_limit` held.
#[pin_data(PinnedDrop)]
pub(crate) struct PageCount {
    #[pin]
    counter: Opaque<kernel::bindings::percpu_counter>,
    limit: Atomic<i64>,
    /// Of the limit, what may be counted without asking for more.
    granted: Atomic<i64>,
    total: &'static Total,
    /// Serialises additions near what is granted, and changes of the limit.
    #[pin]
    near_limit: SpinLock<()>,
}

// SAFETY: A `percpu_counter` is not tied to a task.
unsafe impl Send for PageCount {}
// SAFETY: The functions of `percpu_counter` may be called concurrently.
unsafe impl Sync for PageCount {}

impl PageCount {
    /// Zero, with `limit` in pages, out of `total`. May sleep.
    pub(crate) fn new(limit: u64, total: &'static Total) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            // INVARIANT: Initialised here.
            // SAFETY: `slot` is valid for writing.
            counter <- Opaque::try_ffi_init(|slot| to_result(unsafe {
                bindings::faultline_percpu_counter_init(slot)
            })),
            limit: Atomic::new(clamp(limit)),
            granted: Atomic::new(0),
            total,
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
        let sum = self.sum();
        let mut granted = self.granted.load(Relaxed).min(self.limit.load(Relaxed));
        if sum > granted {
            granted += self.get_granted();
        }
        let fits = sum <= granted;
        if !fits {
            self.add(-1);
        }
        fits
    }

    /// Takes more out of the total, as far as the limit allows. `near_limit` is held.
    fn get_granted(&self) -> i64 {
        let granted = self.granted.load(Relaxed);
        // As much again as all CPUs may hold back: else each page would come here.
        let wanted = BATCH.max(2 * slack()).min(self.limit.load(Relaxed) - granted);
        let got = self.total.take(wanted);
        // INVARIANT: Just taken.
        self.granted.store(granted + got, Relaxed);
        got
    }

    /// Whether the limit, or the total, is reached.
    pub(crate) fn is_full(&self) -> bool {
        if self.is_far_from_limit() {
            return false;
        }
        let sum = self.sum();
        let granted = self.granted.load(Relaxed);
        sum >= self.limit.load(Relaxed) || (sum >= granted && self.total.is_empty())
    }

    /// Whether the count is below what is granted whatever each CPU holds back.
    fn is_far_from_limit(&self) -> bool {
        let (limit, granted) = (self.limit.load(Relaxed), self.granted.load(Relaxed));
        // Relaxed: a limit lowered meanwhile need not stop an addition.
        self.read() + slack() < limit.min(granted)
    }

    /// Counts `pages` less.
    pub(crate) fn sub(&self, pages: u64) {
        self.add(-(pages as i64));
        if self.spare() > 2 * BATCH {
            self.give_back();
        }
    }

    /// How much of what is granted is not used, more or less.
    fn spare(&self) -> i64 {
        self.granted.load(Relaxed) - self.read() - 2 * slack()
    }

    #[cold]
    fn give_back(&self) {
        let _guard = self.near_limit.lock();
        let granted = self.granted.load(Relaxed);
        // Not what those count who have just found themselves far from the limit.
        let spare = (granted - self.sum() - 2 * slack() - BATCH).max(0);
        // INVARIANT: Just given back.
        self.granted.store(granted - spare, Relaxed);
        self.total.give_back(spare);
    }

    /// The count without what each CPU holds back.
    fn read(&self) -> i64 {
        // SAFETY: By the type invariants.
        unsafe { bindings::faultline_percpu_counter_read(self.counter.get()) }
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

/// The most that all CPUs together hold back.
fn slack() -> i64 {
    // SAFETY: No requirements.
    unsafe { bindings::faultline_percpu_counter_slack() }
}

fn clamp(limit: u64) -> i64 {
    limit.min(i64::MAX as u64) as i64
}

#[pinned_drop]
impl PinnedDrop for PageCount {
    fn drop(self: Pin<&mut Self>) {
        self.total.give_back(self.granted.load(Relaxed));
        // SAFETY: By the type invariants, and nobody uses it any more.
        unsafe { bindings::faultline_percpu_counter_destroy(self.counter.get()) }
    }
}
