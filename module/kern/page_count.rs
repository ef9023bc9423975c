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
        atomic::{Atomic, Full, Relaxed},
        barrier::smp_mb,
        new_spinlock, SpinLock,
    },
    types::Opaque,
};

use super::{bindings, extent::Extent};

/// Pages that all counts together may hand out, and how many are left. Counts
/// take some ahead of their use, so one may have some that it does not use: no
/// more than the square of what it uses, and none once it is zero.
pub(crate) struct Total(Atomic<i64>);

/// The most pages, plus one, that a CPU holds back from [`PageCount::read`].
/// Constant, because `percpu_counter_batch` shrinks as CPUs go offline.
const CPU_BATCH: i32 = 32;

/// The most pages that a count takes ahead, if its CPUs do not hold back more.
const AHEAD: i64 = 1024;

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
            let taken = wanted.min(left);
            if taken <= 0 {
                return 0;
            }
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
/// - `counter` is initialised.
/// - `granted` pages were taken from `total`, but for [`PageCount::give_back`];
///   it is only written with `near_limit` held.
/// - `slack` is the most that all CPUs together hold back.
#[pin_data(PinnedDrop)]
pub(crate) struct PageCount {
    #[pin]
    counter: Opaque<kernel::bindings::percpu_counter>,
    limit: Atomic<i64>,
    /// Of the limit, what may be counted without asking for more.
    granted: Atomic<i64>,
    slack: i64,
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
    /// Where others write to it: all counters of the kernel are in one list.
    #[cfg(faultline_test_hooks)]
    pub(crate) const OF_OTHERS: core::ops::Range<usize> = {
        let start = core::mem::offset_of!(Self, counter)
            + core::mem::offset_of!(kernel::bindings::percpu_counter, list);
        start..start + size_of::<kernel::bindings::list_head>()
    };

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
            // SAFETY: No requirements.
            slack: CPU_BATCH as i64 * unsafe { bindings::faultline_num_possible_cpus() } as i64,
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
        if self.raise_far_from_limit() {
            return true;
        }
        let sum = self.sum();
        let limit = self.limit.load(Relaxed);
        if sum + self.slack >= self.granted.load(Relaxed) {
            self.raise_granted((sum + self.ahead(sum)).min(limit));
        }
        let fits = sum <= self.granted.load(Relaxed).min(limit);
        if !fits {
            self.add(-1);
        }
        fits
    }

    /// Asks for more without a look at what each CPU holds back, which would take all of
    /// these lines from their CPUs. Returns whether that was enough, so that this is far from
    /// the limit now: not in a small count, and not where the limit or the total is near.
    /// `near_limit` is held.
    fn raise_far_from_limit(&self) -> bool {
        // No more than are used.
        let used = (self.read() - self.slack).max(0);
        let wanted = used + self.ahead(used);
        if wanted > self.granted.load(Relaxed) {
            self.raise_granted(wanted.min(self.limit.load(Relaxed)));
        }
        // As for an addition that finds `granted` so.
        self.is_far_from_limit()
    }

    /// How many pages are to be granted that are not used, with `used` that are.
    ///
    /// Nothing for none and little for few, so that many small counts leave
    /// enough to others; and soon so much that a page, and what the CPUs hold
    /// back, is still far from what is granted.
    fn ahead(&self, used: i64) -> i64 {
        let used = used.clamp(0, i32::MAX.into());
        (used * used).min(AHEAD.max(4 * self.slack))
    }

    /// Takes out of the total what `granted` lacks of `pages`, as far as that
    /// has it. `near_limit` is held.
    fn raise_granted(&self, pages: i64) {
        let granted = self.granted.load(Relaxed);
        let got = self.total.take(pages - granted);
        // INVARIANT: Just taken.
        self.granted.store(granted + got, Relaxed);
    }

    /// Whether the limit, or the total, is reached.
    pub(crate) fn is_full(&self) -> bool {
        let may_get_more =
            || self.read() + self.slack < self.limit.load(Relaxed) && !self.total.is_empty();
        if self.is_far_from_limit() || may_get_more() {
            return false;
        }
        // `give_back` lowers `granted` for a moment too far.
        let _guard = self.near_limit.lock();
        let sum = self.sum();
        let granted = self.granted.load(Relaxed);
        sum >= self.limit.load(Relaxed) || (sum >= granted && self.total.is_empty())
    }

    /// Whether the count is below what is granted whatever each CPU holds back.
    fn is_far_from_limit(&self) -> bool {
        let (limit, granted) = (self.limit.load(Relaxed), self.granted.load(Relaxed));
        // Relaxed: a limit lowered meanwhile need not stop an addition; for
        // `granted` see `give_back`.
        self.read() + self.slack < limit.min(granted)
    }

    /// Counts `pages` less.
    pub(crate) fn sub(&self, pages: u64) {
        self.add(-(pages as i64));
        // No more than are used, as each CPU may hold some back; so it is zero
        // if none are, and then all that is granted is too much.
        let used = (self.read() - self.slack).max(0);
        if self.is_too_much(self.granted.load(Relaxed), used) {
            self.give_back();
        }
    }

    /// Whether `granted` pages are far more than is called for with `used`.
    fn is_too_much(&self, granted: i64, used: i64) -> bool {
        granted > used + 2 * self.ahead(used)
    }

    /// Gives back to the total what is granted and not called for.
    ///
    /// Who adds a page far from the limit takes no lock: it adds, and then reads
    /// `granted`. Here that is lowered, and then the pages are counted. With the
    /// full barriers in between one of the two sees the other: the page is
    /// counted and stays granted, or it is found near the limit, and its check
    /// waits for this to be over.
    #[cold]
    fn give_back(&self) {
        let _guard = self.near_limit.lock();
        let granted = self.granted.load(Relaxed);
        let used = self.sum().max(0);
        if !self.is_too_much(granted, used) {
            return;
        }
        let lowered = used + self.ahead(used);
        self.granted.store(lowered, Relaxed);
        // Pairs with the barrier in `add`.
        smp_mb(Full);
        let kept = self.sum().clamp(lowered, granted);
        self.granted.store(kept, Relaxed);
        // INVARIANT: Exactly what `granted` has lost.
        self.total.give_back(granted - kept);
    }

    /// The count without what each CPU holds back.
    fn read(&self) -> i64 {
        // SAFETY: By the type invariants.
        unsafe { bindings::faultline_percpu_counter_read(self.counter.get()) }
    }

    /// What `cpu` holds back, if there may be a CPU of this number.
    pub(crate) fn extent_of(&self, cpu: u32) -> Option<Extent> {
        // SAFETY: By the type invariants.
        let address =
            unsafe { bindings::faultline_percpu_counter_address(self.counter.get(), cpu) };
        (address != 0).then_some(Extent {
            address,
            bytes: size_of::<i32>(),
        })
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

    /// Adds `amount`, and then lets nothing be read before.
    fn add(&self, amount: i64) {
        // SAFETY: By the type invariants.
        unsafe { kernel::bindings::percpu_counter_add_batch(self.counter.get(), amount, CPU_BATCH) }
        // Of two who add and then read what the other has added, one sees it;
        // and it pairs with the barrier in `give_back`.
        smp_mb(Full);
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
        self.total.give_back(self.granted.load(Relaxed));
        // SAFETY: By the type invariants, and nobody uses it any more.
        unsafe { bindings::faultline_percpu_counter_destroy(self.counter.get()) }
    }
}
