// SPDX-License-Identifier: GPL-2.0-only
//! Leaves that lose their last page while somebody is about to use them.

use std::thread;

use super::query::must_add_up;
use super::tracing::{Events, number};
use crate::selftest::check::{Outcome, Stop, ensure_eq, reads};
use crate::selftest::overlap::{TIME, pass};
use crate::selftest::runner::{Needs, Test, tests};
use crate::selftest::state::{Arena, PAGE};
use crate::selftest::sys::points::Stopping;
use crate::{Advice, Policy, Prot};

pub(super) const WITH_HOOKS: &[Test] = tests![Needs::Variant("test_hooks"), "interleave":
    leaf_stays_for_what_moves_into_it,
    fault_whose_leaf_goes_again_and_again_falls_back,
    fault_whose_region_goes_too_is_not_aborted_falsely,
];

const RW: Prot = Prot::READ_WRITE;
/// Pages of a leaf. Page 0 of an arena is the last of one.
const LEAF: usize = 512;
/// How often a speculation is tried.
const TRIES: u64 = 3;

/// The pages that move are in no leaf when theirs loses the one that it had.
fn leaf_stays_for_what_moves_into_it() -> Outcome {
    for point in ["move_prepared", "move_zapped", "move_taken"] {
        let arena = Arena::empty(2 * LEAF)?;
        arena.space.set_policy(Policy::SPF_RANGE)?;
        arena.remap(1, 1, RW)?;
        arena.stamp(1, 1, 30)?;
        let to = LEAF + 1;
        arena.remap(to + 1, 1, RW)?;
        arena.stamp(to + 1, 1, 40)?;
        pass(point, || arena.shift(1, 1, to), || arena.unmap(to + 1, 1))?;
        reads(arena.window.load(to * PAGE), 31, "page that has moved")?;
        ensure_eq!(arena.space.stats()?.pages, 1, "pages at {point}");
        arena.unmap(0, 2 * LEAF)?;
        ensure_eq!(arena.space.stats()?.pages, 0, "pages once unmapped");
        must_add_up(&arena.space)?;
    }
    Ok(())
}

/// Loads from page 1, as often as that is tried beside what makes the leaf go that it
/// has found. Only page 2 is in that; `last` takes it away the last time.
fn load_from_leaves_that_go(arena: &Arena, last: impl FnOnce() -> Outcome) -> Outcome {
    arena.stamp(2, 1, 30)?;
    let stopping = Stopping::at("fault_found", TIME)?;
    thread::scope(|scope| {
        let load = scope.spawn(|| arena.window.load(PAGE));
        for stop in 1..TRIES {
            stopping.wait_for(stop)?;
            arena.advise(2, 1, Advice::DontNeed)?;
            // In another leaf, which the fault finds next.
            arena.stamp(2, 1, 30)?;
        }
        stopping.wait_for(TRIES)?;
        last()?;
        let loaded = load.join();
        let loaded = loaded.map_err(|_| Stop::fail("the loading thread panicked"))?;
        reads(loaded, 0, "page never stored to")
    })
}

/// One speculation was given up for that, `falsely` or not, and its fallback has
/// brought the page.
fn must_have_fallen_back(arena: &Arena, falsely: u64) -> Outcome {
    let stats = arena.space.stats()?;
    let seen = (stats.spf_detached, stats.spf_false_aborts);
    ensure_eq!(seen, (1, falsely), "detached, and false aborts: {stats:?}");
    let seen = (stats.spf_fallbacks, stats.locked_anon_read);
    ensure_eq!(seen, (1, 1), "fallbacks, and locked loads: {stats:?}");
    must_add_up(&arena.space)
}

fn fault_whose_leaf_goes_again_and_again_falls_back() -> Outcome {
    let arena = Arena::new(4, RW)?;
    arena.space.set_policy(Policy::SPF_RANGE)?;
    let discard = || Ok::<_, Stop>(arena.advise(2, 1, Advice::DontNeed)?);
    let events = Events::of(|| load_from_leaves_that_go(&arena, discard))?;
    let page = number(1);
    events.must_have("fault_aborted", &format!("page={page} cause=detached"))?;
    events.must_have("fault_fell_back", &format!("page={page}"))?;
    let completed = format!("page={page} path=locked result=ok");
    events.must_have("fault_completed", &completed)?;
    must_have_fallen_back(&arena, 1)
}

fn fault_whose_region_goes_too_is_not_aborted_falsely() -> Outcome {
    let arena = Arena::new(4, RW)?;
    arena.space.set_policy(Policy::SPF_RANGE)?;
    load_from_leaves_that_go(&arena, || arena.remap(1, 2, RW))?;
    must_have_fallen_back(&arena, 0)
}
