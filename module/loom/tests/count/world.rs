// SPDX-License-Identifier: GPL-2.0-only

//! What the models share: a space that counts pages.

use std::{
    ops::Deref,
    rc::Rc,
    sync::{
        atomic::{AtomicU32, Ordering},
        Arc,
    },
};

use faultline_portable_loom::{
    count::{Count, Processors, Stock, Total},
    sync::{load_latest, AtomicLong},
};
use loom::{
    model::Builder,
    sync::Mutex,
    thread::{self, JoinHandle},
};

/// How often a thread is stopped where it could go on, at most.
const PREEMPTIONS: usize = 3;

/// A space, and the lock of its count.
pub(crate) struct Space {
    pub(crate) count: Count,
    pub(crate) stocks: Vec<Stock>,
    lock: Mutex<()>,
    total: Rc<Total>,
}

/// To the compiler, loom's threads are one.
#[derive(Clone)]
pub(crate) struct Shared(Rc<Space>);

/// A thread's processor. Threads on the same one take turns by themselves.
#[derive(Clone, Copy)]
pub(crate) struct On<'a>(&'a Space, usize);

pub(crate) fn total(pages: u64) -> Rc<Total> {
    Rc::new(Total::new(AtomicLong::new(pages)))
}

pub(crate) fn plenty() -> Rc<Total> {
    total(1 << 20)
}

impl Space {
    pub(crate) fn shared(processors: usize, limit: u64, total: Rc<Total>) -> Shared {
        Shared(Rc::new(Space {
            count: Count::new(limit),
            stocks: (0..processors).map(|_| Stock::new()).collect(),
            lock: Mutex::new(()),
            total,
        }))
    }

    pub(crate) fn on(&self, processor: usize) -> On<'_> {
        On(self, processor)
    }

    /// Adds so many, by all processors in turn.
    pub(crate) fn fill(&self, pages: u64) {
        for page in 0..pages as usize {
            assert!(self.on(page % self.stocks.len()).add());
        }
    }

    /// What a processor has ahead.
    pub(crate) fn ahead(&self, processor: usize) -> u64 {
        self.stocks[processor].look().1
    }
}

impl Deref for Shared {
    type Target = Space;

    fn deref(&self) -> &Space {
        &self.0
    }
}

impl Shared {
    /// Starts a thread.
    pub(crate) fn spawn<R: 'static>(
        &self,
        body: impl FnOnce(&Space) -> R + 'static,
    ) -> JoinHandle<R> {
        let space = self.clone();
        thread::spawn(move || body(&space))
    }
}

impl Processors for On<'_> {
    fn own(&self) -> &Stock {
        &self.0.stocks[self.1]
    }

    fn all(&self) -> impl Iterator<Item = &Stock> {
        self.0.stocks.iter()
    }

    fn number(&self) -> u64 {
        self.0.stocks.len() as u64
    }

    fn locked<R>(&self, then: impl FnOnce() -> R) -> R {
        let _guard = self.0.lock.lock().unwrap();
        then()
    }

    fn total(&self) -> &Total {
        &self.0.total
    }
}

impl On<'_> {
    pub(crate) fn add(self) -> bool {
        self.0.count.try_add_one(&self)
    }

    pub(crate) fn sub(self, pages: u64) {
        self.0.count.sub(&self, pages);
    }

    pub(crate) fn is_full(self) -> bool {
        self.0.count.is_full(&self)
    }

    pub(crate) fn lower(self, limit: u64) {
        assert!(self.0.count.lower_limit(&self, limit));
        self.0.count.recall(&self);
    }
}

/// Explores what `body` and the threads that it joins do: first with loads that may be of
/// what was, then with those that are of what is (see [`load_latest`]).
pub(crate) fn explore(body: impl Fn() + Send + Sync + 'static) {
    let body = Arc::new(body);
    for latest in [false, true] {
        let mut builder = Builder::new();
        builder.preemption_bound = Some(PREEMPTIONS);
        builder.max_branches = 100_000;
        let (body, executions) = (body.clone(), Arc::new(AtomicU32::new(0)));
        let counter = executions.clone();
        load_latest(latest);
        builder.check(move || {
            counter.fetch_add(1, Ordering::Relaxed);
            body();
        });
        load_latest(false);
        println!("{} executions", executions.load(Ordering::Relaxed));
    }
}
