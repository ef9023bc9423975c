// SPDX-License-Identifier: GPL-2.0-only
//! The limit of pages of a space.

use std::time::{Duration, Instant};

use super::concurrency::in_threads;
use super::query::must_add_up;
use crate::Prot;
use crate::access::Signal;
use crate::selftest::check::{Outcome, Stop, ensure, ensure_eq, fails, raises, reads};
use crate::selftest::runner::{Needs, Test, tests};
use crate::selftest::state::{Arena, BASE, PAGE, window};
use crate::selftest::sys::gup::splice_pages;
use crate::selftest::sys::kmodule;
use crate::selftest::sys::process::Child;

pub(super) const TESTS: &[Test] = tests![Needs::Module, "limit":
    touching_beyond_is_sigbus_at_once,
    reads_count_too,
    unmap_makes_room,
    replacing_map_makes_room,
    lowered_below_what_is_held_stops_growth,
    lowered_to_what_is_held_stops_growth_at_once,
    lowered_limit_is_reached_to_the_page_by_many_at_once,
    zero_leaves_the_limit,
    is_of_the_space_not_of_the_process,
    access_from_the_kernel_fails_at_once,
    default_is_the_module_parameter,
];

pub(super) const WITH_PARAMETERS: &[Test] = tests![Needs::Parameters("max_pages=16"), "limit":
    max_pages_parameter_is_kept,
];

/// What a spinning fault would exceed by far.
const AT_ONCE: Duration = Duration::from_secs(2);

/// A page beyond the limit must raise SIGBUS, soon.
#[track_caller]
fn refused(arena: &Arena, page: usize) -> Outcome {
    let start = Instant::now();
    raises(
        arena.window.store(page * PAGE, 1),
        Signal::Bus,
        "store beyond the limit",
    )?;
    raises(
        arena.window.load(page * PAGE),
        Signal::Bus,
        "load beyond the limit",
    )?;
    let took = start.elapsed();
    ensure!(
        took < AT_ONCE,
        "two accesses beyond the limit took {took:?}"
    );
    Ok(())
}

fn touching_beyond_is_sigbus_at_once() -> Outcome {
    let arena = Arena::new(16, Prot::READ_WRITE)?;
    ensure_eq!(arena.space.limit(8)?, 8, "limit in force");
    arena.stamp(0, 8, 1)?;
    for page in 8..16 {
        refused(&arena, page)?;
    }
    Arena::holds(&arena.window, 0, 8, 1, "pages within the limit")?;
    arena.stamp(0, 8, 2)?;
    let stats = arena.space.stats()?;
    ensure_eq!((stats.pages, stats.max_pages), (8, 8), "pages held, limit");
    ensure_eq!(stats.fault_limit, 16, "faults beyond the limit");
    ensure_eq!(stats.fault_no_memory, 0, "faults out of memory");
    must_add_up(&arena.space)
}

fn reads_count_too() -> Outcome {
    let arena = Arena::new(4, Prot::READ)?;
    arena.space.limit(2)?;
    reads(arena.window.load(0), 0, "first page")?;
    reads(arena.window.load(PAGE), 0, "second page")?;
    raises(arena.window.load(2 * PAGE), Signal::Bus, "third page")
}

fn unmap_makes_room() -> Outcome {
    let arena = Arena::new(16, Prot::READ_WRITE)?;
    arena.space.limit(8)?;
    arena.stamp(0, 8, 1)?;
    refused(&arena, 8)?;
    arena.unmap(0, 4)?;
    arena.stamp(8, 4, 1)?;
    refused(&arena, 12)?;
    Arena::holds(&arena.window, 4, 8, 1, "what is held")?;
    ensure_eq!(arena.space.stats()?.pages, 8, "pages held");
    Ok(())
}

fn replacing_map_makes_room() -> Outcome {
    let arena = Arena::new(8, Prot::READ_WRITE)?;
    arena.space.limit(4)?;
    for _ in 0..10 {
        arena.stamp(0, 4, 1)?;
        refused(&arena, 4)?;
        arena.remap(0, 8, Prot::READ_WRITE)?;
    }
    ensure_eq!(arena.space.stats()?.pages, 0, "pages held");
    Ok(())
}

fn lowered_below_what_is_held_stops_growth() -> Outcome {
    let arena = Arena::new(16, Prot::READ_WRITE)?;
    arena.stamp(0, 8, 1)?;
    ensure_eq!(arena.space.limit(4)?, 4, "limit in force");
    Arena::holds(&arena.window, 0, 8, 1, "pages that were held")?;
    refused(&arena, 8)?;
    arena.unmap(0, 4)?;
    refused(&arena, 8)?;
    arena.unmap(4, 1)?;
    arena.stamp(8, 1, 1)?;
    refused(&arena, 9)?;
    fails(arena.space.limit(5), libc::EPERM, "raising the limit again")
}

/// So many that the processors have taken some ahead.
const MANY: usize = 2000;

fn lowered_to_what_is_held_stops_growth_at_once() -> Outcome {
    let arena = Arena::new(MANY + 16, Prot::READ_WRITE)?;
    arena.stamp(0, MANY, 1)?;
    arena.space.limit(MANY as u64)?;
    for page in MANY..MANY + 16 {
        refused(&arena, page)?;
    }
    // What is given back is not kept either.
    arena.space.limit(MANY as u64 / 2)?;
    arena.unmap(0, MANY / 2)?;
    refused(&arena, MANY)?;
    arena.unmap(MANY / 2, 1)?;
    arena.stamp(MANY, 1, 1)?;
    refused(&arena, MANY + 1)?;
    must_add_up(&arena.space)
}

/// Each thread has taken some ahead, and all want more together than there is room for.
fn lowered_limit_is_reached_to_the_page_by_many_at_once() -> Outcome {
    const THREADS: usize = 4;
    const ROOM: usize = 99;
    let arena = Arena::new(THREADS * (MANY + ROOM), Prot::READ_WRITE)?;
    in_threads(THREADS, |number| arena.stamp(number * MANY, MANY, 1))?;
    let all = THREADS * MANY;
    let limit = arena.space.limit((all + ROOM) as u64)?;
    in_threads(THREADS, |number| {
        for page in all + number * ROOM..all + (number + 1) * ROOM {
            if let Err(fault) = arena.window.store(page * PAGE, 1) {
                ensure_eq!(fault.signal, Signal::Bus, "signal");
            }
        }
        Ok(())
    })?;
    ensure_eq!(arena.space.stats()?.pages, limit, "pages held");
    must_add_up(&arena.space)
}

fn zero_leaves_the_limit() -> Outcome {
    let arena = Arena::new(2, Prot::READ_WRITE)?;
    let first = arena.space.limit(0)?;
    ensure_eq!(arena.space.limit(first)?, first, "limit set to itself");
    ensure_eq!(arena.space.limit(1)?, 1, "limit in force");
    ensure_eq!(arena.space.limit(0)?, 1, "limit after 0");
    arena.stamp(0, 1, 1)?;
    refused(&arena, 1)
}

fn is_of_the_space_not_of_the_process() -> Outcome {
    let arena = Arena::new(4, Prot::READ_WRITE)?;
    arena.space.limit(2)?;
    let other = Arena::new(4, Prot::READ_WRITE)?;
    other.stamp(0, 4, 1)?;
    arena.stamp(0, 2, 1)?;
    let child = Child::fork(|| refused(&arena, 2))?;
    child.finish(Duration::from_secs(10))?;
    // A second window of the space is no way around.
    let second = window(&arena.space, BASE, 4)?;
    raises(second.load(3 * PAGE), Signal::Bus, "second window")
}

fn access_from_the_kernel_fails_at_once() -> Outcome {
    let arena = Arena::new(4, Prot::READ_WRITE)?;
    arena.space.limit(1)?;
    arena.stamp(0, 1, 1)?;
    let (_read, write) = crate::selftest::sys::gup::pipe()?;
    let start = Instant::now();
    let result = splice_pages(&write, &arena.window, PAGE, PAGE);
    fails(result, libc::EFAULT, "vmsplice of a page beyond the limit")?;
    let took = start.elapsed();
    ensure!(took < AT_ONCE, "it took {took:?}");
    Ok(())
}

/// Half of the machine's memory, in pages.
fn half_of_memory() -> Result<u64, Stop> {
    let text = std::fs::read_to_string("/proc/meminfo")?;
    text.lines()
        .find_map(|line| {
            line.strip_prefix("MemTotal:")?
                .trim()
                .strip_suffix(" kB")?
                .parse()
                .ok()
        })
        .map(|kib: u64| kib / 4 / 2)
        .ok_or_else(|| Stop::fail("no MemTotal in /proc/meminfo"))
}

fn default_is_the_module_parameter() -> Outcome {
    let parameter = kmodule::parameter("max_pages")?;
    let seen = Arena::empty(1)?.space.stats()?.max_pages;
    if parameter == "0" {
        ensure_eq!(
            seen,
            half_of_memory()?,
            "max_pages of a new space, by default"
        );
    } else {
        ensure_eq!(seen.to_string(), parameter, "max_pages of a new space");
    }
    Ok(())
}

fn max_pages_parameter_is_kept() -> Outcome {
    default_is_the_module_parameter()?;
    let arena = Arena::new(32, Prot::READ_WRITE)?;
    ensure_eq!(arena.space.stats()?.max_pages, 16, "limit of a new space");
    arena.stamp(0, 16, 1)?;
    refused(&arena, 16)?;
    fails(arena.space.limit(17), libc::EPERM, "raising the limit")
}
