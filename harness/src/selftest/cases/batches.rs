// SPDX-License-Identifier: GPL-2.0-only
//! Changes of more regions than one store takes. Between two stores others are
//! let in where the change is done, and only there. To have them wait in time, a
//! build of the module with test hooks sleeps at each batch of pages.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::query::must_add_up;
use crate::access::Signal;
use crate::selftest::check::{Outcome, Stop, ensure, ensure_eq, raises};
use crate::selftest::runner::{Needs, Test, tests};
use crate::selftest::state::{Arena, PAGE, at, bytes};
use crate::selftest::sys::kmodule;
use crate::{Placement, Policy, Prot, Relocation};

pub(super) const TESTS: &[Test] = tests![Needs::Module, "batches":
    protect_of_a_full_batch_joins_above,
    protect_of_a_full_batch_with_its_like_below_joins_above,
    map_over_a_full_batch_joins_above,
    map_over_a_full_batch_with_its_like_below_joins_above,
];

pub(super) const WITH_HOOKS: &[Test] = tests![Needs::Variant("test_hooks"), "batches":
    unmap_keeps_what_was_mapped_behind_it,
    unmap_leaves_nothing_of_faults_behind_it,
    each_change_gives_back_what_it_is_done_with,
    map_does_not_bring_back_what_was_unmapped_behind_it,
    map_does_not_bring_back_what_was_replaced_behind_it,
];

const RW: Prot = Prot::READ_WRITE;
const RO: Prot = Prot::READ;
const NONE: Prot = Prot::NONE;

/// The most regions that one store takes.
const BATCH: usize = 32;
/// The first page of a leaf, and how many it has.
const LEAF: usize = 1;
const LEAF_PAGES: usize = 512;

/// Regions of one page each, `pages` of them from `from` on, none like the next.
fn shreds(arena: &Arena, from: usize, pages: usize, prots: [Prot; 2]) -> Outcome {
    arena.remap(from, pages, prots[0])?;
    (from..from + pages)
        .skip(1)
        .step_by(2)
        .try_for_each(|page| Ok(arena.protect(page, 1, prots[1])?))
}

fn one_region(arena: &Arena, from: usize, pages: usize) -> Outcome {
    ensure_eq!(arena.shape()?, [(from, from + pages, RW)], "regions");
    Ok(())
}

fn protect_of_a_full_batch_joins_above() -> Outcome {
    let arena = Arena::empty(1)?;
    for above in [1, 4] {
        shreds(&arena, 0, BATCH, [RO, NONE])?;
        arena.remap(BATCH, above, RW)?;
        arena.protect(0, BATCH, RW)?;
        one_region(&arena, 0, BATCH + above)?;
    }
    Ok(())
}

fn protect_of_a_full_batch_with_its_like_below_joins_above() -> Outcome {
    let arena = Arena::empty(1)?;
    for pages in [BATCH - 2, BATCH - 1, BATCH] {
        arena.remap(0, 4, RW)?;
        shreds(&arena, 4, pages, [RO, NONE])?;
        arena.remap(4 + pages, 4, RW)?;
        arena.protect(4, pages, RW)?;
        one_region(&arena, 0, 8 + pages)?;
        arena.unmap(0, 100)?;
    }
    Ok(())
}

fn map_over_a_full_batch_joins_above() -> Outcome {
    let arena = Arena::empty(1)?;
    for above in [1, 4] {
        shreds(&arena, 0, BATCH, [RO, NONE])?;
        arena.remap(BATCH, above, RW)?;
        arena.remap(0, BATCH, RW)?;
        one_region(&arena, 0, BATCH + above)?;
    }
    Ok(())
}

fn map_over_a_full_batch_with_its_like_below_joins_above() -> Outcome {
    let arena = Arena::empty(1)?;
    for pages in [BATCH - 2, BATCH - 1, BATCH] {
        arena.remap(0, 4, RW)?;
        shreds(&arena, 4, pages, [RO, NONE])?;
        arena.remap(4 + pages, 4, RW)?;
        arena.remap(4, pages, RW)?;
        one_region(&arena, 0, 8 + pages)?;
        arena.unmap(0, 100)?;
    }
    Ok(())
}

/// Before and behind each batch of pages: enough to wait for it in time.
const DELAY: Duration = Duration::from_millis(30);
/// A fault that has found its region stays for longer than a whole leaf takes.
const FAULT_DELAY: Duration = Duration::from_millis(3000);

/// Regions of one page, `pages` of them from `LEAF` on, all with a page.
fn touched(pages: usize, policy: Policy) -> Result<Arena, Stop> {
    let arena = Arena::empty(LEAF + pages)?;
    arena.space.set_policy(policy)?;
    arena.remap(LEAF, pages, RW)?;
    arena.stamp(LEAF, pages, 1)?;
    shreds(&arena, LEAF, pages, [RO, RW])?;
    arena.stamp(LEAF + 1, 1, 1)?;
    for page in (LEAF..LEAF + pages).step_by(2) {
        arena.window.load(page * PAGE)?;
    }
    for page in (LEAF + 1..LEAF + pages).step_by(2) {
        arena.window.store(page * PAGE, 1)?;
    }
    ensure_eq!(arena.space.stats()?.regions, pages as u64, "regions");
    ensure_eq!(arena.space.stats()?.pages, pages as u64, "pages");
    Ok(arena)
}

fn delays(discard: Duration, fault: Duration) -> Outcome {
    kmodule::set_parameter("delay_discard_ms", &discard.as_millis().to_string())?;
    kmodule::set_parameter("delay_fault_ms", &fault.as_millis().to_string())?;
    Ok(())
}

/// Runs `slow`, and each of `behind` once the first region is no longer `RO`:
/// they have to wait for it then.
fn behind(
    arena: &Arena,
    fault: Duration,
    slow: impl FnOnce() -> Outcome + Send,
    behind: &[&(dyn Fn() -> Outcome + Sync)],
) -> Outcome {
    delays(DELAY, fault)?;
    let outcome = thread::scope(|scope| {
        let slow = scope.spawn(slow);
        let begun = || -> Result<bool, Stop> {
            let first = arena.space.query(at(LEAF))?;
            Ok(first.is_none_or(|first| first.start != at(LEAF) || first.prot != RO))
        };
        while !begun()? && !slow.is_finished() {
            thread::yield_now();
        }
        let behind: Vec<_> = behind.iter().map(|&call| scope.spawn(call)).collect();
        behind
            .into_iter()
            .chain([slow])
            .map(|thread| thread.join())
            .collect::<Vec<_>>()
            .into_iter()
            .try_for_each(|ended| ended.unwrap_or_else(|_| Err(Stop::fail("a thread panicked"))))
    });
    delays(Duration::ZERO, Duration::ZERO)?;
    outcome
}

fn unmap_keeps_what_was_mapped_behind_it() -> Outcome {
    for policy in [Policy::RANGE, Policy::GLOBAL] {
        let arena = touched(LEAF_PAGES, policy)?;
        let last = LEAF + LEAF_PAGES - 1;
        behind(
            &arena,
            Duration::ZERO,
            || arena.unmap(LEAF, LEAF_PAGES),
            &[&|| arena.remap(last, 1, RW)],
        )?;
        ensure_eq!(
            arena.shape()?,
            [(last, last + 1, RW)],
            "regions, {policy:?}"
        );
        arena.stamp(last, 1, 7)?;
        Arena::holds(&arena.window, last, 1, 7, "the new region")?;
        must_add_up(&arena.space)?;
    }
    Ok(())
}

/// Each of the faults sees the region or does not; none may leave its page.
fn unmap_leaves_nothing_of_faults_behind_it() -> Outcome {
    for policy in [Policy::RANGE, Policy::GLOBAL] {
        let arena = touched(LEAF_PAGES, policy)?;
        // A window of its own, in which there is no entry yet.
        let view = crate::selftest::state::window(&arena.space, at(0), LEAF + LEAF_PAGES)?;
        let fault = |page: usize| -> Outcome {
            match view.load((LEAF + page) * PAGE) {
                Ok(_) => Ok(()),
                Err(fault) => {
                    ensure_eq!(fault.signal, Signal::Bus, "signal on page {page}");
                    Ok(())
                }
            }
        };
        behind(
            &arena,
            FAULT_DELAY,
            || arena.unmap(LEAF, LEAF_PAGES),
            &[
                &|| fault(1),
                &|| fault(40),
                &|| fault(300),
                &|| fault(301),
                &|| fault(510),
                &|| fault(511),
            ],
        )?;
        ensure_eq!(arena.shape()?, [], "regions, {policy:?}");
        for page in LEAF..LEAF + LEAF_PAGES {
            let what = format!("page {page} at last, {policy:?}");
            raises(view.load(page * PAGE), Signal::Bus, &what)?;
        }
        ensure_eq!(arena.space.stats()?.pages, 0, "pages, {policy:?}");
        must_add_up(&arena.space)?;
    }
    Ok(())
}

const MANY: usize = 2 * LEAF_PAGES;

/// MAP over all of many regions, and `call` behind it, of the first page.
fn behind_a_map(policy: Policy, call: impl Fn(&Arena) -> Outcome + Sync) -> Result<Arena, Stop> {
    let arena = touched(MANY, policy)?;
    behind(
        &arena,
        Duration::ZERO,
        || arena.remap(LEAF, MANY, RW),
        &[&|| call(&arena)],
    )?;
    must_add_up(&arena.space)?;
    Ok(arena)
}

type Change = fn(&Arena) -> Outcome;

/// Who wants what a change is done with does not wait for the rest of it.
fn each_change_gives_back_what_it_is_done_with() -> Outcome {
    let changes: [(&str, Change); 4] = [
        ("UNMAP", |arena| arena.unmap(LEAF, MANY)),
        ("MAP", |arena| arena.remap(LEAF, MANY, RW)),
        ("PROTECT", |arena| Ok(arena.protect(LEAF, MANY, NONE)?)),
        ("REMAP", |arena| {
            // The first page is not part of what goes.
            let (old, new) = (bytes(LEAF + MANY), bytes(LEAF));
            let shrunk = arena.space.remap(at(0), old, new, Relocation::Stay);
            Ok(shrunk.map(drop)?)
        }),
    ];
    for (name, change) in changes {
        let arena = touched(MANY, Policy::RANGE)?;
        arena.remap(0, 1, RW)?;
        let done = AtomicBool::new(false);
        behind(
            &arena,
            Duration::ZERO,
            || {
                let outcome = change(&arena);
                done.store(true, Ordering::SeqCst);
                outcome
            },
            &[&|| {
                arena.remap(LEAF, 1, RW)?;
                ensure!(!done.load(Ordering::SeqCst), "{name} was waited for");
                Ok(())
            }],
        )?;
    }
    Ok(())
}

fn map_does_not_bring_back_what_was_unmapped_behind_it() -> Outcome {
    for policy in [Policy::RANGE, Policy::GLOBAL] {
        let arena = behind_a_map(policy, |arena| arena.unmap(LEAF, 1))?;
        let expected = [(LEAF + 1, LEAF + MANY, RW)];
        ensure_eq!(arena.shape()?, expected, "regions, {policy:?}");
        raises(arena.window.load(LEAF * PAGE), Signal::Bus, "page unmapped")?;
    }
    Ok(())
}

fn map_does_not_bring_back_what_was_replaced_behind_it() -> Outcome {
    for policy in [Policy::RANGE, Policy::GLOBAL] {
        let arena = behind_a_map(policy, |arena| {
            let (addr, place) = (at(LEAF), Placement::Fixed);
            let got = arena.space.map(addr, bytes(1), NONE, place)?;
            ensure!(got == addr, "address {got:#x}");
            Ok(())
        })?;
        let expected = [(LEAF, LEAF + 1, NONE), (LEAF + 1, LEAF + MANY, RW)];
        ensure_eq!(arena.shape()?, expected, "regions, {policy:?}");
        raises(
            arena.window.load(LEAF * PAGE),
            Signal::Segv,
            "page replaced",
        )?;
    }
    Ok(())
}
