// SPDX-License-Identifier: GPL-2.0-only
//! The policy `region`: which faults need no lock but their region's, and what
//! waits for whom then.

use std::thread;
use std::time::{Duration, Instant};

use super::query::must_add_up;
use super::signal::{DELAY, SOON, Victim, during_unmap_in};
use crate::access::Signal;
use crate::selftest::check::{Outcome, Stop, ensure, ensure_eq, raises, reads};
use crate::selftest::runner::{Needs, Test, tests};
use crate::selftest::state::{Arena, BASE, PAGE, at, bytes, window};
use crate::selftest::sys::kmodule;
use crate::selftest::sys::memory::Board;
use crate::selftest::sys::process::{Child, End};
use crate::{Advice, Placement, Policy, Prot};

pub(super) const TESTS: &[Test] = tests![Needs::Module, "region":
    faults_take_its_lock,
    other_policies_do_not,
    faults_come_back_to_it_after_changes,
    forbidden_access_is_sigsegv,
    no_region_is_sigbus,
];

pub(super) const WITH_HOOKS: &[Test] = tests![Needs::Variant("test_hooks"), "region":
    change_lets_a_fault_in_another_region_pass,
    change_lets_no_fault_in_its_region_pass,
    change_lets_no_fault_in_what_it_makes_pass,
    change_waits_for_a_fault_in_its_region,
    change_does_not_wait_for_a_fault_in_another,
    dontneed_waits_for_a_fault_in_its_region,
    move_waits_for_a_fault_in_what_it_cuts,
    map_waits_for_a_fault_in_a_region_that_it_joins,
    map_does_not_wait_for_a_fault_in_one_that_it_does_not_join,
    replacement_waits_for_a_fault_in_a_region_that_it_joins,
    protect_waits_for_a_fault_in_a_region_above_that_it_joins,
    move_waits_for_a_fault_in_a_region_that_it_joins,
    policy_waits_for_a_fault_in_a_region,
    sigkill_ends_a_change_that_waits_for_a_fault,
];

const RW: Prot = Prot::READ_WRITE;
const RO: Prot = Prot::READ;

/// A region of `pages` pages under the policy.
fn arena(pages: usize) -> Result<Arena, Stop> {
    let arena = Arena::new(pages, RW)?;
    arena.space.set_policy(Policy::REGION)?;
    Ok(arena)
}

fn locked(arena: &Arena) -> Result<u64, Stop> {
    Ok(arena.space.stats()?.fault_region_locked)
}

fn faults_take_its_lock() -> Outcome {
    let arena = arena(600)?;
    arena.protect(0, 100, RO)?;
    for page in 0..100 {
        reads(arena.window.load(page * PAGE), 0, "untouched page")?;
    }
    arena.protect(0, 100, RW)?;
    arena.stamp(0, 600, 1)?;
    let stats = arena.space.stats()?;
    ensure_eq!(stats.fault_mkwrite, 100, "upgrades");
    ensure_eq!((stats.faults, locked(&arena)?), (700, 700), "{stats:?}");
    must_add_up(&arena.space)
}

fn other_policies_do_not() -> Outcome {
    let space = crate::Space::open()?;
    for policy in space.policies()? {
        if policy == Policy::REGION {
            continue;
        }
        let arena = Arena::new(4, RW)?;
        arena.space.set_policy(policy)?;
        arena.stamp(0, 4, 1)?;
        ensure_eq!(locked(&arena)?, 0, "under {policy:?}");
    }
    Ok(())
}

/// What a change has locked is free when it has returned, be it the same region, one
/// that it has made, or what it has left of one that it cut; and when it has failed.
fn faults_come_back_to_it_after_changes() -> Outcome {
    let arena = arena(16)?;
    let mut expected = 0;
    let mut touches = |what: &str| {
        for page in 0..16 {
            arena.window.store(page * PAGE, 1)?;
            expected += 1;
        }
        ensure_eq!(locked(&arena)?, expected, "{what}");
        Ok::<_, Stop>(())
    };
    touches("first touch")?;
    arena.remap(0, 16, RW)?;
    touches("after a replacing MAP")?;
    arena.advise(0, 16, Advice::DontNeed)?;
    touches("after DONTNEED")?;
    arena.unmap(4, 4)?;
    arena.remap(4, 4, RW)?;
    arena.advise(0, 16, Advice::DontNeed)?;
    touches("after UNMAP in the middle, and MAP")?;
    arena.protect(8, 2, RO)?;
    arena.protect(8, 2, RW)?;
    arena.advise(0, 16, Advice::DontNeed)?;
    touches("after PROTECT there and back")?;
    ensure!(arena.protect(8, 16, RO).is_err(), "PROTECT of a hole");
    arena.advise(0, 16, Advice::DontNeed)?;
    touches("after PROTECT of a hole")?;
    arena.shift(0, 4, 100)?;
    arena.shift(100, 4, 0)?;
    arena.advise(0, 16, Advice::DontNeed)?;
    touches("after REMAP there and back")?;
    arena.space.set_policy(Policy::RANGE)?;
    arena.space.set_policy(Policy::REGION)?;
    arena.advise(0, 16, Advice::DontNeed)?;
    touches("after another policy")?;
    must_add_up(&arena.space)
}

fn forbidden_access_is_sigsegv() -> Outcome {
    let arena = arena(2)?;
    arena.protect(0, 2, RO)?;
    raises(arena.window.store(0, 1), Signal::Segv, "store")?;
    let stats = arena.space.stats()?;
    ensure_eq!((stats.fault_denied, locked(&arena)?), (1, 1), "{stats:?}");
    must_add_up(&arena.space)
}

fn no_region_is_sigbus() -> Outcome {
    let arena = arena(2)?;
    arena.unmap(0, 1)?;
    raises(arena.window.load(0), Signal::Bus, "load")?;
    let stats = arena.space.stats()?;
    ensure_eq!(
        (stats.fault_no_region, locked(&arena)?),
        (1, 0),
        "{stats:?}"
    );
    must_add_up(&arena.space)
}

/// Under way is an UNMAP of page 0, which is of the same region as pages 1 and 2.
fn beside_unmap(expected: Victim, victim: fn(&Arena) -> Outcome) -> Outcome {
    let arena = arena(4)?;
    arena.protect(3, 1, RO)?;
    arena.stamp(0, 2, 50)?;
    during_unmap_in(&arena, expected, victim, |_, child, _| {
        child.finish(DELAY + SOON)
    })
}

fn change_lets_a_fault_in_another_region_pass() -> Outcome {
    beside_unmap(Victim::Passes, |arena| {
        let before = locked(arena)?;
        reads(arena.window.load(3 * PAGE), 0, "the other region")?;
        ensure_eq!(locked(arena)?, before + 1, "faults with the region's lock");
        Ok(())
    })
}

fn change_lets_no_fault_in_its_region_pass() -> Outcome {
    beside_unmap(Victim::Waits, |arena| {
        let before = locked(arena)?;
        arena.window.store(2 * PAGE, 7)?;
        ensure_eq!(locked(arena)?, before, "faults with the region's lock");
        reads(arena.window.load(3 * PAGE), 0, "behind the change")?;
        ensure_eq!(locked(arena)?, before + 1, "behind the change");
        Ok(())
    })
}

/// A replacing MAP has made its region before it takes the old pages out.
fn change_lets_no_fault_in_what_it_makes_pass() -> Outcome {
    let arena = arena(2)?;
    arena.stamp(0, 2, 50)?;
    // No entries yet.
    let view = window(&arena.space, BASE, 2)?;
    kmodule::set_parameter("delay_discard_ms", "1500")?;
    let outcome = thread::scope(|scope| {
        let map = scope.spawn(|| arena.remap(0, 2, RW));
        thread::sleep(Duration::from_millis(500));
        ensure!(!map.is_finished(), "the MAP was not delayed");
        let start = Instant::now();
        let seen = view.load(0);
        let took = start.elapsed();
        ensure!(took >= LEFT, "the fault took only {took:?}");
        map.join()
            .unwrap_or_else(|_| Err(Stop::fail("the mapping thread panicked")))?;
        reads(seen, 0, "page mapped anew")
    });
    kmodule::set_parameter("delay_discard_ms", "0")?;
    outcome?;
    must_add_up(&arena.space)
}

/// How long a fault that has found its region stays, and how much of that is left at
/// least, when something else begins.
const STAY: Duration = Duration::from_millis(2500);
const LEFT: Duration = Duration::from_millis(1500);

fn beside_fault(arena: &Arena, expected: Victim, call: impl FnOnce(&Arena) -> Outcome) -> Outcome {
    beside_fault_on(0, arena, expected, call)
}

/// Calls `call` while a fault on `page` has the lock of its region. (It is not to take
/// that page away: the access might come too late, and fault again.)
fn beside_fault_on(
    page: usize,
    arena: &Arena,
    expected: Victim,
    call: impl FnOnce(&Arena) -> Outcome,
) -> Outcome {
    kmodule::set_parameter("delay_fault_ms", &STAY.as_millis().to_string())?;
    let outcome = thread::scope(|scope| {
        let fault = scope.spawn(|| arena.window.store(page * PAGE, 7));
        while locked(arena)? == 0 {
            thread::yield_now();
        }
        let start = Instant::now();
        let outcome = call(arena);
        let took = start.elapsed();
        let stored = fault
            .join()
            .map_err(|_| Stop::fail("the faulting thread panicked"))?;
        outcome?;
        stored?;
        match expected {
            Victim::Waits => ensure!(took >= LEFT, "the call took only {took:?}"),
            Victim::Passes => ensure!(took < LEFT, "the call took {took:?}"),
        }
        Ok(())
    });
    kmodule::set_parameter("delay_fault_ms", "0")?;
    outcome?;
    must_add_up(&arena.space)
}

fn change_waits_for_a_fault_in_its_region() -> Outcome {
    let arena = arena(4)?;
    beside_fault(&arena, Victim::Waits, |arena| arena.unmap(2, 1))?;
    reads(arena.window.load(0), 7, "stored meanwhile")
}

fn change_does_not_wait_for_a_fault_in_another() -> Outcome {
    let arena = arena(4)?;
    arena.protect(2, 2, RO)?;
    beside_fault(&arena, Victim::Passes, |arena| arena.unmap(2, 1))
}

fn dontneed_waits_for_a_fault_in_its_region() -> Outcome {
    let arena = arena(4)?;
    beside_fault(&arena, Victim::Waits, |arena| {
        Ok(arena.advise(2, 1, Advice::DontNeed)?)
    })?;
    reads(arena.window.load(0), 7, "stored meanwhile")
}

fn move_waits_for_a_fault_in_what_it_cuts() -> Outcome {
    let arena = arena(4)?;
    arena.remap(100, 1, RW)?;
    beside_fault(&arena, Victim::Waits, |arena| arena.shift(100, 1, 2))?;
    reads(arena.window.load(0), 7, "stored meanwhile")
}

/// MAP of pages 2 and 3, behind the region of the fault, which stands elsewhere, too: so it
/// stays also if the MAP does not wait.
fn map_beside_fault(expected: Victim, prot: Prot) -> Outcome {
    let arena = arena(8)?;
    arena.unmap(2, 4)?;
    beside_fault(&arena, expected, |arena| {
        let place = Placement::FixedNoreplace;
        arena.space.map(at(2), bytes(2), prot, place)?;
        Ok(())
    })
}

fn map_waits_for_a_fault_in_a_region_that_it_joins() -> Outcome {
    map_beside_fault(Victim::Waits, RW)
}

fn map_does_not_wait_for_a_fault_in_one_that_it_does_not_join() -> Outcome {
    map_beside_fault(Victim::Passes, RO)
}

/// It makes a region of its own first, and joins it when the old pages are gone.
fn replacement_waits_for_a_fault_in_a_region_that_it_joins() -> Outcome {
    let arena = arena(4)?;
    arena.protect(2, 2, RO)?;
    beside_fault(&arena, Victim::Waits, |arena| arena.remap(2, 2, RW))?;
    ensure_eq!(arena.shape()?, [(0, 4, RW)], "regions");
    Ok(())
}

fn protect_waits_for_a_fault_in_a_region_above_that_it_joins() -> Outcome {
    let arena = arena(4)?;
    arena.protect(0, 2, RO)?;
    beside_fault_on(3, &arena, Victim::Waits, |arena| {
        Ok(arena.protect(0, 2, RW)?)
    })?;
    ensure_eq!(arena.shape()?, [(0, 4, RW)], "regions");
    Ok(())
}

fn move_waits_for_a_fault_in_a_region_that_it_joins() -> Outcome {
    let arena = arena(2)?;
    arena.remap(100, 2, RW)?;
    beside_fault(&arena, Victim::Waits, |arena| arena.shift(100, 2, 2))?;
    ensure_eq!(arena.shape()?, [(0, 4, RW)], "regions");
    Ok(())
}

fn policy_waits_for_a_fault_in_a_region() -> Outcome {
    let arena = arena(4)?;
    beside_fault(&arena, Victim::Waits, |arena| {
        Ok(arena.space.set_policy(Policy::RANGE)?)
    })?;
    ensure_eq!(arena.space.policy()?, Policy::RANGE, "policy");
    Ok(())
}

/// It has changed nothing, and locks nothing any more.
fn sigkill_ends_a_change_that_waits_for_a_fault() -> Outcome {
    let arena = arena(4)?;
    let board = Board::new()?;
    // Now, as a fork waits for faults in the window.
    let mut child = Child::fork(|| {
        board.wait(0, 1)?;
        arena.unmap(0, 4)
    })?;
    beside_fault(&arena, Victim::Passes, |_| {
        board.set(0, 1);
        ensure!(
            !child.ends_within(Duration::from_millis(300))?,
            "the UNMAP has not waited"
        );
        child.signal(libc::SIGKILL)?;
        ensure_eq!(child.end(SOON)?, End::Killed(libc::SIGKILL), "its end");
        Ok(())
    })?;
    ensure_eq!(arena.shape()?, [(0, 4, RW)], "regions");
    reads(arena.window.load(0), 7, "stored meanwhile")?;
    let before = locked(&arena)?;
    arena.window.store(PAGE, 1)?;
    ensure_eq!(locked(&arena)?, before + 1, "faults with the region's lock");
    Ok(())
}
