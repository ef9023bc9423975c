// SPDX-License-Identifier: GPL-2.0-only
//! What is done in a phase: a fixed number of operations, so that two runs compare.

use std::io;

use clap::ValueEnum;

use super::team::{Phase, together};
use crate::bench::goals::churn::{self, change_once};
use crate::bench::goals::ebizzy;
use crate::bench::memory::{Arena, On, Show};
use crate::bench::{GIB, MIB};
use crate::{PAGE_SIZE, Policy};

/// What a leaf of the page directory, or a page table, is for, in bytes.
const LEAF: u64 = 2 * MIB;
/// Pages for each thread that a space has before a phase: 8 MiB, as a program has that has
/// run for a while. A processor takes pages ahead by what the space has, so in a small space
/// it does so more often (ARCHITECTURE.md, The page limit).
const BEFORE: u64 = 2048;
/// What is mapped and unmapped untouched, in bytes.
const UNTOUCHED: u64 = 128 * MIB;

/// A kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(super) enum Work {
    /// Each thread first touches pages of its own 2 MiB of one region, in one window; it
    /// has discarded as many before
    Pft,
    /// The same with a window for each thread
    PftStriped,
    /// Each thread maps 512 KiB, touches every page and unmaps it
    Ebizzy,
    /// Each thread maps and unmaps 128 MiB, untouched
    Mmap1,
    /// The same in a space for each thread: what is shared then is not the space's
    Mmap1Apart,
    /// Each thread takes and gives back the range lock of a page where nothing is mapped
    RangeLock,
    /// Every other thread does as pft, the others change 64 KiB elsewhere
    BesideChurn,
}

impl Work {
    pub(super) fn all() -> Vec<Work> {
        Work::value_variants().to_vec()
    }

    /// As it is typed.
    pub(super) fn name(self) -> String {
        let value = self.to_possible_value().expect("none is skipped");
        value.get_name().to_owned()
    }

    /// What is counted.
    pub(super) fn unit(self) -> &'static str {
        match self {
            Work::Pft | Work::PftStriped | Work::BesideChurn => "fault",
            Work::Ebizzy => "chunk",
            Work::Mmap1 | Work::Mmap1Apart => "map+unmap",
            Work::RangeLock => "unmap of nothing",
        }
    }

    /// Why it makes no sense there.
    pub(super) fn unfit(self, on: On, threads: u32) -> Option<&'static str> {
        let is_space = matches!(on, On::Space(_));
        match self {
            Work::PftStriped if !is_space => Some("only a space has windows"),
            Work::Mmap1Apart if !is_space => Some("a process has one address space"),
            Work::RangeLock if !is_space => Some("only a space has a range lock"),
            Work::BesideChurn if threads < 2 => Some("it takes two threads"),
            Work::Ebizzy | Work::BesideChurn | Work::Mmap1 if on == On::Memfd => {
                Some("a memfd keeps its pages when it is unmapped")
            }
            _ => None,
        }
    }

    /// Whether its threads take one and the same lock there, with every operation, and
    /// alone: they sleep for it.
    pub(super) fn has_one_lock(self, on: On) -> bool {
        let has_ranges = matches!(on, On::Space(Policy::RANGE | Policy::SPF_RANGE));
        match self {
            Work::RangeLock | Work::Mmap1 => !has_ranges,
            Work::Pft | Work::PftStriped | Work::Ebizzy | Work::Mmap1Apart | Work::BesideChurn => {
                false
            }
        }
    }

    /// Does it; returns the operations of all threads.
    pub(super) fn run(
        self,
        on: On,
        threads: u32,
        pages: u64,
        phase: Option<&mut Phase>,
    ) -> io::Result<u64> {
        let all = u64::from(threads);
        match self {
            Work::Pft => touch(on, threads, pages, Show::Whole, phase)?,
            Work::PftStriped => {
                let stripes = Show::Striped(LEAF as usize);
                touch(on, threads, pages, stripes, phase)?;
            }
            Work::Ebizzy => {
                let chunks = chunks(pages);
                let arena = Arena::new(on, all * GIB, all * ebizzy::CHUNK / PAGE_SIZE)?;
                together(threads, phase, |number| {
                    let at = u64::from(number) * GIB;
                    (0..chunks).try_for_each(|_| change_once(&arena, at, ebizzy::CHUNK))
                })?;
                return Ok(all * chunks);
            }
            Work::Mmap1 => {
                let arena = Arena::new(on, all * GIB, 0)?;
                together(threads, phase, |number| {
                    let at = u64::from(number) * GIB;
                    (0..pages).try_for_each(|_| arena.unmap(arena.map(at, UNTOUCHED)?))
                })?;
            }
            Work::Mmap1Apart => {
                let spaces = (0..threads).map(|_| Arena::new(on, GIB, 0));
                let spaces = spaces.collect::<io::Result<Vec<Arena>>>()?;
                together(threads, phase, |number| {
                    let space = &spaces[number as usize];
                    (0..pages).try_for_each(|_| space.unmap(space.map(0, UNTOUCHED)?))
                })?;
            }
            Work::RangeLock => {
                let arena = Arena::new(on, PAGE_SIZE, 0)?;
                let space = arena.space().expect("others are unfit");
                together(threads, phase, |number| {
                    let at = u64::from(number) * LEAF;
                    (0..pages).try_for_each(|_| space.unmap(at, PAGE_SIZE))
                })?;
            }
            Work::BesideChurn => return beside_churn(on, threads, pages, phase),
        }
        Ok(all * pages)
    }
}

/// Chunks of [`ebizzy`] that have about so many pages; at least four.
fn chunks(pages: u64) -> u64 {
    (pages * PAGE_SIZE / ebizzy::CHUNK).max(4)
}

fn touch(
    on: On,
    threads: u32,
    pages: u64,
    show: Show,
    phase: Option<&mut Phase>,
) -> io::Result<()> {
    let own = u64::from(threads) * LEAF;
    let before = u64::from(threads) * BEFORE;
    let limit = u64::from(threads) * (1 + pages) + before;
    let all = own + (before * PAGE_SIZE).next_multiple_of(LEAF);
    let arena = Arena::shown(on, all + LEAF, limit, show)?;
    let whole = arena.map(0, all + LEAF)?;
    // Linux maps a memfd where it likes: two threads would share a page table, by chance.
    let piece = whole.part(whole.ptr().align_offset(LEAF as usize) as u64, all);
    let part = |number: u32| piece.part(u64::from(number) * LEAF + PAGE_SIZE, pages * PAGE_SIZE);
    piece.touch_part(own, before * PAGE_SIZE);
    // So that the measured faults are those of a program that has run for a while: each leaf
    // and page table is there, for the first page, and the processor's own list has pages.
    // So has its stock of what may be counted, to which those of its part have returned.
    together(threads, None, |number| {
        piece.touch_part(u64::from(number) * LEAF, PAGE_SIZE);
        let part = part(number);
        part.touch();
        arena.empty(&part)
    })?;
    together(threads, phase, |number| {
        part(number).touch();
        Ok(())
    })?;
    arena.unmap(whole)
}

/// Faults of every other thread; the rest change what is apart from that.
fn beside_churn(on: On, threads: u32, pages: u64, phase: Option<&mut Phase>) -> io::Result<u64> {
    let all = u64::from(threads);
    let touched = all.div_ceil(2) * pages;
    let arena = Arena::new(on, all * GIB, touched + all * churn::CHUNK / PAGE_SIZE)?;
    let piece = arena.map(0, all * LEAF)?;
    let part = |number: u64| piece.part(number * LEAF + PAGE_SIZE, pages * PAGE_SIZE);
    let change = |number: u64| {
        let (at, changes) = (number * GIB, pages * PAGE_SIZE / churn::CHUNK);
        (0..changes.max(1)).try_for_each(|_| change_once(&arena, at, churn::CHUNK))
    };
    // As in `touch`.
    together(threads, None, |number| {
        let number = u64::from(number);
        if number % 2 != 0 {
            return change(number);
        }
        piece.touch_part(number * LEAF, PAGE_SIZE);
        part(number).touch();
        arena.empty(&part(number))
    })?;
    together(threads, phase, |number| {
        let number = u64::from(number);
        if number % 2 != 0 {
            return change(number);
        }
        part(number).touch();
        Ok(())
    })?;
    arena.unmap(piece)?;
    Ok(touched)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_fit_for_linux_runs_there() {
        let mut ran = 0;
        for work in Work::all() {
            if work.unfit(On::Linux, 2).is_none() {
                assert!(
                    work.run(On::Linux, 2, 16, Some(&mut Phase::default()))
                        .unwrap()
                        >= 8,
                    "{work:?}"
                );
                ran += 1;
            }
        }
        assert_eq!(ran, 4);
    }
}
