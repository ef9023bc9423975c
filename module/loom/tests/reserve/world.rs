// SPDX-License-Identifier: GPL-2.0-only

//! What the models share: a tree that counts what is stored.

use std::{
    cell::{RefCell, RefMut},
    ops::{Deref, DerefMut},
    rc::Rc,
    sync::{
        atomic::{AtomicU32, Ordering},
        Arc,
    },
};

use faultline_portable_loom::{
    reserve::{Lock, Reserved, Turn},
    sync::Cell,
};
use loom::{
    model::Builder,
    thread::{self, JoinHandle},
};

use super::lock;

/// How often a thread is stopped where it could go on, at most.
const PREEMPTIONS: usize = 3;

#[derive(Default)]
struct Spin {
    lock: lock::Lock,
    reserved: RefCell<Reserved>,
}

struct SpinHeld<'a> {
    // Dropped in this order.
    reserved: RefMut<'a, Reserved>,
    _held: lock::Held<'a>,
}

impl Deref for SpinHeld<'_> {
    type Target = Reserved;

    fn deref(&self) -> &Reserved {
        &self.reserved
    }
}

impl DerefMut for SpinHeld<'_> {
    fn deref_mut(&mut self) -> &mut Reserved {
        &mut self.reserved
    }
}

impl Lock for Spin {
    type Guard<'a> = SpinHeld<'a>;

    fn lock(&self) -> SpinHeld<'_> {
        let held = self.lock.hold();
        SpinHeld {
            reserved: self.reserved.borrow_mut(),
            _held: held,
        }
    }
}

/// The second lock, for which a task sleeps.
#[derive(Default)]
struct Queue(lock::Lock);

impl Lock for Queue {
    type Guard<'a> = lock::Held<'a>;

    fn lock(&self) -> lock::Held<'_> {
        self.0.hold()
    }
}

/// What a store changes is its count of stores.
pub(crate) struct Tree {
    spin: Spin,
    queue: Queue,
    stores: Cell<u32>,
}

/// To the compiler, loom's threads are one.
#[derive(Clone)]
pub(crate) struct Shared(Rc<Tree>);

impl Tree {
    pub(crate) fn shared() -> Shared {
        Shared(Rc::new(Tree {
            spin: Spin::default(),
            queue: Queue::default(),
            stores: Cell::new(0),
        }))
    }

    /// Looks, under the lock.
    pub(crate) fn stores(&self) -> u32 {
        let _held = self.spin.lock();
        self.stores.get()
    }

    /// Stores, and has all it takes.
    pub(crate) fn store(&self) {
        let _turn = Turn::begin(&self.spin, &self.queue, false);
        self.stores.set(self.stores.get() + 1);
    }

    /// The same by one that was ready to wait.
    pub(crate) fn store_that_could_wait(&self) {
        let _turn = Turn::begin(&self.spin, &self.queue, true);
        self.stores.set(self.stores.get() + 1);
    }

    /// Stores when it has waited for something.
    pub(crate) fn store_that_waits(&self) {
        let mut turn = Turn::begin(&self.spin, &self.queue, true);
        let seen = self.stores.get();
        turn.reserve(thread::yield_now);
        assert_eq!(self.stores.get(), seen, "another has stored meanwhile");
        self.stores.set(seen + 1);
    }
}

impl Deref for Shared {
    type Target = Tree;

    fn deref(&self) -> &Tree {
        &self.0
    }
}

impl Shared {
    /// Starts a thread.
    pub(crate) fn spawn(&self, body: fn(&Tree)) -> JoinHandle<()> {
        let tree = self.clone();
        thread::spawn(move || body(&tree))
    }
}

/// Explores what `body` and the threads that it joins do.
pub(crate) fn explore(body: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(PREEMPTIONS);
    let executions = Arc::new(AtomicU32::new(0));
    let counter = executions.clone();
    builder.check(move || {
        counter.fetch_add(1, Ordering::Relaxed);
        body();
    });
    println!("{} executions", executions.load(Ordering::Relaxed));
}
