// SPDX-License-Identifier: GPL-2.0-only

//! Statistics counters, one set per CPU.
//!
//! C header: [`include/linux/percpu.h`](srctree/include/linux/percpu.h)

use core::ptr::NonNull;

use kernel::alloc::AllocError;

use super::bindings;

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

/// How many kinds of live objects there are.
pub(crate) const LIVE_KINDS: usize = bindings::FAULTLINE_LIVE_KINDS as usize;
