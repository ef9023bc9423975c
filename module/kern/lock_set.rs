// SPDX-License-Identifier: GPL-2.0-only

//! Locks of the objects of a tree, as `mm/mmap_lock.c` has them for areas.
//!
//! `portable/lock_set.rs` is how they work and why they are right. Here are the tree
//! that readers look up under RCU, the sleep of a change, and what lockdep and lock
//! statistics see: one lock for all objects of a tree.

use core::{marker::PhantomPinned, ops::Deref, pin::Pin, ptr::NonNull};

use kernel::{
    bindings as c,
    prelude::*,
    str::CStr,
    sync::{rcu, LockClassKey},
    types::{NotThreadSafe, Opaque},
};

use super::{
    bindings,
    lockdep::Lockdep,
    rcu_maple::{RcuMaple, Value},
    sync::{sleep_until, Sleep},
};
use crate::portable::lock_set::{Lock, Sequence};

/// An object that has a lock.
pub(crate) struct Member<T> {
    lock: Lock,
    object: T,
    _pin: PhantomPinned,
}

impl<T> Member<T> {
    /// With a free lock.
    pub(crate) fn new(object: T) -> Self {
        Self {
            lock: Lock::new(),
            object,
            _pin: PhantomPinned,
        }
    }
}

impl<T> Deref for Member<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.object
    }
}

impl<T: Value> Value for Member<T> {
    fn is_one_with(&self, other: &Self) -> bool {
        self.object.is_one_with(other)
    }
}

impl<T> Drop for Member<T> {
    fn drop(&mut self) {
        // Readers rely on it.
        assert!(self.lock.is_free(), "object freed with readers");
    }
}

/// What the locks of all objects of a tree have in common.
///
/// # Invariants
///
/// `writer` is initialised.
#[pin_data]
pub(crate) struct LockSet {
    sequence: Sequence,
    /// The change, when it waits.
    #[pin]
    writer: Opaque<c::rcuwait>,
    #[pin]
    lockdep: Lockdep,
}

// SAFETY: May be used from any task.
unsafe impl Send for LockSet {}
// SAFETY: That is what it is for.
unsafe impl Sync for LockSet {}

/// A change, which is over when this is dropped.
#[must_use = "the change is over immediately when this is unused"]
pub(crate) struct Change<'a>(&'a LockSet, NotThreadSafe);

impl LockSet {
    /// Without a change, known to lockdep as `name` with class `key`.
    pub(crate) fn new(name: &'static CStr, key: Pin<&'static LockClassKey>) -> impl PinInit<Self> {
        pin_init!(Self {
            sequence: Sequence::new(),
            // INVARIANT: Initialised here.
            // SAFETY: `slot` is valid for writing.
            writer <- Opaque::ffi_init(|slot| unsafe { bindings::faultline_rcuwait_init(slot) }),
            lockdep <- Lockdep::new(name, key),
        })
    }

    /// Whether there is a change. Of use to who knows that it is its own, if there is.
    pub(crate) fn is_changing(&self) -> bool {
        self.sequence.is_changing()
    }

    /// Begins a change. There is no other.
    pub(crate) fn begin(&self) -> Change<'_> {
        self.sequence.begin();
        Change(self, NotThreadSafe)
    }

    /// Locks an object for the change that the caller makes, to its end; if it has
    /// begun none, there is nothing to do. `EINTR` if the `sleep` may be killed. May
    /// sleep.
    pub(crate) fn write<T>(&self, member: &Member<T>, sleep: Sleep) -> Result {
        let lock = &member.lock;
        let Some(number) = self.sequence.has_to_lock(lock) else {
            return Ok(());
        };
        self.lockdep.acquire(true);
        let drained = lock.drain(number, || self.wait(lock, sleep));
        if drained {
            self.lockdep.acquired();
        }
        self.lockdep.release();
        drained.then_some(()).ok_or(EINTR)
    }

    /// As `write`, for an object that nobody can find yet, or that this change has made.
    pub(crate) fn write_new<T>(&self, member: &Member<T>) {
        self.sequence.lock_new(&member.lock);
    }

    /// Waits until the lock has no reader. Returns false if a fatal signal came first.
    #[cold]
    fn wait(&self, lock: &Lock, sleep: Sleep) -> bool {
        self.lockdep.contention_begin(true);
        // SAFETY: By the type invariants; changes exclude each other.
        unsafe { bindings::faultline_prepare_to_rcuwait(self.writer.get()) };
        // The barrier in `sleep_until` pairs with the one in `rcuwait_wake_up()`: we see the
        // last reader gone, or it sees us.
        let drained = sleep_until(sleep, || lock.is_drained());
        // SAFETY: By the type invariants, and this task waits no more.
        unsafe { c::finish_rcuwait(self.writer.get()) };
        self.lockdep.contention_end(drained);
        drained
    }
}

impl Drop for Change<'_> {
    fn drop(&mut self) {
        self.0.sequence.end();
    }
}

/// An object that is locked for reading until this is dropped, by the task that
/// has locked it. No change takes it out of its tree meanwhile.
///
/// # Invariants
///
/// `member` is pinned, and this is one of the readers of its lock: so it is there, see
/// [`Member::drop`].
#[must_use = "the object is unlocked immediately when the guard is unused"]
pub(crate) struct ReadGuard<'a, T> {
    set: &'a LockSet,
    member: NonNull<Member<T>>,
    _task: NotThreadSafe,
}

impl<T: Value> RcuMaple<Member<T>> {
    /// Locks the object that stands at `index`, of those whose locks are of `set`, for
    /// reading; `None` if there is none, or not `still`, or if a change has locked it,
    /// which may have been a moment ago. Does not sleep.
    ///
    /// What `still` loads with acquire, and a change of `set` stores with release, is
    /// as it was when the object was locked.
    pub(crate) fn try_read<'a>(
        &'a self,
        index: usize,
        set: &'a LockSet,
        still: impl Fn() -> bool,
    ) -> Option<ReadGuard<'a, T>> {
        let found = set.sequence.try_read(|| {
            // Until it is clear that the object is in the tree. Dropped behind `held`.
            let rcu = rcu::read_lock();
            let member = self.get(index, &rcu)?;
            let number = member.lock.count_in();
            // Also if that is None: the guard tells lockdep that it is over.
            set.lockdep.try_acquired(false);
            // INVARIANT: Just counted in. An object of the tree is in an `RcuArc`, so it is
            // pinned: nobody has it mutably before it is dropped.
            let held = ReadGuard {
                set,
                member: member.into(),
                _task: NotThreadSafe,
            };
            let number = number.filter(|_| still())?;
            Some(((held, rcu), number))
        });
        found.map(|(held, _rcu)| held)
    }
}

impl<T> Deref for ReadGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: By the type invariants.
        unsafe { self.member.as_ref() }
    }
}

impl<T> Drop for ReadGuard<'_, T> {
    fn drop(&mut self) {
        self.set.lockdep.release();
        // SAFETY: By the type invariants. Behind this it may be gone.
        let is_last = unsafe { self.member.as_ref() }.lock.count_out();
        if is_last {
            // SAFETY: By the type invariants. The set is not gone with the object.
            unsafe { c::rcuwait_wake_up(self.set.writer.get()) };
        }
    }
}
