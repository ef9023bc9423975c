// SPDX-License-Identifier: GPL-2.0-only

//! Locks of the objects of a tree, as `mm/mmap_lock.c` has them for areas.
//!
//! Readers try the lock of one object and never wait. A change locks objects one
//! by one for writing, waits for the readers of each, and gives back all at once:
//! what it has locked has the number of the change, and is locked as long as that
//! is the sequence.
//!
//! Changes exclude each other by a lock of the caller's. One locks whatever stands
//! in an interval before it stores something else there, and locks what it stores.
//!
//! # Why a reader that has the lock has the right object
//!
//! It loads the sequence (1), looks the object up, counts itself in (2), and loads
//! the object's number (3) and the sequence again (4), in any order as the number does
//! not change while it is counted in (if it finds `DRAINING` it goes at once): (3) must
//! be another than (4), which must be the same as (1). A change that stores something
//! where the object was found has locked that first:
//!
//! - After (2). Then it waits for the reader.
//! - Before (2), which is ordered behind its last step, the end of `DRAINING`. So (3)
//!   sees its number, or that of a later change, and (4) its sequence, or a later
//!   one. If it is under way the two are equal. If it is over, (4) tells, unless
//!   (1) came behind its end: then the look-up saw what it has stored.
//! - Never, as it is the one that has stored the object: as before, for who finds
//!   the object finds it locked.
//!
//! Who sees the sequence of a change or of its end in (1) sees all that was done before.
//! That goes for (4), too, when it counts: then it is what (1) was, and no sequence comes
//! twice.

use super::{
    bug::Bug,
    sync::{is_busted, Acquire, AtomicLong, AtomicWord, Relaxed, Release},
};

/// In `readers`: a change waits for those that are left.
const DRAINING: u32 = 1 << 31;

/// The number of a change, or of none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number(u64);

/// The lock of one object.
pub struct Lock {
    /// How many there are, or will soon see that they may not; and `DRAINING`.
    readers: AtomicWord,
    /// The sequence of the last change that has locked it.
    number: AtomicLong,
}

impl Lock {
    /// A free lock.
    pub fn new() -> Self {
        Self {
            readers: AtomicWord::new(0),
            // Of no change: see `Sequence::new`.
            number: AtomicLong::new(0),
        }
    }

    /// Whether it has no reader, and no change waits for one.
    pub fn is_free(&self) -> bool {
        // Relaxed: who counts itself out is done with the object.
        self.readers.load(Relaxed) == 0
    }

    /// Counts a reader in, which is to be counted out in any case. Returns which change
    /// has locked the object last, for [`Sequence::try_read`]; `None` if one is about to.
    #[must_use = "the reader may not have the object"]
    pub fn count_in(&self) -> Option<Number> {
        // Pairs with the release at the end of `drain`.
        let readers = match is_busted(Bug::CountInRelaxed) {
            true => self.readers.fetch_add(1, Relaxed),
            false => self.readers.fetch_add(1, Acquire),
        };
        if readers & DRAINING != 0 && !is_busted(Bug::IgnoreDraining) {
            return None;
        }
        // Relaxed: behind that acquire.
        Some(Number(self.number.load(Relaxed)))
    }

    /// Counts a reader out; behind that the object may be gone. Returns whether a change
    /// has waited for it and is to be woken.
    #[must_use = "a change may sleep"]
    pub fn count_out(&self) -> bool {
        // Pairs with the acquires in `drain` and `is_drained`.
        let readers = match is_busted(Bug::CountOutRelaxed) {
            true => self.readers.fetch_sub(1, Relaxed),
            false => self.readers.fetch_sub(1, Release),
        };
        readers == DRAINING + 1 && !is_busted(Bug::LastIsSilent)
    }

    /// Locks it for the change with this number. If there are readers, `wait` must wait
    /// until [`is_drained`](Self::is_drained), or return false if it gives up. Returns
    /// whether it is locked.
    #[must_use = "it may not be locked"]
    pub fn drain(&self, number: Number, wait: impl FnOnce() -> bool) -> bool {
        // Pairs with the release of the last reader.
        let readers = match is_busted(Bug::DrainRelaxed) {
            true => self.readers.fetch_add(DRAINING, Relaxed),
            false => self.readers.fetch_add(DRAINING, Acquire),
        };
        let drained = readers == 0 || wait();
        if drained {
            // Relaxed: released by the next line.
            self.number.store(number.0, Relaxed);
        }
        // Pairs with the acquire in `count_in`.
        match is_busted(Bug::DrainEndRelaxed) {
            true => self.readers.fetch_sub(DRAINING, Relaxed),
            false => self.readers.fetch_sub(DRAINING, Release),
        };
        drained
    }

    /// Whether no reader is left. Only for who waits in [`drain`](Self::drain).
    pub fn is_drained(&self) -> bool {
        // Pairs with the release of the last reader.
        let readers = match is_busted(Bug::DrainedRelaxed) {
            true => self.readers.load(Relaxed),
            false => self.readers.load(Acquire),
        };
        readers == DRAINING
    }
}

impl Default for Lock {
    fn default() -> Self {
        Self::new()
    }
}

/// Of the changes of a tree: odd while one is under way. Of 64 bits, so that none
/// comes twice.
pub struct Sequence(AtomicLong);

impl Sequence {
    /// Without a change.
    pub fn new() -> Self {
        Self(AtomicLong::new(2))
    }

    /// Begins a change. There is no other.
    pub fn begin(&self) {
        // Pairs with the acquire in `try_read`, for all that was before this change.
        match is_busted(Bug::BeginRelaxed) {
            true => self.0.store(self.0.load(Relaxed) + 1, Relaxed),
            false => self.0.store(self.0.load(Relaxed) + 1, Release),
        }
    }

    /// Ends the change that the caller has begun, and so gives back what it has locked.
    pub fn end(&self) {
        // Pairs with the acquire in `try_read`.
        match is_busted(Bug::EndRelaxed) {
            true => self.0.store(self.0.load(Relaxed) + 1, Relaxed),
            false => self.0.store(self.0.load(Relaxed) + 1, Release),
        }
    }

    /// Whether the caller makes a change, if nobody else can.
    pub fn is_changing(&self) -> bool {
        self.change().is_some()
    }

    /// The number of the change that the caller makes, if it has begun one.
    fn change(&self) -> Option<Number> {
        // Relaxed: it is the caller that has written it.
        let sequence = self.0.load(Relaxed);
        (sequence % 2 != 0).then_some(Number(sequence))
    }

    /// The number for which the caller has to [`drain`](Lock::drain) the lock of an object
    /// before it changes what stands there; `None` if it has locked it already, or makes
    /// no change.
    pub fn has_to_lock(&self, lock: &Lock) -> Option<Number> {
        // Relaxed: only changes write it.
        let last = Number(lock.number.load(Relaxed));
        self.change().filter(|number| *number != last)
    }

    /// Locks an object that nobody can find yet, or that this change has made, for the
    /// change that the caller makes, if it has begun one.
    pub fn lock_new(&self, lock: &Lock) {
        if is_busted(Bug::NewNotLocked) {
            return;
        }
        if let Some(number) = self.change() {
            // Relaxed: who finds the object sees it.
            lock.number.store(number.0, Relaxed);
        }
    }

    /// Locks for reading what `look_up` finds, with acquire, and has counted in, with the
    /// number that this has returned. `None` if it has found nothing, or if a change has
    /// locked that, which may have been a moment ago.
    ///
    /// What `look_up` loads with acquire behind that, and a change stores with release, is
    /// as it was when the object was locked.
    #[inline]
    pub fn try_read<H>(&self, look_up: impl Fn() -> Option<(H, Number)>) -> Option<H> {
        loop {
            // Pairs with the releases in `begin` and `end`.
            let before = match is_busted(Bug::FirstLookRelaxed) {
                true => self.0.load(Relaxed),
                false => self.0.load(Acquire),
            };
            let (held, number) = look_up()?;
            // Relaxed: behind the acquire that has counted us in.
            let now = self.0.load(Relaxed);
            if number == Number(now) && !is_busted(Bug::IgnoreNumber) {
                return None;
            }
            if now == before || is_busted(Bug::OneLookOnly) {
                return Some(held);
            }
            // A change has begun or ended: look again.
        }
    }
}

impl Default for Sequence {
    fn default() -> Self {
        Self::new()
    }
}
