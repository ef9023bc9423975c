// SPDX-License-Identifier: GPL-2.0-only
//! Arguments of calls that lie in a window of the very space they are about: a
//! module that touched them with a lock held would deadlock.

use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::uapi::good_map;
use crate::access::Signal;
use crate::selftest::check::{Outcome, Stop, ensure, ensure_eq, fails, raises, reads};
use crate::selftest::runner::{Needs, Test, tests};
use crate::selftest::state::{Arena, BASE, PAGE, bytes, layout, window};
use crate::selftest::sys::call::{Argument, call_at};
use crate::selftest::sys::memory::Mapping;
use crate::selftest::sys::process::fork_and_reap;
use crate::uapi::*;
use crate::{PAGE_SIZE, Placement, Prot};

pub(super) const TESTS: &[Test] = tests![Needs::Module, "args":
    every_call_on_untouched_pages,
    every_call_on_a_page_without_entry,
    argument_in_a_hole_is_efault,
    result_in_a_read_only_region_is_efault,
    unmap_of_its_own_argument,
    replacement_of_its_own_argument,
    forbidding_replacement_of_its_own_argument,
    remap_with_a_read_only_argument_changes_nothing,
    remap_of_its_own_argument,
    no_deadlock_with_changes_and_forks,
    no_deadlock_in_the_range_being_changed,
];

const REQUESTS: [(&str, libc::c_ulong); 9] = [
    ("MAP", faultline_map::REQUEST),
    ("UNMAP", faultline_unmap::REQUEST),
    ("QUERY", faultline_query::REQUEST),
    ("POLICY", faultline_policy::REQUEST),
    ("LIMIT", faultline_limit::REQUEST),
    ("STATS", faultline_stats::REQUEST),
    ("PROTECT", faultline_protect::REQUEST),
    ("REMAP", faultline_remap::REQUEST),
    ("ADVISE", faultline_advise::REQUEST),
];

fn put(memory: &Mapping, at: usize, words: &[u64]) -> Outcome {
    for (i, &word) in words.iter().enumerate() {
        memory.store(at + 8 * i, word)?;
    }
    Ok(())
}

fn errno(result: io::Result<()>) -> i32 {
    result.map_or_else(|error| error.raw_os_error().unwrap_or(-1), |()| 0)
}

/// What a call with an argument of zeroes gives.
fn expected_of_zeroes(name: &str) -> i32 {
    match name {
        // Zero length.
        "MAP" | "UNMAP" | "PROTECT" | "REMAP" | "ADVISE" => libc::EINVAL,
        _ => 0,
    }
}

fn every_call_on_untouched_pages() -> Outcome {
    let arena = Arena::new(20, Prot::READ_WRITE)?;
    for round in 0..20 {
        for (i, (name, request)) in REQUESTS.into_iter().enumerate() {
            // Across the border of two pages, none of which has been touched.
            let at = 2 * i * PAGE + PAGE - 8 * (round % 2);
            let seen = errno(call_at(arena.space.as_fd(), request, &arena.window, at));
            ensure_eq!(
                seen,
                expected_of_zeroes(name),
                "errno of {name}, round {round}"
            );
        }
        arena.remap(0, 20, Prot::READ_WRITE)?;
    }
    Ok(())
}

fn every_call_on_a_page_without_entry() -> Outcome {
    let arena = Arena::new(16, Prot::READ_WRITE)?;
    let fd = arena.space.as_fd();
    let there = BASE + bytes(100);
    let map = good_map(there, FAULTLINE_MAP_FIXED).words();
    let unmap = faultline_unmap {
        addr: there,
        length: PAGE_SIZE,
        flags: 0,
    }
    .words();
    let query = faultline_query {
        addr: BASE,
        ..Default::default()
    }
    .words();
    for round in 0..20 {
        // Stored through another window: ours has no entry for the pages.
        let other = window(&arena.space, BASE, 16)?;
        put(&other, 0, &map)?;
        put(&other, PAGE, &unmap)?;
        put(&other, 2 * PAGE, &query)?;
        drop(other);
        let view = window(&arena.space, BASE, 16)?;
        call_at(fd, faultline_map::REQUEST, &view, 0)?;
        ensure_eq!(
            layout(&arena.space)?.len(),
            2,
            "regions after MAP, round {round}"
        );
        call_at(fd, faultline_unmap::REQUEST, &view, PAGE)?;
        ensure_eq!(
            layout(&arena.space)?.len(),
            1,
            "regions after UNMAP, round {round}"
        );
        call_at(fd, faultline_query::REQUEST, &view, 2 * PAGE)?;
        reads(
            view.load(2 * PAGE + 8),
            BASE,
            "start of the region, from QUERY",
        )?;
        call_at(fd, faultline_stats::REQUEST, &view, 3 * PAGE)?;
        reads(view.load(3 * PAGE), 1, "number of regions, from STATS")?;
    }
    Ok(())
}

fn argument_in_a_hole_is_efault() -> Outcome {
    let arena = Arena::empty(4)?;
    arena.remap(1, 1, Prot::NONE)?;
    for (name, request) in REQUESTS {
        for page in [0, 1] {
            let result = call_at(arena.space.as_fd(), request, &arena.window, page * PAGE);
            fails(
                result,
                libc::EFAULT,
                &format!("{name} with its argument in page {page}"),
            )?;
        }
    }
    ensure_eq!(layout(&arena.space)?.len(), 1, "regions");
    Ok(())
}

fn result_in_a_read_only_region_is_efault() -> Outcome {
    let arena = Arena::new(1, Prot::READ)?;
    for (name, request) in REQUESTS {
        if expected_of_zeroes(name) != 0 {
            continue;
        }
        let result = call_at(arena.space.as_fd(), request, &arena.window, 0);
        fails(
            result,
            libc::EFAULT,
            &format!("{name} with a read-only result"),
        )?;
    }
    reads(arena.window.load(0), 0, "afterwards")
}

fn unmap_of_its_own_argument() -> Outcome {
    let arena = Arena::new(8, Prot::READ_WRITE)?;
    arena.stamp(0, 8, 5)?;
    let unmap = faultline_unmap {
        addr: BASE,
        length: bytes(8),
        flags: 0,
    };
    put(&arena.window, 3 * PAGE, &unmap.words())?;
    call_at(
        arena.space.as_fd(),
        faultline_unmap::REQUEST,
        &arena.window,
        3 * PAGE,
    )?;
    raises(
        arena.window.load(3 * PAGE),
        Signal::Bus,
        "the argument afterwards",
    )?;
    ensure_eq!(layout(&arena.space)?, [], "regions");
    Ok(())
}

fn replacement_of_its_own_argument() -> Outcome {
    let arena = Arena::new(8, Prot::READ_WRITE)?;
    arena.stamp(0, 8, 5)?;
    let map = faultline_map {
        length: bytes(8),
        ..good_map(BASE, FAULTLINE_MAP_FIXED)
    };
    put(&arena.window, 3 * PAGE, &map.words())?;
    call_at(
        arena.space.as_fd(),
        faultline_map::REQUEST,
        &arena.window,
        3 * PAGE,
    )?;
    // The result was written to the new page.
    reads(arena.window.load(3 * PAGE), BASE, "address in the result")?;
    reads(
        arena.window.load(3 * PAGE + 8),
        bytes(8),
        "length in the result",
    )?;
    for page in [0, 1, 2, 4, 5, 6, 7] {
        reads(arena.window.load(page * PAGE), 0, &format!("page {page}"))?;
    }
    reads(
        arena.window.load(4 * PAGE - 8),
        0,
        "rest of the page of the argument",
    )
}

fn forbidding_replacement_of_its_own_argument() -> Outcome {
    for prot in [Prot::READ, Prot::NONE] {
        let arena = Arena::new(8, Prot::READ_WRITE)?;
        let map = faultline_map {
            length: bytes(8),
            prot: prot.bits(),
            ..good_map(BASE, FAULTLINE_MAP_FIXED)
        };
        put(&arena.window, 3 * PAGE, &map.words())?;
        let result = call_at(
            arena.space.as_fd(),
            faultline_map::REQUEST,
            &arena.window,
            3 * PAGE,
        );
        fails(
            result,
            libc::EFAULT,
            "MAP whose result cannot be written any more",
        )?;
        // As documented, the region is there all the same.
        ensure_eq!(
            layout(&arena.space)?,
            [(BASE, BASE + bytes(8), prot)],
            "regions"
        );
    }
    Ok(())
}

/// REMAP of pages `[0, 4)`: in place to `pages`, or to page 8.
fn remaps() -> [(&'static str, faultline_remap); 4] {
    let remap = |pages, new_addr, flags| faultline_remap {
        addr: BASE,
        old_length: bytes(4),
        new_length: bytes(pages),
        new_addr,
        flags,
        reserved: 0,
    };
    let fixed = FAULTLINE_REMAP_MAYMOVE | FAULTLINE_REMAP_FIXED;
    [
        ("growth", remap(6, 0, 0)),
        ("shrinking", remap(2, 0, 0)),
        ("move", remap(4, BASE + bytes(8), fixed)),
        ("move and growth", remap(6, BASE + bytes(8), fixed)),
    ]
}

/// Where the result cannot be written, nothing may be done.
fn remap_with_a_read_only_argument_changes_nothing() -> Outcome {
    for (name, remap) in remaps() {
        let arena = Arena::new(4, Prot::READ_WRITE)?;
        arena.stamp(0, 4, 5)?;
        arena.remap(20, 1, Prot::READ_WRITE)?;
        // Not in the window of the arena, which is too short.
        let view = window(&arena.space, BASE + bytes(20), 1)?;
        put(&view, 0, &remap.words())?;
        arena.protect(20, 1, Prot::READ)?;
        let before = arena.shape()?;
        let result = call_at(arena.space.as_fd(), faultline_remap::REQUEST, &view, 0);
        fails(result, libc::EFAULT, name)?;
        ensure_eq!(arena.shape()?, before, "{name}: regions");
        // Its statistics are not as they were: the argument took faults.
        ensure_eq!(arena.space.stats()?.remaps, 0, "{name}: REMAPs");
        Arena::holds(&arena.window, 0, 4, 5, name)?;
    }
    Ok(())
}

/// The argument lies in the last page of what moves or goes: it is done and said
/// so, or done but the result could not be written, which is EFAULT.
fn remap_of_its_own_argument() -> Outcome {
    for (name, remap) in remaps() {
        let arena = Arena::empty(20)?;
        arena.remap(0, 4, Prot::READ_WRITE)?;
        arena.stamp(0, 3, 5)?;
        put(&arena.window, 3 * PAGE, &remap.words())?;
        let fd = arena.space.as_fd();
        let result = call_at(fd, faultline_remap::REQUEST, &arena.window, 3 * PAGE);
        let moves = remap.flags != 0;
        let (stays, to) = (
            remap.new_length > bytes(4) && !moves,
            if moves { 8 } else { 0 },
        );
        let seen = errno(result);
        ensure!(
            seen == 0 || seen == libc::EFAULT && !stays,
            "{name}: errno {seen}"
        );
        let pages = (remap.new_length / PAGE_SIZE) as usize;
        ensure_eq!(
            arena.shape()?,
            [(to, to + pages, Prot::READ_WRITE)],
            "regions after {name}"
        );
        for page in 0..pages.min(3) {
            let word = 5 + page as u64;
            reads(arena.window.load((to + page) * PAGE), word, name)?;
        }
        // What went along, went as it was.
        if pages > 3 {
            let there = (to + 3) * PAGE;
            reads(arena.window.load(there), BASE, "addr in the argument")?;
            let length = remap.new_length;
            reads(arena.window.load(there + 16), length, "new_length")?;
            let address = if stays { BASE } else { remap.new_addr };
            reads(arena.window.load(there + 24), address, "new_addr")?;
        }
    }
    Ok(())
}

/// Enough regions, and pages, for all that `beside` does, of which one byte is not 0.
const ONE_BYTE: u64 = 0x100;

/// Has calls with arguments in the window run beside `disturb`, which changes
/// pages, and beside forks.
fn beside(disturb: impl Fn(&Arena, usize) -> Outcome + Sync, allowed: &[i32]) -> Outcome {
    let arena = Arena::new(32, Prot::READ_WRITE)?;
    // Pages vanish while a LIMIT copies the limits that one before has written:
    // it may read some of their bytes, and 0 for the others. One byte is not torn.
    arena.space.limit(ONE_BYTE)?;
    arena.space.limit_regions(ONE_BYTE)?;
    let stop = AtomicBool::new(false);
    let until_stopped = |step: &dyn Fn(usize) -> Outcome| -> Outcome {
        let mut outcome = Ok(());
        let mut round = 0;
        while outcome.is_ok() && !stop.load(Ordering::Relaxed) {
            outcome = step(round);
            round += 1;
        }
        stop.store(true, Ordering::Relaxed);
        outcome
    };
    let call = |round: usize| -> Outcome {
        // Each call has pages of its own: what one wrote is no argument for another.
        let which = round % REQUESTS.len();
        let (name, request) = REQUESTS[which];
        let page = (round / REQUESTS.len() % 3) * REQUESTS.len() + which;
        let at = page * PAGE + PAGE - 16;
        let seen = errno(call_at(arena.space.as_fd(), request, &arena.window, at));
        ensure!(allowed.contains(&seen), "{name} gave errno {seen}");
        Ok(())
    };
    thread::scope(|scope| {
        let threads = [
            scope.spawn(|| until_stopped(&call)),
            scope.spawn(|| until_stopped(&call)),
            scope.spawn(|| until_stopped(&|round| disturb(&arena, round))),
            scope.spawn(|| until_stopped(&|_| Ok(fork_and_reap()?))),
        ];
        let end = Instant::now() + Duration::from_millis(1200);
        while Instant::now() < end && !stop.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(10));
        }
        stop.store(true, Ordering::Relaxed);
        threads.into_iter().try_for_each(|thread| {
            thread
                .join()
                .unwrap_or_else(|_| Err(Stop::fail("a thread panicked")))
        })
    })
}

fn no_deadlock_with_changes_and_forks() -> Outcome {
    // Elsewhere in the space; but now and then the pages of the arguments are
    // made anew, so that they are untouched again.
    let allowed = [0, libc::EINVAL];
    beside(
        |arena, round| {
            let elsewhere = BASE + bytes(64);
            let prot = Prot::READ_WRITE;
            arena
                .space
                .map(elsewhere, bytes(8), prot, Placement::Fixed)?;
            arena.space.unmap(elsewhere, bytes(8))?;
            if round % 4 == 0 {
                arena.remap(0, 32, prot)?;
            }
            Ok(())
        },
        &allowed,
    )
}

fn no_deadlock_in_the_range_being_changed() -> Outcome {
    let allowed = [0, libc::EINVAL, libc::EFAULT, libc::ENOENT];
    beside(
        |arena, round| {
            arena.unmap(0, 32)?;
            arena.remap(
                0,
                32,
                if round % 8 == 0 {
                    Prot::READ
                } else {
                    Prot::READ_WRITE
                },
            )
        },
        &allowed,
    )
}
