// SPDX-License-Identifier: GPL-2.0-only

//! Who is where: the oracle.
//!
//! All requests begin and end at one of a few boundaries, so that a counter for
//! each cell between two of them tells exactly whether two holders of the same
//! page are there at a time.

use kernel::sync::atomic::{Atomic, Relaxed};

use super::random::Random;
use crate::{kern::range_lock::Pages, portable::interval::Interval};

/// Pages of 2 MiB and of 1 GiB, where the lock's shards and domains meet.
const M2: u64 = 512;
const G1: u64 = 512 * M2;

/// Where requests begin and end: beside and astride of what the lock hashes,
/// and far away.
const BOUNDARIES: [u64; CELLS + 1] = [
    0,
    1,
    2,
    3,
    4,
    8,
    M2 - 2,
    M2 - 1,
    M2,
    M2 + 1,
    M2 + 2,
    2 * M2 - 1,
    2 * M2,
    2 * M2 + 1,
    8 * M2,
    8 * M2 + 4,
    G1 - M2,
    G1 - 2,
    G1 - 1,
    G1,
    G1 + 1,
    G1 + M2,
    2 * G1 - 1,
    2 * G1,
    2 * G1 + 1,
    16 * G1,
    16 * G1 + M2,
    17 * G1 - 1,
    17 * G1 + 1,
    64 * G1,
    1 << 40,
    (1 << 40) + 1,
    u64::MAX,
];

const CELLS: usize = 32;

/// Cells, a bit each.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Set(u32);

impl Set {
    fn span(from: usize, to: usize) -> Self {
        Self(Self::below(to).0 & !Self::below(from).0)
    }

    /// Cells below the boundary `index`.
    fn below(index: usize) -> Self {
        // At most 32 bits, so it fits.
        Self(((1u64 << index) - 1) as u32)
    }

    fn each(self) -> impl Iterator<Item = usize> {
        (0..CELLS).filter(move |cell| self.0 & 1 << cell != 0)
    }
}

/// A place between two cells.
#[derive(Clone, Copy)]
pub(crate) struct Cut(usize);

impl Cut {
    /// Any, also at either end of all cells.
    pub(crate) fn random(random: &mut Random) -> Self {
        Self(random.below(CELLS as u64 + 1) as usize)
    }

    /// The page behind it.
    pub(crate) fn page(self) -> u64 {
        BOUNDARIES[self.0]
    }

    /// What of `set` lies below and above it.
    pub(crate) fn split(self, set: Set) -> (Set, Set) {
        let below = Set::below(self.0).0;
        (Set(set.0 & below), Set(set.0 & !below))
    }
}

/// What a thread asks for.
pub(crate) struct Wish {
    /// As the lock takes it.
    pub(crate) pages: Pages,
    /// As the oracle does.
    pub(crate) cells: Set,
}

impl Wish {
    /// One range, or now and then two: mostly small, sometimes anything, seldom all.
    pub(crate) fn random(random: &mut Random) -> Self {
        let (first, cells) = range(random);
        if random.one_in(4) {
            let (second, more) = range(random);
            if let Some(pages) = Pages::two(first, second) {
                let cells = Set(cells.0 | more.0);
                return Self { pages, cells };
            }
        }
        let pages = first.into();
        Self { pages, cells }
    }
}

fn range(random: &mut Random) -> (Interval, Set) {
    let cells = CELLS as u64;
    let (from, to) = match random.below(64) {
        0 => (0, cells),
        1..8 => {
            let from = random.below(cells);
            (from, from + 1 + random.below(cells - from))
        }
        _ => {
            let from = random.below(cells);
            (from, cells.min(from + 1 + random.below(3)))
        }
    };
    let (from, to) = (from as usize, to as usize);
    match Interval::new(BOUNDARIES[from], BOUNDARIES[to]) {
        Some(range) => (range, Set::span(from, to)),
        // The boundaries ascend.
        None => (Interval::ALL, Set::span(0, CELLS)),
    }
}

/// A reader counts one, a writer this.
const WRITER: u32 = 1 << 16;

/// What must not happen.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wrong {
    /// A writer found somebody.
    WriterNotAlone,
    /// A reader found a writer.
    ReaderBesideWriter,
    /// A reader found what a writer had half done.
    HalfWritten,
}

/// Who is in a cell, and what writers leave there. Relaxed: the lock under
/// test has to order it.
struct Cell {
    holders: Atomic<u32>,
    /// The same number, whenever no writer is there.
    first: Atomic<u64>,
    second: Atomic<u64>,
}

/// The cells.
pub(crate) struct Cells([Cell; CELLS]);

impl Cells {
    /// Nobody is there.
    pub(crate) const fn new() -> Self {
        Self(
            [const {
                Cell {
                    holders: Atomic::new(0),
                    first: Atomic::new(0),
                    second: Atomic::new(0),
                }
            }; CELLS],
        )
    }

    /// Each of these returns the first thing that is wrong, and goes on.
    pub(crate) fn begin_write(&self, set: Set) -> Option<Wrong> {
        self.check(set, Wrong::WriterNotAlone, |cell| {
            let alone = cell.holders.fetch_add(WRITER, Relaxed) == 0;
            cell.first.store(cell.first.load(Relaxed) + 1, Relaxed);
            alone
        })
    }

    /// The writer is done with some of its cells.
    pub(crate) fn end_write(&self, set: Set) -> Option<Wrong> {
        self.check(set, Wrong::WriterNotAlone, |cell| {
            cell.second.store(cell.first.load(Relaxed), Relaxed);
            cell.holders.fetch_sub(WRITER, Relaxed) == WRITER
        })
    }

    /// A reader comes.
    pub(crate) fn begin_read(&self, set: Set) -> Option<Wrong> {
        self.check(set, Wrong::ReaderBesideWriter, |cell| {
            cell.holders.fetch_add(1, Relaxed) < WRITER
        })
        .or_else(|| self.whole(set))
    }

    /// The reader is done with some of its cells.
    pub(crate) fn end_read(&self, set: Set) -> Option<Wrong> {
        let torn = self.whole(set);
        self.check(set, Wrong::ReaderBesideWriter, |cell| {
            cell.holders.fetch_sub(1, Relaxed) < WRITER
        })
        .or(torn)
    }

    /// The writer becomes a reader.
    pub(crate) fn downgrade(&self, set: Set) -> Option<Wrong> {
        self.check(set, Wrong::WriterNotAlone, |cell| {
            cell.second.store(cell.first.load(Relaxed), Relaxed);
            cell.holders.fetch_sub(WRITER - 1, Relaxed) == WRITER
        })
    }

    fn whole(&self, set: Set) -> Option<Wrong> {
        self.check(set, Wrong::HalfWritten, |cell| {
            cell.first.load(Relaxed) == cell.second.load(Relaxed)
        })
    }

    fn check(&self, set: Set, wrong: Wrong, good: impl Fn(&Cell) -> bool) -> Option<Wrong> {
        let all = set.each().fold(true, |all, cell| good(&self.0[cell]) & all);
        (!all).then_some(wrong)
    }
}
