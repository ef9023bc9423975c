// SPDX-License-Identifier: GPL-2.0-only
//! Write seals of a memfd, and descriptors that may not write: what may not be
//! written does not become writable, and what may be is not sealed.

use std::fs::File;
use std::thread;
use std::time::{Duration, Instant};

use crate::access::Signal;
use crate::selftest::check::{Outcome, Stop, fails, raises, reads};
use crate::selftest::files::{memfd, private, read_only, shared};
use crate::selftest::runner::{Needs, Test, tests};
use crate::selftest::state::{Arena, BASE, PAGE, Picture, bytes};
use crate::selftest::sys::file::seal;
use crate::{Placement, Prot, Source, Space};

pub(super) const TESTS: &[Test] = tests![Needs::Module, "seal":
    writable_region_holds_off_the_seal,
    region_that_may_become_writable_holds_it_off_too,
    seal_is_possible_after_the_last_region,
    splits_and_merges_keep_the_count,
    sealed_memfd_is_read_only,
    memfd_sealed_for_the_future_is_read_only,
    future_seal_leaves_old_regions_writable,
    read_only_descriptor_is_read_only,
    read_only_descriptor_does_not_hold_off_the_seal,
    refused_protect_changes_nothing,
    refused_map_does_not_hold_off_the_seal,
    sealed_memfd_can_be_private_and_writable,
];

const RW: Prot = Prot::READ_WRITE;
const RO: Prot = Prot::READ;

fn map(space: &Space, prot: Prot, source: Source<'_>) -> std::io::Result<u64> {
    space.map_from(BASE, bytes(2), prot, Placement::Fixed, source)
}

/// F_SEAL_WRITE must be refused.
#[track_caller]
fn held_off(file: &File, when: &str) -> Outcome {
    let what = format!("F_SEAL_WRITE {when}");
    fails(seal(file, libc::F_SEAL_WRITE), libc::EBUSY, &what)
}

/// F_SEAL_WRITE must be possible, at once: the call that removed the last region
/// has returned.
#[track_caller]
fn can_be_sealed(file: &File, when: &str) -> Outcome {
    let sealed = seal(file, libc::F_SEAL_WRITE);
    sealed.map_err(|error| Stop::fail(format!("F_SEAL_WRITE {when}: {error}")))
}

/// The same, at once or soon: the call failed, or the space is gone, whose
/// regions are freed after a grace period.
#[track_caller]
fn can_soon_be_sealed(file: &File, when: &str) -> Outcome {
    let deadline = Instant::now() + Duration::from_secs(5);
    while seal(file, libc::F_SEAL_WRITE).is_err() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(5));
    }
    can_be_sealed(file, when)
}

fn writable_region_holds_off_the_seal() -> Outcome {
    let file = memfd(2, 50)?;
    let arena = Arena::backed(2, RW, shared(&file, 0))?;
    held_off(&file, "with a writable region")?;
    arena.stamp(0, 2, 10)?;
    held_off(&file, "with pages written")?;
    arena.protect(0, 2, RO)?;
    held_off(&file, "with the region read-only for now")?;
    arena.protect(0, 2, RW)?;
    arena.stamp(0, 2, 20)
}

fn region_that_may_become_writable_holds_it_off_too() -> Outcome {
    let file = memfd(2, 50)?;
    for prot in [RO, Prot::NONE] {
        let arena = Arena::backed(2, prot, shared(&file, 0))?;
        held_off(&file, &format!("with a {prot:?} region"))?;
        arena.protect(0, 2, RW)?;
        arena.stamp(0, 2, 50)?;
    }
    can_soon_be_sealed(&file, "with no region left")
}

fn seal_is_possible_after_the_last_region() -> Outcome {
    let file = memfd(2, 50)?;
    let one = Arena::backed(2, RW, shared(&file, 0))?;
    let two = Arena::backed(2, RO, shared(&file, 0))?;
    one.unmap(0, 2)?;
    held_off(&file, "with the second space's region")?;
    drop(two);
    can_soon_be_sealed(&file, "with no region left")?;
    fails(map(&one.space, RW, shared(&file, 0)), libc::EPERM, "MAP RW")?;
    map(&one.space, RO, shared(&file, 0))?;
    Arena::holds(&one.window, 0, 2, 50, "once sealed")
}

fn splits_and_merges_keep_the_count() -> Outcome {
    let file = memfd(4, 50)?;
    let arena = Arena::backed(4, RW, shared(&file, 0))?;
    for _ in 0..20 {
        arena.protect(1, 2, RO)?;
        arena.protect(2, 1, Prot::NONE)?;
        arena.protect(0, 4, RW)?;
        arena.shift(1, 2, 8)?;
        arena.shift(8, 2, 1)?;
    }
    for page in [1, 3, 0] {
        arena.unmap(page, 1)?;
        held_off(&file, "with parts left")?;
    }
    arena.unmap(2, 1)?;
    can_be_sealed(&file, "with the last part gone")
}

/// What holds of a memfd that must not be written.
fn is_read_only(file: &File, map_errno: i32) -> Outcome {
    let arena = Arena::empty(2)?;
    for prot in [RW, Prot::WRITE] {
        arena.refuses(map_errno, &format!("MAP {prot:?}"), |arena| {
            map(&arena.space, prot, shared(file, 0))
        })?;
    }
    for prot in [RO, Prot::NONE] {
        map(&arena.space, prot, shared(file, 0))?;
        for upgrade in [RW, Prot::WRITE] {
            let what = format!("PROTECT {prot:?} to {upgrade:?}");
            arena.refuses(libc::EACCES, &what, |arena| arena.protect(0, 2, upgrade))?;
        }
        arena.protect(0, 2, RO)?;
        Arena::holds(&arena.window, 0, 2, 50, "contents")?;
        raises(arena.window.store(0, 1), Signal::Segv, "store")?;
        arena.protect(0, 2, Prot::NONE)?;
        raises(arena.window.load(0), Signal::Segv, "load of NONE")?;
    }
    Ok(())
}

fn sealed_memfd_is_read_only() -> Outcome {
    let file = memfd(2, 50)?;
    seal(&file, libc::F_SEAL_WRITE)?;
    is_read_only(&file, libc::EPERM)
}

fn memfd_sealed_for_the_future_is_read_only() -> Outcome {
    let file = memfd(2, 50)?;
    seal(&file, libc::F_SEAL_FUTURE_WRITE)?;
    is_read_only(&file, libc::EPERM)
}

fn future_seal_leaves_old_regions_writable() -> Outcome {
    let file = memfd(2, 50)?;
    let arena = Arena::backed(2, RW, shared(&file, 0))?;
    arena.protect(1, 1, RO)?;
    seal(&file, libc::F_SEAL_FUTURE_WRITE)?;
    arena.window.store(0, 7)?;
    arena.protect(1, 1, RW)?;
    arena.window.store(PAGE, 8)?;
    // But no new region.
    let other = Arena::empty(2)?;
    fails(
        map(&other.space, RW, shared(&file, 0)),
        libc::EPERM,
        "MAP RW",
    )?;
    map(&other.space, RO, shared(&file, 0))?;
    reads(other.window.load(PAGE), 8, "second space")
}

fn read_only_descriptor_is_read_only() -> Outcome {
    let file = memfd(2, 50)?;
    is_read_only(&read_only(&file)?, libc::EACCES)
}

fn read_only_descriptor_does_not_hold_off_the_seal() -> Outcome {
    let file = memfd(2, 50)?;
    let arena = Arena::backed(2, RO, shared(&read_only(&file)?, 0))?;
    reads(arena.window.load(0), 50, "before the seal")?;
    seal(&file, libc::F_SEAL_WRITE)?;
    reads(arena.window.load(PAGE), 51, "after the seal")
}

/// Also where only one of several regions refuses.
fn refused_protect_changes_nothing() -> Outcome {
    let file = memfd(2, 50)?;
    let arena = Arena::new(8, RO)?;
    arena.remap(4, 4, RO)?;
    arena.place(3, 2, RO, shared(&read_only(&file)?, 0))?;
    for (from, pages) in [(0, 8), (3, 2), (0, 4), (4, 4)] {
        let what = format!("PROTECT {from}+{pages}");
        arena.refuses(libc::EACCES, &what, |arena| arena.protect(from, pages, RW))?;
        raises(arena.window.store(0, 1), Signal::Segv, "store")?;
    }
    arena.protect(0, 3, RW)?;
    arena.protect(5, 3, RW)?;
    arena.stamp(0, 3, 10)
}

fn refused_map_does_not_hold_off_the_seal() -> Outcome {
    let file = memfd(2, 50)?;
    let arena = Arena::new(1, RW)?;
    let before = Picture::take(&arena.space)?;
    for _ in 0..10 {
        let place = Placement::FixedNoreplace;
        let result = arena
            .space
            .map_from(BASE, bytes(1), RW, place, shared(&file, 0));
        fails(result, libc::EEXIST, "MAP over a region")?;
    }
    before.must_hold(&arena.space, "refused MAPs")?;
    can_soon_be_sealed(&file, "after refused MAPs")
}

fn sealed_memfd_can_be_private_and_writable() -> Outcome {
    let file = memfd(2, 50)?;
    seal(&file, libc::F_SEAL_WRITE)?;
    let arena = Arena::backed(2, RW, private(&read_only(&file)?, 0))?;
    Arena::holds(&arena.window, 0, 2, 50, "copies")?;
    arena.stamp(0, 2, 10)
}
