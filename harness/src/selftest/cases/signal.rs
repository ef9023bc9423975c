// SPDX-License-Identifier: GPL-2.0-only
//! Signals while a fault or a call waits. To have it wait, a build of the
//! module with test hooks holds the lock of a space during each UNMAP.

use std::thread;
use std::time::{Duration, Instant};

use super::query::must_add_up;
use crate::access::Signal;
use crate::selftest::check::{Outcome, Stop, ensure, ensure_eq, raises, reads};
use crate::selftest::runner::{Needs, Test, tests};
use crate::selftest::state::{Arena, BASE, PAGE, bytes, window};
use crate::selftest::sys::gup::{pipe, read_into};
use crate::selftest::sys::kmodule;
use crate::selftest::sys::memory::Board;
use crate::selftest::sys::process::{Child, End, alarm_every};
use crate::{Policy, Prot};

pub(super) const TESTS: &[Test] = tests![Needs::Module, "signal":
    ordinary_signals_do_not_disturb_faults,
    ordinary_signals_do_not_disturb_calls,
];

pub(super) const WITH_HOOKS: &[Test] = tests![Needs::Variant("test_hooks"), "signal":
    sigkill_ends_a_waiting_fault,
    sigkill_ends_a_waiting_access_from_the_kernel,
    sigkill_ends_a_waiting_map,
    waiting_fault_completes_after_the_unmap,
    waiting_fault_in_the_unmapped_range_is_sigbus,
];

fn ordinary_signals_do_not_disturb_faults() -> Outcome {
    alarm_every(Duration::from_millis(1))?;
    let arena = Arena::new(256, Prot::READ_WRITE)?;
    let end = Instant::now() + Duration::from_millis(500);
    for round in 1.. {
        arena.stamp(0, 256, round)?;
        Arena::holds(&arena.window, 0, 256, round, "between signals")?;
        arena.remap(0, 256, Prot::READ_WRITE)?;
        if Instant::now() > end {
            break;
        }
    }
    ensure_eq!(arena.space.stats()?.fault_killed, 0, "fault_killed");
    Ok(())
}

fn ordinary_signals_do_not_disturb_calls() -> Outcome {
    alarm_every(Duration::from_millis(1))?;
    let arena = Arena::empty(8)?;
    let end = Instant::now() + Duration::from_millis(500);
    while Instant::now() < end {
        arena.remap(0, 8, Prot::READ_WRITE)?;
        arena.stamp(0, 8, 1)?;
        arena.unmap(0, 8)?;
    }
    Ok(())
}

/// How long each UNMAP holds the lock.
pub(super) const DELAY: Duration = Duration::from_secs(3);
/// Enough to get to where it waits, and to die.
pub(super) const SOON: Duration = Duration::from_millis(1000);

/// Words of the board.
const STARTED: usize = 0;
const ENDED: usize = 1;

/// Whether the victim of [`during_unmap`] has to wait for the UNMAP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Victim {
    Waits,
    Passes,
}

/// Runs `victim` in a child while an UNMAP of page 0 is under way, and then
/// `check`, which is told about the child and whether the UNMAP still runs.
pub(super) fn during_unmap(
    policy: Policy,
    expected: Victim,
    victim: fn(&Arena) -> Outcome,
    check: impl FnOnce(&Arena, Child, &dyn Fn() -> bool) -> Outcome,
) -> Outcome {
    let arena = Arena::new(4, Prot::READ_WRITE)?;
    arena.space.set_policy(policy)?;
    arena.stamp(0, 2, 50)?;
    during_unmap_in(&arena, expected, victim, check)
}

/// As [`during_unmap`], in an arena with two pages stamped from 50 on.
pub(super) fn during_unmap_in(
    arena: &Arena,
    expected: Victim,
    victim: fn(&Arena) -> Outcome,
    check: impl FnOnce(&Arena, Child, &dyn Fn() -> bool) -> Outcome,
) -> Outcome {
    let board = Board::new()?;
    let child = Child::fork(|| {
        board.wait(STARTED, 1)?;
        // The UNMAP has begun when its thread has gone to sleep in it.
        thread::sleep(Duration::from_millis(200));
        board.set(STARTED, 2);
        let outcome = victim(arena);
        board.set(ENDED, 1);
        outcome
    })?;
    kmodule::set_parameter("delay_unmap_ms", &DELAY.as_millis().to_string())?;
    let outcome = thread::scope(|scope| {
        let unmap = scope.spawn(|| {
            board.set(STARTED, 1);
            arena.unmap(0, 1)
        });
        let outcome = board.wait(STARTED, 2).and_then(|()| {
            thread::sleep(Duration::from_millis(400));
            ensure_eq!(
                board.get(ENDED),
                u64::from(expected == Victim::Passes),
                "whether the victim had ended before the UNMAP did"
            );
            ensure!(!unmap.is_finished(), "the UNMAP was not delayed");
            check(arena, child, &|| !unmap.is_finished())
        });
        let unmapped = unmap
            .join()
            .unwrap_or_else(|_| Err(Stop::fail("the unmapping thread panicked")));
        outcome.and(unmapped)
    });
    kmodule::set_parameter("delay_unmap_ms", "0")?;
    outcome?;
    raises(arena.window.load(0), Signal::Bus, "unmapped page at last")?;
    Arena::holds(&arena.window, 1, 1, 50, "page that stays")?;
    must_add_up(&arena.space)
}

/// SIGKILL must end the child while the UNMAP is still under way.
pub(super) fn dies_at_once(
    _arena: &Arena,
    mut child: Child,
    unmapping: &dyn Fn() -> bool,
) -> Outcome {
    child.signal(libc::SIGKILL)?;
    let start = Instant::now();
    let end = child.end(SOON);
    ensure!(
        unmapping(),
        "the UNMAP ended before the child: {end:?} after {:?}",
        start.elapsed()
    );
    ensure_eq!(end?, End::Killed(libc::SIGKILL), "end of the child");
    Ok(())
}

fn sigkill_ends_a_waiting_fault() -> Outcome {
    during_unmap(
        Policy::GLOBAL,
        Victim::Waits,
        |arena| Ok(arena.window.store(3 * PAGE, 1)?),
        |arena, child, unmapping| {
            dies_at_once(arena, child, unmapping)?;
            ensure_eq!(arena.space.stats()?.fault_killed, 1, "fault_killed");
            Ok(())
        },
    )
}

fn sigkill_ends_a_waiting_access_from_the_kernel() -> Outcome {
    during_unmap(
        Policy::GLOBAL,
        Victim::Waits,
        |arena| {
            use std::io::Write;
            let (read, mut write) = pipe()?;
            write.write_all(&[1; 64])?;
            read_into(&read, &arena.window, 3 * PAGE, 64)?;
            Ok(())
        },
        dies_at_once,
    )
}

fn sigkill_ends_a_waiting_map() -> Outcome {
    during_unmap(
        Policy::GLOBAL,
        Victim::Waits,
        |arena| {
            let addr = BASE + bytes(100);
            arena
                .space
                .map(addr, bytes(1), Prot::READ, crate::Placement::FixedNoreplace)?;
            Ok(())
        },
        |arena, child, unmapping| {
            dies_at_once(arena, child, unmapping)?;
            // It changed nothing.
            let found = arena.space.query(BASE + bytes(50));
            ensure_eq!(found?, None, "region of the killed MAP");
            Ok(())
        },
    )
}

fn waiting_fault_completes_after_the_unmap() -> Outcome {
    during_unmap(
        Policy::GLOBAL,
        Victim::Waits,
        |arena| {
            arena.window.store(3 * PAGE, 7)?;
            reads(arena.window.load(3 * PAGE), 7, "stored after the wait")
        },
        |arena, child, _| {
            child.finish(DELAY + SOON)?;
            reads(arena.window.load(3 * PAGE), 7, "stored by the child")
        },
    )
}

fn waiting_fault_in_the_unmapped_range_is_sigbus() -> Outcome {
    during_unmap(
        Policy::GLOBAL,
        Victim::Waits,
        |arena| {
            // A window of its own, so that there is no entry yet.
            let view = window(&arena.space, BASE, 1)?;
            raises(view.load(0), Signal::Bus, "load during the UNMAP")
        },
        |_, child, _| child.finish(DELAY + SOON),
    )
}
