// SPDX-License-Identifier: GPL-2.0-only

//! The classic interval lock: one interval tree under one spin lock, and for
//! each request a count of those in its way (Jan Kara's range lock for Linux,
//! 2013; Davidlohr Bueso's, 2018).

use core::{
    hint,
    sync::atomic::{AtomicBool, Ordering::*},
};
use std::{
    sync::Arc,
    thread::{self, Thread},
};

use faultline_portable::{interval::Interval, range_lock::Mode};

use super::{
    interval_tree::{Id, Tree},
    Abilities, Peer,
};

/// How often a taken spin lock is looked at before others may run, as in the
/// range lock's own.
const SPINS: u32 = 100;

/// A thread that waits.
struct Sleeper {
    granted: AtomicBool,
    thread: Thread,
}

thread_local! {
    static SLEEPER: Arc<Sleeper> = Arc::new(Sleeper {
        granted: AtomicBool::new(false),
        thread: thread::current(),
    });
}

/// A request in the tree.
struct Request {
    mode: Mode,
    /// How many earlier ones it conflicts with.
    in_the_way: u32,
    /// `None` if it has the lock.
    sleeper: Option<Arc<Sleeper>>,
}

/// The lock.
pub(crate) struct OneTree(spin::Mutex<Tree<Request>>);

/// A range that is held until dropped.
struct Held<'a> {
    lock: &'a OneTree,
    range: Interval,
    id: Id,
    mode: Mode,
}

const fn conflict(a: Mode, b: Mode) -> bool {
    matches!(a, Mode::Write) || matches!(b, Mode::Write)
}

impl OneTree {
    #[inline]
    fn tree(&self) -> spin::MutexGuard<'_, Tree<Request>> {
        let mut spins = 0;
        loop {
            if let Some(tree) = self.0.try_lock() {
                return tree;
            }
            while self.0.is_locked() {
                spins += 1;
                match spins < SPINS {
                    true => hint::spin_loop(),
                    false => thread::yield_now(),
                }
            }
        }
    }

    #[inline]
    fn acquire(&self, mode: Mode, range: Interval, arrived: impl FnOnce()) -> Held<'_> {
        let mut tree = self.tree();
        let mut in_the_way = 0;
        tree.for_each_overlapping(range, |other| {
            in_the_way += u32::from(conflict(mode, other.mode));
        });
        let sleeper = (in_the_way != 0).then(|| {
            let sleeper = SLEEPER.with(Arc::clone);
            sleeper.granted.store(false, Relaxed);
            sleeper
        });
        let waits = sleeper.is_some();
        let request = Request {
            mode,
            in_the_way,
            sleeper,
        };
        let id = tree.insert(range, request);
        drop(tree);
        arrived();
        if waits {
            SLEEPER.with(|sleeper| {
                while !sleeper.granted.load(Acquire) {
                    thread::park();
                }
            });
        }
        Held {
            lock: self,
            range,
            id,
            mode,
        }
    }
}

impl Drop for Held<'_> {
    #[inline]
    fn drop(&mut self) {
        let mut granted = Vec::new();
        let mut tree = self.lock.tree();
        tree.remove(self.id);
        // Those in conflict came later: else this one would not have the lock.
        tree.for_each_overlapping(self.range, |other| {
            if conflict(self.mode, other.mode) {
                other.in_the_way -= 1;
                if other.in_the_way == 0 {
                    granted.extend(other.sleeper.take());
                }
            }
        });
        drop(tree);
        for sleeper in granted {
            sleeper.granted.store(true, Release);
            sleeper.thread.unpark();
        }
    }
}

impl Peer for OneTree {
    const NAME: &'static str = "one tree, one spinlock";
    const ABILITIES: Abilities = Abilities {
        readers_share: true,
        precise: true,
    };

    fn new() -> Self {
        Self(spin::Mutex::new(Tree::new()))
    }

    #[inline]
    fn with_arrival<R>(
        &self,
        mode: Mode,
        range: Interval,
        arrived: impl FnOnce(),
        inside: impl FnOnce() -> R,
    ) -> R {
        let _held = self.acquire(mode, range, arrived);
        inside()
    }

    fn with_two<R>(&self, _: Mode, _: [Interval; 2], _: impl FnOnce() -> R) -> Option<R> {
        None
    }
}
