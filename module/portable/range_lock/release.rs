// SPDX-License-Identifier: GPL-2.0-only

//! Requests: giving the lock back, or a part of it, or the place in the line.

use super::{
    super::{
        bug::Bug,
        interval::Interval,
        sync::{is_busted, Relaxed, Sleep},
    },
    guard::Killed,
    place::Place,
    request::Request,
    waiter::{Grants, Mode, Part},
};

impl Request<'_> {
    /// Gets out of the line, unless it is our turn just now.
    #[cold]
    pub(super) fn leave(&self) -> Result<(), Killed> {
        let locked = self.places.lock_places(self.parts());
        // Relaxed: it is changed under one of these locks.
        let granted = self.waiter.pending.load(Relaxed) == 0;
        if granted && !is_busted(Bug::LeaveWhenGranted) {
            drop(locked);
            self.wait(Sleep::Uninterruptible);
            return Ok(());
        }
        let grants = self.trim_locked(self.placed(), |_| None);
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
        let locked = self.places.lock_places(self.parts().filter(changed));
        let grants = self.trim_locked(self.placed(), keep);
        drop(locked);
        grants.publish();
    }

    /// The caller holds the spin locks of the parts that change; `parts` are placed
    /// parts of this request.
    #[inline]
    fn trim_locked<'p>(
        &self,
        parts: impl Iterator<Item = (&'p Part, Place)>,
        keep: impl Fn(Interval) -> Option<Interval>,
    ) -> Grants {
        let mut grants = Grants::new();
        for (part, place) in parts {
            let old = part.node.interval();
            let kept = keep(old);
            if kept == Some(old) {
                continue;
            }
            let trees = self.places.trees(place);
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
        self.places.for_each_related(place, |trees| {
            trees.let_pass(&self.waiter, released, &blocked, grants);
        });
    }

    pub(super) fn is_contended(&self) -> bool {
        self.parts().any(Part::is_in_the_way)
    }

    #[inline]
    pub(super) fn release_all(&self) {
        match self.sole_part() {
            Some((part, shard)) => {
                let locked = self.places.lock_shard(shard);
                let grants = self.trim_locked(core::iter::once(part), |_| None);
                drop(locked);
                grants.publish();
            }
            None => self.release_many(),
        }
    }

    /// Gives back any number of parts, in any places.
    fn release_many(&self) {
        if self.placed().next().is_some() {
            self.trim(|_| None);
        }
    }

    /// Ends what is left of a request whose guard, or place in the line, was
    /// leaked: no tree may keep a part.
    #[inline]
    pub(super) fn end_leaked(&self) {
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
        let locked = self.places.lock_places(self.parts());
        let mut grants = Grants::new();
        for (part, place) in self.placed() {
            if part.is_in_the_way() && !is_busted(Bug::DowngradeForgets) {
                let blocked =
                    |_, mode| mode == Mode::Write && !is_busted(Bug::DowngradeLetsAllPass);
                self.let_pass(place, part.node.interval(), blocked, &mut grants);
            }
            // SAFETY: The spin locks are held, and it has a place.
            unsafe { self.places.trees(place).remove(part, &self.waiter) };
        }
        self.waiter.mode.set(Mode::Read);
        for (part, place) in self.placed() {
            // SAFETY: As in `insert`.
            unsafe { self.places.trees(place).insert(part, &self.waiter) };
        }
        drop(locked);
        grants.publish();
    }
}
