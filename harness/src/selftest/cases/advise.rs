// SPDX-License-Identifier: GPL-2.0-only
//! ADVISE: pages are discarded for every window, or brought in without a fault.

use std::time::{Duration, Instant};

use super::concurrency::{for_a_while, in_threads};
use super::query::must_add_up;
use crate::access::Signal;
use crate::selftest::check::{Outcome, Stop, ensure, ensure_eq, fails, raises, reads};
use crate::selftest::files::{holds, memfd, private, shared, stamp};
use crate::selftest::runner::{Needs, Test, tests};
use crate::selftest::state::{AMPLE, Arena, BASE, PAGE, bytes, regions, window};
use crate::selftest::sys::memory::Board;
use crate::selftest::sys::process::{Child, End};
use crate::{Advice, Placement, Prot, Space};

pub(super) const TESTS: &[Test] = tests![Needs::Module, "advise":
    dontneed_anon_reads_zero,
    dontneed_reaches_every_window_and_process,
    dontneed_over_several_regions,
    dontneed_private_reads_the_file_anew,
    dontneed_shared_keeps_the_memfd,
    dontneed_makes_room,
    dontneed_of_a_sparse_tebibyte_is_quick,
    dontneed_beside_accesses,
    hole_is_enomem_and_changes_nothing,
    willneed_fills_without_faults,
    willneed_keeps_what_is_there,
    willneed_fills_from_files,
    willneed_beyond_the_limit_is_enomem,
    willneed_fills_up_to_the_limit,
    willneed_beyond_the_file_is_efault,
    willneed_dies_of_sigkill,
    willneed_at_once_brings_each_page_once,
    regions_stay_as_they_are,
];

use Advice::{DontNeed, WillNeed};

const RW: Prot = Prot::READ_WRITE;
const RO: Prot = Prot::READ;

fn dontneed_anon_reads_zero() -> Outcome {
    let arena = Arena::new(600, RW)?;
    arena.stamp(0, 600, 10)?;
    arena.advise(3, 590, DontNeed)?;
    let stats = arena.space.stats()?;
    ensure_eq!((stats.pages, stats.pages_removed), (10, 590), "pages");
    ensure_eq!((stats.advises, stats.unmaps), (1, 0), "calls");
    for page in [3, 4, 511, 512, 592] {
        reads(arena.window.load(page * PAGE), 0, &format!("page {page}"))?;
    }
    Arena::holds(&arena.window, 0, 3, 10, "below")?;
    Arena::holds(&arena.window, 593, 7, 10, "above")?;
    arena.stamp(0, 600, 20)?;
    Arena::holds(&arena.window, 0, 600, 20, "stored again")?;
    must_add_up(&arena.space)
}

fn dontneed_reaches_every_window_and_process() -> Outcome {
    let board = Board::new()?;
    let arena = Arena::new(4, RW)?;
    arena.stamp(0, 4, 10)?;
    let (view, second) = (&arena.window, window(&arena.space, BASE, 4)?);
    Arena::holds(&second, 0, 4, 10, "second window")?;
    let child = Child::fork(|| {
        Arena::holds(view, 0, 4, 10, "in the child")?;
        board.set(0, 1);
        board.wait(1, 1)?;
        (1..3).try_for_each(|page| reads(view.load(page * PAGE), 0, "in the child"))
    })?;
    board.wait(0, 1)?;
    arena.advise(1, 2, DontNeed)?;
    board.set(1, 1);
    for page in 1..3 {
        reads(second.load(page * PAGE), 0, "second window")?;
        reads(view.load(page * PAGE), 0, "first window")?;
    }
    Arena::holds(&second, 3, 1, 10, "page that stays")?;
    child.finish(AMPLE)
}

fn dontneed_over_several_regions() -> Outcome {
    let arena = Arena::new(9, RW)?;
    arena.stamp(0, 9, 10)?;
    arena.protect(3, 3, RO)?;
    arena.protect(6, 3, Prot::NONE)?;
    let before = regions(&arena.space)?.len();
    arena.advise(1, 7, DontNeed)?;
    ensure_eq!(regions(&arena.space)?.len(), before, "regions");
    ensure_eq!(arena.space.stats()?.pages, 2, "pages held");
    raises(arena.window.store(3 * PAGE, 1), Signal::Segv, "store to R")?;
    arena.protect(0, 9, RW)?;
    for page in 1..8 {
        reads(arena.window.load(page * PAGE), 0, &format!("page {page}"))?;
    }
    Arena::holds(&arena.window, 8, 1, 10, "behind")
}

fn dontneed_private_reads_the_file_anew() -> Outcome {
    let file = memfd(4, 50)?;
    let arena = Arena::backed(4, RW, private(&file, 0))?;
    arena.stamp(0, 4, 10)?;
    stamp(&file, 0, 4, 70)?;
    Arena::holds(&arena.window, 0, 4, 10, "copies")?;
    arena.advise(1, 2, DontNeed)?;
    Arena::holds(&arena.window, 1, 2, 70, "read anew")?;
    Arena::holds(&arena.window, 3, 1, 10, "copy that stays")?;
    holds(&file, 0, 4, 70, "afterwards")
}

fn dontneed_shared_keeps_the_memfd() -> Outcome {
    let file = memfd(4, 50)?;
    let arena = Arena::backed(4, RW, shared(&file, 0))?;
    arena.stamp(0, 4, 10)?;
    arena.advise(0, 4, DontNeed)?;
    ensure_eq!(arena.space.stats()?.pages, 0, "pages held");
    holds(&file, 0, 4, 10, "afterwards")?;
    Arena::holds(&arena.window, 0, 4, 10, "afterwards")
}

fn dontneed_makes_room() -> Outcome {
    let arena = Arena::new(8, RW)?;
    arena.space.limit(4)?;
    for round in 0..10 {
        arena.stamp(4 * (round % 2), 4, 10)?;
        raises(
            arena.window.store(4 * (1 - round % 2) * PAGE, 1),
            Signal::Bus,
            "store beyond the limit",
        )?;
        arena.advise(0, 8, DontNeed)?;
    }
    must_add_up(&arena.space)
}

fn dontneed_of_a_sparse_tebibyte_is_quick() -> Outcome {
    let length = 1 << 40;
    let space = Space::open()?;
    space.map(BASE, length, RW, Placement::Fixed)?;
    let far = window(&space, BASE + length - bytes(1), 1)?;
    let start = Instant::now();
    for round in 0..20 {
        far.store(0, round + 1)?;
        space.advise(BASE, length, DontNeed)?;
        reads(far.load(0), 0, "last page")?;
    }
    let took = start.elapsed();
    ensure!(took < Duration::from_secs(2), "20 DONTNEEDs took {took:?}");
    Ok(())
}

/// A page is what was stored to it, or zero; and nothing is stored to a page
/// that is no longer the space's.
fn dontneed_beside_accesses() -> Outcome {
    let arena = Arena::new(4, RW)?;
    for_a_while(Duration::from_millis(1500), 3, |number, round| {
        if number == 0 {
            arena.window.store(0, round + 1)?;
            arena.advise(0, 4, DontNeed)?;
            return reads(arena.window.load(0), 0, "own page after DONTNEED");
        }
        arena.window.store(number * PAGE, round)?;
        let seen = arena.window.load(number * PAGE)?;
        ensure!(seen == round || seen == 0, "{seen} after storing {round}");
        Ok(())
    })?;
    must_add_up(&arena.space)
}

fn hole_is_enomem_and_changes_nothing() -> Outcome {
    let arena = Arena::empty(16)?;
    arena.remap(2, 4, RW)?;
    arena.remap(8, 4, RW)?;
    arena.stamp(2, 2, 10)?;
    arena.stamp(8, 2, 10)?;
    for (from, pages) in [(0, 2), (0, 6), (2, 10), (4, 5), (8, 5), (10, 6), (0, 16)] {
        for advice in [DontNeed, WillNeed] {
            let what = format!("{advice:?} {from}+{pages}");
            arena.refuses(libc::ENOMEM, &what, |arena| {
                arena.advise(from, pages, advice)
            })?;
        }
    }
    Arena::holds(&arena.window, 2, 2, 10, "first region")?;
    Arena::holds(&arena.window, 8, 2, 10, "second region")
}

fn willneed_fills_without_faults() -> Outcome {
    let arena = Arena::new(700, RW)?;
    arena.advise(0, 600, WillNeed)?;
    let stats = arena.space.stats()?;
    ensure_eq!((stats.pages, stats.pages_added), (600, 600), "pages");
    ensure_eq!((stats.faults, stats.advises), (0, 1), "faults, calls");
    // In the space, but in nobody's page tables.
    let resident = arena.window.resident()?;
    ensure!(resident.iter().all(|&page| page & 1 == 0), "entries made");
    for page in 0..700 {
        reads(arena.window.load(page * PAGE), 0, &format!("page {page}"))?;
    }
    ensure_eq!(arena.space.stats()?.pages_added, 700, "pages added");
    must_add_up(&arena.space)
}

fn willneed_keeps_what_is_there() -> Outcome {
    let arena = Arena::new(8, RW)?;
    arena.stamp(2, 3, 10)?;
    for _ in 0..3 {
        arena.advise(0, 8, WillNeed)?;
    }
    ensure_eq!(arena.space.stats()?.pages_added, 8, "pages added");
    Arena::holds(&arena.window, 2, 3, 10, "pages that were there")?;
    reads(arena.window.load(0), 0, "new page")?;
    // Protection is no matter of it: the pages are there when it is raised.
    arena.remap(0, 4, RO)?;
    arena.advise(0, 8, WillNeed)?;
    ensure_eq!(arena.space.stats()?.pages, 8, "pages held");
    raises(arena.window.store(0, 1), Signal::Segv, "store to R")
}

fn willneed_fills_from_files() -> Outcome {
    let file = memfd(6, 50)?;
    let arena = Arena::empty(12)?;
    arena.place(0, 6, RO, shared(&file, 0))?;
    arena.place(6, 6, RW, private(&file, 0))?;
    arena.advise(0, 12, WillNeed)?;
    let stats = arena.space.stats()?;
    ensure_eq!((stats.pages, stats.faults), (12, 0), "pages, faults");
    stamp(&file, 0, 6, 70)?;
    Arena::holds(&arena.window, 0, 6, 70, "shared pages")?;
    for page in 0..6 {
        let word = arena.window.load((6 + page) * PAGE);
        reads(word, 50 + page as u64, "copies, made before the change")?;
    }
    ensure_eq!(arena.space.stats()?.pages_added, 12, "pages added");
    Ok(())
}

fn willneed_beyond_the_limit_is_enomem() -> Outcome {
    let arena = Arena::new(16, RW)?;
    arena.stamp(8, 2, 10)?;
    arena.space.limit(6)?;
    let before = regions(&arena.space)?;
    let start = Instant::now();
    fails(arena.advise(0, 16, WillNeed), libc::ENOMEM, "WILLNEED")?;
    ensure!(start.elapsed() < Duration::from_secs(2), "it took long");
    ensure_eq!(regions(&arena.space)?, before, "regions");
    let stats = arena.space.stats()?;
    ensure!(stats.pages <= 6, "{} pages held, 6 allowed", stats.pages);
    ensure_eq!(stats.advises, 0, "successful calls");
    Arena::holds(&arena.window, 8, 2, 10, "pages that were there")?;
    arena.advise(0, 4, WillNeed)?;
    ensure_eq!(arena.space.stats()?.pages, 6, "pages held");
    must_add_up(&arena.space)
}

/// As far as there is room it has filled them, and says so of all.
fn willneed_fills_up_to_the_limit() -> Outcome {
    let arena = Arena::new(8, Prot::READ_WRITE)?;
    arena.space.limit(3)?;
    let fill = || arena.advise(0, 8, WillNeed);
    fails(fill(), libc::ENOMEM, "WILLNEED of 8 pages of 3")?;
    ensure_eq!(arena.space.stats()?.pages, 3, "pages");
    arena.stamp(0, 3, 10)?;
    raises(arena.window.load(3 * PAGE), Signal::Bus, "page beyond")?;
    fails(fill(), libc::ENOMEM, "once more")?;
    Arena::holds(&arena.window, 0, 3, 10, "pages within the limit")
}

fn willneed_beyond_the_file_is_efault() -> Outcome {
    for as_shared in [true, false] {
        let file = memfd(3, 50)?;
        let source = match as_shared {
            true => shared(&file, 0),
            false => private(&file, 0),
        };
        let arena = Arena::backed(6, RO, source)?;
        arena.advise(0, 3, WillNeed)?;
        for (from, pages) in [(0, 4), (0, 6), (3, 1), (5, 1)] {
            let what = format!("WILLNEED {from}+{pages}");
            fails(arena.advise(from, pages, WillNeed), libc::EFAULT, &what)?;
        }
        ensure_eq!(arena.space.stats()?.pages, 3, "pages held");
        arena.advise(0, 6, DontNeed)?;
        Arena::holds(&arena.window, 0, 3, 50, "afterwards")?;
    }
    Ok(())
}

/// A child fills all the memory that the space may have; it must not take
/// until it is done to die of a SIGKILL.
fn willneed_dies_of_sigkill() -> Outcome {
    let space = Space::open()?;
    let most = space.stats()?.max_pages;
    let length = most / 2 * bytes(1);
    space.map(BASE, length, RW, Placement::Fixed)?;
    let mut child = Child::fork(|| Ok(space.advise(BASE, length, WillNeed)?))?;
    let deadline = Instant::now() + AMPLE;
    while space.stats()?.pages < 64 {
        let waits = Instant::now() < deadline && !child.ends_within(Duration::ZERO)?;
        ensure!(waits, "WILLNEED does not begin");
    }
    child.signal(libc::SIGKILL)?;
    let start = Instant::now();
    let end = child.end(Duration::from_secs(2));
    let (took, there) = (start.elapsed(), space.stats()?.pages);
    ensure_eq!(end?, End::Killed(libc::SIGKILL), "end after {took:?}");
    ensure!(there < most / 2, "all {there} pages are there");
    ensure_eq!(space.stats()?.advises, 0, "successful calls");
    // What is there is as good as any other page.
    reads(window(&space, BASE, 1)?.load(0), 0, "first page")?;
    space.unmap(BASE, length)?;
    must_add_up(&space)
}

fn willneed_at_once_brings_each_page_once() -> Outcome {
    let arena = Arena::new(1000, RW)?;
    in_threads(4, |number| {
        if number == 0 {
            return arena.stamp(0, 1000, 10);
        }
        Ok(arena.advise(100 * number, 700, WillNeed)?)
    })?;
    Arena::holds(&arena.window, 0, 1000, 10, "stored meanwhile")?;
    let stats = arena.space.stats()?;
    ensure_eq!((stats.pages, stats.pages_added), (1000, 1000), "pages");
    must_add_up(&arena.space)
}

fn regions_stay_as_they_are() -> Outcome {
    let arena = Arena::new(8, RW)?;
    arena.remap(3, 2, RO)?;
    let before = regions(&arena.space)?;
    for advice in [WillNeed, DontNeed] {
        arena.advise(1, 5, advice)?;
        let after = regions(&arena.space)?;
        let same = before
            .iter()
            .zip(&after)
            .all(|(a, b)| (a.start, a.end, a.prot) == (b.start, b.end, b.prot));
        if !same || after.len() != before.len() {
            return Err(Stop::fail(format!("{before:x?} became {after:x?}")));
        }
    }
    Ok(())
}
