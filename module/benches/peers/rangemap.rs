// SPDX-License-Identifier: GPL-2.0-only

//! What comes to mind first: a lock around a `rangemap::RangeMap` of what is
//! held, and a condition variable for those who have to wait.
//!
//! Taking and releasing both change the map, so a reader/writer lock around it
//! would only ever be taken for writing: it is a mutex.

use core::ops::Range;

use faultline_portable::{interval::Interval, range_lock::Mode};
use parking_lot::{Condvar, Mutex};
use rangemap::RangeMap;

use super::{Abilities, Peer};

/// How many readers hold a page, or that a writer does.
type Holders = u32;
const WRITER: Holders = u32::MAX;

/// The map of what is held.
#[derive(Default)]
struct Map(RangeMap<u64, Holders>);

impl Map {
    fn is_free(&self, mode: Mode, range: &Range<u64>) -> bool {
        match mode {
            Mode::Write => !self.0.overlaps(range),
            Mode::Read => self.0.overlapping(range).all(|(_, held)| *held != WRITER),
        }
    }

    fn take(&mut self, mode: Mode, range: Range<u64>) {
        match mode {
            Mode::Write => self.0.insert(range, WRITER),
            Mode::Read => {
                let (held, free) = (self.held(&range), self.0.gaps(&range).collect::<Vec<_>>());
                for gap in free {
                    self.0.insert(gap, 1);
                }
                for (piece, readers) in held {
                    self.0.insert(piece, readers + 1);
                }
            }
        }
    }

    fn release(&mut self, mode: Mode, range: Range<u64>) {
        match mode {
            Mode::Write => self.0.remove(range),
            Mode::Read => {
                for (piece, readers) in self.held(&range) {
                    match readers {
                        1 => self.0.remove(piece),
                        _ => self.0.insert(piece, readers - 1),
                    }
                }
            }
        }
    }

    /// The pieces of `range` that are held.
    fn held(&self, range: &Range<u64>) -> Vec<(Range<u64>, Holders)> {
        let clip = |piece: &Range<u64>| piece.start.max(range.start)..piece.end.min(range.end);
        let overlapping = self.0.overlapping(range);
        overlapping.map(|(piece, n)| (clip(piece), *n)).collect()
    }
}

/// The map, its lock, and the waiters.
#[derive(Default)]
pub(crate) struct RangeMapLock {
    map: Mutex<Map>,
    released: Condvar,
}

/// Ranges that are held until dropped.
struct Held<'a, const N: usize> {
    lock: &'a RangeMapLock,
    mode: Mode,
    ranges: [Range<u64>; N],
}

impl RangeMapLock {
    fn acquire<const N: usize>(&self, mode: Mode, ranges: [Interval; N]) -> Held<'_, N> {
        let ranges = ranges.map(|range| range.start()..range.end());
        let mut map = self.map.lock();
        while !ranges.iter().all(|range| map.is_free(mode, range)) {
            self.released.wait(&mut map);
        }
        for range in &ranges {
            map.take(mode, range.clone());
        }
        Held {
            lock: self,
            mode,
            ranges,
        }
    }
}

impl<const N: usize> Drop for Held<'_, N> {
    fn drop(&mut self) {
        let mut map = self.lock.map.lock();
        for range in &self.ranges {
            map.release(self.mode, range.clone());
        }
        drop(map);
        self.lock.released.notify_all();
    }
}

impl Peer for RangeMapLock {
    const NAME: &'static str = "Mutex<RangeMap>";
    const ABILITIES: Abilities = Abilities {
        readers_share: true,
        precise: true,
    };

    fn new() -> Self {
        Self::default()
    }

    #[inline]
    fn with_arrival<R>(
        &self,
        mode: Mode,
        range: Interval,
        arrived: impl FnOnce(),
        inside: impl FnOnce() -> R,
    ) -> R {
        arrived();
        let _held = self.acquire(mode, [range]);
        inside()
    }

    #[inline]
    fn with_two<R>(
        &self,
        mode: Mode,
        ranges: [Interval; 2],
        inside: impl FnOnce() -> R,
    ) -> Option<R> {
        let _held = self.acquire(mode, ranges);
        Some(inside())
    }
}
