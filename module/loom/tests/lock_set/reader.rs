// SPDX-License-Identifier: GPL-2.0-only

//! A reader of the object that stands at a place.

use faultline_portable_loom::{
    bug::Bug,
    sync::{is_busted, Acquire, Relaxed},
};

use super::world::World;

/// An object that is locked for reading until this is dropped.
pub(crate) struct Held<'w> {
    world: &'w World,
    place: usize,
    object: usize,
}

impl World {
    /// As `RcuMaple::try_read`.
    #[track_caller]
    pub(crate) fn try_read(&self, place: usize) -> Option<Held<'_>> {
        let (held, rcu) = self.sequence.try_read(|| {
            let rcu = self.rcu.hold();
            let object = match is_busted(Bug::FindRelaxed) {
                true => self.tree[place].load(Relaxed),
                false => self.tree[place].load(Acquire),
            } as usize;
            let number = self.objects.get(object)?.lock().count_in();
            let held = Held {
                world: self,
                place,
                object,
            };
            Some(((held, rcu), number?))
        })?;
        drop(rcu);
        held.look();
        Some(held)
    }

    /// Locks the object at `place`, looks at it and lets go, if no change has it. Returns
    /// which it was.
    #[track_caller]
    pub(crate) fn read(&self, place: usize) -> Option<usize> {
        self.try_read(place).map(|held| {
            held.look();
            held.object()
        })
    }
}

impl Held<'_> {
    pub(crate) fn object(&self) -> usize {
        self.object
    }

    /// It must be the one that stands there, and no change may have it.
    #[track_caller]
    pub(crate) fn look(&self) {
        let stands_there = self.world.at(self.place) == Some(self.object);
        assert!(stands_there, "another object stands there");
        self.world.objects[self.object].look();
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let is_last = self.world.objects[self.object].lock().count_out();
        if is_last {
            self.world.writer.wake();
        }
    }
}
