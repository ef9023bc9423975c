// SPDX-License-Identifier: GPL-2.0-only

//! A request: what a task wants locked, and where it stands in the line.

use core::ptr::NonNull;

use super::{
    super::{
        bug::Bug,
        interval::Interval,
        sync::{is_busted, AtomicWord, Cell, Full, Relaxed, Release, Task},
    },
    place::Place,
    tree::{Node, Tree},
};

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Shared with other readers.
    Read,
    /// Alone.
    Write,
}

/// The page intervals of one request: one, or two that do not overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ranges {
    pub(super) first: Interval,
    pub(super) second: Option<Interval>,
}

impl Ranges {
    /// Two intervals, `None` if they overlap.
    pub const fn two(first: Interval, second: Interval) -> Option<Self> {
        match first.intersect(second) {
            Some(_) => None,
            None => Some(Self {
                first,
                second: Some(second),
            }),
        }
    }
}

impl From<Interval> for Ranges {
    fn from(first: Interval) -> Self {
        Self {
            first,
            second: None,
        }
    }
}

/// Pieces that a request may be cut into: each of two ranges in two.
pub(super) const PARTS: usize = 4;

/// One piece of a request, in the tree of its place.
///
/// The node comes first, so that a pointer to it is one to the part.
#[repr(C)]
pub(super) struct Part {
    pub(super) node: Node,
    /// Whom it belongs to. Written before the part is in a tree.
    waiter: Cell<Option<NonNull<Waiter>>>,
    /// Not zero once any later request has counted this part as in its way.
    ///
    /// Relaxed: set under a spin lock of the part's place, acted on under all;
    /// read without them it is only a hint.
    in_the_way: AtomicWord,
    /// Where it stands; only for its owner.
    pub(super) place: Cell<Option<Place>>,
}

impl Part {
    #[inline]
    pub(super) fn new(interval: Interval, place: Place) -> Self {
        Self {
            node: Node::new(interval),
            waiter: Cell::new(None),
            in_the_way: AtomicWord::new(0),
            place: Cell::new(Some(place)),
        }
    }

    #[inline]
    pub(super) fn is_in_the_way(&self) -> bool {
        self.in_the_way.load(Relaxed) != 0
    }
}

/// What others need to know of a request whose parts they find.
pub(super) struct Waiter {
    /// Of two requests that overlap, the later one has the higher number.
    /// Written before the parts are in a tree.
    pub(super) number: Cell<u64>,
    /// Changed under the spin locks of all parts.
    pub(super) mode: Cell<Mode>,
    /// How many pairs there are of a part of this request and a part of an
    /// earlier one that conflict.
    ///
    /// Written under the spin locks of all parts, then counted down under
    /// those that both parts of a pair have in common. Full: who counts to
    /// zero passes on what all the others did before.
    pub(super) pending: AtomicWord,
    /// Not zero when nothing is in the way any more. Release: pairs with the
    /// acquire in `Request::wait`; behind it nobody else touches the request.
    pub(super) granted: AtomicWord,
    /// The sleeper. Written before the request can be granted by another task,
    /// taken by who grants it.
    pub(super) task: Cell<Option<Task>>,
    /// The next in a [`Grants`].
    next: Cell<Option<NonNull<Waiter>>>,
}

impl Waiter {
    pub(super) fn new(mode: Mode) -> Self {
        Self {
            number: Cell::new(0),
            mode: Cell::new(mode),
            pending: AtomicWord::new(0),
            granted: AtomicWord::new(0),
            task: Cell::new(None),
            next: Cell::new(None),
        }
    }
}

/// The parts that stand in one place: two trees, so that a reader looks at
/// nothing but writers.
pub(super) struct Trees {
    readers: Tree,
    writers: Tree,
}

impl Trees {
    pub(super) fn new() -> Self {
        Self {
            readers: Tree::new(),
            writers: Tree::new(),
        }
    }

    /// Whether nothing stands here.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.readers.is_empty() && self.writers.is_empty()
    }

    fn of(&self, mode: Mode) -> &Tree {
        match mode {
            Mode::Read => &self.readers,
            Mode::Write => &self.writers,
        }
    }

    /// Puts a part of `waiter` in. Its priority is the mixed number of the
    /// request, which is as good as random.
    ///
    /// # Safety
    ///
    /// As for [`Tree::insert`]; calls do not overlap in time when the spin
    /// locks of the place are held. `waiter` stays where it is as long as the
    /// part is in a tree.
    #[inline]
    pub(super) unsafe fn insert(&self, part: &Part, waiter: &Waiter) {
        part.waiter.set(Some(NonNull::from(waiter)));
        let node = NonNull::from(part).cast::<Node>();
        // SAFETY: By the safety requirements.
        unsafe {
            self.of(waiter.mode.get())
                .insert(node, mix(waiter.number.get()))
        }
    }

    /// Takes a part of `waiter` out.
    ///
    /// # Safety
    ///
    /// As for [`Tree::remove`].
    #[inline]
    pub(super) unsafe fn remove(&self, part: &Part, waiter: &Waiter) {
        let node = NonNull::from(part).cast::<Node>();
        // SAFETY: By the safety requirements.
        unsafe { self.of(waiter.mode.get()).remove(node) }
    }

    /// Calls `visit` for each part that overlaps `interval` and conflicts with
    /// `mode`, and its request.
    #[inline]
    fn for_each_conflict(
        &self,
        interval: Interval,
        mode: Mode,
        mut visit: impl FnMut(&Part, &Waiter),
    ) {
        let mut visit = |node: NonNull<Node>| {
            // SAFETY: All nodes are the first fields of parts, inserted as
            // pointers to these, and alive while they are in the tree.
            let part = unsafe { node.cast::<Part>().as_ref() };
            if let Some(waiter) = part.waiter.get() {
                // SAFETY: By `insert` it lives as long as the part is in the tree.
                visit(part, unsafe { waiter.as_ref() });
            }
        };
        self.writers.for_each_overlapping(interval, &mut visit);
        if mode == Mode::Write {
            self.readers.for_each_overlapping(interval, visit);
        }
    }

    /// Whether any part conflicts.
    #[inline]
    pub(super) fn has_conflict(&self, interval: Interval, mode: Mode) -> bool {
        let readers = mode == Mode::Write && self.readers.has_overlapping(interval);
        readers || self.writers.has_overlapping(interval)
    }

    /// Whether any part conflicts whose request has nothing in its way.
    pub(super) fn has_holder(&self, interval: Interval, mode: Mode) -> bool {
        let mut found = false;
        self.for_each_conflict(interval, mode, |_, other| {
            // Relaxed: for statistics. It may be counted down under other spin locks.
            found |= other.pending.load(Relaxed) == 0;
        });
        found
    }

    /// Counts the parts that conflict, and marks them as being in the way.
    pub(super) fn count_conflicts(&self, interval: Interval, mode: Mode) -> u32 {
        let mut count = 0;
        self.for_each_conflict(interval, mode, |part, _| {
            if !is_busted(Bug::NoMark) {
                part.in_the_way.store(1, Relaxed);
            }
            count += 1;
        });
        count
    }

    /// For each part of a later request that conflicts with `released` as
    /// `waiter` held it, and is not `blocked`: one less is in its way.
    pub(super) fn let_pass(
        &self,
        waiter: &Waiter,
        released: Interval,
        blocked: impl Fn(Interval, Mode) -> bool,
        grants: &mut Grants,
    ) {
        self.for_each_conflict(released, waiter.mode.get(), |part, other| {
            let later = other.number.get() > waiter.number.get() || is_busted(Bug::NoArrivalOrder);
            if later && !blocked(part.node.interval(), other.mode.get()) {
                grants.one_less(other);
            }
        });
    }
}

/// Requests that have nothing in their way any more, to be granted when the
/// spin locks have been released.
pub(super) struct Grants {
    first: Option<NonNull<Waiter>>,
}

impl Grants {
    pub(super) const fn new() -> Self {
        Self { first: None }
    }

    fn one_less(&mut self, waiter: &Waiter) {
        let before = match is_busted(Bug::PendingSubRelaxed) {
            true => waiter.pending.fetch_sub(1, Relaxed),
            false => waiter.pending.fetch_sub(1, Full),
        };
        if before == 1 {
            waiter.next.set(self.first);
            self.first = Some(NonNull::from(waiter));
        }
    }

    /// Lets them go, and wakes them.
    #[inline]
    pub(super) fn publish(self) {
        if self.first.is_some() {
            self.publish_all();
        }
    }

    fn publish_all(self) {
        let mut next = self.first;
        while let Some(waiter) = next {
            // SAFETY: A request that has not been granted stays: its owner
            // waits, and cannot give it up once `pending` is zero.
            let waiter = unsafe { waiter.as_ref() };
            next = waiter.next.get();
            let task = waiter.task.take();
            // Nothing of the waiter may be touched behind this.
            match is_busted(Bug::GrantedStoreRelaxed) {
                true => waiter.granted.store(1, Relaxed),
                false => waiter.granted.store(1, Release),
            }
            if is_busted(Bug::TouchAfterGrant) {
                next = waiter.next.get();
            }
            if let Some(task) = task {
                task.wake();
            }
        }
    }
}

/// A well-mixed function of `number` (the finaliser of Vigna's splitmix64).
const fn mix(number: u64) -> u64 {
    let x = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x ^ (x >> 27)
}

#[cfg(test)]
impl Trees {
    /// How many parts stand here, in trees that are as they should be.
    pub(super) fn check(&self) -> usize {
        self.readers.check() + self.writers.check()
    }
}
