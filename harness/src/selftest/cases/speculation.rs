// SPDX-License-Identifier: GPL-2.0-only
//! Speculative faults: which succeed, and why others do not.

use std::thread;
use std::time::Duration;

use super::concurrency::for_a_while;
use super::query::must_add_up;
use crate::access::Signal;
use crate::counts::Counts;
use crate::selftest::check::{Outcome, Stop, ensure, ensure_eq, raises, reads};
use crate::selftest::files;
use crate::selftest::runner::{Needs, Test, tests};
use crate::selftest::state::{Arena, BASE, PAGE, window};
use crate::selftest::sys::process::Child;
use crate::{Advice, Policy, Prot, Stats};

pub(super) const TESTS: &[Test] = tests![Needs::Module, "speculation":
    first_touch_succeeds,
    page_that_is_there_succeeds,
    another_process_succeeds,
    upgrade_succeeds,
    cached_page_of_a_memfd_succeeds,
    copy_of_a_cached_page_succeeds,
    wrong_guesses_are_no_aborts,
    hole_of_a_memfd_is_not_cached,
    times_of_a_memfd_are_kept,
    stray_access_is_no_region,
    forbidden_access_is_denied,
    limit_is_no_memory,
    others_do_not_speculate,
    counters_add_up_beside_changes,
];

const RW: Prot = Prot::READ_WRITE;
const RO: Prot = Prot::READ;

fn both() -> [Policy; 2] {
    [Policy::SPF_GLOBAL, Policy::SPF_RANGE]
}

/// What the counters have become by `accesses`.
fn counted(arena: &Arena, accesses: impl FnOnce() -> Outcome) -> Result<Stats, Stop> {
    let before = arena.space.stats()?;
    accesses()?;
    must_add_up(&arena.space)?;
    let after = arena.space.stats()?;
    Ok(Stats {
        spf_attempts: after.spf_attempts - before.spf_attempts,
        spf_fallbacks: after.spf_fallbacks - before.spf_fallbacks,
        spf_anon_read: after.spf_anon_read - before.spf_anon_read,
        spf_anon_write: after.spf_anon_write - before.spf_anon_write,
        spf_shared_read: after.spf_shared_read - before.spf_shared_read,
        spf_private_read: after.spf_private_read - before.spf_private_read,
        spf_private_write: after.spf_private_write - before.spf_private_write,
        ..after
    })
}

fn first_touch_succeeds() -> Outcome {
    for policy in both() {
        // Leaves and page tables are not there yet.
        let arena = Arena::new(2048, RW)?;
        arena.space.set_policy(policy)?;
        let stats = counted(&arena, || {
            arena.stamp(0, 1024, 3)?;
            (1024..2048).try_for_each(|page| reads(arena.window.load(page * PAGE), 0, "page"))
        })?;
        ensure_eq!(
            (
                stats.spf_attempts,
                stats.spf_anon_write,
                stats.spf_anon_read
            ),
            (2048, 1024, 1024),
            "attempts, and successes of stores and loads"
        );
    }
    Ok(())
}

fn page_that_is_there_succeeds() -> Outcome {
    for policy in both() {
        let arena = Arena::new(8, RW)?;
        arena.space.set_policy(policy)?;
        arena.stamp(0, 8, 3)?;
        let other = window(&arena.space, BASE, 8)?;
        let stats = counted(&arena, || Arena::holds(&other, 0, 8, 3, "another window"))?;
        ensure_eq!((stats.spf_attempts, stats.spf_anon_read), (8, 8), "loads");
    }
    Ok(())
}

fn another_process_succeeds() -> Outcome {
    let arena = Arena::new(8, RW)?;
    arena.space.set_policy(Policy::SPF_RANGE)?;
    arena.stamp(0, 8, 3)?;
    let stats = counted(&arena, || {
        let child = Child::fork(|| {
            let other = window(&arena.space, BASE, 8)?;
            Arena::holds(&other, 0, 8, 3, "in another process")
        })?;
        child.finish(Duration::from_secs(10))
    })?;
    ensure_eq!((stats.spf_attempts, stats.spf_anon_read), (8, 8), "loads");
    Ok(())
}

fn upgrade_succeeds() -> Outcome {
    let arena = Arena::new(1, RW)?;
    arena.space.set_policy(Policy::SPF_RANGE)?;
    let stats = counted(&arena, || {
        reads(arena.window.load(0), 0, "page")?;
        Ok(arena.window.store(0, 1)?)
    })?;
    ensure_eq!(
        (
            stats.spf_attempts,
            stats.spf_anon_read,
            stats.spf_anon_write
        ),
        (2, 1, 1),
        "attempts, loads and stores"
    );
    ensure_eq!(stats.fault_mkwrite, 1, "upgrades");
    Ok(())
}

fn cached_page_of_a_memfd_succeeds() -> Outcome {
    let file = files::memfd(8, 40)?;
    let arena = Arena::backed(8, RW, files::shared(&file, 0))?;
    arena.space.set_policy(Policy::SPF_RANGE)?;
    let stats = counted(&arena, || Arena::holds(&arena.window, 0, 8, 40, "memfd"))?;
    ensure_eq!((stats.spf_attempts, stats.spf_shared_read), (8, 8), "loads");
    // A store may find that the file's time is to be noted: that is not speculative.
    // Whoever has seen the time wants it to be another.
    file.metadata()?;
    arena.stamp(0, 8, 50)?;
    let stats = arena.space.stats()?;
    ensure_eq!(
        stats.spf_shared_write + stats.spf_not_speculable,
        8,
        "stores: {stats:?}"
    );
    ensure!(
        stats.spf_not_speculable >= 1,
        "the file's time was not noted"
    );
    must_add_up(&arena.space)?;
    files::holds(&file, 0, 8, 50, "memfd afterwards")
}

fn copy_of_a_cached_page_succeeds() -> Outcome {
    let file = files::Scratch::stamped(8, 60)?;
    let arena = Arena::backed(8, RW, files::private(&file.file, 0))?;
    arena.space.set_policy(Policy::SPF_RANGE)?;
    let stats = counted(&arena, || {
        Arena::holds(&arena.window, 0, 4, 60, "loaded")?;
        arena.stamp(4, 4, 70)
    })?;
    ensure_eq!(
        (
            stats.spf_attempts,
            stats.spf_private_read,
            stats.spf_private_write
        ),
        (8, 4, 4),
        "attempts, loads and stores"
    );
    files::holds(&file.file, 0, 8, 60, "file afterwards")
}

/// Faults of one leaf by turns, those of files each behind one of zeroes.
fn wrong_guesses_are_no_aborts() -> Outcome {
    let memfd = files::memfd(4, 40)?;
    let file = files::Scratch::stamped(4, 60)?;
    let arena = Arena::new(17, RW)?;
    arena.space.set_policy(Policy::SPF_RANGE)?;
    arena.place(9, 4, RW, files::private(&file.file, 0))?;
    arena.place(13, 4, RW, files::shared(&memfd, 0))?;
    let stats = counted(&arena, || {
        for round in 0..4 {
            let word = round as u64;
            let load = |page: usize| arena.window.load(page * PAGE);
            reads(load(1 + round), 0, "zeroes")?;
            reads(load(9 + round), 60 + word, "copy of a file's page")?;
            reads(load(5 + round), 0, "more zeroes")?;
            reads(load(13 + round), 40 + word, "memfd's page")?;
        }
        Ok(())
    })?;
    let successes = [
        stats.spf_anon_read,
        stats.spf_private_read,
        stats.spf_shared_read,
    ];
    ensure_eq!(successes, [8, 4, 4], "loads");
    ensure_eq!(stats.spf_attempts, 16, "attempts");
    Ok(())
}

fn hole_of_a_memfd_is_not_cached() -> Outcome {
    let file = files::memfd(0, 0)?;
    file.set_len(8 * PAGE as u64)?;
    let arena = Arena::backed(8, RW, files::shared(&file, 0))?;
    arena.space.set_policy(Policy::SPF_RANGE)?;
    reads(arena.window.load(0), 0, "hole")?;
    ensure_eq!(arena.space.stats()?.spf_not_cached, 1, "aborts");
    must_add_up(&arena.space)
}

/// As if it had been write(2).
fn times_of_a_memfd_are_kept() -> Outcome {
    let file = files::memfd(8, 0)?;
    let arena = Arena::backed(8, RW, files::shared(&file, 0))?;
    arena.space.set_policy(Policy::SPF_RANGE)?;
    for page in 0..8 {
        let before = file.metadata()?.modified()?;
        thread::sleep(Duration::from_millis(20));
        arena.window.store(page * PAGE, 1)?;
        ensure!(
            file.metadata()?.modified()? > before,
            "the time of the last change is that of before"
        );
    }
    must_add_up(&arena.space)
}

fn stray_access_is_no_region() -> Outcome {
    let arena = Arena::empty(1)?;
    arena.space.set_policy(Policy::SPF_RANGE)?;
    raises(arena.window.load(0), Signal::Bus, "hole")?;
    let stats = arena.space.stats()?;
    ensure_eq!(
        (stats.spf_no_region, stats.fault_no_region),
        (1, 1),
        "aborts, and what came of them"
    );
    must_add_up(&arena.space)
}

fn forbidden_access_is_denied() -> Outcome {
    let arena = Arena::new(1, RO)?;
    arena.space.set_policy(Policy::SPF_RANGE)?;
    raises(arena.window.store(0, 1), Signal::Segv, "store")?;
    let stats = arena.space.stats()?;
    ensure_eq!(
        (stats.spf_denied, stats.fault_denied),
        (1, 1),
        "aborts, and what came of them"
    );
    must_add_up(&arena.space)
}

fn limit_is_no_memory() -> Outcome {
    let arena = Arena::new(4, RW)?;
    arena.space.set_policy(Policy::SPF_RANGE)?;
    arena.space.limit(2)?;
    arena.stamp(0, 2, 1)?;
    raises(arena.window.store(2 * PAGE, 1), Signal::Bus, "one too many")?;
    let stats = arena.space.stats()?;
    ensure_eq!(
        (stats.spf_no_memory, stats.fault_limit),
        (1, 1),
        "aborts, and what came of them"
    );
    must_add_up(&arena.space)
}

fn others_do_not_speculate() -> Outcome {
    let arena = Arena::new(4, RW)?;
    for policy in arena.space.policies()? {
        if both().contains(&policy) {
            continue;
        }
        arena.space.set_policy(policy)?;
        arena.remap(0, 4, RW)?;
        arena.stamp(0, 4, 1)?;
        ensure_eq!(arena.space.stats()?.spf_attempts, 0, "attempts: {policy}");
    }
    must_add_up(&arena.space)
}

fn counters_add_up_beside_changes() -> Outcome {
    for policy in both() {
        let arena = Arena::new(64, RW)?;
        arena.space.set_policy(policy)?;
        for_a_while(Duration::from_secs(2), 4, |number, round| {
            let page = (round as usize * 7 + number * 16) % 64;
            match (number, round % 4) {
                (0, 0) => arena.remap(page & !7, 8, RW),
                (0, 1) => arena.unmap(page & !7, 8),
                (0, 2) => {
                    Ok(arena
                        .space
                        .protect(BASE, PAGE as u64, RO)
                        .or_else(|error| match error.raw_os_error() {
                            Some(libc::ENOMEM) => Ok(()),
                            _ => Err(error),
                        })?)
                }
                (0, _) => {
                    let _ = arena.advise(0, 64, Advice::DontNeed);
                    Ok(())
                }
                _ => {
                    let _ = arena.window.store(page * PAGE, round);
                    let _ = arena.window.load(page * PAGE);
                    Ok(())
                }
            }
        })?;
        let stats = arena.space.stats()?;
        let counts = Counts::of(&stats);
        let (successes, aborts) = (counts.successes(), counts.aborts());
        ensure!(
            successes > 0 && aborts > 0,
            "{policy}: {successes} successes and {aborts} aborts"
        );
        ensure_eq!(stats.fault_retried, 0, "retries");
        must_add_up(&arena.space)?;
    }
    Ok(())
}
