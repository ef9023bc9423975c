// SPDX-License-Identifier: GPL-2.0-only
//! mprotect on windows.

use crate::Prot;
use crate::access::Signal;
use crate::selftest::check::{Outcome, raises, reads};
use crate::selftest::runner::{Needs, Test, tests};
use crate::selftest::state::{Arena, BASE, PAGE, window};
use crate::selftest::sys::memory::READ_WRITE;

pub(super) const TESTS: &[Test] = tests![Needs::Module, "mprotect":
    read_only_refuses_stores_and_keeps_the_content,
    none_refuses_everything_and_keeps_the_content,
    part_of_a_window,
    does_not_override_the_region,
    unmap_reaches_a_protected_window,
    other_windows_are_not_affected,
];

fn read_only_refuses_stores_and_keeps_the_content() -> Outcome {
    let arena = Arena::new(4, Prot::READ_WRITE)?;
    arena.stamp(0, 3, 60)?;
    arena.window.protect(0, 4 * PAGE, libc::PROT_READ)?;
    for page in 0..4 {
        raises(
            arena.window.store(page * PAGE, 1),
            Signal::Segv,
            &format!("page {page}"),
        )?;
    }
    Arena::holds(&arena.window, 0, 3, 60, "read-only")?;
    reads(arena.window.load(3 * PAGE), 0, "page that was not touched")?;
    arena.window.protect(0, 4 * PAGE, READ_WRITE)?;
    Arena::holds(&arena.window, 0, 3, 60, "writable again")?;
    arena.stamp(0, 4, 80)?;
    Arena::holds(&arena.window, 0, 4, 80, "written again")
}

fn none_refuses_everything_and_keeps_the_content() -> Outcome {
    let arena = Arena::new(2, Prot::READ_WRITE)?;
    arena.stamp(0, 2, 60)?;
    arena.window.protect(0, 2 * PAGE, libc::PROT_NONE)?;
    raises(arena.window.load(0), Signal::Segv, "load")?;
    raises(arena.window.store(0, 1), Signal::Segv, "store")?;
    arena.window.protect(0, 2 * PAGE, READ_WRITE)?;
    Arena::holds(&arena.window, 0, 2, 60, "accessible again")
}

fn part_of_a_window() -> Outcome {
    let arena = Arena::new(6, Prot::READ_WRITE)?;
    arena.stamp(0, 6, 60)?;
    arena.window.protect(2 * PAGE, 2 * PAGE, libc::PROT_READ)?;
    for page in 0..6 {
        let result = arena.window.store(page * PAGE + 8, 1);
        if (2..4).contains(&page) {
            raises(result, Signal::Segv, &format!("page {page}"))?;
        } else {
            result?;
        }
    }
    Arena::holds(&arena.window, 0, 6, 60, "all")?;
    // The window is three areas now; the space does not notice.
    arena.unmap(1, 4)?;
    for page in 1..5 {
        raises(
            arena.window.load(page * PAGE),
            Signal::Bus,
            &format!("page {page}"),
        )?;
    }
    arena.remap(1, 4, Prot::READ_WRITE)?;
    arena.window.protect(0, 6 * PAGE, READ_WRITE)?;
    arena.stamp(0, 6, 90)?;
    Arena::holds(&arena.window, 0, 6, 90, "one area again")
}

fn does_not_override_the_region() -> Outcome {
    let arena = Arena::new(2, Prot::READ)?;
    arena.window.load(0)?;
    for prot in [libc::PROT_READ, READ_WRITE] {
        arena.window.protect(0, 2 * PAGE, prot)?;
        for page in 0..2 {
            raises(arena.window.store(page * PAGE, 1), Signal::Segv, "store")?;
            reads(arena.window.load(page * PAGE), 0, "load")?;
        }
    }
    Ok(())
}

fn unmap_reaches_a_protected_window() -> Outcome {
    let arena = Arena::new(2, Prot::READ_WRITE)?;
    arena.stamp(0, 2, 60)?;
    arena.window.protect(0, PAGE, libc::PROT_NONE)?;
    arena.window.protect(PAGE, PAGE, libc::PROT_READ)?;
    arena.remap(0, 2, Prot::READ_WRITE)?;
    arena.window.protect(0, 2 * PAGE, READ_WRITE)?;
    reads(arena.window.load(0), 0, "page that was PROT_NONE")?;
    reads(arena.window.load(PAGE), 0, "page that was read-only")
}

fn other_windows_are_not_affected() -> Outcome {
    let arena = Arena::new(2, Prot::READ_WRITE)?;
    arena.stamp(0, 2, 60)?;
    let second = window(&arena.space, BASE, 2)?;
    arena.window.protect(0, 2 * PAGE, libc::PROT_READ)?;
    second.store(0, 5)?;
    reads(arena.window.load(0), 5, "store through the other window")
}
