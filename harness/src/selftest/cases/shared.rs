// SPDX-License-Identifier: GPL-2.0-only
//! Regions over a memfd: its very pages, in every view of it.

use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::concurrency::for_a_while;
use super::query::must_add_up;
use crate::access::Signal;
use crate::selftest::check::{Outcome, ensure_eq, fails, raises, reads};
use crate::selftest::files::{Scratch, get, holds, memfd, put, shared};
use crate::selftest::runner::{Needs, Test, tests};
use crate::selftest::state::{AMPLE, Arena, BASE, PAGE, at, bytes, window};
use crate::selftest::sys::gup::{pipe, read_remote, splice_pages};
use crate::selftest::sys::memory::{Board, Mapping, READ_WRITE};
use crate::selftest::sys::process::Child;
use crate::{Advice, Backing, Placement, Prot, Space};

pub(super) const TESTS: &[Test] = tests![Needs::Module, "shared":
    shows_the_memfd,
    coherent_with_read_and_write,
    coherent_with_mappings,
    coherent_across_spaces_and_processes,
    coherent_with_itself,
    coherent_beside_writers,
    hole_of_the_memfd_reads_zero,
    beyond_the_end_is_sigbus,
    memfd_outlives_unmap,
    region_outlives_the_descriptor,
    stores_upgrade_pages_that_were_read,
    protection_is_the_regions,
    pages_count_against_the_limit,
    hole_beyond_the_limit_stays_a_hole,
    query_reports_backing_and_offset,
    file_of_a_tmpfs_is_refused,
    pages_can_be_pinned,
    advice_on_a_window_spares_the_memfd,
];

const RW: Prot = Prot::READ_WRITE;
const RO: Prot = Prot::READ;

fn shows_the_memfd() -> Outcome {
    let file = memfd(600, 50)?;
    let arena = Arena::backed(590, RW, shared(&file, 7))?;
    Arena::holds(&arena.window, 0, 590, 57, "pages of the memfd")?;
    let stats = arena.space.stats()?;
    ensure_eq!((stats.pages, stats.pages_added), (590, 590), "pages");
    arena.stamp(0, 590, 1000)?;
    holds(&file, 7, 590, 993, "stored in the window")?;
    holds(&file, 0, 7, 50, "before the offset")?;
    must_add_up(&arena.space)
}

fn coherent_with_read_and_write() -> Outcome {
    let file = memfd(2, 50)?;
    let arena = Arena::backed(2, RW, shared(&file, 0))?;
    for round in 1..50 {
        // A write shows in the window, whether or not there is an entry yet.
        put(&file, PAGE + 8, round)?;
        reads(arena.window.load(PAGE + 8), round, "written to the memfd")?;
        arena.window.store(PAGE + 16, round)?;
        ensure_eq!(get(&file, PAGE + 16)?, round, "stored in the window");
    }
    Ok(())
}

fn coherent_with_mappings() -> Outcome {
    let file = memfd(3, 50)?;
    let other = Mapping::of(file.as_fd(), 0, 3 * PAGE, READ_WRITE, libc::MAP_SHARED)?;
    other.store(0, 1)?;
    let arena = Arena::backed(3, RW, shared(&file, 0))?;
    reads(arena.window.load(0), 1, "stored before the MAP")?;
    for page in 0..3 {
        other.store(page * PAGE + 8, 2)?;
        reads(arena.window.load(page * PAGE + 8), 2, "stored by mmap")?;
        arena.window.store(page * PAGE + 16, 3)?;
        reads(other.load(page * PAGE + 16), 3, "stored in the window")?;
    }
    arena.unmap(0, 3)?;
    reads(other.load(16), 3, "after UNMAP")
}

fn coherent_across_spaces_and_processes() -> Outcome {
    let board = Board::new()?;
    let file = memfd(4, 50)?;
    let one = Arena::backed(4, RW, shared(&file, 0))?;
    let child = Child::fork(|| {
        // A space of its own, from another page on.
        let two = Arena::backed(3, RW, shared(&file, 1))?;
        two.window.store(0, 7)?;
        board.set(0, 1);
        board.wait(1, 1)?;
        reads(two.window.load(PAGE), 8, "stored in the other space")
    })?;
    board.wait(0, 1)?;
    reads(one.window.load(PAGE), 7, "stored in the other space")?;
    one.window.store(2 * PAGE, 8)?;
    board.set(1, 1);
    child.finish(AMPLE)?;
    reads(one.window.load(PAGE), 7, "after the other space has gone")
}

fn coherent_with_itself() -> Outcome {
    let file = memfd(2, 50)?;
    let arena = Arena::empty(8)?;
    for page in [0, 3, 6] {
        arena.place(page, 1, RW, shared(&file, 1))?;
    }
    arena.window.store(3 * PAGE, 9)?;
    for page in [0, 3, 6] {
        reads(arena.window.load(page * PAGE), 9, &format!("page {page}"))?;
    }
    ensure_eq!(arena.space.stats()?.pages, 3, "pages held");
    arena.unmap(3, 1)?;
    arena.window.store(0, 10)?;
    reads(arena.window.load(6 * PAGE), 10, "what is left")
}

/// Each thread has a word of the page, and another view of it.
fn coherent_beside_writers() -> Outcome {
    let file = memfd(1, 50)?;
    let arena = Arena::backed(1, RW, shared(&file, 0))?;
    let other = Mapping::of(file.as_fd(), 0, PAGE, READ_WRITE, libc::MAP_SHARED)?;
    for_a_while(
        std::time::Duration::from_millis(1000),
        3,
        |number, round| {
            let word = 64 * (number + 1);
            match number {
                0 => {
                    put(&file, word, round)?;
                    reads(arena.window.load(word), round, "written to the memfd")
                }
                1 => {
                    arena.window.store(word, round)?;
                    reads(other.load(word), round, "stored in the window")?;
                    match round % 64 {
                        0 => Ok(arena.advise(0, 1, Advice::DontNeed)?),
                        32 => arena.place(0, 1, RW, shared(&file, 0)),
                        _ => Ok(()),
                    }
                }
                _ => {
                    other.store(word, round)?;
                    ensure_eq!(get(&file, word)?, round, "stored by mmap");
                    Ok(())
                }
            }
        },
    )?;
    must_add_up(&arena.space)
}

fn hole_of_the_memfd_reads_zero() -> Outcome {
    let file = memfd(0, 0)?;
    file.set_len(bytes(8))?;
    let arena = Arena::backed(8, RW, shared(&file, 0))?;
    reads(
        arena.window.load(2 * PAGE),
        0,
        "page that was never written",
    )?;
    arena.window.store(5 * PAGE, 6)?;
    ensure_eq!(get(&file, 5 * PAGE)?, 6, "word of the memfd");
    put(&file, 2 * PAGE, 7)?;
    reads(arena.window.load(2 * PAGE), 7, "written afterwards")
}

fn beyond_the_end_is_sigbus() -> Outcome {
    let file = memfd(2, 50)?;
    file.set_len(bytes(1) + 100)?;
    let arena = Arena::backed(4, RW, shared(&file, 0))?;
    reads(
        arena.window.load(2 * PAGE - 8),
        0,
        "behind the end, same page",
    )?;
    for page in 2..4 {
        raises(arena.window.load(page * PAGE), Signal::Bus, "load")?;
        raises(arena.window.store(page * PAGE, 1), Signal::Bus, "store")?;
    }
    let stats = arena.space.stats()?;
    ensure_eq!(stats.fault_no_page, 4, "fault_no_page");
    ensure_eq!(stats.fault_no_region, 0, "fault_no_region");
    // A region may also lie beyond the end altogether.
    arena.place(0, 2, RO, shared(&file, 100))?;
    raises(arena.window.load(0), Signal::Bus, "beyond the end")?;
    must_add_up(&arena.space)
}

fn memfd_outlives_unmap() -> Outcome {
    let file = memfd(4, 50)?;
    let arena = Arena::backed(4, RW, shared(&file, 0))?;
    arena.stamp(0, 4, 10)?;
    arena.unmap(0, 4)?;
    raises(arena.window.load(0), Signal::Bus, "after UNMAP")?;
    holds(&file, 0, 4, 10, "after UNMAP")?;
    arena.place(0, 4, RW, shared(&file, 0))?;
    Arena::holds(&arena.window, 0, 4, 10, "mapped again")
}

fn region_outlives_the_descriptor() -> Outcome {
    let file = memfd(4, 50)?;
    let arena = Arena::backed(4, RW, shared(&file, 0))?;
    drop(file);
    Arena::holds(&arena.window, 0, 4, 50, "after close")?;
    arena.stamp(0, 4, 10)?;
    let Arena { space, window } = arena;
    drop(space);
    Arena::holds(&window, 0, 4, 10, "with the window alone")
}

fn stores_upgrade_pages_that_were_read() -> Outcome {
    let file = memfd(3, 50)?;
    let arena = Arena::backed(3, RW, shared(&file, 0))?;
    Arena::holds(&arena.window, 0, 3, 50, "read first")?;
    arena.stamp(0, 3, 10)?;
    holds(&file, 0, 3, 10, "stored then")?;
    let stats = arena.space.stats()?;
    ensure_eq!(
        (stats.fault_mkwrite, stats.pages_added),
        (3, 3),
        "{stats:?}"
    );
    Ok(())
}

fn protection_is_the_regions() -> Outcome {
    let file = memfd(3, 50)?;
    let arena = Arena::backed(3, RO, shared(&file, 0))?;
    arena.place(1, 1, Prot::NONE, shared(&file, 1))?;
    raises(arena.window.store(0, 1), Signal::Segv, "store to R")?;
    raises(arena.window.load(PAGE), Signal::Segv, "load of NONE")?;
    arena.protect(0, 3, RW)?;
    arena.stamp(0, 3, 10)?;
    arena.protect(0, 3, RO)?;
    raises(arena.window.store(0, 1), Signal::Segv, "store to R again")?;
    // The memfd itself can be written all the same.
    put(&file, 0, 99)?;
    reads(arena.window.load(0), 99, "written to the memfd")?;
    ensure_eq!(arena.shape()?, [(0, 3, RO)], "regions");
    Ok(())
}

fn pages_count_against_the_limit() -> Outcome {
    let file = memfd(8, 50)?;
    let arena = Arena::backed(8, RW, shared(&file, 0))?;
    arena.space.limit(3)?;
    Arena::holds(&arena.window, 0, 3, 50, "within the limit")?;
    raises(arena.window.load(3 * PAGE), Signal::Bus, "beyond the limit")?;
    let stats = arena.space.stats()?;
    ensure_eq!((stats.pages, stats.fault_limit), (3, 1), "{stats:?}");
    arena.unmap(0, 1)?;
    reads(arena.window.load(3 * PAGE), 53, "with room again")
}

fn hole_beyond_the_limit_stays_a_hole() -> Outcome {
    const PAGES: usize = 700;
    let file = memfd(1, 50)?;
    file.set_len(bytes(PAGES))?;
    let arena = Arena::backed(PAGES, RW, shared(&file, 0))?;
    arena.space.limit(2)?;
    reads(arena.window.load(0), 50, "within the limit")?;
    arena.window.store(PAGE, 1)?;
    let blocks = file.metadata()?.blocks();
    for page in 2..PAGES {
        raises(arena.window.load(page * PAGE), Signal::Bus, "load")?;
        raises(arena.window.store(page * PAGE, 1), Signal::Bus, "store")?;
    }
    let filled = arena.advise(2, PAGES - 2, Advice::WillNeed);
    fails(filled, libc::ENOMEM, "WILLNEED beyond the limit")?;
    ensure_eq!(file.metadata()?.blocks(), blocks, "blocks of the memfd");
    // What is there already can still be written.
    arena.window.store(0, 2)?;
    arena.unmap(0, 1)?;
    arena.window.store(2 * PAGE, 1)?;
    must_add_up(&arena.space)
}

fn query_reports_backing_and_offset() -> Outcome {
    let file = memfd(8, 50)?;
    let arena = Arena::backed(4, RO, shared(&file, 3))?;
    let region = arena.space.query(BASE)?;
    let seen = region.map(|r| (r.start, r.end, r.prot, r.backing, r.offset));
    let expected = (BASE, at(4), RO, Backing::SHARED, bytes(3));
    ensure_eq!(seen, Some(expected), "region");
    Ok(())
}

/// Whoever may read a file of a tmpfs could freeze it for all its users.
fn file_of_a_tmpfs_is_refused() -> Outcome {
    let scratch = Scratch::new(Path::new("/dev/shm"))?;
    scratch.file.set_len(bytes(4))?;
    let arena = Arena::new(1, RW)?;
    arena.refuses(libc::ENODEV, "SHARED over a file of a tmpfs", |arena| {
        let from = shared(&scratch.file, 0);
        arena.space.map_from(0, bytes(1), RW, Placement::Hint, from)
    })
}

fn pages_can_be_pinned() -> Outcome {
    use std::io::Read;
    let file = memfd(2, 50)?;
    let arena = Arena::backed(2, RW, shared(&file, 0))?;
    let me = std::process::id() as i32;
    let seen = read_remote(me, arena.window.address(), 8)?;
    ensure_eq!(seen, 50u64.to_ne_bytes(), "read by process_vm_readv");
    let (mut read, write) = pipe()?;
    splice_pages(&write, &arena.window, PAGE, PAGE)?;
    arena.unmap(0, 2)?;
    drop(arena);
    drop(file);
    let mut page = vec![0; PAGE];
    read.read_exact(&mut page)?;
    ensure_eq!(page[..8], 51u64.to_ne_bytes(), "page in the pipe");
    Ok(())
}

/// madvise(2) on a window is not an ADVISE, and nothing to the memfd.
fn advice_on_a_window_spares_the_memfd() -> Outcome {
    let file = memfd(4, 50)?;
    let space = Space::open()?;
    let fixed = Placement::FixedNoreplace;
    space.map_from(BASE, bytes(4), RW, fixed, shared(&file, 0))?;
    let view = window(&space, BASE, 4)?;
    for advice in (0..26).chain([102, 103]) {
        if advice == libc::MADV_DONTFORK {
            continue;
        }
        for page in 0..4 {
            let _ = view.load(page * PAGE);
        }
        let _ = view.advise(0, 4 * PAGE, advice);
        holds(&file, 0, 4, 50, &format!("after advice {advice}"))?;
    }
    Arena::holds(&view, 0, 4, 50, "at last")
}
