// SPDX-License-Identifier: GPL-2.0-only

//! What the models share: a tree that counts what is stored.

use std::{
    cell::{Cell as Plain, RefCell, RefMut},
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
    sync::Notify,
    thread::{self, JoinHandle},
};

use super::lock;

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

/// The second lock, for one turn, which counts how often it sleeps for it.
struct Queue<'a> {
    lock: &'a lock::Lock,
    slept: Plain<u32>,
}

impl Lock for Queue<'_> {
    type Guard<'a>
        = lock::Held<'a>
    where
        Self: 'a;

    fn lock(&self) -> lock::Held<'_> {
        self.slept.set(self.slept.get() + 1);
        assert!(self.slept.get() <= 1, "slept twice");
        self.lock.hold()
    }
}

/// What a store changes is its count of stores.
pub(crate) struct Tree {
    spin: Spin,
    queue: lock::Lock,
    stores: Cell<u32>,
    /// Somebody has looked.
    pub(crate) looked: Notify,
}

/// To the compiler, loom's threads are one.
#[derive(Clone)]
pub(crate) struct Shared(Rc<Tree>);

impl Tree {
    pub(crate) fn shared() -> Shared {
        Shared(Rc::new(Tree {
            spin: Spin::default(),
            queue: lock::Lock::default(),
            stores: Cell::new(0),
            looked: Notify::new(),
        }))
    }

    fn queue(&self) -> Queue<'_> {
        Queue {
            lock: &self.queue,
            slept: Plain::new(0),
        }
    }

    /// Looks, under the lock.
    pub(crate) fn stores(&self) -> u32 {
        let _held = self.spin.lock();
        self.stores.get()
    }

    fn store_at_once(&self, may_wait: bool) {
        let queue = self.queue();
        let _turn = Turn::begin(&self.spin, &queue, may_wait);
        self.stores.set(self.stores.get() + 1);
    }

    /// Stores, and has all it takes.
    pub(crate) fn store(&self) {
        self.store_at_once(false);
    }

    /// The same by one that was ready to wait.
    pub(crate) fn store_that_could_wait(&self) {
        self.store_at_once(true);
    }

    /// Stores when it has waited for something.
    pub(crate) fn store_that_waits(&self) {
        self.store_that_waits_for(thread::yield_now);
    }

    /// Stores when it has waited for this.
    pub(crate) fn store_that_waits_for(&self, wait: impl FnOnce()) {
        let queue = self.queue();
        let mut turn = Turn::begin(&self.spin, &queue, true);
        let seen = self.stores.get();
        turn.reserve(wait);
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

/// Explores all that `body` and the threads that it joins can do.
pub(crate) fn explore(body: impl Fn() + Send + Sync + 'static) {
    let builder = Builder::new();
    let executions = Arc::new(AtomicU32::new(0));
    let counter = executions.clone();
    builder.check(move || {
        counter.fetch_add(1, Ordering::Relaxed);
        body();
    });
    println!("{} executions", executions.load(Ordering::Relaxed));
}
