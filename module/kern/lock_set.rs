// SPDX-License-Identifier: GPL-2.0-only

//! Locks of the objects of a tree, as `mm/mmap_lock.c` has them for areas.
//!
//! Readers try the lock of one object and never wait. A change locks objects one
//! by one for writing, waits for the readers of each, and gives back all at once:
//! what it has locked has the number of the change, and is locked as long as that
//! is the set's.
//!
//! Changes exclude each other by a lock of the caller's. One locks whatever stands
//! in an interval before it stores something else there, and locks what it stores.
//!
//! # Why a reader that has the lock has the right object
//!
//! It loads the sequence (1), looks the object up, counts itself in (2), and loads
//! the sequence again and the object's number, in any order as the latter does not
//! change while it is counted in: that (3) must be another than the sequence (4), which
//! must be the same as before. A change that stores something where the
//! object was found has locked that first:
//!
//! - After (2). Then it waits for the reader.
//! - Before (2), which is ordered behind its last step, the end of `DRAINING`. So (3)
//!   sees its number, or that of a later change, and (4) its sequence, or a later
//!   one. If it is under way the two are equal. If it is over, (4) tells, unless
//!   (1) came behind its end: then the look-up saw what it has stored.
//! - Never, as it is the one that has stored the object: as before, for who finds
//!   the object finds it locked.
//!
//! Who sees the sequence of a change or of its end sees all that was done before.

use core::{marker::PhantomPinned, ops::Deref, pin::Pin, ptr::NonNull};

use kernel::{
    bindings as c,
    prelude::*,
    str::CStr,
    sync::{
        atomic::{Acquire, Atomic, Relaxed, Release},
        rcu, LockClassKey,
    },
    types::{NotThreadSafe, Opaque},
};

use super::{
    bindings,
    lockdep::Lockdep,
    rcu_maple::{RcuMaple, Value},
    sync::{sleep_until, Sleep},
};

/// In `readers`: a change waits for those that are left.
const DRAINING: u32 = 1 << 31;

/// The lock of one object.
pub(crate) struct MemberLock {
    /// How many there are, or will soon see that they may not; and `DRAINING`.
    readers: Atomic<u32>,
    /// The sequence of the last change that has locked it.
    number: Atomic<u64>,
    _pin: PhantomPinned,
}

/// An object that has a lock.
pub(crate) trait Member: Send + Sync + 'static {
    /// Always its own.
    fn lock(&self) -> &MemberLock;
}

impl MemberLock {
    /// A free lock.
    pub(crate) fn new() -> Self {
        Self {
            readers: Atomic::new(0),
            // Of no change: see `LockSet::new`.
            number: Atomic::new(0),
            _pin: PhantomPinned,
        }
    }
}

impl Drop for MemberLock {
    fn drop(&mut self) {
        // Readers rely on it. Relaxed: who counts itself out is done with the object.
        assert!(self.readers.load(Relaxed) == 0, "object freed with readers");
    }
}

/// What the locks of all objects of a tree have in common.
///
/// # Invariants
///
/// `writer` is initialised.
#[pin_data]
pub(crate) struct LockSet {
    /// Odd while a change is under way. Of 64 bits, so that none comes twice.
    sequence: Atomic<u64>,
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
            sequence: Atomic::new(2),
            // INVARIANT: Initialised here.
            // SAFETY: `slot` is valid for writing.
            writer <- Opaque::ffi_init(|slot| unsafe { bindings::faultline_rcuwait_init(slot) }),
            lockdep <- Lockdep::new(name, key),
        })
    }

    /// Begins a change. There is no other.
    pub(crate) fn begin(&self) -> Change<'_> {
        // Pairs with the acquires in `try_read`, for all that was before this change.
        self.sequence
            .store(self.sequence.load(Relaxed) + 1, Release);
        Change(self, NotThreadSafe)
    }

    /// The number of the change that the caller makes, if it has begun one.
    fn change(&self) -> Option<u64> {
        // Relaxed: it is the caller that has written it.
        let sequence = self.sequence.load(Relaxed);
        (sequence % 2 != 0).then_some(sequence)
    }

    /// Locks an object for the change that the caller makes, to its end; if it has
    /// begun none, there is nothing to do. `EINTR` if the `sleep` may be killed. May
    /// sleep.
    pub(crate) fn write(&self, lock: &MemberLock, sleep: Sleep) -> Result {
        match self.change() {
            // Relaxed: only changes write it.
            Some(number) if lock.number.load(Relaxed) != number => self.drain(lock, number, sleep),
            _ => Ok(()),
        }
    }

    /// As `write`, for an object that nobody can find yet, or that this change has made.
    pub(crate) fn write_new(&self, lock: &MemberLock) {
        if let Some(number) = self.change() {
            // Relaxed: who finds the object sees it.
            lock.number.store(number, Relaxed);
        }
    }

    fn drain(&self, lock: &MemberLock, number: u64, sleep: Sleep) -> Result {
        self.lockdep.acquire(true);
        // Pairs with the release of the last reader.
        let drained = match lock.readers.fetch_add(DRAINING, Acquire) {
            0 => true,
            _ => self.wait(lock, sleep),
        };
        if drained {
            self.lockdep.acquired();
            // Relaxed: released by the next line.
            lock.number.store(number, Relaxed);
        }
        // Pairs with the acquire in `try_read`.
        lock.readers.fetch_sub(DRAINING, Release);
        self.lockdep.release();
        drained.then_some(()).ok_or(EINTR)
    }

    /// Waits until the lock has no reader. Returns false if a fatal signal came first.
    #[cold]
    fn wait(&self, lock: &MemberLock, sleep: Sleep) -> bool {
        self.lockdep.contention_begin(true);
        // SAFETY: By the type invariants; changes exclude each other.
        unsafe { bindings::faultline_prepare_to_rcuwait(self.writer.get()) };
        // The barrier in `sleep_until` pairs with the one in `rcuwait_wake_up()`: we see the
        // last reader gone, or it sees us.
        let drained = sleep_until(sleep, || lock.readers.load(Acquire) == DRAINING);
        // SAFETY: By the type invariants, and this task waits no more.
        unsafe { c::finish_rcuwait(self.writer.get()) };
        self.lockdep.contention_end(drained);
        drained
    }

    /// Counts a reader of `lock` out, which may be gone behind that.
    ///
    /// # Safety
    ///
    /// The caller has counted it in, and does not use the object any more.
    unsafe fn unlock(&self, lock: NonNull<MemberLock>) {
        self.lockdep.release();
        // SAFETY: By the safety requirements it is there until this is done.
        let readers = unsafe { lock.as_ref() }.readers.fetch_sub(1, Release) - 1;
        if readers == DRAINING {
            // SAFETY: By the type invariants. The set is not gone with the object.
            unsafe { c::rcuwait_wake_up(self.writer.get()) };
        }
    }
}

impl Drop for Change<'_> {
    fn drop(&mut self) {
        let sequence = &self.0.sequence;
        // Pairs with the acquires in `try_read`.
        sequence.store(sequence.load(Relaxed) + 1, Release);
    }
}

/// An object that is locked for reading until this is dropped, by the task that
/// has locked it. No change takes it out of its tree meanwhile.
///
/// # Invariants
///
/// `object` is pinned, and this is one of the readers of its lock: so it is there, see
/// [`MemberLock::drop`].
#[must_use = "the object is unlocked immediately when the guard is unused"]
pub(crate) struct ReadGuard<'a, T: Member> {
    set: &'a LockSet,
    object: NonNull<T>,
    _task: NotThreadSafe,
}

impl<T: Member + Value> RcuMaple<T> {
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
        loop {
            let before = set.sequence.load(Acquire);
            // Until it is clear that the object is in the tree. Dropped behind `held`.
            let rcu = rcu::read_lock();
            let object = self.get(index, &rcu)?;
            let lock = object.lock();
            let readers = lock.readers.fetch_add(1, Acquire);
            set.lockdep.try_acquired(false);
            // INVARIANT: Just counted in. An object of the tree is in an `RcuArc`, so it is
            // pinned, and so is its lock: nobody has it mutably before it is dropped.
            let held = ReadGuard {
                set,
                object: object.into(),
                _task: NotThreadSafe,
            };
            if readers & DRAINING != 0 || !still() {
                return None;
            }
            let now = set.sequence.load(Acquire);
            // Relaxed: behind the acquire that counted us in.
            if lock.number.load(Relaxed) == now {
                return None;
            }
            if now == before {
                return Some(held);
            }
            // A change has begun or ended: look again.
        }
    }
}

impl<T: Member> Deref for ReadGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: By the type invariants.
        unsafe { self.object.as_ref() }
    }
}

impl<T: Member> Drop for ReadGuard<'_, T> {
    fn drop(&mut self) {
        let lock = NonNull::from(self.lock());
        // SAFETY: By the type invariants.
        unsafe { self.set.unlock(lock) }
    }
}
