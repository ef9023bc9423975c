// SPDX-License-Identifier: GPL-2.0-only
//! PROTECT: which regions are there afterwards, and what accesses may do.

use std::thread;
use std::time::{Duration, Instant};

use super::concurrency::for_a_while;
use super::query::must_add_up;
use crate::access::Signal;
use crate::selftest::check::{Outcome, Stop, ensure, ensure_eq, fails, raises, reads};
use crate::selftest::runner::{Needs, Test, tests};
use crate::selftest::state::{AMPLE, Arena, BASE, PAGE, at, bytes, regions, window};
use crate::selftest::sys::gup::{pipe, read_into};
use crate::selftest::sys::memory::Board;
use crate::selftest::sys::process::Child;
use crate::{Placement, Prot, Space};

pub(super) const TESTS: &[Test] = tests![Needs::Module, "protect":
    whole_region,
    middle_splits_and_back_merges,
    several_regions_become_one,
    edge_of_a_neighbour_moves,
    every_protection_to_every_other,
    hole_is_enomem_and_changes_nothing,
    generation_changes_where_the_region_does,
    successful_calls_are_counted,
    brings_no_pages,
    downgrade_reaches_every_window,
    downgrade_reaches_other_processes,
    downgrade_stops_stores_in_flight,
    upgrade_keeps_contents,
    none_keeps_contents,
    kernel_may_not_store_either,
    sparse_tebibyte_is_quick,
    churn_beside_accesses,
];

const RW: Prot = Prot::READ_WRITE;
const RO: Prot = Prot::READ;

fn whole_region() -> Outcome {
    let arena = Arena::new(4, RW)?;
    arena.protect(0, 4, RO)?;
    ensure_eq!(arena.shape()?, [(0, 4, RO)], "regions");
    raises(arena.window.store(0, 1), Signal::Segv, "store")?;
    reads(arena.window.load(0), 0, "load")?;
    arena.protect(0, 4, RW)?;
    ensure_eq!(arena.shape()?, [(0, 4, RW)], "regions");
    arena.stamp(0, 4, 1)
}

fn middle_splits_and_back_merges() -> Outcome {
    let arena = Arena::new(9, RW)?;
    arena.stamp(0, 9, 10)?;
    arena.protect(3, 3, RO)?;
    let split = [(0, 3, RW), (3, 6, RO), (6, 9, RW)];
    ensure_eq!(arena.shape()?, split, "regions after the split");
    for page in 0..9 {
        let stored = arena.window.store(page * PAGE + 8, 1);
        match page {
            3..6 => raises(stored, Signal::Segv, &format!("store to page {page}"))?,
            _ => stored?,
        }
    }
    arena.protect(3, 3, RW)?;
    ensure_eq!(arena.shape()?, [(0, 9, RW)], "regions after the merge");
    ensure_eq!(arena.space.stats()?.regions, 1, "regions of STATS");
    Arena::holds(&arena.window, 0, 9, 10, "all")
}

fn several_regions_become_one() -> Outcome {
    let arena = Arena::empty(12)?;
    for (from, prot) in [(0, RW), (3, Prot::NONE), (6, RO), (9, RW)] {
        arena.remap(from, 3, prot)?;
    }
    arena.stamp(0, 3, 10)?;
    // Parts of the outermost, and all in between.
    arena.protect(1, 10, RO)?;
    let expected = [(0, 1, RW), (1, 11, RO), (11, 12, RW)];
    ensure_eq!(arena.shape()?, expected, "regions");
    Arena::holds(&arena.window, 0, 3, 10, "contents")?;
    for page in 3..11 {
        reads(arena.window.load(page * PAGE), 0, "page of the middle")?;
        let stored = arena.window.store(page * PAGE, 1);
        raises(stored, Signal::Segv, &format!("store to page {page}"))?;
    }
    arena.protect(0, 12, RW)?;
    ensure_eq!(arena.shape()?, [(0, 12, RW)], "regions at last");
    Ok(())
}

fn edge_of_a_neighbour_moves() -> Outcome {
    let arena = Arena::new(8, RW)?;
    arena.remap(4, 4, RO)?;
    arena.stamp(0, 4, 10)?;
    arena.protect(4, 2, RW)?;
    ensure_eq!(arena.shape()?, [(0, 6, RW), (6, 8, RO)], "edge moved up");
    arena.stamp(4, 2, 10)?;
    arena.protect(1, 5, RO)?;
    ensure_eq!(arena.shape()?, [(0, 1, RW), (1, 8, RO)], "edge moved down");
    Arena::holds(&arena.window, 0, 6, 10, "contents")
}

fn every_protection_to_every_other() -> Outcome {
    let all = [Prot::NONE, RO, Prot::WRITE, RW];
    let arena = Arena::empty(2)?;
    for from in all {
        for to in all {
            arena.remap(0, 2, RW)?;
            arena.stamp(0, 2, 10)?;
            arena.protect(0, 2, from)?;
            // With an entry under the old protection, if it allows any.
            let _ = arena.window.load(0);
            arena.protect(0, 2, to)?;
            let what = format!("{from:?} to {to:?}");
            ensure_eq!(arena.shape()?, [(0, 2, to)], "{what}: regions");
            may_do(&arena, to, &what)?;
        }
    }
    Ok(())
}

/// Loads and stores on both pages must do what `prot` says.
fn may_do(arena: &Arena, prot: Prot, what: &str) -> Outcome {
    for page in 0..2 {
        let (loaded, at) = (arena.window.load(page * PAGE), page * PAGE);
        match prot {
            Prot::NONE => raises(loaded, Signal::Segv, what)?,
            _ => reads(loaded, 10 + page as u64, what)?,
        }
        let stored = arena.window.store(at + 8, 1);
        match prot.bits() & Prot::WRITE.bits() {
            0 => raises(stored, Signal::Segv, what)?,
            _ => stored?,
        }
    }
    Ok(())
}

fn hole_is_enomem_and_changes_nothing() -> Outcome {
    let arena = Arena::empty(16)?;
    arena.remap(2, 4, RW)?;
    arena.remap(8, 4, RW)?;
    arena.stamp(2, 4, 10)?;
    arena.stamp(8, 4, 10)?;
    for (from, pages) in [(0, 2), (0, 6), (2, 10), (4, 5), (8, 5), (10, 6), (0, 16)] {
        for prot in [Prot::NONE, RO, RW] {
            let what = format!("PROTECT {from}+{pages} {prot:?}");
            arena.refuses(libc::ENOMEM, &what, |arena| {
                arena.protect(from, pages, prot)
            })?;
        }
    }
    arena.stamp(2, 4, 20)?;
    arena.stamp(8, 4, 20)?;
    Arena::holds(&arena.window, 2, 4, 20, "first region")?;
    Arena::holds(&arena.window, 8, 4, 20, "second region")?;
    let nowhere = Space::open()?;
    fails(
        nowhere.protect(BASE, bytes(1), RO),
        libc::ENOMEM,
        "PROTECT in an empty space",
    )
}

fn generation_changes_where_the_region_does() -> Outcome {
    let arena = Arena::new(8, RW)?;
    arena.remap(10, 2, RW)?;
    let before = regions(&arena.space)?;
    arena.protect(4, 2, RO)?;
    let after = regions(&arena.space)?;
    ensure_eq!(after.len(), 4, "regions: {after:x?}");
    let generations: Vec<_> = after.iter().map(|r| r.generation).collect();
    ensure_eq!(generations[0], generations[2], "parts left of one region");
    ensure!(
        generations[1] != generations[0] && generations[1] != before[0].generation,
        "the changed part has an old generation: {before:x?}, {after:x?}"
    );
    ensure_eq!(after[3], before[1], "region that was not in the range");
    arena.protect(4, 2, RW)?;
    let merged = regions(&arena.space)?;
    ensure!(
        after
            .iter()
            .take(3)
            .all(|r| r.generation != merged[0].generation),
        "the merged region has an old generation: {after:x?}, {merged:x?}"
    );
    Ok(())
}

fn successful_calls_are_counted() -> Outcome {
    let arena = Arena::new(4, RW)?;
    arena.protect(0, 2, RO)?;
    arena.protect(0, 2, RO)?;
    fails(arena.protect(0, 5, RO), libc::ENOMEM, "over a hole")?;
    let stats = arena.space.stats()?;
    ensure_eq!((stats.protects, stats.maps), (2, 1), "{stats:?}");
    must_add_up(&arena.space)
}

fn brings_no_pages() -> Outcome {
    let arena = Arena::new(8, RO)?;
    arena.protect(0, 8, RW)?;
    arena.protect(2, 3, Prot::NONE)?;
    ensure_eq!(arena.space.stats()?.pages_added, 0, "pages added");
    arena.protect(0, 8, RW)?;
    for page in 0..8 {
        reads(arena.window.load(page * PAGE), 0, "untouched page")?;
    }
    arena.stamp(0, 8, 3)?;
    Arena::holds(&arena.window, 0, 8, 3, "afterwards")
}

fn downgrade_reaches_every_window() -> Outcome {
    let arena = Arena::new(600, RW)?;
    let windows = (0..4)
        .map(|_| window(&arena.space, BASE, 600))
        .collect::<Result<Vec<_>, Stop>>()?;
    let touched = [0, 1, 2, 511, 512, 599];
    for view in &windows {
        for page in touched {
            view.store(page * PAGE, page as u64)?;
        }
    }
    arena.protect(1, 598, RO)?;
    for view in &windows {
        for page in touched {
            let stored = view.store(page * PAGE, page as u64);
            match page {
                0 | 599 => stored?,
                _ => raises(stored, Signal::Segv, &format!("store to page {page}"))?,
            }
            reads(view.load(page * PAGE), page as u64, "load")?;
        }
    }
    Ok(())
}

fn downgrade_reaches_other_processes() -> Outcome {
    let board = Board::new()?;
    let arena = Arena::new(4, RW)?;
    let view = &arena.window;
    let child = Child::fork(|| {
        for page in 0..3 {
            view.store(page * PAGE, 5)?;
        }
        board.set(0, 1);
        board.wait(1, 1)?;
        raises(view.store(0, 6), Signal::Segv, "store to a read-only page")?;
        reads(view.load(0), 5, "load of it")?;
        raises(view.load(PAGE), Signal::Segv, "load of a forbidden page")?;
        Ok(view.store(2 * PAGE, 7)?)
    })?;
    board.wait(0, 1)?;
    arena.protect(0, 1, RO)?;
    arena.protect(1, 1, Prot::NONE)?;
    board.set(1, 1);
    child.finish(AMPLE)?;
    reads(view.load(2 * PAGE), 7, "page that stayed writable")
}

/// Once the call has returned, the word does not change any more (C2), however
/// many threads and processes were storing to it.
fn downgrade_stops_stores_in_flight() -> Outcome {
    let board = Board::new()?;
    let arena = Arena::new(1, RW)?;
    let view = window(&arena.space, BASE, 1)?;
    let child = Child::fork(|| {
        for value in 0.. {
            let _ = view.store(0, value);
            if board.get(0) != 0 {
                break;
            }
        }
        Ok(())
    })?;
    let outcome = for_a_while(Duration::from_millis(1500), 2, |number, round| {
        if number == 1 {
            let _ = arena.window.store(0, round << 32);
            return Ok(());
        }
        arena.protect(0, 1, RW)?;
        thread::sleep(Duration::from_micros(200));
        arena.protect(0, 1, RO)?;
        let first = arena.window.load(0)?;
        thread::sleep(Duration::from_micros(200));
        reads(arena.window.load(0), first, "word of a read-only page")
    });
    board.set(0, 1);
    child.finish(AMPLE)?;
    outcome?;
    must_add_up(&arena.space)
}

fn upgrade_keeps_contents() -> Outcome {
    let arena = Arena::new(600, RW)?;
    arena.stamp(0, 600, 10)?;
    arena.protect(0, 600, RO)?;
    let second = window(&arena.space, BASE, 600)?;
    Arena::holds(&second, 0, 600, 10, "while read-only")?;
    arena.protect(0, 600, RW)?;
    for page in 0..600 {
        second.store(page * PAGE + 8, 1)?;
    }
    Arena::holds(&arena.window, 0, 600, 10, "writable again")?;
    ensure_eq!(arena.space.stats()?.pages_added, 600, "pages added");
    Ok(())
}

fn none_keeps_contents() -> Outcome {
    let arena = Arena::new(3, RW)?;
    arena.stamp(0, 3, 10)?;
    arena.protect(0, 3, Prot::NONE)?;
    for page in 0..3 {
        raises(arena.window.load(page * PAGE), Signal::Segv, "load")?;
        raises(arena.window.store(page * PAGE, 1), Signal::Segv, "store")?;
    }
    ensure_eq!(arena.space.stats()?.pages, 3, "pages held");
    arena.protect(0, 3, RO)?;
    Arena::holds(&arena.window, 0, 3, 10, "readable again")
}

fn kernel_may_not_store_either() -> Outcome {
    use std::io::Write;
    let arena = Arena::new(1, RW)?;
    arena.stamp(0, 1, 10)?;
    let (read, mut write) = pipe()?;
    write.write_all(&[0x11; 64])?;
    arena.protect(0, 1, RO)?;
    let result = read_into(&read, &arena.window, 0, 8);
    fails(result, libc::EFAULT, "read into a read-only page")?;
    reads(arena.window.load(0), 10, "afterwards")?;
    arena.protect(0, 1, RW)?;
    read_into(&read, &arena.window, 8, 8)?;
    Ok(())
}

/// What a change costs is what is there, not how far it reaches.
fn sparse_tebibyte_is_quick() -> Outcome {
    let length = 1 << 40;
    let space = Space::open()?;
    space.map(BASE, length, RW, Placement::Fixed)?;
    let pages = [0, 1 << 20, (1 << 28) - 1];
    for page in pages {
        window(&space, at(page), 1)?.store(0, page as u64 + 1)?;
    }
    let start = Instant::now();
    for round in 0..20 {
        space.protect(BASE, length, if round % 2 == 0 { RO } else { RW })?;
    }
    let took = start.elapsed();
    ensure!(took < Duration::from_secs(2), "20 PROTECTs took {took:?}");
    for page in pages {
        reads(
            window(&space, at(page), 1)?.load(0),
            page as u64 + 1,
            "page",
        )?;
    }
    Ok(())
}

/// Threads store to pages of their own and see their stores, while another
/// makes the pages read-only and writable again. No store may get lost.
fn churn_beside_accesses() -> Outcome {
    let arena = Arena::new(4, RW)?;
    for_a_while(Duration::from_millis(1500), 3, |number, round| {
        if number == 0 {
            arena.protect(0, 4, [RO, RW, Prot::NONE, RW][round as usize % 4])?;
            return Ok(());
        }
        let at = number * PAGE;
        match arena.window.store(at, round) {
            Ok(()) => match arena.window.load(at) {
                Ok(seen) => ensure_eq!(seen, round, "own store, thread {number}"),
                Err(fault) => ensure_eq!(fault.signal, Signal::Segv, "signal of a load"),
            },
            Err(fault) => ensure_eq!(fault.signal, Signal::Segv, "signal of a store"),
        }
        Ok(())
    })?;
    ensure!(arena.space.stats()?.pages <= 4, "more pages than there are");
    arena.protect(0, 4, RW)?;
    ensure_eq!(arena.shape()?, [(0, 4, RW)], "regions at last");
    must_add_up(&arena.space)
}
