// SPDX-License-Identifier: GPL-2.0-only

//! Nodes of the lock-free list: each thread has a pool, and takes back what has
//! left the list when no other thread can still be looking at it.

use core::{
    hint,
    sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering::*},
};
use std::{sync::Mutex, thread};

/// Threads that may use lists at the same time.
const THREADS: usize = 16;
/// Nodes of a thread; it can hold fewer ranges at once.
const NODES: usize = 2048;
/// How often a thread is looked at before others may run.
const SPINS: u32 = 100;

/// Free thread numbers.
static NUMBERS: Mutex<Vec<usize>> = Mutex::new(Vec::new());
/// How many numbers were given out for the first time.
static NUMBERS_USED: AtomicUsize = AtomicUsize::new(0);

/// A thread's number, given back when it ends.
struct Number(usize);

impl Number {
    fn take() -> Self {
        let mut free = NUMBERS.lock().expect("no panic with numbers");
        let number = free
            .pop()
            .unwrap_or_else(|| NUMBERS_USED.fetch_add(1, Relaxed));
        assert!(number < THREADS, "more than {THREADS} threads");
        Self(number)
    }
}

impl Drop for Number {
    fn drop(&mut self) {
        NUMBERS.lock().expect("no panic with numbers").push(self.0);
    }
}

thread_local! {
    static NUMBER: Number = Number::take();
}

/// A node, in a cache line of its own.
#[derive(Default)]
#[repr(align(64))]
pub(crate) struct Node {
    pub(crate) start: AtomicU64,
    pub(crate) end: AtomicU64,
    pub(crate) next: AtomicU64,
    /// It has left the list; set by whoever took it out.
    pub(crate) unlinked: AtomicBool,
}

/// What a thread has of a list. Only the epoch is looked at by others.
#[repr(align(128))]
struct Pool {
    /// Odd while the thread walks through the list.
    epoch: AtomicU64,
    /// How many nodes are free.
    len: AtomicUsize,
    /// Which ones.
    free: Box<[AtomicU32]>,
}

/// The nodes of a list.
pub(crate) struct Nodes {
    nodes: Box<[Node]>,
    pools: Box<[Pool]>,
}

/// While it lives, no node that this thread finds in the list is used again.
pub(crate) struct Walk<'a>(&'a AtomicU64);

impl Drop for Walk<'_> {
    #[inline]
    fn drop(&mut self) {
        let epoch = self.0.load(Relaxed);
        // Release: pairs with the acquire in `wait_for_walkers`.
        self.0.store(epoch + 1, Release);
    }
}

impl Nodes {
    pub(crate) fn new() -> Self {
        let pool = |thread: usize| {
            let own = (thread * NODES) as u32..((thread + 1) * NODES) as u32;
            Pool {
                epoch: AtomicU64::new(0),
                len: AtomicUsize::new(NODES),
                free: own.map(AtomicU32::new).collect(),
            }
        };
        Self {
            nodes: (0..THREADS * NODES).map(|_| Node::default()).collect(),
            pools: (0..THREADS).map(pool).collect(),
        }
    }

    #[inline]
    pub(crate) fn at(&self, node: u32) -> &Node {
        &self.nodes[node as usize]
    }

    #[inline]
    fn pool(&self) -> (usize, &Pool) {
        let thread = NUMBER.with(|number| number.0);
        (thread, &self.pools[thread])
    }

    /// Begins to walk.
    #[inline]
    pub(crate) fn walk(&self) -> Walk<'_> {
        let epoch = &self.pool().1.epoch;
        // A full barrier between this and the loads that follow: pairs with
        // that in `wait_for_walkers`. On x86 an atomic exchange is one.
        epoch.swap(epoch.load(Relaxed) + 1, SeqCst);
        if cfg!(not(target_arch = "x86_64")) {
            core::sync::atomic::fence(SeqCst);
        }
        Walk(epoch)
    }

    /// A node that nobody else has. `clean` takes released nodes out of the
    /// list. Not to be called while walking.
    #[inline]
    pub(crate) fn take(&self, clean: impl Fn()) -> u32 {
        let (thread, pool) = self.pool();
        if pool.len.load(Relaxed) == 0 {
            self.refill(thread, pool, clean);
        }
        let len = pool.len.load(Relaxed) - 1;
        pool.len.store(len, Relaxed);
        pool.free[len].load(Relaxed)
    }

    /// Gives back a node of this thread that no other thread has seen.
    #[inline]
    pub(crate) fn give_back(&self, node: u32) {
        push(self.pool().1, node);
    }

    #[cold]
    fn refill(&self, thread: usize, pool: &Pool, clean: impl Fn()) {
        loop {
            for node in thread * NODES..(thread + 1) * NODES {
                // Acquire: pairs with the release of who took it out.
                if self.nodes[node].unlinked.load(Acquire) {
                    self.nodes[node].unlinked.store(false, Relaxed);
                    push(pool, node as u32);
                }
            }
            if pool.len.load(Relaxed) != 0 {
                return self.wait_for_walkers(thread);
            }
            clean();
        }
    }

    /// Waits for all that walk now.
    fn wait_for_walkers(&self, thread: usize) {
        core::sync::atomic::fence(SeqCst);
        for (other, pool) in self.pools.iter().enumerate() {
            let epoch = pool.epoch.load(Acquire);
            let mut spins = 0;
            while other != thread && epoch % 2 == 1 && pool.epoch.load(Acquire) == epoch {
                spins += 1;
                match spins < SPINS {
                    true => hint::spin_loop(),
                    false => thread::yield_now(),
                }
            }
        }
    }
}

#[inline]
fn push(pool: &Pool, node: u32) {
    let len = pool.len.load(Relaxed);
    pool.free[len].store(node, Relaxed);
    pool.len.store(len + 1, Relaxed);
}
