// SPDX-License-Identifier: GPL-2.0-only

//! Statistics counters, one set per CPU.
//!
//! C header: [`include/linux/percpu.h`](srctree/include/linux/percpu.h)

use core::ptr::NonNull;

use kernel::alloc::AllocError;

use super::{bindings, extent::Extent};

/// An array of `N` counters per CPU.
///
/// Adding writes a cache line of this CPU only. A sum over all CPUs is exact
/// once nobody adds.
///
/// # Invariants
///
/// `array` is a per-CPU allocation of `N` zero-initialised `u64`.
pub(crate) struct PerCpuCounters<const N: usize> {
    array: NonNull<u64>,
}

// SAFETY: The per-CPU allocation is not tied to a task.
unsafe impl<const N: usize> Send for PerCpuCounters<N> {}
// SAFETY: `add` touches this CPU's copy by an operation that is atomic against interrupts and
// preemption; `add_to` only reads whole words of it.
unsafe impl<const N: usize> Sync for PerCpuCounters<N> {}

impl<const N: usize> PerCpuCounters<N> {
    /// All zero. May sleep; charged to the memory cgroup of the caller.
    pub(crate) fn new() -> Result<Self, AllocError> {
        // SAFETY: No requirements.
        let array = unsafe { bindings::faultline_percpu_alloc(N as u32) };
        // INVARIANT: `__alloc_percpu_gfp()` zeroes what it returns.
        NonNull::new(array)
            .map(|array| Self { array })
            .ok_or(AllocError)
    }

    /// Adds `amount`, wrapping, to counter `index`. Any context.
    pub(crate) fn add(&self, index: usize, amount: u64) {
        assert!(index < N);
        // SAFETY: By the type invariants, and `index` is in bounds.
        unsafe { bindings::faultline_percpu_add(self.array.as_ptr(), index as u32, amount) }
    }

    /// Adds 1 to each counter whose bit is in `set`, in one call. Any context.
    pub(crate) fn increment_all(&self, set: u64) {
        const { assert!(N <= u64::BITS as usize) };
        assert!(u64::BITS - set.leading_zeros() <= N as u32);
        // SAFETY: By the type invariants, and all of the set is in bounds.
        unsafe { bindings::faultline_percpu_inc_all(self.array.as_ptr(), set) }
    }

    /// Adds each counter, summed up over all CPUs, to that of `sums`, wrapping: one CPU
    /// after the other. Returns whether there was anything to add.
    pub(crate) fn add_to(&self, sums: &mut [u64; N]) -> bool {
        // SAFETY: By the type invariants, and there are as many sums.
        unsafe {
            bindings::faultline_percpu_sum_all(self.array.as_ptr(), N as u32, sums.as_mut_ptr())
        }
    }
}

impl<const N: usize> PerCpuCounters<N> {
    /// The counters of `cpu`, if there may be a CPU of this number.
    pub(crate) fn extent_of(&self, cpu: u32) -> Option<Extent> {
        // SAFETY: By the type invariants.
        let address = unsafe { bindings::faultline_percpu_address(self.array.as_ptr(), cpu) };
        (address != 0).then_some(Extent {
            address,
            bytes: N * size_of::<u64>(),
        })
    }
}

impl<const N: usize> Drop for PerCpuCounters<N> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants, and nobody uses it any more.
        unsafe { bindings::faultline_percpu_free(self.array.as_ptr()) }
    }
}

/// Adds `amount`, wrapping, to the module-wide counter of live objects of
/// `kind`. Any context.
pub(crate) fn live_add(kind: usize, amount: u64) {
    assert!(kind < LIVE_KINDS);
    // SAFETY: `kind` is in bounds.
    unsafe { bindings::faultline_live_add(kind as u32, amount) }
}

/// The live objects of `kind`; exact once nobody adds.
pub(crate) fn live_sum(kind: usize) -> u64 {
    assert!(kind < LIVE_KINDS);
    // SAFETY: `kind` is in bounds.
    unsafe { bindings::faultline_live_sum(kind as u32) }
}

/// A number from 1 on that was not returned before while the module is loaded. Those of
/// one CPU rise, those of different CPUs are in no order: each takes 1024 ahead, so that
/// all write the same line once for so many. In tasks only.
pub(crate) fn next_number() -> u64 {
    // SAFETY: No requirements.
    unsafe { bindings::faultline_next_number() }
}

/// The line's worth that all CPUs write to get a block of [`next_number`].
pub(crate) fn numbers_extent() -> Extent {
    Extent {
        // SAFETY: No requirements.
        address: unsafe { bindings::faultline_numbers_address() },
        bytes: size_of::<u64>(),
    }
}

/// Where [`next_number`] and [`live_add`] keep what `cpu` has, if there may be a CPU of this
/// number.
pub(crate) fn extents_of(cpu: u32) -> Option<[Extent; 2]> {
    // SAFETY: No requirements.
    let number = unsafe { bindings::faultline_number_address(cpu) };
    // SAFETY: No requirements.
    let live = unsafe { bindings::faultline_live_address(cpu) };
    let sizes = [1, LIVE_KINDS].map(|words| words * size_of::<u64>());
    let extent = |(address, bytes)| Extent { address, bytes };
    (number != 0).then(|| [(number, sizes[0]), (live, sizes[1])].map(extent))
}

/// The number of the first CPU at or above `cpu` that there may be.
pub(crate) fn possible_from(cpu: u32) -> Option<u32> {
    // SAFETY: No requirements.
    let found = unsafe { bindings::faultline_possible_from(cpu) };
    u32::try_from(found).ok()
}

/// How many kinds of live objects there are.
pub(crate) const LIVE_KINDS: usize = bindings::FAULTLINE_LIVE_KINDS as usize;
