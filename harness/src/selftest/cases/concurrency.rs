// SPDX-License-Identifier: GPL-2.0-only
//! Many threads and processes on one space, and many spaces.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::query::must_add_up;
use crate::access::Signal;
use crate::selftest::check::{Outcome, Stop, ensure, ensure_eq, fails, raises, reads};
use crate::selftest::runner::{Needs, Test, tests};
use crate::selftest::state::{Arena, BASE, PAGE, at, bytes, window};
use crate::selftest::sys::kmodule;
use crate::selftest::sys::memory::Board;
use crate::selftest::sys::process::Child;
use crate::{Placement, Policy, Prot, Space};

pub(super) const TESTS: &[Test] = tests![Needs::Module, "concurrency":
    threads_that_touch_one_page_share_it,
    reads_and_writes_of_one_page_at_once,
    windows_that_touch_one_page_share_it,
    processes_that_touch_one_page_share_it,
    fault_beside_unmap_sees_one_mapping_or_none,
    disjoint_churn_keeps_its_content,
    who_has_a_range_sees_what_stands_there,
    spaces_do_not_disturb_each_other,
    spaces_in_parallel,
    stats_add_up_after_a_mixed_load,
];

pub(super) const WITH_HOOKS: &[Test] = tests![Needs::Variant("test_hooks"), "concurrency":
    store_waits_for_one_that_waits_for_memory,
    stores_that_wait_for_memory,
];

const THREADS: usize = 4;

/// Runs `body` in each of the threads, with its number.
pub(super) fn in_threads(count: usize, body: impl Fn(usize) -> Outcome + Sync) -> Outcome {
    let body = &body;
    thread::scope(|scope| {
        let threads: Vec<_> = (0..count)
            .map(|number| scope.spawn(move || body(number)))
            .collect();
        threads.into_iter().try_for_each(|thread| {
            thread
                .join()
                .unwrap_or_else(|_| Err(Stop::fail("a thread panicked")))
        })
    })
}

/// As `in_threads`, but calls `step` with the number of the thread and of the
/// round until `time` is over or one fails.
pub(super) fn for_a_while(
    time: Duration,
    count: usize,
    step: impl Fn(usize, u64) -> Outcome + Sync,
) -> Outcome {
    let stop = AtomicBool::new(false);
    let end = Instant::now() + time;
    in_threads(count, |number| {
        let mut outcome = Ok(());
        let mut round = 0;
        while outcome.is_ok() && Instant::now() < end && !stop.load(Ordering::Relaxed) {
            outcome = step(number, round);
            round += 1;
        }
        if outcome.is_err() {
            stop.store(true, Ordering::Relaxed);
        }
        outcome
    })
}

/// Every page gets a word of each thread at about the same time.
fn same_pages(arena: &Arena, first: impl Fn(usize, usize) -> Outcome + Sync) -> Outcome {
    const PAGES: usize = 200;
    arena.remap(0, PAGES, Prot::READ_WRITE)?;
    let barrier = Barrier::new(THREADS);
    let outcome = in_threads(THREADS, |number| {
        let mut outcome = Ok(());
        for page in 0..PAGES {
            // Nobody may leave the others waiting.
            barrier.wait();
            outcome = outcome.and_then(|()| first(number, page));
        }
        outcome
    });
    outcome?;
    for page in 0..PAGES {
        for number in 0..THREADS {
            let what = format!("page {page}, word of thread {number}");
            let expected = (page * THREADS + number) as u64 + 1;
            reads(arena.window.load(page * PAGE + 8 * number), expected, &what)?;
        }
    }
    let stats = arena.space.stats()?;
    ensure_eq!(
        (stats.pages, stats.pages_added),
        (PAGES as u64, PAGES as u64),
        "pages"
    );
    must_add_up(&arena.space)
}

fn value(number: usize, page: usize) -> u64 {
    (page * THREADS + number) as u64 + 1
}

fn threads_that_touch_one_page_share_it() -> Outcome {
    let arena = Arena::empty(200)?;
    same_pages(&arena, |number, page| {
        Ok(arena
            .window
            .store(page * PAGE + 8 * number, value(number, page))?)
    })
}

fn reads_and_writes_of_one_page_at_once() -> Outcome {
    let arena = Arena::empty(200)?;
    same_pages(&arena, |number, page| {
        let at = page * PAGE + 8 * number;
        if (number + page) % 2 == 0 {
            reads(arena.window.load(at), 0, "own word at first")?;
        }
        Ok(arena.window.store(at, value(number, page))?)
    })
}

fn windows_that_touch_one_page_share_it() -> Outcome {
    let arena = Arena::empty(200)?;
    let windows = (0..THREADS)
        .map(|_| window(&arena.space, BASE, 200))
        .collect::<Result<Vec<_>, _>>()?;
    same_pages(&arena, |number, page| {
        Ok(windows[number].store(page * PAGE + 8 * number, value(number, page))?)
    })
}

fn processes_that_touch_one_page_share_it() -> Outcome {
    const PAGES: usize = 100;
    let board = Board::new()?;
    let arena = Arena::new(PAGES, Prot::READ_WRITE)?;
    let view = &arena.window;
    let children = (0..THREADS)
        .map(|number| {
            Child::fork(move || {
                for page in 0..PAGES {
                    board.add(page % 2);
                    let round = (page / 2 + 1) as u64 * THREADS as u64;
                    while board.get(page % 2) < round {
                        thread::yield_now();
                    }
                    view.store(page * PAGE + 8 * number, value(number, page))?;
                }
                Ok(())
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    for child in children {
        child.finish(Duration::from_secs(20))?;
    }
    for page in 0..PAGES {
        for number in 0..THREADS {
            let what = format!("page {page}, word of process {number}");
            reads(
                view.load(page * PAGE + 8 * number),
                value(number, page),
                &what,
            )?;
        }
    }
    ensure_eq!(
        arena.space.stats()?.pages_added,
        PAGES as u64,
        "pages added"
    );
    Ok(())
}

/// Each thread has two pages, and maps all or one of them: so regions join and are cut all
/// the time, while an UNMAP looks whether there is anything, MAP whether there is nothing,
/// and others what there is.
fn who_has_a_range_sees_what_stands_there() -> Outcome {
    small_regions_come_and_go(Duration::from_secs(3))
}

fn small_regions_come_and_go(time: Duration) -> Outcome {
    let arena = Arena::empty(2 * THREADS)?;
    let space = &arena.space;
    // The part of one's two pages that is mapped.
    let seen = |first: usize| -> Result<Vec<bool>, Stop> {
        let pages = (first..first + 2).map(|page| {
            let found = space.query(at(page))?;
            Ok(found.is_some_and(|region| region.start <= at(page)))
        });
        pages.collect()
    };
    for_a_while(time, THREADS, |number, round| {
        let first = 2 * number;
        let (from, pages) = [(0, 2), (0, 1), (1, 1)][round as usize % 3];
        let mapped: Vec<bool> = (0..2)
            .map(|page| from <= page && page < from + pages)
            .collect();
        let (from, length) = (at(first + from), bytes(pages));
        let map = || space.map(from, length, Prot::READ_WRITE, Placement::FixedNoreplace);
        ensure_eq!(map()?, from, "address");
        fails(map(), libc::EEXIST, "the same again")?;
        ensure_eq!(seen(first)?, mapped, "mapped");
        let all = space.protect(at(first), bytes(2), Prot::READ_WRITE);
        match pages {
            2 => all?,
            _ => fails(all, libc::ENOMEM, "protect with a hole")?,
        }
        arena.unmap(first, 2)?;
        ensure_eq!(seen(first)?, [false, false], "unmapped");
        arena.unmap(first, 2)
    })?;
    ensure_eq!(arena.shape()?, [], "regions at last");
    must_add_up(space)
}

/// With each store waiting for so long for memory, which is in milliseconds.
fn with_delayed_stores(delay: u32, body: impl FnOnce() -> Outcome) -> Outcome {
    kmodule::set_parameter("delay_store_ms", &delay.to_string())?;
    let outcome = body();
    kmodule::set_parameter("delay_store_ms", "0")?;
    outcome
}

fn store_waits_for_one_that_waits_for_memory() -> Outcome {
    const DELAY: u32 = 2000;
    let arena = Arena::empty(20)?;
    let space = &arena.space;
    space.set_policy(Policy::SPF_RANGE)?;
    let map = |page| {
        space.map(
            at(page),
            bytes(2),
            Prot::READ_WRITE,
            Placement::FixedNoreplace,
        )
    };
    with_delayed_stores(DELAY, || {
        thread::scope(|scope| {
            let first = scope.spawn(|| map(0));
            thread::sleep(Duration::from_millis(300));
            kmodule::set_parameter("delay_store_ms", "0")?;
            ensure_eq!(
                space.query(at(10))?,
                None,
                "a look at what stands elsewhere"
            );
            ensure!(!first.is_finished(), "the look waited for the store");
            // Both change the number of regions: who does not wait counts from what was before.
            ensure_eq!(map(10)?, at(10), "address");
            let first = first.join();
            ensure_eq!(
                first.map_err(|_| Stop::fail("panicked"))??,
                at(0),
                "address"
            );
            Ok(())
        })
    })?;
    ensure_eq!(arena.shape()?.len(), 2, "regions that there are");
    ensure_eq!(space.stats()?.regions, 2, "regions that are counted");
    must_add_up(space)
}

fn stores_that_wait_for_memory() -> Outcome {
    with_delayed_stores(1, || small_regions_come_and_go(Duration::from_secs(3)))
}

fn fault_beside_unmap_sees_one_mapping_or_none() -> Outcome {
    const PAGES: usize = 4;
    let arena = Arena::empty(PAGES)?;
    // Generation g is written before it is published here as the latest.
    let latest = AtomicU64::new(0);
    for_a_while(Duration::from_millis(1000), 3, |number, round| {
        if number == 0 {
            let generation = round + 1;
            latest.store(generation, Ordering::SeqCst);
            arena.remap(0, PAGES, Prot::READ_WRITE)?;
            for page in 0..PAGES {
                reads(arena.window.load(page * PAGE), 0, "fresh page")?;
                arena.window.store(page * PAGE, generation)?;
                reads(arena.window.load(page * PAGE), generation, "own store")?;
            }
            arena.unmap(0, PAGES)?;
            for page in 0..PAGES {
                raises(arena.window.load(page * PAGE), Signal::Bus, "after UNMAP")?;
            }
            return Ok(());
        }
        let oldest = latest.load(Ordering::SeqCst);
        let page = round as usize % PAGES;
        match arena.window.load(page * PAGE) {
            Ok(0) => {}
            Ok(seen) => {
                let newest = latest.load(Ordering::SeqCst);
                ensure!(
                    (oldest..=newest).contains(&seen),
                    "mapping {seen} seen on page {page} between mappings {oldest} and {newest}"
                );
            }
            Err(fault) => ensure_eq!(fault.signal, Signal::Bus, "signal of a load"),
        }
        Ok(())
    })?;
    must_add_up(&arena.space)
}

fn disjoint_churn_keeps_its_content() -> Outcome {
    // Threads 0 and 1 share a leaf, 2 and 3 have one each.
    const STARTS: [usize; THREADS] = [1, 65, 600, 1200];
    const PAGES: usize = 64;
    let arena = Arena::empty(1300)?;
    for_a_while(Duration::from_millis(1000), THREADS, |number, round| {
        let from = STARTS[number];
        let base = round << 32 | (number as u64) << 16;
        arena.remap(from, PAGES, Prot::READ_WRITE)?;
        arena.stamp(from, PAGES / 4, base)?;
        Arena::holds(
            &arena.window,
            from,
            PAGES / 4,
            base,
            &format!("thread {number}"),
        )?;
        arena.unmap(from + 4, 4)?;
        Arena::holds(&arena.window, from, 4, base, "before the hole")?;
        Arena::holds(&arena.window, from + 8, 8, base, "behind the hole")?;
        raises(
            arena.window.load((from + 5) * PAGE),
            Signal::Bus,
            "the hole",
        )
    })?;
    must_add_up(&arena.space)
}

fn spaces_do_not_disturb_each_other() -> Outcome {
    let arenas = (0..32)
        .map(|_| Arena::new(4, Prot::READ_WRITE))
        .collect::<Result<Vec<_>, Stop>>()?;
    for (i, arena) in arenas.iter().enumerate() {
        arena.stamp(0, 4, 1000 * i as u64)?;
    }
    for (i, arena) in arenas.iter().enumerate() {
        Arena::holds(&arena.window, 0, 4, 1000 * i as u64, &format!("space {i}"))?;
    }
    for arena in arenas.iter().step_by(2) {
        arena.unmap(0, 4)?;
    }
    for (i, arena) in arenas.iter().enumerate() {
        if i % 2 == 0 {
            raises(
                arena.window.load(0),
                Signal::Bus,
                &format!("space {i} after its UNMAP"),
            )?;
        } else {
            Arena::holds(&arena.window, 0, 4, 1000 * i as u64, &format!("space {i}"))?;
            ensure_eq!(arena.space.stats()?.faults, 4, "faults of space {i}");
        }
    }
    Ok(())
}

fn spaces_in_parallel() -> Outcome {
    for_a_while(Duration::from_millis(800), THREADS, |number, round| {
        let arena = Arena::new(8, Prot::READ_WRITE)?;
        let base = round << 16 | number as u64;
        arena.stamp(0, 8, base)?;
        Arena::holds(
            &arena.window,
            0,
            8,
            base,
            &format!("space of thread {number}"),
        )?;
        arena.unmap(0, 4)?;
        Arena::holds(
            &arena.window,
            4,
            4,
            base,
            &format!("space of thread {number}"),
        )?;
        let second = Space::open()?;
        ensure_eq!(second.query(0)?, None, "regions of a new space");
        Ok(())
    })
}

fn stats_add_up_after_a_mixed_load() -> Outcome {
    let arena = Arena::empty(256)?;
    arena.space.limit(200)?;
    for_a_while(Duration::from_millis(1000), THREADS, |number, round| {
        let page = (round as usize * 37 + number * 11) % 248;
        match round % 7 {
            0 => arena.unmap(page, 8),
            1 => arena.remap(page, 8, Prot::READ),
            2 => arena.remap(page, 4, Prot::NONE),
            3 | 4 => arena.remap(page, 8, Prot::READ_WRITE),
            _ => {
                // Whatever comes of it: others change the regions.
                for page in page..page + 8 {
                    let _ = arena.window.load(page * PAGE);
                    let _ = arena.window.store(page * PAGE, round);
                }
                Ok(())
            }
        }
    })?;
    // One of each refusal for certain, however slow the machine was.
    arena.unmap(0, 1)?;
    raises(arena.window.load(0), Signal::Bus, "load without region")?;
    arena.remap(1, 1, Prot::READ)?;
    raises(
        arena.window.store(PAGE, 1),
        Signal::Segv,
        "store to a read-only region",
    )?;
    let stats = arena.space.stats()?;
    ensure!(
        stats.fault_no_region > 0 && stats.fault_denied > 0,
        "no refused fault in {stats:?}"
    );
    ensure!(
        stats.pages <= 200,
        "{} pages held, 200 allowed",
        stats.pages
    );
    must_add_up(&arena.space)?;
    arena.unmap(0, 256)?;
    ensure_eq!(arena.space.stats()?.pages, 0, "pages held at last");
    must_add_up(&arena.space)
}
