// SPDX-License-Identifier: GPL-2.0-only
//! The limit of regions, to the region: what keeps within it succeeds, what does
//! not fails, whatever is in between.

use std::sync::Barrier;
use std::time::Duration;

use super::concurrency::{for_a_while, in_threads};
use crate::selftest::check::{Outcome, Stop, ensure, ensure_eq, fails};
use crate::selftest::files::{memfd, private};
use crate::selftest::overlap::pass;
use crate::selftest::runner::{Needs, Test, tests};
use crate::selftest::state::{Arena, at};
use crate::{PAGE_SIZE, Placement, Policy, Prot, Relocation};

pub(super) const TESTS: &[Test] = tests![Needs::Module, "limit":
    remap_that_cuts_and_leaves_nothing_keeps_within,
    protect_that_cuts_and_joins_keeps_within,
    remap_of_several_regions_counts_all_pieces,
    remap_to_a_whole_region_counts_all_pieces,
    protect_that_cuts_what_becomes_one_keeps_within,
    remap_that_replaces_a_region_keeps_within,
    remap_of_two_over_a_boundary_keeps_within,
    protects_at_once_keep_within,
    remaps_at_once_keep_within,
    map_beside_a_move_of_all_keeps_within,
];

pub(super) const WITH_HOOKS: &[Test] = tests![Needs::Variant("test_hooks"), "limit":
    a_part_being_replaced_counts_once,
    what_joins_a_part_being_replaced_keeps_within,
    what_cuts_beside_a_part_being_replaced_is_refused,
    what_goes_beside_a_part_being_replaced_makes_no_room,
    protect_that_cuts_at_a_part_being_replaced_is_refused,
];

const RW: Prot = Prot::READ_WRITE;
const RO: Prot = Prot::READ;

fn remap_that_cuts_and_leaves_nothing_keeps_within() -> Outcome {
    let arena = Arena::new(1, RW)?;
    arena.stamp(0, 1, 7)?;
    arena.remap(10, 10, RO)?;
    arena.space.limit_regions(2)?;
    arena.shift(0, 1, 19)?;
    ensure_eq!(arena.shape()?, [(10, 19, RO), (19, 20, RW)], "regions");
    let view = crate::selftest::state::window(&arena.space, at(19), 1)?;
    Arena::holds(&view, 0, 1, 7, "contents")
}

fn protect_that_cuts_and_joins_keeps_within() -> Outcome {
    let file = memfd(2, 50)?;
    let arena = Arena::new(10, RO)?;
    arena.place(10, 2, RW, private(&file, 0))?;
    arena.remap(12, 2, RW)?;
    arena.space.limit_regions(3)?;
    arena.protect(5, 9, RO)?;
    let expected = [(0, 10, RO), (10, 12, RO), (12, 14, RO)];
    ensure_eq!(arena.shape()?, expected, "regions");
    Ok(())
}

/// Two runs, of which the first cuts a region and takes the place of another.
fn protect_that_cuts_what_becomes_one_keeps_within() -> Outcome {
    let file = memfd(2, 50)?;
    let arena = Arena::new(10, RO)?;
    arena.remap(10, 10, RW)?;
    arena.place(20, 2, RO, private(&file, 0))?;
    arena.space.limit_regions(3)?;
    arena.protect(5, 17, Prot::NONE)?;
    let none = Prot::NONE;
    let expected = [(0, 5, RO), (5, 20, none), (20, 22, none)];
    ensure_eq!(arena.shape()?, expected, "regions");
    Ok(())
}

fn remap_that_replaces_a_region_keeps_within() -> Outcome {
    let arena = Arena::new(10, RW)?;
    arena.remap(20, 1, RO)?;
    arena.space.limit_regions(2)?;
    arena.shift(9, 1, 20)?;
    ensure_eq!(arena.shape()?, [(0, 9, RW), (20, 21, RW)], "regions");
    Ok(())
}

/// The first of the two alone would cut a region in two.
fn remap_of_two_over_a_boundary_keeps_within() -> Outcome {
    let arena = Arena::new(1, RW)?;
    arena.remap(1, 3, RO)?;
    arena.remap(199, 3, Prot::NONE)?;
    arena.remap(202, 2, RW)?;
    arena.space.limit_regions(4)?;
    arena.shift(0, 4, 200)?;
    let expected = [(199, 200, Prot::NONE), (200, 201, RW), (201, 204, RO)];
    ensure_eq!(arena.shape()?, expected, "regions");
    Ok(())
}

/// Moves five regions of one page, with holes between, into a region of `pages`
/// pages: allowed if there may be as many as result, and else never.
fn five_into_one(pages: usize) -> Outcome {
    let results = 5 + (pages - 5);
    for limit in 6..=results {
        let arena = Arena::empty(9)?;
        for page in [0, 2, 4, 6, 8] {
            arena.remap(page, 1, RW)?;
            arena.stamp(page, 1, 10)?;
        }
        arena.remap(100, pages, RO)?;
        ensure_eq!(arena.space.stats()?.regions, 6, "regions at first");
        arena.space.limit_regions(limit as u64)?;
        if limit < results {
            let what = format!("REMAP to {results} regions of {limit}");
            arena.refuses(libc::ENOMEM, &what, |arena| {
                arena.resize(0, 9, 9, Relocation::Fixed(at(100)))
            })?;
            for page in [0, 2, 4, 6, 8] {
                Arena::holds(&arena.window, page, 1, 10, &what)?;
            }
        } else {
            arena.shift(0, 9, 100)?;
            ensure_eq!(arena.space.stats()?.regions, results as u64, "regions");
        }
    }
    Ok(())
}

fn remap_of_several_regions_counts_all_pieces() -> Outcome {
    five_into_one(10)
}

fn remap_to_a_whole_region_counts_all_pieces() -> Outcome {
    five_into_one(9)
}

const THREADS: usize = 8;
/// Pages of each thread's area, and of the gap behind it.
const AREA: usize = 16;

/// Each thread makes `change` of its own area, which adds two regions where two
/// are allowed more than are there, and then `restore`. Of those that fit, not
/// even two at once may exceed the limit.
fn at_once(
    areas: fn(&Arena, usize) -> Outcome,
    change: fn(&Arena, usize) -> std::io::Result<()>,
    restore: fn(&Arena, usize) -> Outcome,
) -> Outcome {
    const ROUNDS: usize = 300;
    for policy in [Policy::RANGE, Policy::GLOBAL] {
        let arena = Arena::empty(1)?;
        arena.space.set_policy(policy)?;
        for number in 0..THREADS {
            areas(&arena, number * AREA)?;
        }
        let held = arena.space.stats()?.regions;
        let limit = arena.space.limit_regions(held + 2)?;
        let within = |when: &str| -> Outcome {
            let seen = arena.space.stats()?.regions;
            ensure!(
                seen <= limit,
                "{policy:?}, {when}: {seen} regions of {limit}"
            );
            Ok(())
        };
        let barrier = Barrier::new(THREADS);
        in_threads(THREADS, |number| {
            let mut outcome = Ok(());
            for round in 0..ROUNDS {
                let first = number * AREA;
                // Nobody may leave the others waiting.
                barrier.wait();
                let changed = match outcome {
                    Ok(()) => change(&arena, first),
                    Err(_) => Ok(()),
                };
                outcome = outcome.and_then(|()| within("beside others"));
                barrier.wait();
                outcome = outcome.and_then(|()| within(&format!("round {round}")));
                barrier.wait();
                outcome = outcome.and_then(|()| match changed {
                    Ok(()) => restore(&arena, first),
                    failed => fails(failed, libc::ENOMEM, "change beyond the limit"),
                });
            }
            outcome
        })?;
        ensure_eq!(arena.space.stats()?.regions, held, "regions at last");
    }
    Ok(())
}

fn protects_at_once_keep_within() -> Outcome {
    at_once(
        |arena, first| {
            let file = memfd(3, 50)?;
            arena.remap(first, 3, RW)?;
            arena.place(first + 3, 3, RW, private(&file, 0))
        },
        |arena, first| arena.protect(first + 1, 4, RO),
        |arena, first| Ok::<_, Stop>(arena.protect(first, 6, RW)?),
    )
}

fn remaps_at_once_keep_within() -> Outcome {
    at_once(
        |arena, first| arena.remap(first, 3, RW),
        |arena, first| {
            let to = Relocation::Fixed(at(first + 8));
            arena.resize(first + 1, 1, 1, to).map(drop)
        },
        |arena, first| arena.shift(first + 8, 1, first + 1),
    )
}

/// What is on its way is nowhere to be seen, but has its room.
fn map_beside_a_move_of_all_keeps_within() -> Outcome {
    const REGIONS: usize = 40;
    const FAR: usize = 2000;
    for policy in [Policy::RANGE, Policy::GLOBAL] {
        let arena = Arena::empty(FAR)?;
        arena.space.set_policy(policy)?;
        let all = 2 * REGIONS;
        for page in (0..all).step_by(2) {
            arena.remap(page, 1, RW)?;
            arena.stamp(page, 1, 1)?;
        }
        arena.space.limit_regions(REGIONS as u64)?;
        for_a_while(Duration::from_secs(2), 2, |number, _| {
            if number == 0 {
                arena.shift(0, all, 500)?;
                return arena.shift(500, all, 0);
            }
            let (addr, place) = (at(FAR), Placement::FixedNoreplace);
            let mapped = arena.space.map(addr, PAGE_SIZE, RW, place);
            fails(mapped, libc::ENOMEM, "one more than there may be")
        })?;
        ensure_eq!(arena.space.stats()?.regions, REGIONS as u64, "regions");
    }
    Ok(())
}

/// Replaces pages `[2, 4)` of regions over pages `[0, pages)`, by the same, at a
/// limit of `limit`. While both the old region and the new one stand there, `beside`
/// runs; then there must be `regions`.
fn replacing(
    pages: usize,
    limit: u64,
    beside: impl FnOnce(&Arena) -> Outcome,
    regions: &[(usize, usize, Prot)],
) -> Outcome {
    let arena = Arena::new(pages, RW)?;
    arena.space.set_policy(Policy::SPF_RANGE)?;
    arena.stamp(0, pages, 10)?;
    arena.space.limit_regions(limit)?;
    pass(
        "replace_pending",
        || arena.remap(2, 2, RW),
        || {
            ensure_eq!(arena.space.stats()?.regions, 1, "regions at first");
            beside(&arena)?;
            ensure_eq!(arena.shape()?, regions, "regions meanwhile");
            let count = arena.space.stats()?.regions;
            ensure_eq!(count, regions.len() as u64, "their number");
            Ok(())
        },
    )?;
    ensure_eq!(arena.shape()?, regions, "regions in the end");
    let count = arena.space.stats()?.regions;
    ensure_eq!(count, regions.len() as u64, "their number in the end");
    Ok(())
}

fn a_part_being_replaced_counts_once() -> Outcome {
    replacing(6, 1, |_| Ok(()), &[(0, 6, RW)])
}

/// Two runs, the first of which would not cut what stands there, but what will.
fn protect_that_cuts_at_a_part_being_replaced_is_refused() -> Outcome {
    let file = memfd(4, 50)?;
    let arena = Arena::new(8, RW)?;
    arena.space.set_policy(Policy::SPF_RANGE)?;
    arena.place(8, 4, RW, private(&file, 0))?;
    arena.space.limit_regions(3)?;
    pass(
        "replace_pending",
        || arena.remap(0, 4, RW),
        || fails(arena.protect(4, 6, RO), libc::ENOMEM, "PROTECT to four"),
    )?;
    ensure_eq!(arena.shape()?, [(0, 8, RW), (8, 12, RW)], "regions");
    Ok(())
}

fn what_joins_a_part_being_replaced_keeps_within() -> Outcome {
    let append = |arena: &Arena| arena.remap(4, 2, RW);
    replacing(4, 1, append, &[(0, 6, RW)])
}

fn what_cuts_beside_a_part_being_replaced_is_refused() -> Outcome {
    let cut = |arena: &Arena| fails(arena.space.unmap(at(5), PAGE_SIZE), libc::ENOMEM, "a cut");
    replacing(7, 1, cut, &[(0, 7, RW)])
}

/// Else there would be three in the end.
fn what_goes_beside_a_part_being_replaced_makes_no_room() -> Outcome {
    let others = |arena: &Arena| {
        arena.unmap(0, 2)?;
        arena.remap(10, 1, RW)?;
        let map = || {
            arena
                .space
                .map(at(20), PAGE_SIZE, RW, Placement::FixedNoreplace)
        };
        fails(map(), libc::ENOMEM, "MAP of a third")
    };
    replacing(6, 2, others, &[(2, 6, RW), (10, 11, RW)])
}
