// SPDX-License-Identifier: GPL-2.0-only

//! What the portable algorithms take from their surroundings, in a loom model.
//!
//! The names and meanings are the kernel's: see `kern/sync.rs`. Once a model
//! has failed its threads unwind, and what they drop calls into here: loom is
//! left alone then, since a second panic would end the process.

use std::{
    cell::{Cell as Plain, UnsafeCell},
    fmt, mem,
    sync::Arc,
    thread::panicking,
};

use loom::sync::{
    atomic::{self, AtomicBool, AtomicU32, AtomicU64},
    Mutex, MutexGuard, Notify,
};

use super::bug::Bug;

std::thread_local! {
    /// The bug of the model that runs in this thread: loom's threads are no
    /// threads of the system.
    static BUG: Plain<Option<Bug>> = const { Plain::new(None) };
    static LATEST: Plain<bool> = const { Plain::new(false) };
}

/// Whether this bug is wanted.
pub fn is_busted(bug: Bug) -> bool {
    BUG.get() == Some(bug)
}

/// Puts a bug in for the models of this thread, or takes it out.
pub fn bust(bug: Option<Bug>) {
    BUG.set(bug);
}

/// Whether models of this thread load and store integers by exchanges, so always the latest
/// value. Loom forgets that a thread has loaded when another loads, too, and then changes what
/// both have loaded (0.7): where that is to be explored, no load may be but a load.
pub fn load_latest(latest: bool) {
    LATEST.set(latest);
}

/// Of what comes before it and what follows, nothing passes it.
pub fn full_barrier() {
    if !panicking() {
        atomic::fence(atomic::Ordering::SeqCst);
    }
}

/// A cell whose accesses loom checks for races, and its end as well.
pub struct Cell<T> {
    check: loom::cell::UnsafeCell<()>,
    value: UnsafeCell<T>,
}

impl<T> Cell<T> {
    /// With this value.
    #[track_caller]
    pub fn new(value: T) -> Self {
        Self {
            check: loom::cell::UnsafeCell::new(()),
            value: UnsafeCell::new(value),
        }
    }

    /// A copy of the value.
    #[track_caller]
    pub fn get(&self) -> T
    where
        T: Copy,
    {
        if !panicking() {
            self.check.with(|_| ());
        }
        // SAFETY: Loom's threads take turns, and nobody keeps a reference.
        unsafe { *self.value.get() }
    }

    /// Another value.
    #[track_caller]
    pub fn set(&self, value: T) {
        drop(self.replace(value));
    }

    /// Takes the value, and leaves the default.
    #[track_caller]
    pub fn take(&self) -> T
    where
        T: Default,
    {
        self.replace(T::default())
    }

    #[track_caller]
    fn replace(&self, value: T) -> T {
        self.check_write();
        // SAFETY: As in `get`.
        unsafe { self.value.get().replace(value) }
    }

    #[track_caller]
    fn check_write(&self) {
        if !panicking() {
            self.check.with_mut(|_| ());
        }
    }
}

impl<T> Drop for Cell<T> {
    fn drop(&mut self) {
        self.check_write();
    }
}

impl<T> fmt::Debug for Cell<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cell")
    }
}

/// No ordering.
pub struct Relaxed;
/// Loads and read-modify-writes: what follows stays behind.
pub struct Acquire;
/// Stores and read-modify-writes: what comes before stays before.
pub struct Release;
/// Read-modify-writes: all stays where it is. Loom knows no more than acquire
/// and release, so exchanges have barriers around them; additions do without.
pub struct Full;

/// An ordering as `core` has it.
pub trait Ordering {
    /// Its name there.
    const ORDERING: atomic::Ordering;
    /// Whether nothing passes it.
    const IS_FULL: bool = false;
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
    const ORDERING: atomic::Ordering = atomic::Ordering::AcqRel;
    const IS_FULL: bool = true;
}

/// Before and behind what may be full.
#[track_caller]
fn around<O: Ordering>() {
    if O::IS_FULL {
        full_barrier();
    }
}

/// Declares an integer.
macro_rules! atomic {
    ($(#[$doc:meta])* $name:ident($inner:ident): $int:ident) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name($inner);

        impl $name {
            /// With this value.
            #[track_caller]
            pub fn new(value: $int) -> Self {
                Self($inner::new(value))
            }

            /// Loads it.
            #[track_caller]
            pub fn load<O: Ordering>(&self, _: O) -> $int {
                match panicking() {
                    true => 1,
                    false if LATEST.get() => self.0.fetch_add(0, atomic::Ordering::AcqRel),
                    false => self.0.load(O::ORDERING),
                }
            }

            /// Stores it.
            #[track_caller]
            pub fn store<O: Ordering>(&self, value: $int, _: O) {
                match panicking() {
                    true => {}
                    false if LATEST.get() => drop(self.0.swap(value, atomic::Ordering::AcqRel)),
                    false => self.0.store(value, O::ORDERING),
                }
            }

            /// Stores it, and returns what was there before.
            #[track_caller]
            pub fn xchg<O: Ordering>(&self, value: $int, _: O) -> $int {
                match panicking() {
                    true => 0,
                    false => {
                        around::<O>();
                        let before = self.0.swap(value, O::ORDERING);
                        around::<O>();
                        before
                    }
                }
            }

            /// Stores `new` if `old` is there. Returns what was there before, as an error
            /// if it was another; that orders nothing.
            #[track_caller]
            pub fn cmpxchg<O: Ordering>(&self, old: $int, new: $int, _: O) -> Result<$int, $int> {
                let failed = atomic::Ordering::Relaxed;
                match panicking() {
                    true => Ok(old),
                    false => {
                        around::<O>();
                        let before = self.0.compare_exchange(old, new, O::ORDERING, failed);
                        around::<O>();
                        before
                    }
                }
            }

            /// Adds, and returns what was there before.
            #[track_caller]
            pub fn fetch_add<O: Ordering>(&self, value: $int, _: O) -> $int {
                match panicking() {
                    true => 0,
                    false => self.0.fetch_add(value, O::ORDERING),
                }
            }

            /// Subtracts, and returns what was there before.
            #[track_caller]
            pub fn fetch_sub<O: Ordering>(&self, value: $int, _: O) -> $int {
                match panicking() {
                    true => 0,
                    false => self.0.fetch_sub(value, O::ORDERING),
                }
            }
        }
    };
}

atomic! {
    /// An integer.
    AtomicWord(AtomicU32): u32
}

atomic! {
    /// One that never comes round.
    AtomicLong(AtomicU64): u64
}

/// A lock held for a few instructions. A mutex: loom cannot explore a loop that
/// spins.
pub struct SpinLock {
    /// Of whoever holds the lock. Before the lock, since it goes first.
    guard: UnsafeCell<Option<MutexGuard<'static, ()>>>,
    lock: Box<Mutex<()>>,
}

impl SpinLock {
    /// A free lock.
    pub fn new() -> Self {
        Self {
            guard: UnsafeCell::new(None),
            lock: Box::new(Mutex::new(())),
        }
    }

    /// Waits for the lock.
    #[track_caller]
    pub fn lock(&self) {
        if panicking() {
            return;
        }
        let guard = self.lock.lock().unwrap_or_else(|_| unreachable!());
        // SAFETY: The guard goes before the mutex, which has a box of its own.
        let guard = unsafe { mem::transmute::<MutexGuard<'_, ()>, MutexGuard<'static, ()>>(guard) };
        // SAFETY: Only who holds the lock looks at it.
        unsafe { *self.guard.get() = Some(guard) };
    }

    /// Gives it back.
    ///
    /// # Safety
    ///
    /// The caller has taken it, and what it guards is not used any more.
    pub unsafe fn unlock(&self) {
        if !panicking() {
            // SAFETY: By the safety requirements.
            let guard = unsafe { self.guard.get().replace(None) };
            drop(guard);
        }
    }
}

impl Drop for SpinLock {
    fn drop(&mut self) {
        if panicking() {
            mem::forget(self.guard.get_mut().take());
        }
    }
}

impl Default for SpinLock {
    fn default() -> Self {
        Self::new()
    }
}

/// While it lives, the task keeps its processor: means nothing here.
#[derive(Debug)]
pub struct NoPreempt;

impl NoPreempt {
    /// Begins.
    pub fn new() -> Self {
        Self
    }
}

impl Default for NoPreempt {
    fn default() -> Self {
        Self::new()
    }
}

/// What ends a sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sleep {
    /// Only what is waited for.
    Uninterruptible,
    /// That, or a fatal signal (here: [`Task::kill`]).
    Killable,
}

/// What others need to reach a thread. Not loom's `park`: its `unpark` also
/// wakes those that wait for a mutex.
#[derive(Debug)]
struct Reach {
    wake: Notify,
    killed: AtomicBool,
}

loom::thread_local! {
    static REACH: Arc<Reach> = Arc::new(Reach {
        wake: Notify::new(),
        killed: AtomicBool::new(false),
    });
}

/// A task that sleeps, or is about to.
#[derive(Clone, Debug)]
pub struct Task(Arc<Reach>);

impl Task {
    /// The one that calls.
    pub fn current() -> Self {
        Self(REACH.with(Arc::clone))
    }

    /// Ends its sleep, or the next one.
    #[track_caller]
    pub fn wake(self) {
        if !panicking() {
            self.0.wake.notify();
        }
    }

    /// What a fatal signal is in the kernel: ends every killable sleep of the
    /// task from now on.
    #[track_caller]
    pub fn kill(&self) {
        self.0.killed.store(true, atomic::Ordering::Relaxed);
        self.0.wake.notify();
    }
}

/// Sleeps until `done`; [`Task::wake`] comes after `done` has become true.
/// Returns false if a fatal signal came first.
#[track_caller]
pub fn sleep_until(sleep: Sleep, done: impl Fn() -> bool) -> bool {
    let me = Task::current().0;
    let killed = || sleep == Sleep::Killable && me.killed.load(atomic::Ordering::Relaxed);
    loop {
        if done() {
            return true;
        }
        if killed() {
            return false;
        }
        me.wake.wait();
    }
}
