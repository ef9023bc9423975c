// SPDX-License-Identifier: GPL-2.0-only
//! QUERY and STATS.

use std::collections::HashSet;
use std::sync::Mutex;

use super::concurrency::in_threads;
use crate::counts::Counts;
use crate::selftest::check::{Outcome, Stop, ensure, ensure_eq};
use crate::selftest::runner::{Needs, Test, tests};
use crate::selftest::state::{Arena, BASE, PAGE, SPACE_SIZE, bytes, regions};
use crate::{Backing, PAGE_SIZE, Placement, Prot, Space};

pub(super) const TESTS: &[Test] = tests![Needs::Module, "query":
    empty_space_has_no_region,
    finds_the_region_that_contains_the_address,
    finds_the_next_region_above,
    every_byte_of_the_space_may_be_asked,
    reports_protection_and_backing,
    generations_are_never_used_twice,
    generations_of_threads_differ,
    stats_count_what_happened,
    fdinfo_agrees_with_stats,
    fdinfo_shows_the_limits,
];

fn empty_space_has_no_region() -> Outcome {
    let space = Space::open()?;
    for addr in [0, 1, BASE, SPACE_SIZE - 1] {
        ensure_eq!(space.query(addr)?, None, "region at or above {addr:#x}");
    }
    Ok(())
}

fn start_of(space: &Space, addr: u64) -> Result<Option<u64>, Stop> {
    Ok(space.query(addr)?.map(|region| region.start))
}

fn finds_the_region_that_contains_the_address() -> Outcome {
    let space = Space::open()?;
    space.map(BASE, bytes(3), Prot::READ, Placement::FixedNoreplace)?;
    for addr in [
        BASE,
        BASE + 1,
        BASE + 4095,
        BASE + 4096,
        BASE + bytes(3) - 1,
    ] {
        let found = space
            .query(addr)?
            .ok_or_else(|| Stop::fail(format!("none at {addr:#x}")))?;
        ensure_eq!(
            (found.start, found.end),
            (BASE, BASE + bytes(3)),
            "at {addr:#x}"
        );
    }
    ensure_eq!(space.query(BASE + bytes(3))?, None, "region behind the end");
    Ok(())
}

fn finds_the_next_region_above() -> Outcome {
    let space = Space::open()?;
    let (low, high) = (BASE, 1 << 40);
    space.map(low, bytes(1), Prot::READ, Placement::FixedNoreplace)?;
    space.map(high, bytes(1), Prot::READ, Placement::FixedNoreplace)?;
    for (addr, expected) in [
        (0, Some(low)),
        (low - 1, Some(low)),
        (low + bytes(1), Some(high)),
        (high - 1, Some(high)),
        (high + bytes(1), None),
    ] {
        ensure_eq!(
            start_of(&space, addr)?,
            expected,
            "region at or above {addr:#x}"
        );
    }
    Ok(())
}

fn every_byte_of_the_space_may_be_asked() -> Outcome {
    let space = Space::open()?;
    let last = SPACE_SIZE - PAGE_SIZE;
    space.map(last, bytes(1), Prot::READ_WRITE, Placement::FixedNoreplace)?;
    space.map(0, bytes(1), Prot::READ_WRITE, Placement::FixedNoreplace)?;
    for (addr, expected) in [
        (0, 0),
        (4095, 0),
        (4096, last),
        (last, last),
        (SPACE_SIZE - 1, last),
    ] {
        ensure_eq!(
            start_of(&space, addr)?,
            Some(expected),
            "region at or above {addr:#x}"
        );
    }
    Ok(())
}

fn reports_protection_and_backing() -> Outcome {
    let space = Space::open()?;
    let prots = [Prot::NONE, Prot::READ, Prot::WRITE, Prot::READ_WRITE];
    for (i, prot) in prots.into_iter().enumerate() {
        space.map(
            BASE + bytes(2 * i),
            bytes(1),
            prot,
            Placement::FixedNoreplace,
        )?;
    }
    let found = regions(&space)?;
    let seen: Vec<_> = found.iter().map(|region| region.prot).collect();
    ensure_eq!(seen, prots, "protections");
    for region in found {
        ensure_eq!(region.backing, Backing::ANON, "backing");
        ensure_eq!(region.offset, 0, "offset");
    }
    Ok(())
}

fn generations_are_never_used_twice() -> Outcome {
    let spaces = [Space::open()?, Space::open()?];
    let mut seen = Vec::new();
    for _ in 0..20 {
        for space in &spaces {
            space.map(BASE, bytes(2), Prot::READ_WRITE, Placement::Fixed)?;
            seen.extend(regions(space)?.iter().map(|region| region.generation));
        }
    }
    let count = seen.len();
    ensure!(
        seen.iter().all(|&generation| generation != 0),
        "a generation is 0: {seen:?}"
    );
    seen.sort_unstable();
    seen.dedup();
    ensure_eq!(seen.len(), count, "different generations");
    Ok(())
}

/// On all processors, and more than what each of them takes ahead.
fn generations_of_threads_differ() -> Outcome {
    const THREADS: usize = 3;
    const EACH: usize = 2500;
    let seen = Mutex::new(HashSet::new());
    in_threads(THREADS, |_| {
        let space = Space::open()?;
        let mut own = Vec::with_capacity(EACH);
        for _ in 0..EACH {
            space.map(BASE, PAGE_SIZE, Prot::READ_WRITE, Placement::Fixed)?;
            own.extend(space.query(BASE)?.map(|region| region.generation));
        }
        seen.lock().expect("no panic").extend(own);
        Ok(())
    })?;
    let seen = seen.into_inner().expect("no panic");
    ensure_eq!(seen.len(), THREADS * EACH, "different generations");
    Ok(())
}

fn stats_count_what_happened() -> Outcome {
    let arena = Arena::empty(8)?;
    let empty = arena.space.stats()?;
    ensure_eq!(
        (empty.regions, empty.pages, empty.maps, empty.faults),
        (0, 0, 0, 0),
        "at first"
    );
    arena.remap(0, 4, Prot::READ_WRITE)?;
    arena.remap(6, 1, Prot::READ)?;
    arena.stamp(0, 2, 7)?;
    arena.window.load(2 * PAGE)?;
    arena.window.store(2 * PAGE, 1)?;
    arena.window.load(6 * PAGE)?;
    let _ = arena.window.store(6 * PAGE, 1);
    let _ = arena.window.load(7 * PAGE);
    arena.unmap(0, 1)?;
    let stats = arena.space.stats()?;
    ensure_eq!((stats.maps, stats.unmaps), (2, 1), "maps and unmaps");
    ensure_eq!(stats.regions, 2, "regions");
    ensure_eq!(
        (stats.pages_added, stats.pages_removed, stats.pages),
        (4, 1, 3),
        "pages"
    );
    ensure_eq!(stats.fault_no_region, 1, "fault_no_region");
    ensure_eq!(stats.fault_denied, 1, "fault_denied");
    // The first stores, the load, its upgrade, the load of the other region.
    ensure_eq!((stats.fault_ok, stats.faults), (5, 7), "faults: {stats:?}");
    ensure_eq!(
        (stats.fault_write, stats.fault_mkwrite),
        (4, 2),
        "writes: {stats:?}"
    );
    must_add_up(&arena.space)
}

/// The identity that the header documents, and that of the pages.
#[track_caller]
pub(super) fn must_add_up(space: &Space) -> Outcome {
    let stats = space.stats()?;
    let outcomes = stats.fault_ok
        + stats.fault_no_region
        + stats.fault_denied
        + stats.fault_limit
        + stats.fault_killed
        + stats.fault_no_memory
        + stats.fault_retried
        + stats.fault_again
        + stats.fault_no_page
        + stats.fault_io;
    ensure_eq!(
        outcomes,
        stats.faults,
        "sum of the outcomes of faults in {stats:?}"
    );
    let counts = Counts::of(&stats);
    ensure_eq!(
        (counts.successes() + counts.aborts(), counts.aborts()),
        (stats.spf_attempts, stats.spf_fallbacks),
        "attempts and fallbacks of {stats:?}"
    );
    let held = stats.pages_added.wrapping_sub(stats.pages_removed);
    ensure_eq!(
        held,
        stats.pages,
        "pages added less pages removed in {stats:?}"
    );
    ensure!(
        stats.fault_write <= stats.faults,
        "more writes than faults in {stats:?}"
    );
    ensure!(
        stats.fault_mkwrite <= stats.fault_write,
        "more upgrades than writes in {stats:?}"
    );
    ensure!(
        stats.fault_waits_false <= stats.fault_waits
            && (stats.fault_waits != 0 || stats.fault_wait_ns == 0),
        "waits that are none in {stats:?}"
    );
    let found = regions(space)?.len() as u64;
    ensure_eq!(stats.regions, found, "regions of STATS and of QUERY");
    Ok(())
}

/// The value of a line of the space's fdinfo.
fn of_fdinfo(space: &Space, name: &str) -> Result<Option<u64>, Stop> {
    use std::os::fd::{AsFd, AsRawFd};
    let fd = space.as_fd().as_raw_fd();
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{fd}"))?;
    let value = |line: &str| {
        let rest = line.strip_prefix(name)?.strip_prefix(':')?;
        rest.trim().parse().ok()
    };
    Ok(text.lines().find_map(value))
}

fn fdinfo_agrees_with_stats() -> Outcome {
    let arena = Arena::new(4, Prot::READ_WRITE)?;
    arena.remap(8, 1, Prot::READ)?;
    arena.stamp(0, 3, 1)?;
    let value = |name| of_fdinfo(&arena.space, name);
    ensure_eq!(value("faultline-pages")?, Some(3), "pages in fdinfo");
    ensure_eq!(value("faultline-regions")?, Some(2), "regions in fdinfo");
    let faults = arena.space.stats()?.faults;
    ensure_eq!(value("faultline-faults")?, Some(faults), "faults in fdinfo");
    Ok(())
}

fn fdinfo_shows_the_limits() -> Outcome {
    let space = Space::open()?;
    for lowered in [false, true] {
        if lowered {
            space.limit(77)?;
            space.limit_regions(88)?;
        }
        let stats = space.stats()?;
        for (name, expected) in [
            ("faultline-max-pages", stats.max_pages),
            ("faultline-max-regions", stats.max_regions),
        ] {
            ensure_eq!(of_fdinfo(&space, name)?, Some(expected), "{name}");
        }
    }
    Ok(())
}
