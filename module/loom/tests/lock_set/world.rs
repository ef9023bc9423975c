// SPDX-License-Identifier: GPL-2.0-only

//! A tree, the locks of its objects, and changes of it.

use std::{
    cell::Cell as Plain,
    ops::Deref,
    rc::Rc,
    sync::{
        atomic::{AtomicU32, Ordering},
        Arc,
    },
};

use faultline_portable_loom::{
    bug::Bug,
    lock_set::Sequence,
    sync::{is_busted, AtomicWord, Release, Sleep},
};
use loom::{
    model::Builder,
    thread::{self, JoinHandle},
};

use super::{lock::Lock, object::Object, rcuwait::Rcuwait};

/// How often a thread of a bounded model is stopped where it could go on, at
/// most.
const PREEMPTIONS: usize = 3;
const MORE_PREEMPTIONS: usize = 4;

/// The objects. The first two stand at the places of that number when a model begins.
pub(crate) const A: usize = 0;
pub(crate) const B: usize = 1;
pub(crate) const C: usize = 2;
pub(crate) const D: usize = 3;

/// At a place where no object is.
const NOTHING: u32 = u32::MAX;

pub(crate) struct World {
    pub(super) sequence: Sequence,
    /// The number of the object that stands there.
    pub(super) tree: [AtomicWord; 2],
    pub(super) objects: [Object; 4],
    /// Held by readers. A change waits for them here before it frees an object.
    pub(super) rcu: Lock,
    /// Held by changes.
    semaphore: Lock,
    /// The change, when it waits.
    pub(super) writer: Rcuwait,
    /// What stands in the tree. For the assertions: no step.
    known: [Plain<u32>; 2],
}

/// A change that is under way.
pub(crate) struct Change<'w> {
    world: &'w World,
    locked: Plain<[bool; 4]>,
}

/// The change was killed.
#[derive(Debug)]
pub(crate) struct Killed;

impl World {
    fn new() -> Self {
        let places = [A as u32, B as u32];
        Self {
            sequence: Sequence::new(),
            tree: places.map(AtomicWord::new),
            objects: [(); 4].map(|()| Object::new()),
            rcu: Lock::default(),
            semaphore: Lock::default(),
            writer: Rcuwait::new(),
            known: places.map(Plain::new),
        }
    }

    /// Makes a change.
    pub(crate) fn change(&self, body: impl FnOnce(&Change<'_>)) {
        let held = self.semaphore.hold();
        self.sequence.begin();
        let change = Change {
            world: self,
            locked: Plain::default(),
        };
        body(&change);
        for (object, _) in change.locked().filter(|(_, is_locked)| *is_locked) {
            object.let_go();
        }
        self.sequence.end();
        drop(held);
    }

    /// Puts `new` in place of what stands at `place`, and frees that.
    pub(crate) fn replace(&self, place: usize, new: usize) {
        self.change(|change| {
            change.lock_place(place);
            change.lock_new(new);
            change.store(place, Some(new));
        });
        self.free(place);
    }

    /// Ends the object that stood first at `place`, when no reader can find it any more.
    pub(crate) fn free(&self, object: usize) {
        if !is_busted(Bug::FreeAtOnce) {
            drop(self.rcu.hold());
        }
        self.objects[object].free();
    }

    /// What stands at `place`. No step.
    pub(crate) fn at(&self, place: usize) -> Option<usize> {
        let object = self.known[place].get();
        (object != NOTHING).then_some(object as usize)
    }
}

impl Change<'_> {
    fn locked(&self) -> impl Iterator<Item = (&Object, bool)> {
        self.world.objects.iter().zip(self.locked.get())
    }

    /// Locks what stands at `place`, as by `LockSet::write`.
    pub(crate) fn lock_place(&self, place: usize) {
        self.try_lock_place(place, Sleep::Uninterruptible)
            .unwrap_or_else(|Killed| unreachable!("it cannot be killed"));
    }

    /// The same, if it is not killed first.
    pub(crate) fn try_lock_place(&self, place: usize, sleep: Sleep) -> Result<(), Killed> {
        let object = self.world.at(place).expect("an object");
        let lock = self.world.objects[object].lock();
        if let Some(number) = self.world.sequence.has_to_lock(lock) {
            let wait = || self.world.writer.wait(sleep, || lock.is_drained());
            if !lock.drain(number, wait) {
                return Err(Killed);
            }
        }
        self.has_locked(object);
        Ok(())
    }

    /// Locks an object that is in no tree, as by `LockSet::write_new`.
    pub(crate) fn lock_new(&self, object: usize) {
        let world = self.world;
        world.sequence.lock_new(world.objects[object].lock());
        self.has_locked(object);
    }

    fn has_locked(&self, object: usize) {
        let mut locked = self.locked.get();
        locked[object] = true;
        self.locked.set(locked);
        self.world.objects[object].change();
    }

    /// Puts another object there.
    pub(crate) fn store(&self, place: usize, object: Option<usize>) {
        let object = object.map_or(NOTHING, |object| object as u32);
        self.world.tree[place].store(object, Release);
        self.world.known[place].set(object);
    }

    /// Has something else to do with the object.
    pub(crate) fn use_object(&self, object: usize) {
        self.world.objects[object].change();
    }
}

/// A [`World`], for each thread that has it: to the compiler, loom's threads
/// are one.
pub(crate) struct Shared(Rc<World>);

impl Shared {
    /// Starts a thread.
    pub(crate) fn spawn(&self, body: impl FnOnce(&World) + 'static) -> Thread {
        let world = self.0.clone();
        Thread(thread::spawn(move || body(&world)))
    }
}

impl Deref for Shared {
    type Target = World;
    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

pub(crate) struct Thread(JoinHandle<()>);

impl Thread {
    pub(crate) fn join(self) {
        self.0.join().unwrap();
    }
}

/// Explores what `body` and the threads that it joins do. Afterwards every object of the
/// tree can be locked.
pub(crate) fn explore(body: impl Fn(&Shared) + Send + Sync + 'static) {
    explore_within(None, body);
}

/// As [`explore`], with at most [`PREEMPTIONS`], or [`MORE_PREEMPTIONS`] if
/// `FAULTLINE_LONG` is set. For three threads, and for two that do a lot, which take
/// many minutes without bound.
pub(crate) fn explore_bounded(body: impl Fn(&Shared) + Send + Sync + 'static) {
    let preemptions = match std::env::var_os("FAULTLINE_LONG") {
        None => PREEMPTIONS,
        Some(_) => MORE_PREEMPTIONS,
    };
    explore_within(Some(preemptions), body);
}

fn explore_within(preemptions: Option<usize>, body: impl Fn(&Shared) + Send + Sync + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = preemptions;
    let executions = Arc::new(AtomicU32::new(0));
    let counter = executions.clone();
    builder.check(move || {
        counter.fetch_add(1, Ordering::Relaxed);
        let world = Shared(Rc::new(World::new()));
        body(&world);
        for place in 0..world.tree.len() {
            let got = world.try_read(place).map(|held| held.object());
            assert_eq!(got, world.at(place), "not free");
        }
    });
    println!("{} executions", executions.load(Ordering::Relaxed));
}
