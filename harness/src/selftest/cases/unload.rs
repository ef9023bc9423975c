// SPDX-License-Identifier: GPL-2.0-only
//! Unloading the module, when it is in use and when it is not.

use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use crate::selftest::check::{Outcome, Stop, ensure, ensure_eq, fails_with_one_of, reads};
use crate::selftest::files::{memfd, shared};
use crate::selftest::runner::{Needs, Test, module_dir, tests};
use crate::selftest::state::{Arena, Live, PAGE, bytes};
use crate::selftest::sys::gup::{pipe, splice_pages};
use crate::selftest::sys::kmodule;
use crate::selftest::sys::memory::Board;
use crate::selftest::sys::process::Child;
use crate::{Prot, Space};

pub(super) const TESTS: &[Test] = tests![Needs::Unloading, "unload":
    refused_while_a_file_is_open,
    refused_while_a_window_is_left,
    refused_while_a_child_has_a_window,
    refused_while_a_descriptor_is_in_flight,
    possible_again_and_again,
    possible_right_after_heavy_use,
    pages_in_a_pipe_outlive_the_module,
    refused_while_a_memfd_waits_to_be_thawed,
];

fn refused(why: &str) -> Outcome {
    let what = format!("rmmod while {why}");
    fails_with_one_of(
        kmodule::try_unload(),
        &[libc::EWOULDBLOCK, libc::EBUSY],
        &what,
    )?;
    ensure!(kmodule::is_loaded(), "{what}: the module is gone");
    Ok(())
}

/// Unloads the module, which must be possible, and loads it again.
fn unload_and_load() -> Outcome {
    kmodule::unload().map_err(|error| Stop::fail(format!("rmmod: {error}")))?;
    ensure!(!kmodule::is_loaded(), "the module is still there");
    let open = Space::open();
    ensure!(open.is_err(), "the device can be opened without the module");
    let dir = module_dir();
    let file = kmodule::file(&dir, None).ok_or_else(|| Stop::fail("no faultline.ko"))?;
    kmodule::load(&file, "").map_err(|error| Stop::fail(format!("insmod: {error}")))?;
    if let Some(live) = Live::now() {
        ensure_eq!(live, Live::default(), "live objects of a fresh module");
    }
    let arena = Arena::new(4, Prot::READ_WRITE)?;
    reads(arena.window.load(0), 0, "fresh page")?;
    arena.stamp(0, 4, 3)?;
    Arena::holds(&arena.window, 0, 4, 3, "with the module loaded again")
}

fn refused_while_a_file_is_open() -> Outcome {
    let space = Space::open()?;
    refused("a file is open")?;
    drop(space);
    unload_and_load()
}

fn refused_while_a_window_is_left() -> Outcome {
    let Arena { space, window } = Arena::new(4, Prot::READ_WRITE)?;
    window.store(0, 4)?;
    drop(space);
    refused("only a window is left")?;
    reads(window.load(0), 4, "page afterwards")?;
    window.store(PAGE, 5)?;
    drop(window);
    unload_and_load()
}

fn refused_while_a_child_has_a_window() -> Outcome {
    let board = Board::new()?;
    let Arena { space, window } = Arena::new(4, Prot::READ_WRITE)?;
    window.store(0, 4)?;
    let child = Child::fork(|| {
        board.wait(0, 1)?;
        reads(window.load(0), 4, "in the child")
    })?;
    drop(space);
    drop(window);
    refused("a child has a window")?;
    board.set(0, 1);
    child.finish(Duration::from_secs(10))?;
    unload_and_load()
}

fn refused_while_a_descriptor_is_in_flight() -> Outcome {
    let (ours, theirs) = UnixStream::pair()?;
    let space = Space::open()?;
    crate::sys::send_fd(&ours, space.as_fd())?;
    drop(space);
    refused("a descriptor is in flight")?;
    drop(crate::sys::receive_fd(&theirs)?);
    unload_and_load()
}

fn possible_again_and_again() -> Outcome {
    for _ in 0..5 {
        unload_and_load()?;
    }
    Ok(())
}

fn possible_right_after_heavy_use() -> Outcome {
    for _ in 0..5 {
        let arenas = (0..8)
            .map(|_| Arena::new(600, Prot::READ_WRITE))
            .collect::<Result<Vec<_>, Stop>>()?;
        for arena in &arenas {
            arena.stamp(0, 600, 1)?;
            arena.unmap(100, 500)?;
        }
        // What waits for a grace period now is freed by code of the module.
        drop(arenas);
        unload_and_load()?;
    }
    Ok(())
}

fn pages_in_a_pipe_outlive_the_module() -> Outcome {
    let (mut read, write) = pipe()?;
    let arena = Arena::new(4, Prot::READ_WRITE)?;
    arena.stamp(0, 4, 70)?;
    ensure_eq!(
        splice_pages(&write, &arena.window, 0, 4 * PAGE)?,
        4 * PAGE,
        "bytes spliced"
    );
    drop(arena);
    unload_and_load()?;
    let mut seen = vec![0; 4 * PAGE];
    read.read_exact(&mut seen)?;
    for page in 0..4 {
        let bytes = seen[page * PAGE..][..8].try_into().expect("eight bytes");
        ensure_eq!(
            u64::from_ne_bytes(bytes),
            70 + page as u64,
            "page {page} in the pipe"
        );
    }
    Ok(())
}

/// A write holds the memfd's inode locked while the space goes: the module must
/// stay until it has thawed the memfd, and rmmod must not wait for that.
fn refused_while_a_memfd_waits_to_be_thawed() -> Outcome {
    const PAGES: usize = 48 << 10;
    let file = memfd(1, 50)?;
    file.set_len(bytes(PAGES))?;
    let arena = Arena::backed(1, Prot::READ_WRITE, shared(&file, 0))?;
    let contents = vec![7; PAGES * PAGE];
    let blocks = file.metadata()?.blocks();
    thread::scope(|scope| {
        let writer = scope.spawn(|| file.write_all_at(&contents, 0));
        while file.metadata()?.blocks() == blocks && !writer.is_finished() {
            thread::yield_now();
        }
        drop(arena);
        // What the space has left goes after a grace period.
        Live::settle();
        let unloaded = kmodule::try_unload();
        if writer.is_finished() {
            return Err(Stop::skip("the write was over too soon"));
        }
        let refusals = [libc::EWOULDBLOCK, libc::EBUSY];
        fails_with_one_of(unloaded, &refusals, "rmmod during the write")?;
        writer.join().expect("the writer does not panic")?;
        Ok(())
    })?;
    super::freeze::soon_thawed(&file, "with the write over")?;
    unload_and_load()
}
