// SPDX-License-Identifier: GPL-2.0-only

//! A count of pages with a limit: `portable/count.rs`, with a stock per CPU.
//!
//! C header: [`include/linux/percpu.h`](srctree/include/linux/percpu.h)
//!
//! Not `percpu_counter_limited_add()`, which tmpfs uses for the same purpose: it is not
//! exported to modules, and what each CPU may hold back is the same for small counts and
//! large ones.

use core::ptr::NonNull;

use kernel::{
    alloc::AllocError,
    prelude::*,
    sync::{new_spinlock, SpinLock},
};

use super::{bindings, extent::Extent, percpu};
use crate::portable::count::{Count, Processors, Stock};

pub(crate) use crate::portable::count::Total;

/// A count of pages with a limit: of those who count one more, no more succeed
/// than keep within it, and within the total of all counts.
#[pin_data(PinnedDrop)]
pub(crate) struct PageCount {
    stocks: Stocks,
    cpus: u64,
    total: &'static Total,
    #[pin]
    seldom: Seldom,
}

/// What those write who find nothing in their stock, away from what everybody reads.
#[pin_data]
#[repr(align(64))]
struct Seldom {
    count: Count,
    #[pin]
    lock: SpinLock<()>,
}

impl PageCount {
    /// Zero, with `limit` in pages, out of `total`. May sleep.
    pub(crate) fn new(limit: u64, total: &'static Total) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            stocks: Stocks::new()?,
            // SAFETY: No requirements.
            cpus: unsafe { bindings::faultline_num_possible_cpus() }.into(),
            total,
            seldom <- pin_init!(Seldom {
                count: Count::new(limit),
                lock <- new_spinlock!((), "PageCount::lock"),
            }),
        })
    }

    /// Counts one page more. Returns whether that kept within the limit; if
    /// not, nothing was counted.
    pub(crate) fn try_add_one(&self) -> bool {
        self.seldom.count.try_add_one(self)
    }

    /// Counts `pages` less.
    pub(crate) fn sub(&self, pages: u64) {
        self.seldom.count.sub(self, pages);
    }

    /// Whether the limit, or the total, is reached.
    pub(crate) fn is_full(&self) -> bool {
        self.seldom.count.is_full(self)
    }

    /// The number of pages counted; exact once nobody counts.
    pub(crate) fn get(&self) -> u64 {
        self.seldom.count.get(self)
    }

    /// The limit in force, in pages.
    pub(crate) fn limit(&self) -> u64 {
        self.seldom.count.limit()
    }

    /// Lowers the limit; `EPERM` if `limit` is above the one in force. It holds for
    /// additions that begin behind [`PageCount::recall`].
    pub(crate) fn lower_limit(&self, limit: u64) -> Result {
        match self.seldom.count.lower_limit(self, limit) {
            true => Ok(()),
            false => Err(EPERM),
        }
    }

    /// Takes what the CPUs have ahead.
    pub(crate) fn recall(&self) {
        self.seldom.count.recall(self);
    }

    /// What `cpu` has ahead, if there may be a CPU of this number.
    pub(crate) fn extent_of(&self, cpu: u32) -> Option<Extent> {
        let address = self.stocks.address(cpu);
        (address != 0).then_some(Extent {
            address,
            bytes: size_of::<Stock>(),
        })
    }
}

impl Processors for PageCount {
    fn own(&self) -> &Stock {
        self.stocks.own()
    }

    fn all(&self) -> impl Iterator<Item = &Stock> {
        self.stocks.all()
    }

    fn number(&self) -> u64 {
        self.cpus
    }

    fn locked<R>(&self, then: impl FnOnce() -> R) -> R {
        let _guard = self.seldom.lock.lock();
        then()
    }

    fn total(&self) -> &Total {
        self.total
    }
}

#[pinned_drop]
impl PinnedDrop for PageCount {
    fn drop(self: Pin<&mut Self>) {
        self.total.give_back(self.seldom.count.taken());
    }
}

/// A stock of each CPU.
///
/// # Invariants
///
/// It is a per-CPU allocation of one word, which is only used as a [`Stock`].
struct Stocks(NonNull<u64>);

// SAFETY: The per-CPU allocation is not tied to a task.
unsafe impl Send for Stocks {}
// SAFETY: Stocks may be used by any CPU.
unsafe impl Sync for Stocks {}

impl Stocks {
    /// All closed. May sleep; charged to the memory cgroup of the caller.
    fn new() -> Result<Self, AllocError> {
        const {
            assert!(size_of::<Stock>() == size_of::<u64>());
            assert!(align_of::<Stock>() == align_of::<u64>());
        };
        // SAFETY: No requirements.
        let words = unsafe { bindings::faultline_percpu_alloc(1) };
        // INVARIANT: `__alloc_percpu_gfp()` zeroes what it returns, which are closed stocks.
        NonNull::new(words).map(Self).ok_or(AllocError)
    }

    /// That of this CPU. As the caller may lose it, not of this CPU only.
    #[inline]
    fn own(&self) -> &Stock {
        // SAFETY: By the type invariants.
        let own = unsafe { bindings::faultline_percpu_own(self.0.as_ptr()) };
        // SAFETY: By the type invariants, and it lives as long as `self`.
        unsafe { &*own.cast() }
    }

    /// Those of all CPUs that there may be.
    fn all(&self) -> impl Iterator<Item = &Stock> {
        let next = |cpu: &u32| percpu::possible_from(cpu + 1);
        let cpus = core::iter::successors(percpu::possible_from(0), next);
        cpus.map(|cpu| {
            let stock = core::ptr::with_exposed_provenance::<Stock>(self.address(cpu));
            // SAFETY: There may be such a CPU, so by the type invariants; and it lives as
            // long as `self`.
            unsafe { &*stock }
        })
    }

    /// Where that of `cpu` is; 0 if there may be no CPU of this number.
    fn address(&self, cpu: u32) -> usize {
        // SAFETY: By the type invariants.
        unsafe { bindings::faultline_percpu_address(self.0.as_ptr(), cpu) }
    }
}

impl Drop for Stocks {
    fn drop(&mut self) {
        // SAFETY: By the type invariants, and nobody uses it any more.
        unsafe { bindings::faultline_percpu_free(self.0.as_ptr()) }
    }
}
