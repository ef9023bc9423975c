// SPDX-License-Identifier: GPL-2.0-only

//! Requests and guards: taking the lock and giving it back.

use core::{cell::Cell, marker::PhantomPinned, mem::MaybeUninit, pin::Pin};

use super::{
    super::{
        bug::Bug,
        interval::Interval,
        sync::{is_busted, sleep_until, Acquire, Relaxed, Sleep, Task},
    },
    guard::{Guard, Killed, Queued, Read, Turn, Write},
    place::Place,
    shards::{Locked, RangeLock},
    waiter::{self, Grants, Mode, Part, Ranges, Waiter, PARTS},
};

/// A request for a range of a lock, to be pinned where it is used:
///
/// ```
/// # use faultline_portable::{interval::Interval, range_lock::{RangeLock, Request}};
/// let lock = RangeLock::<4, 4>::new();
/// let range = Interval::new(0, 16).unwrap();
/// let request = core::pin::pin!(Request::new(&lock));
/// let guard = request.write(range);
/// // Nobody else has any of the 16 pages.
/// drop(guard);
/// ```
///
/// # Invariants
///
/// The first `parts_len` of `parts` are initialised. Those with a place are in
/// the trees of that place, and no others are in any tree.
pub struct Request<'l, const D: usize, const S: usize> {
    lock: &'l RangeLock<D, S>,
    waiter: Waiter,
    parts: [MaybeUninit<Part>; PARTS],
    parts_len: usize,
    /// Whether something was in the way on arrival. Only for its owner.
    came_to_wait: Cell<bool>,
    _pinned: PhantomPinned,
}

// SAFETY: What others may find of a request is guarded by the spin locks. (It
// is not `Send`: who waits in it is the task that got in line.)
unsafe impl<const D: usize, const S: usize> Sync for Request<'_, D, S> {}

impl<'l, const D: usize, const S: usize> Request<'l, D, S> {
    /// A request that has not been made.
    #[inline]
    pub fn new(lock: &'l RangeLock<D, S>) -> Self {
        Self {
            lock,
            waiter: Waiter::new(Mode::Read),
            parts: [const { MaybeUninit::uninit() }; PARTS],
            parts_len: 0,
            came_to_wait: Cell::new(false),
            _pinned: PhantomPinned,
        }
    }

    /// Gets in line to read. Does not wait for its turn.
    #[inline]
    pub fn queue_read<'r>(
        self: Pin<&'r mut Self>,
        ranges: impl Into<Ranges>,
    ) -> Queued<'r, 'l, Read, D, S> {
        self.queue(ranges.into(), Mode::Read)
    }

    /// Gets in line to write. Does not wait for its turn.
    #[inline]
    pub fn queue_write<'r>(
        self: Pin<&'r mut Self>,
        ranges: impl Into<Ranges>,
    ) -> Queued<'r, 'l, Write, D, S> {
        self.queue(ranges.into(), Mode::Write)
    }

    /// Gets in line to write, unless another writer would be in the way: so
    /// only readers are waited for. Does not wait for its turn.
    #[inline]
    pub fn queue_write_behind_readers<'r>(
        self: Pin<&'r mut Self>,
        ranges: impl Into<Ranges>,
    ) -> Option<Queued<'r, 'l, Write, D, S>> {
        let this = self.prepare(ranges.into(), Mode::Write);
        let locked = this.lock.lock_places(this.parts());
        // A reader conflicts with writers only.
        if this.has_conflict(Mode::Read) {
            this.parts().for_each(|part| part.place.set(None));
            return None;
        }
        Some(Queued::new(this, this.enter(locked)))
    }

    /// Waits until no earlier request for any of the pages writes. May sleep.
    #[inline]
    pub fn read<'r>(
        self: Pin<&'r mut Self>,
        ranges: impl Into<Ranges>,
    ) -> Guard<'r, 'l, Read, D, S> {
        self.queue_read(ranges).wait()
    }

    /// Waits until there is no earlier request for any of the pages. May sleep.
    #[inline]
    pub fn write<'r>(
        self: Pin<&'r mut Self>,
        ranges: impl Into<Ranges>,
    ) -> Guard<'r, 'l, Write, D, S> {
        self.queue_write(ranges).wait()
    }

    /// As [`Request::read`], unless a fatal signal comes first. May sleep.
    #[inline]
    pub fn read_killable<'r>(
        self: Pin<&'r mut Self>,
        ranges: impl Into<Ranges>,
    ) -> Result<Guard<'r, 'l, Read, D, S>, Killed> {
        self.queue_read(ranges).wait_killable()
    }

    /// As [`Request::write`], unless a fatal signal comes first. May sleep.
    #[inline]
    pub fn write_killable<'r>(
        self: Pin<&'r mut Self>,
        ranges: impl Into<Ranges>,
    ) -> Result<Guard<'r, 'l, Write, D, S>, Killed> {
        self.queue_write(ranges).wait_killable()
    }

    /// The guard, if nothing is in the way. Does not sleep.
    #[inline]
    pub fn try_read<'r>(
        self: Pin<&'r mut Self>,
        ranges: impl Into<Ranges>,
    ) -> Option<Guard<'r, 'l, Read, D, S>> {
        let acquired = self.try_acquire(ranges.into(), Mode::Read);
        acquired.map(Guard::new)
    }

    /// The guard, if nothing is in the way. Does not sleep.
    #[inline]
    pub fn try_write<'r>(
        self: Pin<&'r mut Self>,
        ranges: impl Into<Ranges>,
    ) -> Option<Guard<'r, 'l, Write, D, S>> {
        let acquired = self.try_acquire(ranges.into(), Mode::Write);
        acquired.map(Guard::new)
    }

    #[inline]
    fn queue<'r, M>(
        self: Pin<&'r mut Self>,
        ranges: Ranges,
        mode: Mode,
    ) -> Queued<'r, 'l, M, D, S> {
        let this = self.prepare(ranges, mode);
        let locked = this.lock.lock_places(this.parts());
        Queued::new(this, this.enter(locked))
    }

    #[inline]
    fn try_acquire(self: Pin<&mut Self>, ranges: Ranges, mode: Mode) -> Option<&Self> {
        let this = self.prepare(ranges, mode);
        let locked = this.lock.lock_places(this.parts());
        if this.has_conflict(mode) {
            this.parts().for_each(|part| part.place.set(None));
            return None;
        }
        this.insert(&locked);
        drop(locked);
        Some(this)
    }

    /// Cuts the ranges into parts, none of which is in a tree yet.
    #[inline]
    fn prepare(self: Pin<&mut Self>, ranges: Ranges, mode: Mode) -> &Self {
        // SAFETY: Nothing is moved out of it, and from here on it is only used shared.
        let this = unsafe { self.get_unchecked_mut() };
        this.end_leaked();
        this.waiter = Waiter::new(mode);
        this.parts_len = 0;
        this.came_to_wait.set(false);
        for interval in waiter::parts(ranges) {
            let part = Part::new(interval, Place::of::<D, S>(interval));
            this.parts[this.parts_len].write(part);
            // INVARIANT: Just initialised. It enters its tree before anything
            // else happens with the request.
            this.parts_len += 1;
        }
        this
    }

    #[inline]
    fn parts(&self) -> impl Iterator<Item = &Part> {
        self.parts[..self.parts_len].iter().map(|part| {
            // SAFETY: By the type invariants.
            unsafe { part.assume_init_ref() }
        })
    }

    /// The parts that are in a tree, and their places.
    #[inline]
    fn placed(&self) -> impl Iterator<Item = (&Part, Place)> {
        self.parts()
            .filter_map(|part| Some((part, part.place.get()?)))
    }

    /// Gets in line, and releases the spin locks.
    #[inline]
    fn enter(&self, locked: Locked<'_, D, S>) -> Turn {
        let pending = self.count_conflicts();
        let set_late = is_busted(Bug::PendingSetLate);
        if pending != 0 {
            // Before the spin locks go: then others may grant the request.
            // Relaxed: they take one of these locks first.
            if !set_late {
                self.waiter.pending.store(pending, Relaxed);
            }
            self.waiter.task.set(Some(Task::current()));
            self.came_to_wait.set(true);
        }
        self.insert(&locked);
        drop(locked);
        if set_late {
            self.waiter.pending.store(pending, Relaxed);
        }
        match pending {
            0 => Turn::Now,
            _ => Turn::Later,
        }
    }

    /// Whether anything would be in the way of the request in this mode. The
    /// spin locks are held.
    #[inline]
    fn has_conflict(&self, mode: Mode) -> bool {
        let mut found = false;
        for (part, place) in self.placed() {
            let interval = part.node.interval();
            self.lock.for_each_related(place, |trees| {
                found |= trees.has_conflict(interval, mode);
            });
        }
        found
    }

    /// Counts what is in the way of the request, which is to wait for it. The
    /// spin locks are held.
    #[inline]
    fn count_conflicts(&self) -> u32 {
        let mode = self.waiter.mode.get();
        let mut pending = 0;
        for (part, place) in self.placed() {
            let interval = part.node.interval();
            self.lock.for_each_related(place, |trees| {
                pending += trees.count_conflicts(interval, mode);
            });
        }
        pending
    }

    /// Puts the parts into the trees.
    #[inline]
    fn insert(&self, locked: &Locked<'_, D, S>) {
        self.waiter.number.set(locked.next_number());
        for (part, place) in self.placed() {
            // SAFETY: The spin locks are held; part and waiter are pinned and
            // shared, and taken out before their end (see `Drop`).
            unsafe { self.lock.trees(place).insert(part, &self.waiter) };
        }
    }

    /// Sleeps until the request is granted; false if it was killed before.
    #[cold]
    pub(super) fn wait(&self, sleep: Sleep) -> bool {
        // Acquire: pairs with the release in `Grants::publish`.
        sleep_until(sleep, || match is_busted(Bug::GrantedLoadRelaxed) {
            true => self.waiter.granted.load(Relaxed) != 0,
            false => self.waiter.granted.load(Acquire) != 0,
        })
    }

    /// Gets out of the line, unless it is our turn just now.
    #[cold]
    pub(super) fn leave(&self) -> Result<(), Killed> {
        let locked = self.lock.lock_places(self.parts());
        // Relaxed: it is changed under one of these locks.
        let granted = self.waiter.pending.load(Relaxed) == 0;
        if granted && !is_busted(Bug::LeaveWhenGranted) {
            drop(locked);
            self.wait(Sleep::Uninterruptible);
            return Ok(());
        }
        let grants = self.trim_locked(|_| None);
        drop(locked);
        grants.publish();
        self.waiter.task.take();
        Err(Killed)
    }

    /// Gives back what `keep` does not keep of each part: a prefix, a suffix,
    /// or all.
    #[inline]
    pub(super) fn trim(&self, keep: impl Fn(Interval) -> Option<Interval>) {
        let changed = |part: &&Part| {
            let interval = part.node.interval();
            keep(interval) != Some(interval)
        };
        let locked = self.lock.lock_places(self.parts().filter(changed));
        let grants = self.trim_locked(keep);
        drop(locked);
        grants.publish();
    }

    /// The caller holds the spin locks of the parts that change.
    #[inline]
    fn trim_locked(&self, keep: impl Fn(Interval) -> Option<Interval>) -> Grants {
        let mut grants = Grants::new();
        for (part, place) in self.placed() {
            let old = part.node.interval();
            let kept = keep(old);
            if kept == Some(old) {
                continue;
            }
            let trees = self.lock.trees(place);
            // SAFETY: The spin locks are held, and it has a place.
            unsafe { trees.remove(part, &self.waiter) };
            match kept {
                None => part.place.set(None),
                Some(kept) => {
                    part.node.set_interval(kept);
                    // SAFETY: As in `insert`; the place of an interval is that of what it was cut from.
                    unsafe { trees.insert(part, &self.waiter) };
                }
            }
            let forgets = kept.is_some() && is_busted(Bug::TrimForgets);
            if part.is_in_the_way() && !forgets {
                let still = |other: Interval| {
                    let overlaps = kept.is_some_and(|k| k.intersect(other).is_some());
                    overlaps && !is_busted(Bug::TrimLetsAllPass)
                };
                let released = kept.and_then(|kept| old.minus(kept)).unwrap_or(old);
                self.let_pass(place, released, |other, _| still(other), &mut grants);
            }
        }
        grants
    }

    /// One less is in the way of each later request that conflicts with
    /// `released` as it was held and for which `blocked` is false now.
    #[cold]
    fn let_pass(
        &self,
        place: Place,
        released: Interval,
        blocked: impl Fn(Interval, Mode) -> bool,
        grants: &mut Grants,
    ) {
        self.lock.for_each_related(place, |trees| {
            trees.let_pass(&self.waiter, released, &blocked, grants);
        });
    }

    pub(super) fn is_contended(&self) -> bool {
        self.parts().any(Part::is_in_the_way)
    }

    #[inline]
    pub(super) fn release_all(&self) {
        if self.placed().next().is_some() {
            self.trim(|_| None);
        }
    }

    /// Ends what is left of a request whose guard, or place in the line, was
    /// leaked: no tree may keep a part.
    #[inline]
    fn end_leaked(&self) {
        if self.placed().next().is_some() {
            // In line, it may be granted at this very moment.
            let left = self.came_to_wait.get() && self.leave().is_err();
            if !left {
                self.release_all();
            }
        }
    }

    /// From writing to reading: later readers have one less in their way.
    pub(super) fn downgrade(&self) {
        let locked = self.lock.lock_places(self.parts());
        let mut grants = Grants::new();
        for (part, place) in self.placed() {
            if part.is_in_the_way() && !is_busted(Bug::DowngradeForgets) {
                let blocked =
                    |_, mode| mode == Mode::Write && !is_busted(Bug::DowngradeLetsAllPass);
                self.let_pass(place, part.node.interval(), blocked, &mut grants);
            }
            // SAFETY: The spin locks are held, and it has a place.
            unsafe { self.lock.trees(place).remove(part, &self.waiter) };
        }
        self.waiter.mode.set(Mode::Read);
        for (part, place) in self.placed() {
            // SAFETY: As in `insert`.
            unsafe { self.lock.trees(place).insert(part, &self.waiter) };
        }
        drop(locked);
        grants.publish();
    }
}

/// What tests do in single steps.
#[cfg(test)]
impl<const D: usize, const S: usize> Request<'_, D, S> {
    pub(super) fn enter_for_test(self: Pin<&mut Self>, ranges: Ranges, mode: Mode) {
        let this = self.prepare(ranges, mode);
        let locked = this.lock.lock_places(this.parts());
        if this.enter(locked) == Turn::Now {
            this.waiter.granted.store(1, Relaxed);
        }
    }

    pub(super) fn try_for_test(self: Pin<&mut Self>, ranges: Ranges, mode: Mode) -> bool {
        let got = self.try_acquire(ranges, mode);
        if let Some(this) = got {
            this.waiter.granted.store(1, Relaxed);
        }
        got.is_some()
    }

    pub(super) fn enter_behind_readers_for_test(self: Pin<&mut Self>, ranges: Ranges) -> bool {
        let Some(queued) = self.queue_write_behind_readers(ranges) else {
            return false;
        };
        if !queued.must_wait() {
            queued.request().waiter.granted.store(1, Relaxed);
        }
        core::mem::forget(queued);
        true
    }

    pub(super) fn is_granted_for_test(&self) -> bool {
        self.waiter.granted.load(Relaxed) != 0
    }
}

impl<const D: usize, const S: usize> Drop for Request<'_, D, S> {
    #[inline]
    fn drop(&mut self) {
        self.end_leaked();
    }
}
