// SPDX-License-Identifier: GPL-2.0-only

//! A spin lock under which nobody sleeps, and that its holder can put down to sleep.
//!
//! Who has to wait for something with the lock *reserves* what it guards: says so under
//! the lock, gives the lock back, waits, and takes it again. Meanwhile others may look at
//! what is guarded, but not change it. Those that want to change it sleep for a second
//! lock, which whoever may have to wait takes first.
//!
//! # Why nobody else changes it
//!
//! A [`Turn`] begins when its task holds the spin lock and finds nothing reserved; only in a
//! turn, and under that lock, is that said or taken back. So while a task holds the lock in
//! its turn, or has reserved, no other turn begins.
//!
//! # Why nobody waits for ever
//!
//! Who reserves has had the second lock since before its turn, and has it to its end. So who
//! finds something reserved sleeps for that lock until the turn is over; and once it has it,
//! nobody else reserves until its own turn is over, too: it sleeps once at most. (Those that are
//! in the line before it may reserve first.) Nobody waits for the second lock with the first.

use core::ops::DerefMut;

use super::{bug::Bug, sync::is_busted};

/// A lock that is given back when what `lock` returns is dropped.
pub trait Lock {
    /// The lock, held.
    type Guard<'a>
    where
        Self: 'a;

    /// Waits for the lock.
    fn lock(&self) -> Self::Guard<'_>;
}

/// What the spin lock has to guard, beside what it is for: whether somebody has reserved that.
pub struct Reserved(bool);

impl Reserved {
    /// Nobody has.
    pub const fn new() -> Self {
        Self(false)
    }
}

impl Default for Reserved {
    fn default() -> Self {
        Self::new()
    }
}

/// A task's turn to change what `spin` guards, over when this is dropped.
///
/// # Invariants
///
/// - Outside of [`reserve`](Self::reserve) `held` is there, and says that nothing is reserved;
///   in that, this turn has reserved.
/// - `queued` is there if it was told that it may have to wait.
#[must_use = "the turn is over immediately when this is unused"]
pub struct Turn<'a, S: Lock + 'a, Q: Lock + 'a> {
    spin: &'a S,
    // Dropped in this order.
    held: Option<S::Guard<'a>>,
    queued: Option<Q::Guard<'a>>,
}

impl<'a, S: Lock, Q: Lock> Turn<'a, S, Q>
where
    S::Guard<'a>: DerefMut<Target = Reserved>,
{
    /// Waits until the caller holds `spin` and nobody has reserved. Who `may_wait` in its turn
    /// takes `queue` first. May sleep.
    pub fn begin(spin: &'a S, queue: &'a Q, may_wait: bool) -> Self {
        let queues = may_wait && !is_busted(Bug::NoQueue);
        let mut queued = queues.then(|| queue.lock());
        let held = loop {
            let held = spin.lock();
            if !held.0 || is_busted(Bug::IgnoreReserved) {
                break held;
            }
            drop(held);
            debug_assert!(queued.is_none(), "reserved by one that has not queued");
            // Kept: nobody else is to reserve before we have had our turn.
            let found = queue.lock();
            queued = (!is_busted(Bug::LetQueueGo)).then_some(found);
        };
        // INVARIANT: Just taken, and not reserved.
        Self {
            spin,
            held: Some(held),
            queued,
        }
    }

    /// Calls `wait`, which may sleep, without the lock; what that guards stays as it is. Only
    /// in a turn that may wait.
    #[cold]
    pub fn reserve<R>(&mut self, wait: impl FnOnce() -> R) -> R {
        debug_assert!(self.queued.is_some() || is_busted(Bug::NoQueue));
        if let Some(held) = &mut self.held {
            held.0 = !is_busted(Bug::ReserveNothing);
        }
        if !is_busted(Bug::KeepLock) {
            self.held = None;
        }
        let waited = wait();
        // INVARIANT: It is reserved until the lock is held.
        self.held.get_or_insert_with(|| self.spin.lock()).0 = false;
        waited
    }
}
