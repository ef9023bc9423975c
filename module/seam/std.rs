// SPDX-License-Identifier: GPL-2.0-only

//! What the portable algorithms take from their surroundings, in userspace.
//!
//! The names and meanings are the kernel's: see `kern/sync.rs` for the other
//! binding.

extern crate std;

use core::sync::atomic::{self, AtomicBool, AtomicU32, AtomicU64};
use std::{
    sync::Arc,
    thread::{self, Thread},
};

use super::bug::Bug;

pub use core::cell::Cell;

/// Whether this bug is wanted: none is.
#[inline(always)]
pub const fn is_busted(_: Bug) -> bool {
    false
}

/// No ordering.
pub struct Relaxed;
/// Loads and read-modify-writes: what follows stays behind.
pub struct Acquire;
/// Stores and read-modify-writes: what comes before stays before.
pub struct Release;
/// Read-modify-writes: all stays where it is.
pub struct Full;

/// An ordering as `core` has it.
pub trait Ordering {
    /// Its name there.
    const ORDERING: atomic::Ordering;
}

impl Ordering for Relaxed {
    const ORDERING: atomic::Ordering = atomic::Ordering::Relaxed;
}
impl Ordering for Acquire {
    const ORDERING: atomic::Ordering = atomic::Ordering::Acquire;
}
impl Ordering for Release {
    const ORDERING: atomic::Ordering = atomic::Ordering::Release;
}
impl Ordering for Full {
    const ORDERING: atomic::Ordering = atomic::Ordering::SeqCst;
}

/// Declares an integer.
macro_rules! atomic {
    ($(#[$doc:meta])* $name:ident($inner:ident): $int:ident) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name($inner);

        impl $name {
            /// With this value.
            pub const fn new(value: $int) -> Self {
                Self($inner::new(value))
            }

            /// Loads it.
            #[inline]
            pub fn load<O: Ordering>(&self, _: O) -> $int {
                self.0.load(O::ORDERING)
            }

            /// Stores it.
            #[inline]
            pub fn store<O: Ordering>(&self, value: $int, _: O) {
                self.0.store(value, O::ORDERING);
            }

            /// Adds, and returns what was there before.
            #[inline]
            pub fn fetch_add<O: Ordering>(&self, value: $int, _: O) -> $int {
                self.0.fetch_add(value, O::ORDERING)
            }

            /// Subtracts, and returns what was there before.
            #[inline]
            pub fn fetch_sub<O: Ordering>(&self, value: $int, _: O) -> $int {
                self.0.fetch_sub(value, O::ORDERING)
            }

            /// Stores it, and returns what was there before.
            #[inline]
            pub fn xchg<O: Ordering>(&self, value: $int, _: O) -> $int {
                self.0.swap(value, O::ORDERING)
            }

            /// Stores `new` if `old` is there. Returns what was there before, as an error
            /// if it was another; that orders nothing.
            #[inline]
            pub fn cmpxchg<O: Ordering>(&self, old: $int, new: $int, _: O) -> Result<$int, $int> {
                let failed = atomic::Ordering::Relaxed;
                self.0.compare_exchange(old, new, O::ORDERING, failed)
            }
        }
    };
}

atomic! {
    /// An integer: `kernel::sync::atomic::Atomic<u32>`.
    AtomicWord(AtomicU32): u32
}

atomic! {
    /// One that never comes round: `kernel::sync::atomic::Atomic<u64>`.
    AtomicLong(AtomicU64): u64
}

/// Of what comes before it and what follows, nothing passes it.
#[inline]
pub fn full_barrier() {
    atomic::fence(atomic::Ordering::SeqCst);
}

/// A lock held for a few instructions; nothing sleeps under it.
#[derive(Debug)]
pub struct SpinLock(AtomicBool);

/// How often a taken lock is looked at before its holder, who may have lost
/// its processor, is given ours.
const SPINS: u32 = 100;

impl SpinLock {
    /// A free lock.
    pub const fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    /// Waits for the lock.
    #[inline]
    pub fn lock(&self) {
        while self.0.swap(true, atomic::Ordering::Acquire) {
            self.wait();
        }
    }

    #[cold]
    fn wait(&self) {
        let mut spins = 0;
        while self.0.load(atomic::Ordering::Relaxed) {
            spins += 1;
            match spins < SPINS {
                true => core::hint::spin_loop(),
                false => thread::yield_now(),
            }
        }
    }

    /// Gives it back.
    ///
    /// # Safety
    ///
    /// The caller has taken it, and what it guards is not used any more.
    #[inline]
    pub unsafe fn unlock(&self) {
        self.0.store(false, atomic::Ordering::Release);
    }
}

impl Default for SpinLock {
    fn default() -> Self {
        Self::new()
    }
}

/// While it lives, the task keeps its processor; needed to take spin locks.
#[derive(Debug)]
pub struct NoPreempt;

impl NoPreempt {
    /// Begins.
    #[inline]
    pub fn new() -> Self {
        Self
    }
}

impl Default for NoPreempt {
    fn default() -> Self {
        Self::new()
    }
}

std::thread_local! {
    static KILLED: Arc<AtomicBool> = Arc::new(AtomicBool::new(false));
}

/// A task that sleeps, or is about to.
#[derive(Clone, Debug)]
pub struct Task {
    thread: Thread,
    killed: Arc<AtomicBool>,
}

/// What ends a sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sleep {
    /// Only what is waited for.
    Uninterruptible,
    /// That, or a fatal signal (here: [`Task::kill`]).
    Killable,
}

impl Task {
    /// The one that calls.
    pub fn current() -> Self {
        Self {
            thread: thread::current(),
            killed: KILLED.with(Arc::clone),
        }
    }

    /// Ends its sleep, or the next one.
    pub fn wake(self) {
        self.thread.unpark();
    }

    /// What a fatal signal is in the kernel: ends every killable sleep of the
    /// task from now on.
    pub fn kill(&self) {
        self.killed.store(true, atomic::Ordering::Relaxed);
        self.thread.unpark();
    }

    /// Takes the signal of the current task back.
    pub fn revive() {
        KILLED.with(|killed| killed.store(false, atomic::Ordering::Relaxed));
    }
}

/// Sleeps until `done`; [`Task::wake`] comes after `done` has become true.
/// Returns false if a fatal signal came first.
pub fn sleep_until(sleep: Sleep, done: impl Fn() -> bool) -> bool {
    let killed = || sleep == Sleep::Killable && KILLED.with(|k| k.load(atomic::Ordering::Relaxed));
    loop {
        if done() {
            return true;
        }
        if killed() {
            return false;
        }
        thread::park();
    }
}
