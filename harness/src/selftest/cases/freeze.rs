// SPDX-License-Identifier: GPL-2.0-only
//! A memfd keeps its size and its pages while a region maps it, and is free
//! again afterwards.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::thread;
use std::time::{Duration, Instant};

use crate::access::Signal;
use crate::selftest::check::{Outcome, Stop, fails, raises, reads};
use crate::selftest::files::{get, holds, memfd, private, put, reopen, shared};
use crate::selftest::runner::{Needs, Test, tests};
use crate::selftest::state::{Arena, BASE, PAGE, at, bytes};
use crate::selftest::sys::file::fallocate;
use crate::selftest::sys::memory::{Board, Mapping, READ_WRITE};
use crate::selftest::sys::process::Child;
use crate::{Advice, Placement, Prot, Relocation};

pub(super) const TESTS: &[Test] = tests![Needs::Module, "freeze":
    size_and_pages_stay_while_mapped,
    contents_may_change_while_mapped,
    thawed_by_the_last_unmap,
    thawed_when_replaced,
    thawed_when_the_space_goes,
    thawed_when_the_process_is_killed,
    counted_over_spaces,
    counted_over_splits_and_merges,
    moved_with_the_region,
    untouched_region_freezes_too,
    refused_map_does_not_freeze,
    private_region_does_not_freeze,
    many_regions_come_and_go,
    resize_beside_map_and_unmap,
];

const RW: Prot = Prot::READ_WRITE;
const RO: Prot = Prot::READ;
const PAGES: usize = 4;
const PUNCH: libc::c_int = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;

/// What must not be done to a frozen memfd of `PAGES` pages, by name.
fn changes(file: &File) -> Vec<(&'static str, io::Result<()>)> {
    let view = Mapping::of(file.as_fd(), 0, PAGES * PAGE, READ_WRITE, libc::MAP_SHARED);
    let view = view.expect("a frozen memfd can still be mapped");
    vec![
        ("ftruncate to less", file.set_len(bytes(1))),
        ("ftruncate to nothing", file.set_len(0)),
        ("ftruncate to more", file.set_len(bytes(PAGES + 1))),
        (
            "punching a hole",
            fallocate(file, PUNCH, bytes(1), bytes(1)),
        ),
        ("fallocate", fallocate(file, 0, 0, bytes(2))),
        ("MADV_REMOVE", view.advise(PAGE, PAGE, libc::MADV_REMOVE)),
        (
            "write beyond the end",
            file.write_all_at(&[1; 8], bytes(PAGES)),
        ),
    ]
}

#[track_caller]
fn frozen(file: &File, when: &str) -> Outcome {
    changes(file)
        .into_iter()
        .try_for_each(|(name, result)| fails(result, libc::EPERM, &format!("{name}, {when}")))
}

/// The memfd can be shrunk and grown again, at once: the call that removed the
/// last region has returned.
#[track_caller]
fn thawed(file: &File, when: &str) -> Outcome {
    let shrunk = file.set_len(bytes(1));
    shrunk.map_err(|error| Stop::fail(format!("still frozen {when}: {error}")))?;
    file.set_len(bytes(PAGES))?;
    Ok(fallocate(file, PUNCH, 0, bytes(1))?)
}

/// The same, at once or soon: the call failed, or the space is gone, whose
/// regions are freed after a grace period.
#[track_caller]
pub(super) fn soon_thawed(file: &File, when: &str) -> Outcome {
    let deadline = Instant::now() + Duration::from_secs(5);
    while file.set_len(bytes(1)).is_err() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(5));
    }
    thawed(file, when)
}

fn size_and_pages_stay_while_mapped() -> Outcome {
    let file = memfd(PAGES, 50)?;
    let arena = Arena::backed(PAGES, RW, shared(&file, 0))?;
    frozen(&file, "untouched")?;
    arena.stamp(0, PAGES, 10)?;
    frozen(&file, "touched")?;
    Arena::holds(&arena.window, 0, PAGES, 10, "afterwards")?;
    // Also by another descriptor, and by O_TRUNC.
    let other = reopen(&file, OpenOptions::new().read(true).write(true))?;
    frozen(&other, "by another descriptor")?;
    let truncate = reopen(&file, OpenOptions::new().write(true).truncate(true));
    if truncate.is_ok() {
        return Err(Stop::fail("O_TRUNC succeeded"));
    }
    arena.advise(0, PAGES, Advice::DontNeed)?;
    frozen(&file, "after DONTNEED")?;
    holds(&file, 0, PAGES, 10, "afterwards")
}

fn contents_may_change_while_mapped() -> Outcome {
    let file = memfd(PAGES, 50)?;
    let arena = Arena::backed(PAGES, RW, shared(&file, 0))?;
    put(&file, PAGE + 8, 3)?;
    reads(arena.window.load(PAGE + 8), 3, "written while frozen")?;
    // To its own size it may be set.
    file.set_len(bytes(PAGES))?;
    arena.window.store(8, 4)?;
    if get(&file, 8)? != 4 {
        return Err(Stop::fail("a store did not reach the frozen memfd"));
    }
    Ok(())
}

fn thawed_by_the_last_unmap() -> Outcome {
    let file = memfd(PAGES, 50)?;
    let arena = Arena::backed(PAGES, RW, shared(&file, 0))?;
    arena.stamp(0, PAGES, 10)?;
    arena.unmap(0, 1)?;
    frozen(&file, "with three pages mapped")?;
    arena.unmap(2, 2)?;
    frozen(&file, "with one page mapped")?;
    arena.unmap(0, PAGES)?;
    thawed(&file, "with nothing mapped")?;
    // And once more from the start.
    arena.place(0, PAGES, RW, shared(&file, 0))?;
    frozen(&file, "mapped again")?;
    reads(arena.window.load(0), 0, "the hole that was punched")?;
    arena.unmap(0, PAGES)?;
    thawed(&file, "unmapped again")
}

fn thawed_when_replaced() -> Outcome {
    let file = memfd(PAGES, 50)?;
    let arena = Arena::backed(PAGES, RW, shared(&file, 0))?;
    arena.stamp(0, PAGES, 10)?;
    arena.remap(0, PAGES, RW)?;
    thawed(&file, "replaced by ANON")?;
    arena.place(0, PAGES, RW, shared(&file, 0))?;
    arena.remap(8, PAGES, RW)?;
    arena.shift(8, PAGES, 0)?;
    thawed(&file, "replaced by a move")?;
    arena.place(0, PAGES, RW, shared(&file, 0))?;
    arena.place(0, PAGES, RW, shared(&file, 0))?;
    frozen(&file, "replaced by itself")
}

fn thawed_when_the_space_goes() -> Outcome {
    let file = memfd(PAGES, 50)?;
    let Arena { space, window } = Arena::backed(PAGES, RW, shared(&file, 0))?;
    reads(window.load(PAGE), 51, "page")?;
    drop(space);
    frozen(&file, "with the window alone")?;
    reads(window.load(2 * PAGE), 52, "page")?;
    drop(window);
    soon_thawed(&file, "with the space gone")
}

fn thawed_when_the_process_is_killed() -> Outcome {
    let board = Board::new()?;
    let file = memfd(PAGES, 50)?;
    let child = Child::fork(|| {
        let arena = Arena::backed(PAGES, RW, shared(&file, 0))?;
        for round in 0.. {
            arena.stamp(0, PAGES, round)?;
            board.set(0, 1);
            arena.place(0, PAGES, RW, shared(&file, 0))?;
        }
        Ok(())
    })?;
    board.wait(0, 1)?;
    frozen(&file, "while the child lives")?;
    child.signal(libc::SIGKILL)?;
    drop(child);
    soon_thawed(&file, "with the child killed")
}

fn counted_over_spaces() -> Outcome {
    let file = memfd(PAGES, 50)?;
    let one = Arena::backed(PAGES, RW, shared(&file, 0))?;
    let two = Arena::backed(PAGES, RO, shared(&file, 0))?;
    one.unmap(0, PAGES)?;
    frozen(&file, "mapped by the second space")?;
    Arena::holds(&two.window, 0, PAGES, 50, "second space")?;
    drop(one);
    frozen(&file, "the first space gone")?;
    two.unmap(0, PAGES)?;
    thawed(&file, "unmapped by both")
}

fn counted_over_splits_and_merges() -> Outcome {
    let file = memfd(PAGES, 50)?;
    let arena = Arena::backed(PAGES, RW, shared(&file, 0))?;
    for _ in 0..20 {
        arena.protect(1, 2, RO)?;
        arena.protect(2, 1, Prot::NONE)?;
        arena.protect(0, PAGES, RW)?;
    }
    frozen(&file, "after splits and merges")?;
    arena.protect(1, 2, RO)?;
    for page in [1, 0, 3] {
        arena.unmap(page, 1)?;
        frozen(&file, "in parts")?;
    }
    arena.unmap(2, 1)?;
    thawed(&file, "with the last part gone")
}

fn moved_with_the_region() -> Outcome {
    let file = memfd(PAGES, 50)?;
    let arena = Arena::backed(PAGES, RW, shared(&file, 0))?;
    arena.shift(0, PAGES, 600)?;
    frozen(&file, "moved")?;
    arena.resize(600, PAGES, 1, Relocation::Stay)?;
    frozen(&file, "shrunk")?;
    arena.resize(600, 1, 9, Relocation::Stay)?;
    frozen(&file, "grown")?;
    arena.shift(602, 2, 0)?;
    arena.unmap(600, 9)?;
    frozen(&file, "a part elsewhere")?;
    arena.unmap(0, 2)?;
    thawed(&file, "with the last part gone")
}

fn untouched_region_freezes_too() -> Outcome {
    let file = memfd(PAGES, 50)?;
    for prot in [Prot::NONE, RO, RW] {
        // Beyond the end of the memfd, where no page will ever be.
        let arena = Arena::backed(1, prot, shared(&file, 1000))?;
        frozen(&file, &format!("{prot:?}"))?;
        arena.unmap(0, 1)?;
        thawed(&file, &format!("{prot:?} unmapped"))?;
    }
    Ok(())
}

fn refused_map_does_not_freeze() -> Outcome {
    let file = memfd(PAGES, 50)?;
    let arena = Arena::new(1, RW)?;
    arena.refuses(libc::EEXIST, "MAP over a region", |arena| {
        let place = Placement::FixedNoreplace;
        let source = shared(&file, 0);
        arena.space.map_from(BASE, bytes(1), RW, place, source)
    })?;
    arena.space.limit_regions(1)?;
    arena.refuses(libc::ENOMEM, "MAP beyond the limit", |arena| {
        let place = Placement::Fixed;
        let source = shared(&file, 0);
        arena.space.map_from(at(5), bytes(1), RW, place, source)
    })?;
    soon_thawed(&file, "after refusals")
}

fn private_region_does_not_freeze() -> Outcome {
    let file = memfd(PAGES, 50)?;
    let arena = Arena::backed(PAGES, RW, private(&file, 0))?;
    reads(arena.window.load(0), 50, "first page")?;
    thawed(&file, "with a PRIVATE region")?;
    file.set_len(bytes(1))?;
    reads(arena.window.load(0), 50, "copy of the first page")?;
    raises(arena.window.load(PAGE), Signal::Bus, "page beyond the end")
}

fn many_regions_come_and_go() -> Outcome {
    let file = memfd(PAGES, 50)?;
    let arena = Arena::empty(1)?;
    // Every second page of the space, so that none merge.
    for page in 0..1000 {
        arena.place(2 * page, 1, RO, shared(&file, page % PAGES))?;
    }
    frozen(&file, "by a thousand regions")?;
    arena.unmap(0, 1998)?;
    frozen(&file, "by one region")?;
    arena.unmap(0, 2000)?;
    thawed(&file, "by none")
}

/// Who resizes has it done or is told EPERM; the contents are right at the end.
fn resize_beside_map_and_unmap() -> Outcome {
    let file = memfd(PAGES, 50)?;
    let arena = Arena::empty(PAGES)?;
    super::concurrency::for_a_while(Duration::from_millis(1500), 2, |number, round| {
        if number == 0 {
            arena.place(0, PAGES, RW, shared(&file, 0))?;
            for page in 0..PAGES {
                if let Err(fault) = arena.window.store(page * PAGE, round) {
                    raises::<()>(Err(fault), Signal::Bus, "store")?;
                }
            }
            return arena.unmap(0, PAGES);
        }
        let results = [
            file.set_len(bytes(1)),
            fallocate(&file, PUNCH, 0, bytes(1)),
            file.set_len(bytes(PAGES)),
        ];
        results
            .into_iter()
            .filter(Result::is_err)
            .try_for_each(|result| fails(result, libc::EPERM, "change of the memfd"))
    })?;
    thawed(&file, "at last")
}
