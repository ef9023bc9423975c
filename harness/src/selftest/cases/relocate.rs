// SPDX-License-Identifier: GPL-2.0-only
//! REMAP that moves: the pages themselves go along, nothing is left behind.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::concurrency::for_a_while;
use super::query::must_add_up;
use crate::access::Signal;
use crate::selftest::check::{Outcome, Stop, ensure, ensure_eq, raises, reads};
use crate::selftest::files::{memfd, private, shared};
use crate::selftest::runner::{Needs, Test, tests};
use crate::selftest::state::{
    AMPLE, Arena, BASE, Live, PAGE, SPACE_SIZE, at, bytes, regions, window,
};
use crate::selftest::sys::gup::{pipe, splice_pages};
use crate::selftest::sys::memory::Board;
use crate::selftest::sys::process::Child;
use crate::{PAGE_SIZE, Placement, Prot, Relocation, Space};

pub(super) const TESTS: &[Test] = tests![Needs::Module, "remap":
    move_takes_the_contents_along,
    move_takes_the_very_pages_along,
    move_replaces_what_is_there,
    move_of_a_part_splits,
    several_regions_move_with_their_holes,
    what_is_under_a_hole_stays,
    leaves_need_not_be_aligned,
    first_and_last_page_of_the_space,
    file_regions_keep_their_offsets,
    sparse_tebibyte_moves_at_once,
    old_addresses_fault_everywhere,
    overlap_is_einval,
    move_needs_no_room_in_the_limits,
    there_and_back_leaves_nothing,
    forbidden_pages_move_too,
    accesses_beside_a_move_see_the_page_or_nothing,
    no_store_is_lost_by_a_move,
    moves_that_cross_do_not_deadlock,
];

const RW: Prot = Prot::READ_WRITE;
const RO: Prot = Prot::READ;

fn move_takes_the_contents_along() -> Outcome {
    let arena = Arena::empty(20)?;
    arena.remap(0, 6, RW)?;
    arena.stamp(0, 4, 10)?;
    let before = arena.space.stats()?;
    arena.shift(0, 6, 12)?;
    ensure_eq!(arena.shape()?, [(12, 18, RW)], "regions");
    let stats = arena.space.stats()?;
    ensure_eq!(stats.pages_moved, 4, "pages moved");
    ensure_eq!(
        (stats.pages, stats.pages_added, stats.pages_removed),
        (before.pages, before.pages_added, before.pages_removed),
        "pages held, added, removed"
    );
    // Page 0 is page 12 now.
    for page in 0..4 {
        let word = arena.window.load((12 + page) * PAGE);
        reads(word, 10 + page as u64, "moved page")?;
        raises(arena.window.load(page * PAGE), Signal::Bus, "old address")?;
    }
    for page in 16..18 {
        reads(arena.window.load(page * PAGE), 0, "page never touched")?;
    }
    arena.stamp(12, 6, 30)?;
    arena.remap(0, 6, RW)?;
    for page in 0..6 {
        reads(arena.window.load(page * PAGE), 0, "mapped anew")?;
    }
    Arena::holds(&arena.window, 12, 6, 30, "moved region")
}

/// A page in a pipe is the page itself: a store after the move shows there.
fn move_takes_the_very_pages_along() -> Outcome {
    use std::io::Read;
    let arena = Arena::empty(8)?;
    arena.remap(0, 1, RW)?;
    arena.stamp(0, 1, 10)?;
    let (mut read, write) = pipe()?;
    splice_pages(&write, &arena.window, 0, PAGE)?;
    arena.shift(0, 1, 5)?;
    arena.window.store(5 * PAGE + 8, 77)?;
    let mut seen = vec![0; PAGE];
    read.read_exact(&mut seen)?;
    ensure_eq!(seen[8..16], 77u64.to_ne_bytes(), "word in the pipe");
    Ok(())
}

fn move_replaces_what_is_there() -> Outcome {
    let arena = Arena::empty(30)?;
    for (from, pages, prot) in [(0, 8, RW), (10, 3, RO), (14, 2, RW), (17, 6, RW)] {
        arena.remap(from, pages, prot)?;
    }
    arena.stamp(0, 8, 10)?;
    arena.stamp(14, 2, 100)?;
    arena.stamp(17, 6, 100)?;
    arena.shift(0, 8, 12)?;
    let expected = [(10, 12, RO), (12, 23, RW)];
    ensure_eq!(arena.shape()?, expected, "regions");
    for page in 0..8 {
        let word = arena.window.load((12 + page) * PAGE);
        reads(word, 10 + page as u64, "moved page")?;
    }
    Arena::holds(&arena.window, 20, 3, 100, "behind the target")?;
    let stats = arena.space.stats()?;
    ensure_eq!((stats.pages_removed, stats.pages), (5, 11), "pages");
    Ok(())
}

fn move_of_a_part_splits() -> Outcome {
    let arena = Arena::new(9, RW)?;
    arena.stamp(0, 9, 10)?;
    arena.shift(3, 3, 20)?;
    let expected = [(0, 3, RW), (6, 9, RW), (20, 23, RW)];
    ensure_eq!(arena.shape()?, expected, "regions");
    Arena::holds(&arena.window, 0, 3, 10, "below")?;
    Arena::holds(&arena.window, 6, 3, 10, "above")?;
    Arena::holds(&window(&arena.space, at(20), 3)?, 0, 3, 13, "moved part")
}

fn several_regions_move_with_their_holes() -> Outcome {
    let arena = Arena::empty(1500)?;
    let file = memfd(8, 500)?;
    arena.remap(0, 4, RW)?;
    arena.remap(4, 2, RO)?;
    arena.remap(510, 4, RW)?;
    arena.place(600, 4, RO, shared(&file, 1))?;
    arena.stamp(0, 4, 10)?;
    arena.stamp(510, 4, 10)?;
    // From inside the first to inside the last, holes and all.
    arena.shift(1, 602, 801)?;
    let expected = [
        (0, 1, RW),
        (603, 604, RO),
        (801, 804, RW),
        (804, 806, RO),
        (1310, 1314, RW),
        (1400, 1403, RO),
    ];
    ensure_eq!(arena.shape()?, expected, "regions");
    for page in [1, 2, 3, 510, 511, 512, 513] {
        let word = arena.window.load((800 + page) * PAGE);
        reads(
            word,
            10 + page as u64,
            &format!("page {page} at its new place"),
        )?;
        raises(arena.window.load(page * PAGE), Signal::Bus, "old address")?;
    }
    for page in 0..3 {
        let word = arena.window.load((1400 + page) * PAGE);
        reads(word, 501 + page as u64, "page of the file")?;
    }
    raises(
        arena.window.load(900 * PAGE),
        Signal::Bus,
        "hole in between",
    )?;
    reads(
        arena.window.load(603 * PAGE),
        504,
        "what stayed of the file",
    )?;
    reads(arena.window.load(0), 10, "what stayed")?;
    must_add_up(&arena.space)
}

/// A move replaces what is where its regions go, not what is where holes go.
fn what_is_under_a_hole_stays() -> Outcome {
    let arena = Arena::empty(40)?;
    arena.remap(0, 2, RW)?;
    arena.remap(5, 2, RW)?;
    arena.remap(20, 12, RW)?;
    arena.stamp(0, 2, 10)?;
    arena.stamp(5, 2, 10)?;
    arena.stamp(20, 12, 100)?;
    arena.protect(20, 12, RO)?;
    // A hole in the middle and one at the end.
    arena.shift(0, 10, 20)?;
    let expected = [(20, 22, RW), (22, 25, RO), (25, 27, RW), (27, 32, RO)];
    ensure_eq!(arena.shape()?, expected, "regions");
    Arena::holds(&arena.window, 22, 3, 100, "under the first hole")?;
    Arena::holds(&arena.window, 27, 5, 100, "under the last hole")?;
    for page in [0, 1, 5, 6] {
        let word = arena.window.load((20 + page) * PAGE);
        reads(word, 10 + page as u64, "moved page")?;
        raises(arena.window.load(page * PAGE), Signal::Bus, "old address")?;
    }
    must_add_up(&arena.space)
}

/// Pages change their place within a leaf, and from one leaf to two.
fn leaves_need_not_be_aligned() -> Outcome {
    const PAGES: usize = 1200;
    let far = 1 << 20;
    for (from, to) in [
        (0, 2000),
        (1, 1602),
        (300, far + 7),
        (513, far),
        (1, far + 511),
    ] {
        let arena = Arena::empty(from + PAGES)?;
        arena.remap(from, PAGES, RW)?;
        arena.stamp(from, PAGES, 10)?;
        arena.shift(from, PAGES, to)?;
        let moved = window(&arena.space, at(to), PAGES)?;
        let what = format!("from {from} to {to}");
        Arena::holds(&moved, 0, PAGES, 10 + from as u64, &what)?;
        for page in from..from + PAGES {
            raises(arena.window.load(page * PAGE), Signal::Bus, &what)?;
        }
        ensure_eq!(arena.space.stats()?.pages_moved, PAGES as u64, "{what}");
        arena.space.unmap(at(to), bytes(PAGES))?;
        ensure_eq!(arena.space.stats()?.pages, 0, "{what}: pages held");
    }
    Ok(())
}

fn first_and_last_page_of_the_space() -> Outcome {
    let space = Space::open()?;
    let last = SPACE_SIZE - PAGE_SIZE;
    space.map(0, PAGE_SIZE, RW, Placement::Fixed)?;
    window(&space, 0, 1)?.store(0, 7)?;
    let up = space.remap(0, PAGE_SIZE, PAGE_SIZE, Relocation::Fixed(last))?;
    ensure_eq!(up, last, "address");
    reads(window(&space, last, 1)?.load(0), 7, "last page")?;
    let down = space.remap(last, PAGE_SIZE, PAGE_SIZE, Relocation::Fixed(0))?;
    ensure_eq!(down, 0, "address");
    reads(window(&space, 0, 1)?.load(0), 7, "first page")?;
    raises(window(&space, last, 1)?.load(0), Signal::Bus, "last page")
}

fn file_regions_keep_their_offsets() -> Outcome {
    let file = memfd(16, 50)?;
    for source in [shared(&file, 4), private(&file, 4)] {
        let arena = Arena::empty(40)?;
        arena.place(0, 8, RO, source)?;
        arena.window.load(2 * PAGE)?;
        arena.shift(1, 6, 21)?;
        let found: Vec<_> = regions(&arena.space)?
            .iter()
            .map(|r| (r.start, r.offset, r.backing))
            .collect();
        let expected = [(0, 4), (7, 11), (21, 5)]
            .map(|(page, offset)| (at(page), bytes(offset), source.backing()));
        ensure_eq!(found, expected, "start, offset, backing");
        for page in [0, 7] {
            reads(arena.window.load(page * PAGE), 54 + page as u64, "stayed")?;
        }
        for page in 0..6 {
            let word = arena.window.load((21 + page) * PAGE);
            reads(word, 55 + page as u64, "moved")?;
        }
    }
    Ok(())
}

fn sparse_tebibyte_moves_at_once() -> Outcome {
    let length: u64 = 1 << 40;
    let space = Space::open()?;
    space.map(BASE, length, RW, Placement::Fixed)?;
    let pages = [0, 511, 1 << 18, (1 << 28) - 1];
    for page in pages {
        window(&space, at(page), 1)?.store(0, page as u64 + 1)?;
    }
    let far = BASE + 2 * length + bytes(3);
    let start = Instant::now();
    for _ in 0..5 {
        space.remap(BASE, length, length, Relocation::Fixed(far))?;
        space.remap(far, length, length, Relocation::Fixed(BASE))?;
    }
    space.remap(BASE, length, length, Relocation::Fixed(far))?;
    let took = start.elapsed();
    ensure!(took < Duration::from_secs(2), "11 moves took {took:?}");
    for page in pages {
        let view = window(&space, far + bytes(page), 1)?;
        reads(view.load(0), page as u64 + 1, "moved page")?;
    }
    ensure_eq!(space.stats()?.pages_moved, 44, "pages moved");
    Ok(())
}

fn old_addresses_fault_everywhere() -> Outcome {
    let board = Board::new()?;
    let arena = Arena::empty(20)?;
    arena.remap(0, 4, RW)?;
    arena.stamp(0, 4, 10)?;
    let (view, second) = (&arena.window, window(&arena.space, BASE, 20)?);
    Arena::holds(&second, 0, 4, 10, "second window")?;
    let child = Child::fork(|| {
        Arena::holds(view, 0, 4, 10, "in the child")?;
        board.set(0, 1);
        board.wait(1, 1)?;
        for page in 0..4 {
            raises(view.store(page * PAGE, 9), Signal::Bus, "old address")?;
            let word = view.load((10 + page) * PAGE);
            reads(word, 10 + page as u64, "new address")?;
        }
        Ok(())
    })?;
    board.wait(0, 1)?;
    arena.shift(0, 4, 10)?;
    board.set(1, 1);
    for page in 0..4 {
        raises(second.store(page * PAGE, 9), Signal::Bus, "second window")?;
        raises(view.load(page * PAGE), Signal::Bus, "first window")?;
        let word = second.load((10 + page) * PAGE);
        reads(word, 10 + page as u64, "second window")?;
    }
    child.finish(AMPLE)
}

fn overlap_is_einval() -> Outcome {
    let arena = Arena::new(8, RW)?;
    arena.remap(20, 8, RW)?;
    arena.stamp(0, 8, 10)?;
    let cases = [
        (0, 8, 8, 0),
        (0, 8, 8, 1),
        (0, 8, 8, 7),
        (4, 4, 4, 3),
        (4, 4, 4, 1),
        (2, 2, 4, 0),
        (2, 2, 6, 3),
        (0, 8, 2, 7),
        (20, 8, 8, 13),
    ];
    for (from, old, new, to) in cases {
        let what = format!("{from}+{old} to {to}+{new}");
        arena.refuses(libc::EINVAL, &what, |arena| {
            arena.resize(from, old, new, Relocation::Fixed(at(to)))
        })?;
    }
    Arena::holds(&arena.window, 0, 8, 10, "contents")?;
    // Neighbours do not overlap.
    arena.shift(0, 4, 8)
}

fn move_needs_no_room_in_the_limits() -> Outcome {
    let arena = Arena::new(6, RW)?;
    arena.remap(8, 1, RO)?;
    arena.stamp(0, 6, 10)?;
    arena.space.limit(6)?;
    arena.space.limit_regions(2)?;
    arena.shift(0, 6, 600)?;
    let stats = arena.space.stats()?;
    ensure_eq!((stats.pages, stats.max_pages), (6, 6), "pages, limit");
    ensure_eq!((stats.regions, stats.max_regions), (2, 2), "regions, limit");
    Arena::holds(&window(&arena.space, at(600), 6)?, 0, 6, 10, "moved")?;
    // A part would be one region more.
    arena.refuses(libc::ENOMEM, "move of a part", |arena| {
        arena.resize(601, 2, 2, Relocation::Fixed(at(0)))
    })
}

fn there_and_back_leaves_nothing() -> Outcome {
    let arena = Arena::empty(40)?;
    arena.remap(0, 10, RW)?;
    arena.stamp(0, 10, 10)?;
    let before = Live::required()?;
    for _ in 0..100 {
        arena.shift(0, 10, 700)?;
        arena.shift(700, 10, 0)?;
    }
    Arena::holds(&arena.window, 0, 10, 10, "after 200 moves")?;
    ensure_eq!(arena.space.stats()?.pages_moved, 2000, "pages moved");
    before.must_return("live objects after 200 moves")?;
    must_add_up(&arena.space)
}

fn forbidden_pages_move_too() -> Outcome {
    let arena = Arena::empty(20)?;
    arena.remap(0, 4, RW)?;
    arena.stamp(0, 4, 10)?;
    arena.protect(0, 2, Prot::NONE)?;
    arena.protect(2, 2, RO)?;
    arena.shift(0, 4, 10)?;
    ensure_eq!(
        arena.shape()?,
        [(10, 12, Prot::NONE), (12, 14, RO)],
        "regions"
    );
    raises(arena.window.load(10 * PAGE), Signal::Segv, "load of NONE")?;
    raises(arena.window.store(12 * PAGE, 1), Signal::Segv, "store to R")?;
    arena.protect(10, 4, RW)?;
    for page in 0..4 {
        let word = arena.window.load((10 + page) * PAGE);
        reads(word, 10 + page as u64, "moved page")?;
    }
    Ok(())
}

/// Between two places, a page is at one of them or, for a moment, at none. It
/// never reads zero, and never anything else.
fn accesses_beside_a_move_see_the_page_or_nothing() -> Outcome {
    let arena = Arena::empty(16)?;
    arena.remap(0, 4, RW)?;
    arena.stamp(0, 4, 10)?;
    for_a_while(Duration::from_millis(1500), 3, |number, round| {
        if number == 0 {
            arena.shift(0, 4, 9)?;
            return arena.shift(9, 4, 0);
        }
        let page = round as usize % 4;
        let place = if round % 8 < 4 { page } else { 9 + page };
        match arena.window.load(place * PAGE) {
            Ok(seen) => ensure_eq!(seen, 10 + page as u64, "word at place {place}"),
            Err(fault) => ensure_eq!(fault.signal, Signal::Bus, "signal of a load"),
        }
        Ok(())
    })?;
    Arena::holds(&arena.window, 0, 4, 10, "at last")?;
    ensure_eq!(arena.space.stats()?.pages_added, 4, "pages added");
    must_add_up(&arena.space)
}

/// What was stored before the call began is there after the move (C5).
fn no_store_is_lost_by_a_move() -> Outcome {
    let arena = Arena::empty(16)?;
    arena.remap(0, 1, RW)?;
    let stored = AtomicU64::new(0);
    for_a_while(Duration::from_millis(1500), 2, |number, round| {
        let word = |place: usize| arena.window.load(place * PAGE);
        if number == 0 {
            for (from, to) in [(0, 9), (9, 0)] {
                let before = stored.load(Ordering::SeqCst);
                arena.shift(from, 1, to)?;
                let after = word(to)?;
                ensure!(after >= before, "{before} stored, then moved: {after}");
            }
            return Ok(());
        }
        for place in [0, 9] {
            if arena.window.store(place * PAGE, round).is_ok() {
                stored.store(round, Ordering::SeqCst);
            }
        }
        Ok(())
    })?;
    must_add_up(&arena.space)
}

/// Two threads move in opposite directions between the same two places; each
/// range is locked with the other in one go.
fn moves_that_cross_do_not_deadlock() -> Outcome {
    let arena = Arena::empty(16)?;
    arena.remap(0, 4, RW)?;
    arena.stamp(0, 4, 10)?;
    let end = Instant::now() + Duration::from_millis(1500);
    let travel = |from: usize, to: usize| -> Outcome {
        let mut moved = 0u64;
        while Instant::now() < end {
            match arena.resize(from, 4, 4, Relocation::Fixed(at(to))) {
                Ok(_) => moved += 1,
                Err(error) if error.raw_os_error() == Some(libc::EFAULT) => {}
                Err(error) => return Err(error.into()),
            }
        }
        ensure!(moved > 0, "nothing moved from {from} to {to}");
        Ok(())
    };
    thread::scope(|scope| {
        let there = scope.spawn(|| travel(0, 9));
        let back = travel(9, 0);
        there
            .join()
            .unwrap_or_else(|_| Err(Stop::fail("a thread panicked")))
            .and(back)
    })?;
    let place = arena.shape()?[0].0;
    for page in 0..4 {
        let word = arena.window.load((place + page) * PAGE);
        reads(word, 10 + page as u64, "page at last")?;
    }
    must_add_up(&arena.space)
}
