// SPDX-License-Identifier: GPL-2.0-only
//! What each thread did, in shared memory.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::shared::SharedWords;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counter {
    /// Accesses and calls: the thread's progress.
    Operations,
    /// Loads.
    Loads,
    /// Stores.
    Stores,
    /// Accesses whose outcome was decided by a constant state.
    Checked,
    /// Accesses during which the state moved.
    Undecided,
    /// Accesses that had to fault.
    IllegalExpected,
    /// Those of them that did, with the right signal.
    IllegalSeen,
    /// Faults while the state moved.
    IllegalOpen,
    /// MAP calls that succeeded.
    Maps,
    /// UNMAP calls that succeeded.
    Unmaps,
    /// MAP calls of them that showed a memfd.
    SharedMaps,
    /// MAP calls of them that copied a file.
    PrivateMaps,
    /// PROTECT calls that succeeded.
    Protects,
    /// REMAP calls that took pages away.
    Shrinks,
    /// REMAP calls that added pages, in place.
    Grows,
    /// REMAP calls to another place.
    Moves,
    /// ADVISE calls that discarded pages.
    DontNeeds,
    /// ADVISE calls that filled pages.
    WillNeeds,
    /// Calls that had to fail, and did.
    Refused,
    /// QUERY calls whose answer was checked.
    Queries,
    /// Calls that failed for want of memory.
    NoMemory,
    /// 1 once the thread has set itself up.
    Ready,
    /// 1 once the thread has ended.
    Finished,
}

/// Words per thread: cache lines of its own.
const WORDS: usize = 32;

/// The counters of all threads. Each is written by its thread only, and read by
/// others for statistics, so relaxed accesses are enough.
#[derive(Debug)]
pub struct Counters {
    words: SharedWords,
    threads: usize,
}

impl Counters {
    /// All zero.
    pub fn new(threads: usize) -> io::Result<Counters> {
        Ok(Counters {
            words: SharedWords::new(threads * WORDS)?,
            threads,
        })
    }

    fn word(&self, thread: usize, counter: Counter) -> &AtomicU64 {
        &self.words[thread * WORDS + counter as usize]
    }

    /// Adds one. By the thread itself.
    pub fn count(&self, thread: usize, counter: Counter) {
        let word = self.word(thread, counter);
        word.store(word.load(Relaxed) + 1, Relaxed);
    }

    /// The value for one thread.
    pub fn get(&self, thread: usize, counter: Counter) -> u64 {
        self.word(thread, counter).load(Relaxed)
    }

    /// The sum over all threads.
    pub fn sum(&self, counter: Counter) -> u64 {
        (0..self.threads)
            .map(|thread| self.get(thread, counter))
            .sum()
    }

    /// True if it is set for all threads.
    pub fn all(&self, counter: Counter) -> bool {
        (0..self.threads).all(|thread| self.get(thread, counter) != 0)
    }
}
