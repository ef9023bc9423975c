// SPDX-License-Identifier: GPL-2.0-only
//! One space in several processes.

use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::access::Signal;
use crate::selftest::check::{Outcome, ensure_eq, fails, raises, reads};
use crate::selftest::runner::{Needs, Test, tests};
use crate::selftest::state::{Arena, BASE, PAGE, bytes, window};
use crate::selftest::sys::memory::Board;
use crate::selftest::sys::process::Child;
use crate::{Placement, Prot, Space};

pub(super) const TESTS: &[Test] = tests![Needs::Module, "share":
    fork_shares_pages_both_ways,
    fork_shares_pages_touched_later,
    unmap_in_the_parent_is_seen_by_the_child,
    calls_of_the_child_are_seen_by_the_parent,
    grandchildren_share_too,
    descriptor_passed_by_scm_rights,
    window_survives_the_exit_of_its_maker,
    closing_in_the_child_leaves_the_parent_alone,
    spaces_of_two_opens_are_apart,
];

const LIMIT: Duration = Duration::from_secs(20);

fn fork_shares_pages_both_ways() -> Outcome {
    let board = Board::new()?;
    let arena = Arena::new(4, Prot::READ_WRITE)?;
    arena.stamp(0, 4, 10)?;
    let window = &arena.window;
    let child = Child::fork(|| {
        Arena::holds(window, 0, 4, 10, "stored before the fork")?;
        window.store(8, 1)?;
        board.set(0, 1);
        board.wait(1, 1)?;
        reads(window.load(16), 2, "stored by the parent after the fork")
    })?;
    board.wait(0, 1)?;
    reads(window.load(8), 1, "stored by the child")?;
    window.store(16, 2)?;
    board.set(1, 1);
    child.finish(LIMIT)?;
    ensure_eq!(arena.space.stats()?.pages, 4, "pages held");
    Ok(())
}

fn fork_shares_pages_touched_later() -> Outcome {
    let board = Board::new()?;
    let arena = Arena::new(4, Prot::READ_WRITE)?;
    let window = &arena.window;
    let child = Child::fork(|| {
        window.store(0, 1)?;
        board.set(0, 1);
        board.wait(1, 1)?;
        reads(window.load(PAGE), 2, "first touched by the parent")
    })?;
    board.wait(0, 1)?;
    reads(window.load(0), 1, "first touched by the child")?;
    window.store(PAGE, 2)?;
    board.set(1, 1);
    child.finish(LIMIT)?;
    ensure_eq!(arena.space.stats()?.pages, 2, "pages held");
    Ok(())
}

fn unmap_in_the_parent_is_seen_by_the_child() -> Outcome {
    let board = Board::new()?;
    let arena = Arena::new(4, Prot::READ_WRITE)?;
    arena.stamp(0, 4, 10)?;
    let window = &arena.window;
    let child = Child::fork(|| {
        // Entries come along with fork or by a fault: both must go.
        window.load(0)?;
        board.set(0, 1);
        board.wait(1, 1)?;
        raises(window.load(0), Signal::Bus, "page that was read")?;
        raises(window.load(PAGE), Signal::Bus, "page that was not")?;
        raises(window.store(0, 1), Signal::Bus, "store")?;
        reads(window.load(2 * PAGE), 12, "page that stays")
    })?;
    board.wait(0, 1)?;
    arena.unmap(0, 2)?;
    board.set(1, 1);
    child.finish(LIMIT)
}

fn calls_of_the_child_are_seen_by_the_parent() -> Outcome {
    let arena = Arena::new(4, Prot::READ_WRITE)?;
    arena.stamp(0, 4, 10)?;
    let child = Child::fork(|| {
        arena.unmap(0, 1)?;
        arena.remap(1, 1, Prot::READ)?;
        arena.space.map(
            BASE + bytes(4),
            bytes(1),
            Prot::READ_WRITE,
            Placement::FixedNoreplace,
        )?;
        Ok(())
    })?;
    child.finish(LIMIT)?;
    raises(
        arena.window.load(0),
        Signal::Bus,
        "page unmapped by the child",
    )?;
    reads(arena.window.load(PAGE), 0, "page replaced by the child")?;
    raises(
        arena.window.store(PAGE, 1),
        Signal::Segv,
        "page made read-only by the child",
    )?;
    let more = window(&arena.space, BASE + bytes(4), 1)?;
    more.store(0, 1)?;
    Arena::holds(&arena.window, 2, 2, 10, "pages that stay")
}

fn grandchildren_share_too() -> Outcome {
    let arena = Arena::new(8, Prot::READ_WRITE)?;
    let window = &arena.window;
    let child = Child::fork(|| {
        window.store(0, 1)?;
        let grandchild = Child::fork(|| {
            reads(window.load(0), 1, "stored by the child")?;
            Ok(window.store(PAGE, 2)?)
        })?;
        grandchild.finish(LIMIT)?;
        reads(window.load(PAGE), 2, "stored by the grandchild")
    })?;
    child.finish(LIMIT)?;
    reads(
        window.load(PAGE),
        2,
        "stored by the grandchild, seen by the first",
    )
}

fn descriptor_passed_by_scm_rights() -> Outcome {
    let board = Board::new()?;
    let (ours, theirs) = UnixStream::pair()?;
    // The child is forked first: it has neither the descriptor nor the window.
    let child = Child::fork(|| {
        let space = Space::from(crate::sys::receive_fd(&theirs)?);
        let view = window(&space, BASE + bytes(1), 3)?;
        reads(view.load(0), 11, "second page")?;
        view.store(8, 5)?;
        space.map(
            BASE + bytes(8),
            bytes(1),
            Prot::READ_WRITE,
            Placement::FixedNoreplace,
        )?;
        board.set(0, 1);
        board.wait(1, 1)?;
        raises(
            view.load(0),
            Signal::Bus,
            "second page after UNMAP by the other process",
        )?;
        reads(view.load(PAGE), 12, "third page")
    })?;
    let arena = Arena::new(4, Prot::READ_WRITE)?;
    arena.stamp(0, 4, 10)?;
    crate::sys::send_fd(&ours, arena.space.as_fd())?;
    board.wait(0, 1)?;
    reads(
        arena.window.load(PAGE + 8),
        5,
        "stored by the other process",
    )?;
    fails(
        arena.space.map(
            BASE + bytes(8),
            bytes(1),
            Prot::READ,
            Placement::FixedNoreplace,
        ),
        libc::EEXIST,
        "MAP where the other process mapped",
    )?;
    arena.unmap(1, 1)?;
    board.set(1, 1);
    child.finish(LIMIT)
}

fn window_survives_the_exit_of_its_maker() -> Outcome {
    let board = Board::new()?;
    let (ours, theirs) = UnixStream::pair()?;
    let maker = Child::fork(|| {
        let arena = Arena::new(4, Prot::READ_WRITE)?;
        arena.stamp(0, 4, 10)?;
        crate::sys::send_fd(&theirs, arena.space.as_fd())?;
        board.wait(0, 1)
    })?;
    let space = Space::from(crate::sys::receive_fd(&ours)?);
    let view = window(&space, BASE, 4)?;
    reads(view.load(0), 10, "while the maker lives")?;
    board.set(0, 1);
    maker.finish(LIMIT)?;
    Arena::holds(&view, 0, 4, 10, "after its exit")?;
    space.unmap(BASE, bytes(4))?;
    raises(view.load(0), Signal::Bus, "after UNMAP")
}

fn closing_in_the_child_leaves_the_parent_alone() -> Outcome {
    let Arena { space, window } = Arena::new(4, Prot::READ_WRITE)?;
    for page in 0..4 {
        window.store(page * PAGE, 10 + page as u64)?;
    }
    for _ in 0..20 {
        // It leaves with everything it inherited.
        Child::fork(|| Ok(window.store(8, 1)?))?.finish(LIMIT)?;
    }
    Arena::holds(&window, 0, 4, 10, "after the children")?;
    ensure_eq!(space.stats()?.pages, 4, "pages held");
    Ok(())
}

fn spaces_of_two_opens_are_apart() -> Outcome {
    let arenas = [
        Arena::new(4, Prot::READ_WRITE)?,
        Arena::new(4, Prot::READ_WRITE)?,
    ];
    arenas[0].stamp(0, 4, 100)?;
    arenas[1].stamp(0, 4, 200)?;
    Arena::holds(&arenas[0].window, 0, 4, 100, "first space")?;
    let faults = arenas[1].space.stats()?.faults;
    arenas[0].unmap(0, 4)?;
    raises(
        arenas[0].window.load(0),
        Signal::Bus,
        "first space after UNMAP",
    )?;
    Arena::holds(&arenas[1].window, 0, 4, 200, "second space")?;
    // Not even an entry of the second was zapped.
    ensure_eq!(
        arenas[1].space.stats()?.faults,
        faults,
        "faults of the second space"
    );
    Ok(())
}
