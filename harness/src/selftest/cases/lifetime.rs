// SPDX-License-Identifier: GPL-2.0-only
//! What is alive how long, and that nothing is left in the end.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::access::Signal;
use crate::selftest::check::{Outcome, ensure, ensure_eq, raises, reads};
use crate::selftest::runner::{Needs, Test, tests};
use crate::selftest::state::{Arena, BASE, Live, PAGE, bytes, window};
use crate::selftest::sys::memory::Board;
use crate::selftest::sys::process::{Child, End};
use crate::{Placement, Prot, Space};

pub(super) const TESTS: &[Test] = tests![Needs::Module, "lifetime":
    live_counters_count,
    unmap_frees,
    replacing_map_frees,
    window_outlives_the_descriptor,
    duplicate_descriptor_is_the_same_space,
    descriptor_in_flight_keeps_the_space,
    window_of_a_child_keeps_the_space,
    nothing_is_left_of_an_untidy_process,
    sigkill_frees_everything,
    ten_thousand_regions_are_dropped_at_once,
    a_thousand_opens_leave_nothing,
    a_thousand_windows_leave_nothing,
    exec_drops_windows,
];

fn live_counters_count() -> Outcome {
    let before = Live::required()?;
    let arena = Arena::empty(4)?;
    arena.remap(0, 1, Prot::READ_WRITE)?;
    arena.remap(2, 1, Prot::READ)?;
    arena.stamp(0, 1, 1)?;
    let now = Live::required()?;
    ensure_eq!(now.spaces - before.spaces, 1, "spaces");
    ensure_eq!(now.regions - before.regions, 2, "regions");
    ensure_eq!(now.pages - before.pages, 1, "pages");
    ensure_eq!(now.leaves - before.leaves, 1, "leaves");
    drop(arena);
    before.must_return("after the space has gone")
}

fn unmap_frees() -> Outcome {
    let arena = Arena::empty(2048)?;
    let before = Live::required()?;
    for _ in 0..5 {
        arena.remap(0, 2048, Prot::READ_WRITE)?;
        arena.stamp(0, 2048, 1)?;
        arena.unmap(0, 2048)?;
    }
    // A leaf of which only a part was unmapped may stay with the space.
    let kept = |live: Live| Live { leaves: 0, ..live };
    let deadline = std::time::Instant::now() + Duration::from_secs(5);
    loop {
        let now = Live::required()?;
        if kept(now) == kept(before) && now.leaves <= before.leaves + 2 {
            return Ok(());
        }
        ensure!(
            std::time::Instant::now() < deadline,
            "expected {before:?}, seen {now:?}"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn replacing_map_frees() -> Outcome {
    let arena = Arena::new(64, Prot::READ_WRITE)?;
    arena.stamp(0, 64, 1)?;
    let before = Live::required()?;
    for round in 0..100 {
        arena.remap(0, 64, Prot::READ_WRITE)?;
        arena.stamp(0, 64, round)?;
    }
    before.must_return("after 100 replacements")
}

fn window_outlives_the_descriptor() -> Outcome {
    let before = Live::required()?;
    let Arena { space, window } = Arena::new(8, Prot::READ_WRITE)?;
    window.store(0, 4)?;
    let number = space.as_fd().as_raw_fd();
    drop(space);
    let link = std::fs::read_link(format!("/proc/self/fd/{number}"));
    ensure!(link.is_err(), "the descriptor is still open: {link:?}");
    reads(window.load(0), 4, "page touched before")?;
    window.store(7 * PAGE, 5)?;
    reads(window.load(7 * PAGE), 5, "page touched afterwards")?;
    let child = Child::fork(|| {
        window.store(PAGE, 6)?;
        reads(window.load(0), 4, "in a child")
    })?;
    child.finish(Duration::from_secs(10))?;
    reads(window.load(PAGE), 6, "stored by the child")?;
    drop(window);
    before.must_return("after the window has gone")
}

fn duplicate_descriptor_is_the_same_space() -> Outcome {
    let arena = Arena::new(4, Prot::READ_WRITE)?;
    arena.stamp(0, 4, 5)?;
    let duplicate = Space::from(arena.space.as_fd().try_clone_to_owned()?);
    let Arena {
        space,
        window: view,
    } = arena;
    drop(space);
    Arena::holds(&view, 0, 4, 5, "after the first descriptor was closed")?;
    Arena::holds(
        &window(&duplicate, BASE, 4)?,
        0,
        4,
        5,
        "new window by the duplicate",
    )?;
    duplicate.unmap(BASE, bytes(4))?;
    raises(view.load(0), Signal::Bus, "after UNMAP by the duplicate")
}

fn descriptor_in_flight_keeps_the_space() -> Outcome {
    let before = Live::required()?;
    let (ours, theirs) = UnixStream::pair()?;
    {
        let arena = Arena::new(4, Prot::READ_WRITE)?;
        arena.stamp(0, 4, 5)?;
        crate::sys::send_fd(&ours, arena.space.as_fd())?;
    }
    let space = Space::from(crate::sys::receive_fd(&theirs)?);
    Arena::holds(&window(&space, BASE, 4)?, 0, 4, 5, "after the flight")?;
    // And one that nobody receives.
    crate::sys::send_fd(&ours, space.as_fd())?;
    drop(space);
    drop((ours, theirs));
    before.must_return("after the sockets have gone")
}

fn window_of_a_child_keeps_the_space() -> Outcome {
    let before = Live::required()?;
    let board = Board::new()?;
    let Arena {
        space,
        window: view,
    } = Arena::new(4, Prot::READ_WRITE)?;
    view.store(0, 9)?;
    let child = Child::fork(|| {
        board.wait(0, 1)?;
        reads(view.load(0), 9, "in the child, after the parent let go")?;
        Ok(view.store(PAGE, 1)?)
    })?;
    drop((OwnedFd::from(space), view));
    board.set(0, 1);
    child.finish(Duration::from_secs(10))?;
    before.must_return("after the child has gone")
}

fn nothing_is_left_of_an_untidy_process() -> Outcome {
    let before = Live::required()?;
    let child = Child::fork(|| {
        let first = Arena::new(700, Prot::READ_WRITE)?;
        first.stamp(0, 700, 1)?;
        first.unmap(100, 50)?;
        let second = Arena::new(20, Prot::READ)?;
        std::mem::forget(window(&second.space, BASE, 5)?);
        std::mem::forget((first, second));
        Ok(())
    })?;
    child.finish(Duration::from_secs(20))?;
    before.must_return("after its exit")
}

fn sigkill_frees_everything() -> Outcome {
    let before = Live::required()?;
    let board = Board::new()?;
    let mut child = Child::fork(|| {
        let arena = Arena::new(8192, Prot::READ_WRITE)?;
        // For ever: it is killed in the midst of faults and calls.
        for round in 0.. {
            arena.stamp(0, 8192, round)?;
            board.set(0, 1);
            arena.remap(0, 4096, Prot::READ_WRITE)?;
        }
        Ok(())
    })?;
    board.wait(0, 1)?;
    child.signal(libc::SIGKILL)?;
    ensure_eq!(
        child.end(Duration::from_secs(10))?,
        End::Killed(libc::SIGKILL),
        "end"
    );
    before.must_return("after SIGKILL")
}

fn ten_thousand_regions_are_dropped_at_once() -> Outcome {
    const REGIONS: usize = 10_000;
    let before = Live::required()?;
    let space = Space::open()?;
    let view = window(&space, BASE, 2 * REGIONS)?;
    for i in 0..REGIONS {
        let addr = BASE + bytes(2 * i);
        space.map(addr, bytes(1), Prot::READ_WRITE, Placement::FixedNoreplace)?;
        if i % 32 == 0 {
            view.store(2 * i * PAGE, i as u64)?;
        }
    }
    let stats = space.stats()?;
    ensure_eq!(
        (stats.regions, stats.pages),
        (10_000, 313),
        "regions and pages"
    );
    for i in (0..REGIONS).step_by(32) {
        reads(view.load(2 * i * PAGE), i as u64, &format!("region {i}"))?;
    }
    drop(space);
    drop(view);
    before.must_return("after the space has gone")
}

fn a_thousand_opens_leave_nothing() -> Outcome {
    let before = Live::required()?;
    for i in 0..1000u64 {
        let space = Space::open()?;
        if i % 4 == 0 {
            space.map(BASE, bytes(2), Prot::READ_WRITE, Placement::FixedNoreplace)?;
            let view = window(&space, BASE, 2)?;
            reads(view.load(0), 0, "a fresh page")?;
            view.store(0, i + 1)?;
        }
    }
    before.must_return("after 1000 spaces")
}

fn a_thousand_windows_leave_nothing() -> Outcome {
    let before = Live::required()?;
    let space = Space::open()?;
    space.map(BASE, bytes(64), Prot::READ_WRITE, Placement::FixedNoreplace)?;
    for i in 0..1000 {
        let view = window(&space, BASE + bytes(i % 32), 32)?;
        view.store((i % 7) * PAGE, i as u64)?;
    }
    drop(space);
    before.must_return("after the space has gone")
}

fn exec_drops_windows() -> Outcome {
    use std::os::unix::process::CommandExt;
    let before = Live::required()?;
    let arena = Arena::new(4, Prot::READ_WRITE)?;
    arena.stamp(0, 4, 1)?;
    let mut child = Child::fork(|| {
        // The descriptor is closed on exec too: std opens so.
        let error = std::process::Command::new("/proc/self/exe")
            .args(["test", "--list", "no test has this name"])
            .stderr(std::process::Stdio::null())
            .exec();
        Err(error.into())
    })?;
    let end = child.end(Duration::from_secs(10))?;
    ensure_eq!(
        end,
        End::Exited(i32::from(crate::EXIT_USAGE)),
        "end of the new program"
    );
    Arena::holds(&arena.window, 0, 4, 1, "the parent's window")?;
    drop(arena);
    before.must_return("after the space has gone")
}
