// SPDX-License-Identifier: GPL-2.0-only

//! What the models share: a lock, and pages that show who is let in.

use std::{
    ops::Deref,
    pin::pin,
    rc::Rc,
    sync::{
        atomic::{AtomicU32, Ordering},
        Arc,
    },
};

use faultline_portable_loom::{
    interval::Interval,
    range_lock::{RangeLock, Request, Shape, Slot},
};
use loom::{
    cell::UnsafeCell,
    model::Builder,
    thread::{self, JoinHandle},
};

/// Pages of the first small granule, the second, and the second large one.
pub(crate) const A: u64 = 0;
pub(crate) const B: u64 = 1;
pub(crate) const C: u64 = 512;
pub(crate) const D: u64 = 1 << 18;
const PAGES: [u64; 4] = [A, B, C, D];

/// Places of the largest lock of a model.
const SLOTS: usize = Shape::new(2, 1).places();

/// How often a thread of a bounded model is stopped where it could go on, at
/// most.
const PREEMPTIONS: usize = 4;

/// A lock, and the pages it protects.
pub(crate) struct World<const DOMAINS: usize, const SHARDS: usize> {
    pub(crate) lock: RangeLock<[Slot; SLOTS]>,
    pages: [UnsafeCell<()>; PAGES.len()],
}

/// A [`World`], for each thread that has it: to the compiler, loom's threads
/// are one.
pub(crate) struct Shared<const DOMAINS: usize, const SHARDS: usize>(Rc<World<DOMAINS, SHARDS>>);

impl<const DOMAINS: usize, const SHARDS: usize> Deref for Shared<DOMAINS, SHARDS> {
    type Target = World<DOMAINS, SHARDS>;
    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<const DOMAINS: usize, const SHARDS: usize> Shared<DOMAINS, SHARDS> {
    fn new() -> Self {
        let shape = Shape::new(DOMAINS, SHARDS);
        Self(Rc::new(World {
            lock: RangeLock::in_place(shape),
            pages: PAGES.map(|_| UnsafeCell::new(())),
        }))
    }

    /// Starts a thread.
    pub(crate) fn spawn(&self, body: impl FnOnce(&World<DOMAINS, SHARDS>) + 'static) -> Thread {
        let world = self.0.clone();
        Thread(thread::spawn(move || body(&world)))
    }
}

pub(crate) struct Thread(JoinHandle<()>);

impl Thread {
    pub(crate) fn join(self) {
        self.0.join().unwrap();
    }
}

impl<const DOMAINS: usize, const SHARDS: usize> World<DOMAINS, SHARDS> {
    fn page(&self, page: u64) -> &UnsafeCell<()> {
        let at = PAGES.iter().position(|p| *p == page);
        &self.pages[at.expect("a page of the model")]
    }

    /// Changes a page: a race with all other accesses.
    #[track_caller]
    pub(crate) fn change(&self, page: u64) {
        self.page(page).with_mut(|_| ());
    }

    /// Looks at a page: a race with changes.
    #[track_caller]
    pub(crate) fn look(&self, page: u64) {
        self.page(page).with(|_| ());
    }

    /// Locks `interval`, changes these pages of it, and lets go.
    pub(crate) fn write(&self, interval: Interval, pages: &[u64]) {
        let request = pin!(Request::new(&self.lock));
        let _guard = request.write(interval);
        pages.iter().for_each(|page| self.change(*page));
    }

    /// Locks `interval` to read, looks at these pages of it, and lets go.
    pub(crate) fn read(&self, interval: Interval, pages: &[u64]) {
        let request = pin!(Request::new(&self.lock));
        let _guard = request.read(interval);
        pages.iter().for_each(|page| self.look(*page));
    }
}

/// `[start, end)`.
pub(crate) fn span(start: u64, end: u64) -> Interval {
    Interval::new(start, end).unwrap()
}

/// One page.
pub(crate) fn one(page: u64) -> Interval {
    span(page, page + 1)
}

/// Explores what `body` and the threads that it joins do. Afterwards the lock
/// must be free.
pub(crate) fn explore<const DOMAINS: usize, const SHARDS: usize>(
    body: impl Fn(&Shared<DOMAINS, SHARDS>) + Send + Sync + 'static,
) {
    explore_within(None, body);
}

/// As [`explore`], with at most [`PREEMPTIONS`]; without bound, which takes up
/// to half a minute for each model, if `FAULTLINE_LONG` is set.
pub(crate) fn explore_bounded<const DOMAINS: usize, const SHARDS: usize>(
    body: impl Fn(&Shared<DOMAINS, SHARDS>) + Send + Sync + 'static,
) {
    let long = std::env::var_os("FAULTLINE_LONG").is_some();
    explore_within((!long).then_some(PREEMPTIONS), body);
}

fn explore_within<const DOMAINS: usize, const SHARDS: usize>(
    preemptions: Option<usize>,
    body: impl Fn(&Shared<DOMAINS, SHARDS>) + Send + Sync + 'static,
) {
    let mut builder = Builder::new();
    builder.preemption_bound = preemptions;
    let executions = Arc::new(AtomicU32::new(0));
    let counter = executions.clone();
    builder.check(move || {
        counter.fetch_add(1, Ordering::Relaxed);
        let world = Shared::new();
        body(&world);
        let request = pin!(Request::new(&world.lock));
        assert!(request.try_write(Interval::ALL).is_some(), "not free");
    });
    println!("{} executions", executions.load(Ordering::Relaxed));
}
