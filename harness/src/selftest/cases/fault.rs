// SPDX-License-Identifier: GPL-2.0-only
//! What single accesses do.

use crate::access::Signal;
use crate::selftest::check::{Outcome, ensure_eq, raises, reads};
use crate::selftest::runner::{Needs, Test, tests};
use crate::selftest::state::{Arena, BASE, PAGE, bytes, window};
use crate::selftest::sys::process::Child;
use crate::{Placement, Prot, Space};
use std::time::Duration;

pub(super) const TESTS: &[Test] = tests![Needs::Module, "fault":
    fresh_pages_read_zero_all_over,
    what_was_written_is_read,
    no_region_is_sigbus,
    write_to_a_read_only_region_is_sigsegv,
    access_to_a_none_region_is_sigsegv,
    write_only_region_can_be_read,
    read_only_replaced_by_writable,
    writable_replaced_by_read_only,
    upgrade_keeps_the_content,
    upgrade_through_another_window,
    access_after_unmap_is_sigbus,
    access_after_unmap_is_sigbus_in_every_window,
    access_after_unmap_is_sigbus_in_another_process,
    content_does_not_survive_unmap_and_map,
    mapped_page_costs_one_fault,
    signal_tells_the_kind_of_fault,
    pages_around_a_fault_are_untouched,
];

fn fresh_pages_read_zero_all_over() -> Outcome {
    let arena = Arena::new(32, Prot::READ_WRITE)?;
    // Dirty the memory that the next pages are likely to be made of.
    for round in 0..4u64 {
        for word in (0..32 * PAGE).step_by(8) {
            let what = format!("round {round}, byte {word:#x}");
            reads(arena.window.load(word), 0, &what)?;
        }
        for word in (0..32 * PAGE).step_by(8) {
            arena.window.store(word, u64::MAX)?;
        }
        arena.remap(0, 32, Prot::READ_WRITE)?;
    }
    Ok(())
}

fn what_was_written_is_read() -> Outcome {
    let arena = Arena::new(16, Prot::READ_WRITE)?;
    let value = |at: usize| (at as u64) << 20 | 0xabc;
    for at in (0..16 * PAGE).step_by(8) {
        arena.window.store(at, value(at))?;
    }
    for at in (0..16 * PAGE).step_by(8) {
        reads(arena.window.load(at), value(at), &format!("byte {at:#x}"))?;
    }
    Ok(())
}

fn no_region_is_sigbus() -> Outcome {
    let arena = Arena::empty(4)?;
    arena.remap(1, 1, Prot::READ_WRITE)?;
    for page in [0, 2, 3] {
        raises(
            arena.window.load(page * PAGE),
            Signal::Bus,
            &format!("load, page {page}"),
        )?;
        raises(
            arena.window.store(page * PAGE, 1),
            Signal::Bus,
            &format!("store, page {page}"),
        )?;
    }
    reads(arena.window.load(PAGE), 0, "the page that is there")?;
    let stats = arena.space.stats()?;
    ensure_eq!(
        (stats.fault_no_region, stats.pages),
        (6, 1),
        "faults without region, pages"
    );
    Ok(())
}

fn write_to_a_read_only_region_is_sigsegv() -> Outcome {
    let arena = Arena::new(2, Prot::READ)?;
    // One page never touched, one with a read-only entry.
    reads(arena.window.load(PAGE), 0, "load")?;
    for page in 0..2 {
        raises(
            arena.window.store(page * PAGE, 1),
            Signal::Segv,
            &format!("store, page {page}"),
        )?;
        reads(
            arena.window.load(page * PAGE),
            0,
            &format!("load, page {page}"),
        )?;
    }
    ensure_eq!(arena.space.stats()?.fault_denied, 2, "denied");
    Ok(())
}

fn access_to_a_none_region_is_sigsegv() -> Outcome {
    let arena = Arena::new(1, Prot::NONE)?;
    raises(arena.window.load(0), Signal::Segv, "load")?;
    raises(arena.window.store(0, 1), Signal::Segv, "store")?;
    ensure_eq!(arena.space.stats()?.pages, 0, "pages held");
    Ok(())
}

fn write_only_region_can_be_read() -> Outcome {
    // As for mmap(2) on x86: what can be written can be read.
    let arena = Arena::new(2, Prot::WRITE)?;
    arena.window.store(0, 3)?;
    reads(arena.window.load(0), 3, "page that was written")?;
    reads(arena.window.load(PAGE), 0, "fresh page")
}

fn read_only_replaced_by_writable() -> Outcome {
    let arena = Arena::new(3, Prot::READ)?;
    reads(arena.window.load(0), 0, "before")?;
    arena.remap(0, 3, Prot::READ_WRITE)?;
    arena.stamp(0, 3, 4)?;
    Arena::holds(&arena.window, 0, 3, 4, "after")
}

fn writable_replaced_by_read_only() -> Outcome {
    let arena = Arena::new(3, Prot::READ_WRITE)?;
    arena.stamp(0, 3, 4)?;
    arena.remap(0, 3, Prot::READ)?;
    for page in 0..3 {
        raises(arena.window.store(page * PAGE, 1), Signal::Segv, "store")?;
        reads(arena.window.load(page * PAGE), 0, "load")?;
    }
    Ok(())
}

fn upgrade_keeps_the_content() -> Outcome {
    let arena = Arena::new(8, Prot::READ_WRITE)?;
    arena.stamp(0, 8, 20)?;
    // A second window sees the pages by reads first, then writes.
    let second = window(&arena.space, BASE, 8)?;
    Arena::holds(&second, 0, 8, 20, "before the upgrade")?;
    let before = arena.space.stats()?;
    for page in 0..8 {
        second.store(page * PAGE + 8, page as u64)?;
    }
    let after = arena.space.stats()?;
    ensure_eq!(
        after.fault_mkwrite - before.fault_mkwrite,
        8,
        "faults by page_mkwrite"
    );
    ensure_eq!(after.pages_added, before.pages_added, "pages added");
    for view in [&arena.window, &second] {
        Arena::holds(view, 0, 8, 20, "after the upgrade")?;
        for page in 0..8 {
            reads(
                view.load(page * PAGE + 8),
                page as u64,
                "word written by the upgrade",
            )?;
        }
    }
    Ok(())
}

fn upgrade_through_another_window() -> Outcome {
    let arena = Arena::new(1, Prot::READ_WRITE)?;
    let second = window(&arena.space, BASE, 1)?;
    reads(arena.window.load(0), 0, "first window, read-only entry")?;
    second.store(0, 6)?;
    reads(
        arena.window.load(0),
        6,
        "first window after a store through the second",
    )?;
    arena.window.store(0, 7)?;
    reads(
        second.load(0),
        7,
        "second window after a store through the first",
    )
}

fn access_after_unmap_is_sigbus() -> Outcome {
    let arena = Arena::empty(4)?;
    for round in 0..50 {
        arena.remap(0, 4, Prot::READ_WRITE)?;
        arena.stamp(0, 4, 1)?;
        arena.unmap(0, 4)?;
        for page in 0..4 {
            let what = format!("round {round}, page {page}");
            raises(arena.window.load(page * PAGE), Signal::Bus, &what)?;
            raises(arena.window.store(page * PAGE, 1), Signal::Bus, &what)?;
        }
    }
    Ok(())
}

fn access_after_unmap_is_sigbus_in_every_window() -> Outcome {
    let arena = Arena::new(4, Prot::READ_WRITE)?;
    let whole = window(&arena.space, BASE, 4)?;
    let second_half = window(&arena.space, BASE + bytes(2), 2)?;
    for round in 0..20 {
        arena.stamp(0, 4, 90)?;
        Arena::holds(&whole, 0, 4, 90, "whole")?;
        reads(second_half.load(0), 92, "second half")?;
        arena.unmap(0, 3)?;
        for page in 0..3 {
            let what = format!("round {round}, whole window, page {page}");
            raises(whole.load(page * PAGE), Signal::Bus, &what)?;
        }
        raises(
            second_half.load(0),
            Signal::Bus,
            "second half, unmapped page",
        )?;
        reads(second_half.load(PAGE), 93, "second half, page that stays")?;
        arena.remap(0, 3, Prot::READ_WRITE)?;
    }
    Ok(())
}

fn access_after_unmap_is_sigbus_in_another_process() -> Outcome {
    let board = crate::selftest::sys::memory::Board::new()?;
    let arena = Arena::new(4, Prot::READ_WRITE)?;
    arena.stamp(0, 4, 5)?;
    let window = &arena.window;
    let child = Child::fork(|| {
        Arena::holds(window, 0, 4, 5, "in the child, before")?;
        window.store(8, 77)?;
        board.set(0, 1);
        board.wait(1, 1)?;
        for page in 0..4 {
            raises(
                window.load(page * PAGE),
                Signal::Bus,
                "in the child, after UNMAP",
            )?;
            raises(
                window.store(page * PAGE, 1),
                Signal::Bus,
                "in the child, after UNMAP",
            )?;
        }
        board.set(0, 2);
        board.wait(1, 2)?;
        reads(window.load(0), 0, "in the child, mapped again")?;
        window.store(0, 8)?;
        Ok(())
    })?;
    board.wait(0, 1)?;
    reads(window.load(8), 77, "what the child stored")?;
    arena.unmap(0, 4)?;
    board.set(1, 1);
    board.wait(0, 2)?;
    arena.remap(0, 4, Prot::READ_WRITE)?;
    board.set(1, 2);
    child.finish(Duration::from_secs(20))?;
    reads(window.load(0), 8, "what the child stored at last")
}

fn content_does_not_survive_unmap_and_map() -> Outcome {
    let arena = Arena::new(8, Prot::READ_WRITE)?;
    for round in 0..20 {
        arena.stamp(0, 8, u64::MAX - 100)?;
        arena.unmap(2, 4)?;
        arena.remap(2, 4, Prot::READ_WRITE)?;
        for page in 2..6 {
            for at in [0, 8, PAGE - 8] {
                reads(
                    arena.window.load(page * PAGE + at),
                    0,
                    &format!("round {round}"),
                )?;
            }
        }
        Arena::holds(&arena.window, 0, 2, u64::MAX - 100, "before")?;
        Arena::holds(&arena.window, 6, 2, u64::MAX - 100, "behind")?;
    }
    Ok(())
}

fn mapped_page_costs_one_fault() -> Outcome {
    let arena = Arena::new(64, Prot::READ_WRITE)?;
    arena.stamp(0, 64, 1)?;
    let faults = arena.space.stats()?.faults;
    ensure_eq!(faults, 64, "faults of 64 first stores");
    arena.stamp(0, 64, 2)?;
    Arena::holds(&arena.window, 0, 64, 2, "again")?;
    ensure_eq!(
        arena.space.stats()?.faults,
        faults,
        "faults after more accesses"
    );
    Ok(())
}

fn signal_tells_the_kind_of_fault() -> Outcome {
    const BUS_ADRERR: i32 = 2;
    let arena = Arena::empty(2)?;
    arena.remap(1, 1, Prot::NONE)?;
    let bus = arena.window.load(0).map_err(|fault| fault.code);
    ensure_eq!(bus, Err(BUS_ADRERR), "si_code of a SIGBUS");
    // The core knows no better: SEGV_MAPERR.
    let segv = arena.window.load(PAGE).map_err(|fault| fault.code);
    ensure_eq!(segv, Err(1), "si_code of a SIGSEGV");
    Ok(())
}

fn pages_around_a_fault_are_untouched() -> Outcome {
    let space = Space::open()?;
    space.map(BASE, bytes(64), Prot::READ_WRITE, Placement::FixedNoreplace)?;
    let view = window(&space, BASE, 64)?;
    reads(view.load(32 * PAGE), 0, "a page in the middle")?;
    ensure_eq!(space.stats()?.pages, 1, "pages after one load");
    view.store(8 * PAGE, 1)?;
    ensure_eq!(space.stats()?.pages, 2, "pages after one store");
    Ok(())
}
