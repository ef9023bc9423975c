// SPDX-License-Identifier: GPL-2.0-only

//! The lock-free list of held ranges of Kogan, Dice and Issa ("Scalable range
//! locks for scalable address spaces and beyond", EuroSys 2020), the exclusive
//! lock with its fast path for an empty list: reading is exclusive too.
//!
//! The list is sorted, and no two of its ranges overlap unless one is marked as
//! released. A request waits, by looking again and again, until nothing
//! overlaps it, then puts itself in.

use core::{
    hint,
    sync::atomic::{AtomicU64, Ordering::*},
};
use std::thread;

use faultline_portable::{interval::Interval, range_lock::Mode};

use super::{nodes::Nodes, Abilities, Peer};

/// The end of the list.
const END: u64 = 0;
/// In a node's link: the node is released. In the head: the list is one node
/// that nobody but its owner has seen.
const MARK: u64 = 1;
/// How often a holder is looked at before others may run.
const SPINS: u32 = 100;

/// The link to a node.
#[inline]
const fn link(node: u32) -> u64 {
    (node as u64 + 1) << 1
}

/// The node of a link that is not the end.
#[inline]
const fn node_of(link: u64) -> u32 {
    (link >> 1) as u32 - 1
}

/// The head of the list, in cache lines of its own.
#[repr(align(128))]
struct Head(AtomicU64);

/// The lock.
pub(crate) struct List {
    head: Head,
    nodes: Nodes,
}

/// A range that is held until dropped.
struct Held<'a> {
    list: &'a List,
    node: u32,
}

/// How an attempt to get in ended.
#[derive(PartialEq, Eq)]
enum Attempt {
    /// It is in, or there was nothing to put in.
    Done,
    /// The list changed at this place.
    Again,
    /// This node is in the way.
    Blocked(u32),
}

impl List {
    #[inline]
    fn acquire(&self, range: Interval) -> Held<'_> {
        let number = self.nodes.take(|| self.clean());
        let node = self.nodes.at(number);
        node.start.store(range.start(), Relaxed);
        node.end.store(range.end(), Relaxed);
        node.next.store(END, Relaxed);
        // Acquire: pairs with the release in `Held::drop`.
        let alone = self.head.0.load(Relaxed) == END
            && (self.head.0)
                .compare_exchange(END, link(number) | MARK, AcqRel, Relaxed)
                .is_ok();
        if !alone {
            self.insert(number, range);
        }
        Held {
            list: self,
            node: number,
        }
    }

    fn insert(&self, node: u32, range: Interval) {
        loop {
            let walk = self.nodes.walk();
            match self.try_insert(Some(node), range) {
                Attempt::Done => return,
                Attempt::Again => {}
                Attempt::Blocked(by) => {
                    let next = &self.nodes.at(by).next;
                    let mut spins = 0;
                    while next.load(Acquire) & MARK == 0 && spins < SPINS {
                        spins += 1;
                        hint::spin_loop();
                    }
                    // Not while walking: the holder may wait for walkers.
                    drop(walk);
                    if spins == SPINS {
                        thread::yield_now();
                    }
                }
            }
        }
    }

    /// Takes all that is released out of the list.
    #[cold]
    fn clean(&self) {
        let behind = Interval::new(u64::MAX - 1, u64::MAX).expect("not empty");
        let walk = self.nodes.walk();
        while self.try_insert(None, behind) == Attempt::Again {}
        drop(walk);
    }

    /// Walks to where `range` belongs, taking out what is released on the way,
    /// and puts `node` in.
    ///
    /// Acquire and release: a link that is seen makes the node seen, and a mark
    /// that is seen what its owner did before.
    #[inline]
    fn try_insert(&self, node: Option<u32>, range: Interval) -> Attempt {
        let mut previous = &self.head.0;
        let mut current = previous.load(Acquire);
        if current & MARK != 0 {
            let seen = current & !MARK;
            // If this fails its owner has released it.
            let _ = previous.compare_exchange(current, seen, AcqRel, Relaxed);
            return Attempt::Again;
        }
        loop {
            if current & MARK != 0 {
                // Nothing may be put in behind a node that is released.
                return Attempt::Again;
            }
            if current != END {
                let at = self.nodes.at(node_of(current));
                let next = at.next.load(Acquire);
                if next & MARK != 0 {
                    let behind = next & !MARK;
                    match previous.compare_exchange(current, behind, AcqRel, Acquire) {
                        Ok(_) => {
                            at.unlinked.store(true, Release);
                            current = behind;
                        }
                        Err(changed) => current = changed,
                    }
                    continue;
                }
                if at.end.load(Relaxed) <= range.start() {
                    previous = &at.next;
                    current = next;
                    continue;
                }
                if at.start.load(Relaxed) < range.end() {
                    return Attempt::Blocked(node_of(current));
                }
            }
            let Some(new) = node else {
                return Attempt::Done;
            };
            self.nodes.at(new).next.store(current, Relaxed);
            match previous.compare_exchange(current, link(new), AcqRel, Acquire) {
                Ok(_) => return Attempt::Done,
                Err(changed) => current = changed,
            }
        }
    }
}

impl Drop for Held<'_> {
    #[inline]
    fn drop(&mut self) {
        let head = &self.list.head.0;
        let alone = link(self.node) | MARK;
        if head.load(Relaxed) == alone
            && head.compare_exchange(alone, END, Release, Relaxed).is_ok()
        {
            return self.list.nodes.give_back(self.node);
        }
        let node = self.list.nodes.at(self.node);
        node.next.fetch_or(MARK, AcqRel);
    }
}

impl Peer for List {
    const NAME: &'static str = "Kogan's list";
    const ABILITIES: Abilities = Abilities {
        readers_share: false,
        precise: true,
    };

    fn new() -> Self {
        Self {
            head: Head(AtomicU64::new(END)),
            nodes: Nodes::new(),
        }
    }

    #[inline]
    fn with_arrival<R>(
        &self,
        _: Mode,
        range: Interval,
        arrived: impl FnOnce(),
        inside: impl FnOnce() -> R,
    ) -> R {
        arrived();
        let _held = self.acquire(range);
        inside()
    }

    fn with_two<R>(&self, _: Mode, _: [Interval; 2], _: impl FnOnce() -> R) -> Option<R> {
        None
    }
}
