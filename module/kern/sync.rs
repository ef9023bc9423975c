// SPDX-License-Identifier: GPL-2.0-only

//! What the portable algorithms take from their surroundings, in the kernel.
//!
//! `seam/std.rs` is the same for userspace, `seam/loom.rs` for model checking.

use core::{cell::UnsafeCell, ptr::NonNull};

use kernel::{bindings as c, types::NotThreadSafe};

use super::bindings;
use crate::portable::bug::Bug;

pub(crate) use core::cell::Cell;
pub(crate) use kernel::sync::atomic::{Acquire, Full, Relaxed, Release};

/// Whether this bug is wanted: none is.
#[cfg(not(faultline_busted))]
#[inline(always)]
pub(crate) const fn is_busted(_: Bug) -> bool {
    false
}

/// Whether this bug is wanted: `driver/mistake.rs` has the mistakes of the module, and this
/// one is of the algorithms.
#[cfg(faultline_busted)]
#[inline(always)]
pub(crate) fn is_busted(bug: Bug) -> bool {
    bug == Bug::IgnoreReserved && super::param::busted() == c"ignore_reserved"
}

/// An integer.
pub(crate) type AtomicWord = kernel::sync::atomic::Atomic<u32>;

/// One that never comes round.
pub(crate) type AtomicLong = kernel::sync::atomic::Atomic<u64>;

/// Of what comes before it and what follows, nothing passes it: `smp_mb()`.
#[inline]
pub(crate) fn full_barrier() {
    kernel::sync::barrier::smp_mb(Full);
}

/// A lock held for a few instructions: `arch_spinlock_t`.
///
/// Not `spinlock_t`: the range lock takes many of them in ascending order, more
/// than lockdep can follow, and is known to lockdep itself. Not for interrupts.
///
/// # Invariants
///
/// All-zero bytes are a free lock.
pub(crate) struct SpinLock(UnsafeCell<c::arch_spinlock_t>);

// SAFETY: A lock may be used from any task.
unsafe impl Send for SpinLock {}
// SAFETY: That is what it is for.
unsafe impl Sync for SpinLock {}

impl SpinLock {
    /// A free lock.
    pub(crate) const fn new() -> Self {
        // SAFETY: By the type invariants, which are those of x86's qspinlock.
        Self(UnsafeCell::new(unsafe { core::mem::zeroed() }))
    }

    /// Waits for the lock. The caller has a [`NoPreempt`].
    #[inline]
    pub(crate) fn lock(&self) {
        // SAFETY: It is initialised.
        unsafe { bindings::faultline_arch_spin_lock(self.0.get()) }
    }

    /// Gives it back.
    ///
    /// # Safety
    ///
    /// The caller has taken it, and what it guards is not used any more.
    #[inline]
    pub(crate) unsafe fn unlock(&self) {
        // SAFETY: By the safety requirements.
        unsafe { bindings::faultline_arch_spin_unlock(self.0.get()) }
    }
}

/// While it lives, the task keeps its processor: `preempt_disable()`.
pub(crate) struct NoPreempt(NotThreadSafe);

impl NoPreempt {
    /// Begins.
    #[inline]
    pub(crate) fn new() -> Self {
        // SAFETY: Undone in `drop`.
        unsafe { bindings::faultline_preempt_disable() };
        Self(NotThreadSafe)
    }
}

impl Drop for NoPreempt {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: Done in `new`, in the same task.
        unsafe { bindings::faultline_preempt_enable() }
    }
}

/// A task that sleeps, or is about to.
///
/// # Invariants
///
/// A reference to the task, owned by this object.
pub(crate) struct Task(NonNull<c::task_struct>);

// SAFETY: References to tasks are not tied to a task.
unsafe impl Send for Task {}

/// What ends a sleep.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sleep {
    /// Only what is waited for.
    Uninterruptible,
    /// That, or a fatal signal.
    Killable,
}

impl Task {
    /// The one that calls.
    pub(crate) fn current() -> Self {
        // SAFETY: No requirements.
        let current = unsafe { c::get_current() };
        // SAFETY: The current task is there.
        unsafe { c::get_task_struct(current) };
        // INVARIANT: The reference just taken.
        // SAFETY: There always is a current task.
        Self(unsafe { NonNull::new_unchecked(current) })
    }

    /// Ends its sleep.
    pub(crate) fn wake(self) {
        // SAFETY: By the type invariants.
        unsafe { c::wake_up_process(self.0.as_ptr()) };
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        // SAFETY: By the type invariants.
        unsafe { c::put_task_struct(self.0.as_ptr()) }
    }
}

/// Sleeps until `done`, which does not sleep; [`Task::wake`] comes after `done`
/// has become true. Returns false if a fatal signal came first.
pub(crate) fn sleep_until(sleep: Sleep, done: impl Fn() -> bool) -> bool {
    let state = match sleep {
        Sleep::Uninterruptible => c::TASK_UNINTERRUPTIBLE,
        Sleep::Killable => c::TASK_KILLABLE,
    };
    let came = loop {
        // SAFETY: The state is one to sleep in. A full barrier behind it pairs
        // with the one in `wake_up_process()`: either we see `done`, or it
        // sees the state and wakes us.
        unsafe { bindings::faultline_set_current_state(state) };
        if done() {
            break true;
        }
        // SAFETY: No requirements.
        if unsafe { bindings::faultline_signal_pending_state(state) } {
            break false;
        }
        // SAFETY: The caller may sleep.
        unsafe { c::schedule() };
    };
    // SAFETY: Running again.
    unsafe { bindings::faultline_set_current_state(c::TASK_RUNNING) };
    came
}
