// SPDX-License-Identifier: GPL-2.0-only
//! Policies: how they are chosen, and what waits for what under `range`.

use std::thread;
use std::time::Duration;

use super::concurrency::for_a_while;
use super::query::must_add_up;
use super::signal::{DELAY, SOON, Victim, dies_at_once, during_unmap};
use super::tracing::Trace;
use crate::access::Signal;
use crate::selftest::check::{Outcome, Stop, ensure, ensure_eq, raises, reads};
use crate::selftest::overlap::{meet, pass};
use crate::selftest::runner::{Needs, Test, tests};
use crate::selftest::state::{Arena, BASE, PAGE, bytes, window};
use crate::selftest::sys::points::Stopping;
use crate::{Placement, Policy, Prot, Relocation, Space};

pub(super) const TESTS: &[Test] = tests![Needs::Module, "policy":
    each_is_kept,
    spaces_have_their_own,
    changes_beside_a_load,
    hint_is_taken_beside_stray_accesses,
    pages_given_back_early_make_room,
];

pub(super) const WITH_PARAMETERS: &[Test] = tests![Needs::Parameters("policy=range"), "policy":
    parameter_sets_that_of_new_spaces,
];

pub(super) const WITH_HOOKS: &[Test] = tests![Needs::Variant("test_hooks"), "policy":
    range_lets_a_fault_elsewhere_pass,
    range_lets_changes_elsewhere_pass,
    range_lets_a_map_without_address_pass,
    range_lets_no_fault_in_the_range_pass,
    range_lets_no_map_in_the_range_pass,
    change_waits_for_an_unmap,
    faults_go_on_when_the_regions_of_an_unmap_are_gone,
    wait_for_a_change_of_other_pages_is_false,
    wait_for_a_change_of_the_page_is_true,
    range_counts_no_wait_for_other_pages,
    wait_behind_a_waiting_change_is_false,
    wait_between_the_ranges_of_a_move_is_false,
];

fn each_is_kept() -> Outcome {
    let space = Space::open()?;
    let all = space.policies()?;
    ensure!(
        [Policy::GLOBAL, Policy::REGION, Policy::RANGE]
            .iter()
            .all(|policy| all.contains(policy)),
        "policies: {all:?}"
    );
    for policy in all {
        space.set_policy(policy)?;
        ensure_eq!(space.policy()?, policy, "policy just set");
    }
    Ok(())
}

fn spaces_have_their_own() -> Outcome {
    let (one, other) = (Space::open()?, Space::open()?);
    one.set_policy(Policy::RANGE)?;
    other.set_policy(Policy::GLOBAL)?;
    ensure_eq!(one.policy()?, Policy::RANGE, "policy of the first space");
    ensure_eq!(other.policy()?, Policy::GLOBAL, "policy of the other");
    Ok(())
}

fn parameter_sets_that_of_new_spaces() -> Outcome {
    ensure_eq!(Space::open()?.policy()?, Policy::RANGE, "policy");
    Ok(())
}

/// Nothing may get lost or be served twice while the policy changes.
fn changes_beside_a_load() -> Outcome {
    let arena = Arena::new(64, Prot::READ_WRITE)?;
    let policies = arena.space.policies()?;
    for_a_while(Duration::from_secs(2), 4, |number, round| match number {
        0 => Ok(arena
            .space
            .set_policy(policies[round as usize % policies.len()])?),
        _ => {
            let from = number * 16;
            arena.remap(from, 8, Prot::READ_WRITE)?;
            reads(arena.window.load(from * PAGE), 0, "page mapped anew")?;
            arena.stamp(from, 8, round)?;
            Arena::holds(&arena.window, from, 8, round, "pages just stored to")
        }
    })?;
    must_add_up(&arena.space)
}

/// A fault that finds nothing locks its page for a moment: the page is free all
/// the same.
fn hint_is_taken_beside_stray_accesses() -> Outcome {
    let arena = Arena::empty(4)?;
    arena.space.set_policy(Policy::RANGE)?;
    for_a_while(Duration::from_secs(2), 3, |number, _| match number {
        0 => {
            let at = arena
                .space
                .map(BASE, bytes(4), Prot::READ, Placement::Hint)?;
            ensure_eq!(at, BASE, "address of the region");
            arena.unmap(0, 4)
        }
        _ => {
            let _ = arena.window.load((number + 1) * PAGE);
            Ok(())
        }
    })?;
    must_add_up(&arena.space)
}

/// A large UNMAP lets who waits have the part that is done: with the room that
/// it made.
fn pages_given_back_early_make_room() -> Outcome {
    let pages = 16 * 512;
    for _ in 0..10 {
        let arena = Arena::new(pages, Prot::READ_WRITE)?;
        arena.space.set_policy(Policy::RANGE)?;
        arena.space.limit(pages as u64)?;
        arena.stamp(0, pages, 1)?;
        thread::scope(|scope| {
            let unmap = scope.spawn(|| arena.unmap(0, pages));
            // The regions go before the pages, both with the range locked.
            while arena.space.query(BASE)?.is_some() && !unmap.is_finished() {}
            arena.remap(0, 1, Prot::READ_WRITE)?;
            let stored = arena.window.store(0, 2);
            unmap
                .join()
                .unwrap_or_else(|_| Err(Stop::fail("the unmapping thread panicked")))?;
            Ok::<_, Stop>(stored?)
        })?;
        must_add_up(&arena.space)?;
    }
    Ok(())
}

fn range_lets_a_fault_elsewhere_pass() -> Outcome {
    during_unmap(
        Policy::RANGE,
        Victim::Passes,
        |arena| {
            arena.window.store(3 * PAGE, 7)?;
            reads(arena.window.load(3 * PAGE), 7, "stored beside the UNMAP")
        },
        |_, child, _| child.finish(SOON),
    )
}

fn range_lets_changes_elsewhere_pass() -> Outcome {
    during_unmap(
        Policy::RANGE,
        Victim::Passes,
        |arena| {
            // In the same leaf, and in the same region. (An UNMAP would sleep
            // by itself.)
            let below = BASE - bytes(2);
            arena
                .space
                .map(below, bytes(1), Prot::READ, Placement::FixedNoreplace)?;
            arena.remap(2, 2, Prot::READ_WRITE)
        },
        |_, child, _| child.finish(SOON),
    )
}

fn range_lets_a_map_without_address_pass() -> Outcome {
    during_unmap(
        Policy::RANGE,
        Victim::Passes,
        |arena| {
            arena
                .space
                .map(BASE, bytes(1), Prot::READ, Placement::Hint)?;
            Ok(())
        },
        |_, child, _| child.finish(SOON),
    )
}

fn range_lets_no_fault_in_the_range_pass() -> Outcome {
    // Seen by `perf lock contention`, which has it from these events. 2: a reader.
    let trace = Trace::new()?;
    trace.filter("lock/contention_begin", "flags == 2")?;
    trace.switch("lock/contention_begin", true)?;
    during_unmap(
        Policy::RANGE,
        Victim::Waits,
        loads_what_is_unmapped,
        |_, child, _| child.finish(DELAY + SOON),
    )?;
    let lines = trace.lines()?;
    ensure!(
        lines.iter().any(|line| line.contains("(flags=READ)")),
        "no contention of a reader in:\n{}",
        lines.join("\n")
    );
    Ok(())
}

fn range_lets_no_map_in_the_range_pass() -> Outcome {
    during_unmap(
        Policy::RANGE,
        Victim::Waits,
        |arena| {
            arena
                .space
                .map(BASE - bytes(1), bytes(2), Prot::READ, Placement::Fixed)?;
            Ok(())
        },
        dies_at_once,
    )
}

fn change_waits_for_an_unmap() -> Outcome {
    during_unmap(
        Policy::RANGE,
        Victim::Waits,
        |arena| Ok(arena.space.set_policy(Policy::GLOBAL)?),
        |arena, child, _| {
            child.finish(DELAY + SOON)?;
            ensure_eq!(arena.space.policy()?, Policy::GLOBAL, "policy");
            Ok(())
        },
    )
}

/// How many waits of faults there are, and how many of them are false.
fn waits(arena: &Arena) -> Result<(u64, u64), Stop> {
    let stats = arena.space.stats()?;
    Ok((stats.fault_waits, stats.fault_waits_false))
}

/// The fault of `victim`, beside an UNMAP of page 0, must be counted as `expected`.
fn must_count(policy: Policy, victim: fn(&Arena) -> Outcome, expected: (u64, u64)) -> Outcome {
    let waiting = match expected.0 {
        0 => Victim::Passes,
        _ => Victim::Waits,
    };
    during_unmap(policy, waiting, victim, |arena, child, _| {
        child.finish(DELAY + SOON)?;
        ensure_eq!(waits(arena)?, expected, "{policy}: waits, and false ones");
        let time = Duration::from_nanos(arena.space.stats()?.fault_wait_ns);
        let (least, most) = match waiting {
            Victim::Passes => (Duration::ZERO, Duration::ZERO),
            Victim::Waits => (Duration::from_millis(300), DELAY + SOON),
        };
        ensure!(
            least <= time && time <= most,
            "{policy}: waited for {time:?}, not {least:?} to {most:?}"
        );
        Ok(())
    })
}

fn stores_elsewhere(arena: &Arena) -> Outcome {
    Ok(arena.window.store(3 * PAGE, 7)?)
}

fn loads_what_is_unmapped(arena: &Arena) -> Outcome {
    // A window of its own, so that there is no entry yet.
    let view = window(&arena.space, BASE, 1)?;
    raises(view.load(0), Signal::Bus, "load during the UNMAP")
}

fn wait_for_a_change_of_other_pages_is_false() -> Outcome {
    must_count(Policy::GLOBAL, stores_elsewhere, (1, 1))?;
    // Of the same region.
    must_count(Policy::REGION, stores_elsewhere, (1, 1))
}

fn wait_for_a_change_of_the_page_is_true() -> Outcome {
    must_count(Policy::GLOBAL, loads_what_is_unmapped, (1, 0))?;
    must_count(Policy::RANGE, loads_what_is_unmapped, (1, 0))
}

fn range_counts_no_wait_for_other_pages() -> Outcome {
    must_count(Policy::RANGE, stores_elsewhere, (0, 0))
}

/// It is in the line, and will change the page, but has not begun.
fn wait_behind_a_waiting_change_is_false() -> Outcome {
    for policy in [Policy::GLOBAL, Policy::RANGE] {
        let arena = Arena::new(4, Prot::READ_WRITE)?;
        arena.space.set_policy(policy)?;
        let stopping = Stopping::at("fault_locked", Duration::from_millis(600))?;
        thread::scope(|scope| {
            let holder = scope.spawn(|| arena.window.load(PAGE));
            stopping.wait()?;
            // It changes nothing, so that the held page keeps its entry.
            let change = scope.spawn(|| arena.protect(0, 4, Prot::READ_WRITE));
            thread::sleep(Duration::from_millis(200));
            ensure!(!change.is_finished(), "the PROTECT did not wait");
            reads(arena.window.load(3 * PAGE), 0, "page behind the PROTECT")?;
            let panicked = |_| Stop::fail("a thread panicked");
            reads(holder.join().map_err(panicked)?, 0, "page that was held")?;
            Ok::<_, Stop>(change.join().map_err(panicked)??)
        })?;
        ensure_eq!(waits(&arena)?, (1, 1), "{policy}: waits, and false ones");
        must_add_up(&arena.space)?;
    }
    Ok(())
}

fn wait_between_the_ranges_of_a_move_is_false() -> Outcome {
    for (page, expected) in [(10, (1, 1)), (20, (1, 0))] {
        let arena = Arena::new(32, Prot::READ_WRITE)?;
        arena.space.set_policy(Policy::GLOBAL)?;
        meet(
            "move_prepared",
            || arena.shift(0, 1, 20),
            || reads(arena.window.load(page * PAGE), 0, "page beside the move"),
        )?;
        ensure_eq!(waits(&arena)?, expected, "page {page}: waits, false ones");
        must_add_up(&arena.space)?;
    }
    Ok(())
}

/// With one lock for all, as munmap(2) does. The leaf of pages 1 to 7 goes.
fn faults_go_on_when_the_regions_of_an_unmap_are_gone() -> Outcome {
    let unmap = |arena: &Arena| arena.unmap(2, 6);
    let shrink = |arena: &Arena| Ok(arena.resize(1, 7, 1, Relocation::Stay).map(drop)?);
    let changes: [fn(&Arena) -> Outcome; 2] = [unmap, shrink];
    for policy in [Policy::GLOBAL, Policy::REGION, Policy::SPF_GLOBAL] {
        for (change, name) in changes.into_iter().zip(["UNMAP", "REMAP"]) {
            let what = format!("{name}, {policy}");
            // There is a hole behind the last page.
            let arena = Arena::new(6, Prot::READ_WRITE)?;
            arena.space.set_policy(policy)?;
            arena.stamp(0, 1, 30)?;
            arena.stamp(2, 3, 30)?;
            let other = window(&arena.space, BASE, 6)?;
            pass(
                "leaf_passed",
                || change(&arena),
                || {
                    reads(other.load(0), 30, &what)?;
                    // A page that was not there, whose leaf is about to go.
                    reads(other.load(PAGE), 0, &what)?;
                    raises(other.load(3 * PAGE), Signal::Bus, &what)?;
                    raises(other.load(5 * PAGE), Signal::Bus, &what)?;
                    let waits = arena.space.stats()?.fault_waits;
                    ensure_eq!(waits, 0, "{what}: waits of faults");
                    Ok(())
                },
            )?;
            ensure_eq!(arena.space.stats()?.pages, 2, "{what}: pages");
            must_add_up(&arena.space)?;
        }
    }
    Ok(())
}
