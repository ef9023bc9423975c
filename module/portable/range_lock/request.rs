// SPDX-License-Identifier: GPL-2.0-only

//! Requests: taking the lock.

use core::{borrow::Borrow, cell::Cell, marker::PhantomPinned, mem::MaybeUninit, pin::Pin};

use super::{
    super::{
        bug::Bug,
        interval::Interval,
        sync::{is_busted, sleep_until, Acquire, Relaxed, Sleep, Task},
    },
    guard::{Guard, Killed, Queued, Read, Turn, Write},
    place::{self, Kind, Place},
    shards::{Locked, Places, RangeLock, Set, Slot},
    waiter::{Mode, Part, Ranges, Waiter, PARTS},
};

/// A request for a range of a lock, to be pinned where it is used:
///
/// ```
/// # use faultline_portable::interval::Interval;
/// # use faultline_portable::range_lock::{RangeLock, Request, Shape, Slot};
/// const SHAPE: Shape = Shape::new(4, 4);
/// let lock = RangeLock::<[Slot; SHAPE.places()]>::in_place(SHAPE);
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
///
/// In lines of its own, as it stands among what its task has on its stack, and others
/// come to look at it.
#[repr(align(64))]
pub struct Request<'l> {
    pub(super) places: Places<'l>,
    pub(super) waiter: Waiter,
    parts: [MaybeUninit<Part>; PARTS],
    parts_len: usize,
    /// Whether something was in the way on arrival. Only for its owner.
    pub(super) came_to_wait: Cell<bool>,
    _pinned: PhantomPinned,
}

// SAFETY: What others may find of a request is guarded by the spin locks. (It
// is not `Send`: who waits in it is the task that got in line.)
unsafe impl Sync for Request<'_> {}

impl<'l> Request<'l> {
    /// A request that has not been made.
    #[inline]
    pub fn new<B: Borrow<[Slot]>>(lock: &'l RangeLock<B>) -> Self {
        Self {
            places: lock.places(),
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
    ) -> Queued<'r, 'l, Read> {
        self.queue(ranges.into(), Mode::Read)
    }

    /// Gets in line to write. Does not wait for its turn.
    #[inline]
    pub fn queue_write<'r>(
        self: Pin<&'r mut Self>,
        ranges: impl Into<Ranges>,
    ) -> Queued<'r, 'l, Write> {
        self.queue(ranges.into(), Mode::Write)
    }

    /// Gets in line to write, unless another writer would be in the way: so
    /// only readers are waited for. Does not wait for its turn.
    #[inline]
    pub fn queue_write_behind_readers<'r>(
        self: Pin<&'r mut Self>,
        ranges: impl Into<Ranges>,
    ) -> Option<Queued<'r, 'l, Write>> {
        let this = self.prepare(ranges.into(), Mode::Write);
        let locked = this.places.lock_places(this.parts());
        // A reader conflicts with writers only.
        if this.has_conflict(Mode::Read) {
            this.parts().for_each(|part| part.place.set(None));
            return None;
        }
        Some(Queued::new(this, this.enter(locked, this.placed())))
    }

    /// Waits until no earlier request for any of the pages writes. May sleep.
    #[inline]
    pub fn read<'r>(self: Pin<&'r mut Self>, ranges: impl Into<Ranges>) -> Guard<'r, 'l, Read> {
        self.queue_read(ranges).wait()
    }

    /// Waits until there is no earlier request for any of the pages. May sleep.
    #[inline]
    pub fn write<'r>(self: Pin<&'r mut Self>, ranges: impl Into<Ranges>) -> Guard<'r, 'l, Write> {
        self.queue_write(ranges).wait()
    }

    /// As [`Request::read`], unless a fatal signal comes first. May sleep.
    #[inline]
    pub fn read_killable<'r>(
        self: Pin<&'r mut Self>,
        ranges: impl Into<Ranges>,
    ) -> Result<Guard<'r, 'l, Read>, Killed> {
        self.queue_read(ranges).wait_killable()
    }

    /// As [`Request::write`], unless a fatal signal comes first. May sleep.
    #[inline]
    pub fn write_killable<'r>(
        self: Pin<&'r mut Self>,
        ranges: impl Into<Ranges>,
    ) -> Result<Guard<'r, 'l, Write>, Killed> {
        self.queue_write(ranges).wait_killable()
    }

    /// The guard, if nothing is in the way. Does not sleep.
    #[inline]
    pub fn try_read<'r>(
        self: Pin<&'r mut Self>,
        ranges: impl Into<Ranges>,
    ) -> Option<Guard<'r, 'l, Read>> {
        let acquired = self.try_acquire(ranges.into(), Mode::Read);
        acquired.map(Guard::new)
    }

    /// The guard, if nothing is in the way. Does not sleep.
    #[inline]
    pub fn try_write<'r>(
        self: Pin<&'r mut Self>,
        ranges: impl Into<Ranges>,
    ) -> Option<Guard<'r, 'l, Write>> {
        let acquired = self.try_acquire(ranges.into(), Mode::Write);
        acquired.map(Guard::new)
    }

    #[inline]
    fn queue<'r, M>(self: Pin<&'r mut Self>, ranges: Ranges, mode: Mode) -> Queued<'r, 'l, M> {
        let this = self.prepare(ranges, mode);
        let turn = match this.sole_part() {
            Some((part, shard)) => {
                this.enter(this.places.lock_shard(shard), core::iter::once(part))
            }
            None => this.enter_many(),
        };
        Queued::new(this, turn)
    }

    #[inline]
    fn try_acquire(self: Pin<&mut Self>, ranges: Ranges, mode: Mode) -> Option<&Self> {
        let this = self.prepare(ranges, mode);
        let locked = this.places.lock_places(this.parts());
        if this.has_conflict(mode) {
            this.parts().for_each(|part| part.place.set(None));
            return None;
        }
        this.insert(&locked, this.placed());
        drop(locked);
        Some(this)
    }

    /// Cuts the ranges into parts, none of which is in a tree yet.
    #[inline(always)]
    fn prepare(self: Pin<&mut Self>, ranges: Ranges, mode: Mode) -> &Self {
        // SAFETY: Nothing is moved out of it, and from here on it is only used shared.
        let this = unsafe { self.get_unchecked_mut() };
        if this.parts_len != 0 {
            this.reset();
        }
        this.waiter.mode.set(mode);
        this.add(ranges.first);
        if let Some(second) = ranges.second {
            this.add(second);
        }
        this
    }

    /// Makes it as new, for another request.
    #[cold]
    fn reset(&mut self) {
        self.end_leaked();
        self.waiter = Waiter::new(Mode::Read);
        self.parts_len = 0;
        self.came_to_wait.set(false);
    }

    /// Adds the parts of a range.
    #[inline]
    fn add(&mut self, range: Interval) {
        let (left, right) = place::cut(range);
        self.add_part(left);
        if let Some(right) = right {
            self.add_part(right);
        }
    }

    #[inline]
    fn add_part(&mut self, interval: Interval) {
        let part = Part::new(interval, Place::of(interval, self.places.shape()));
        self.parts[self.parts_len].write(part);
        // INVARIANT: Just initialised. Before anything else happens with the
        // request it enters its tree, or loses its place.
        self.parts_len += 1;
    }

    #[inline]
    pub(super) fn parts(&self) -> impl Iterator<Item = &Part> + Clone {
        self.parts[..self.parts_len].iter().map(|part| {
            // SAFETY: By the type invariants.
            unsafe { part.assume_init_ref() }
        })
    }

    /// The parts that are in a tree, and their places.
    #[inline]
    pub(super) fn placed(&self) -> impl Iterator<Item = (&Part, Place)> + Clone {
        self.parts()
            .filter_map(|part| Some((part, part.place.get()?)))
    }

    /// The part, placed, and the shard of a request that has one of each, as
    /// small ones do.
    #[inline]
    pub(super) fn sole_part(&self) -> Option<((&Part, Place), u16)> {
        if self.parts_len != 1 {
            return None;
        }
        let placed = self.placed().next()?;
        match placed.1.kind(self.places.shape()) {
            Kind::Shard(shard) => Some((placed, shard)),
            _ => None,
        }
    }

    /// Gets in line with any number of parts, in any places.
    fn enter_many(&self) -> Turn {
        self.enter(self.places.lock_places(self.parts()), self.placed())
    }

    /// Gets in line with all parts, and releases the spin locks. `parts` are all
    /// that are placed, and `locked` has the spin locks of their places.
    #[inline]
    fn enter<'p>(
        &self,
        locked: Locked<'_, impl Set>,
        parts: impl Iterator<Item = (&'p Part, Place)> + Clone,
    ) -> Turn {
        let pending = self.count_conflicts(parts.clone());
        let set_late = is_busted(Bug::PendingSetLate);
        if pending != 0 {
            self.come_to_wait(pending);
        }
        self.insert(&locked, parts);
        drop(locked);
        if set_late {
            self.waiter.pending.store(pending, Relaxed);
        }
        match pending {
            0 => Turn::Now,
            _ => Turn::Later,
        }
    }

    /// Gets ready to be granted by another task, as soon as the spin locks go.
    #[cold]
    fn come_to_wait(&self, pending: u32) {
        if !is_busted(Bug::PendingSetLate) {
            // Relaxed: who grants it takes one of the spin locks first.
            self.waiter.pending.store(pending, Relaxed);
        }
        self.waiter.task.set(Some(Task::current()));
        self.came_to_wait.set(true);
    }

    /// Whether anything would be in the way of the request in this mode. The
    /// spin locks are held.
    #[inline]
    fn has_conflict(&self, mode: Mode) -> bool {
        let mut found = false;
        for (part, place) in self.placed() {
            let interval = part.node.interval();
            self.places.for_each_related(place, |trees| {
                found |= trees.has_conflict(interval, mode);
            });
        }
        found
    }

    /// Whether any request that is in the way of this one, which is in line, has its
    /// pages, or had a moment ago.
    #[cold]
    pub(super) fn is_behind_holder(&self) -> bool {
        let mode = self.waiter.mode.get();
        let locked = self.places.lock_places(self.parts());
        // Nobody is: whoever was has just gone. Relaxed: for statistics.
        let mut found = self.waiter.pending.load(Relaxed) == 0;
        for (part, place) in self.placed() {
            let interval = part.node.interval();
            self.places.for_each_related(place, |trees| {
                found |= trees.has_holder(interval, mode);
            });
        }
        drop(locked);
        found
    }

    /// Counts what is in the way of the request, which is to wait for it. The
    /// spin locks are held.
    #[inline]
    fn count_conflicts<'p>(&self, parts: impl Iterator<Item = (&'p Part, Place)>) -> u32 {
        let mode = self.waiter.mode.get();
        let mut pending = 0;
        for (part, place) in parts {
            let interval = part.node.interval();
            self.places.for_each_related(place, |trees| {
                // Not called for nothing: most are empty.
                if !trees.is_empty() {
                    pending += trees.count_conflicts(interval, mode);
                }
            });
        }
        pending
    }

    /// Puts the parts into the trees. `parts` and `locked` are as for `enter`.
    #[inline]
    fn insert<'p>(
        &self,
        locked: &Locked<'_, impl Set>,
        parts: impl Iterator<Item = (&'p Part, Place)>,
    ) {
        self.waiter.number.set(locked.next_number());
        for (part, place) in parts {
            // SAFETY: The spin locks are held; part and waiter are those of this
            // request: pinned, shared, and taken out before their end (see `Drop`).
            unsafe { self.places.trees(place).insert(part, &self.waiter) };
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
}

/// What tests do in single steps.
#[cfg(test)]
impl Request<'_> {
    pub(super) fn enter_for_test(self: Pin<&mut Self>, ranges: Ranges, mode: Mode) {
        let queued = self.queue::<()>(ranges, mode);
        if !queued.must_wait() {
            queued.request().waiter.granted.store(1, Relaxed);
        }
        core::mem::forget(queued);
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

    /// How many parts stand in trees. The others are as tidy as trees expect.
    pub(super) fn placed_for_test(&self) -> usize {
        let lost = self.parts().filter(|part| part.place.get().is_none());
        lost.for_each(|part| part.node.check_alone());
        self.placed().count()
    }

    pub(super) fn is_granted_for_test(&self) -> bool {
        self.waiter.granted.load(Relaxed) != 0
    }
}

impl Drop for Request<'_> {
    #[inline]
    fn drop(&mut self) {
        self.end_leaked();
    }
}
