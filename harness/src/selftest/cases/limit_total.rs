// SPDX-License-Identifier: GPL-2.0-only
//! The limit of the pages of all spaces together, the module's parameter.

use std::time::Duration;

use crate::access::Signal;
use crate::selftest::check::{Outcome, Stop, ensure, ensure_eq, fails, raises};
use crate::selftest::runner::{Needs, Test, tests};
use crate::selftest::state::{Arena, PAGE};
use crate::selftest::sys::process::Child;
use crate::{Advice, Prot};

pub(super) const WITH_PARAMETERS: &[Test] = tests![Needs::Parameters("total_pages=64"), "limit":
    total_holds_for_one_space,
    total_holds_for_all_spaces,
    total_is_not_exceeded_by_many_at_once,
    total_stops_willneed,
    total_comes_back_with_the_space,
    total_comes_back_when_a_space_is_emptied,
    total_is_left_to_others_by_small_spaces,
    total_is_not_exceeded_by_spaces_that_empty_themselves,
];

pub(super) const WITH_LARGER_TOTAL: &[Test] = tests![Needs::Parameters("total_pages=4096"), "limit":
    total_is_not_taken_ahead_by_a_few_spaces,
];

const TOTAL: usize = 64;
const RW: Prot = Prot::READ_WRITE;

fn total_holds_for_one_space() -> Outcome {
    let arena = Arena::new(TOTAL + 8, RW)?;
    arena.stamp(0, TOTAL, 10)?;
    for page in TOTAL..TOTAL + 8 {
        raises(arena.window.store(page * PAGE, 1), Signal::Bus, "one more")?;
    }
    let stats = arena.space.stats()?;
    ensure_eq!(stats.fault_limit, 8, "fault_limit");
    ensure!(
        stats.max_pages > TOTAL as u64,
        "it is the space's own limit"
    );
    arena.unmap(0, 4)?;
    arena.stamp(TOTAL, 4, 10)?;
    Arena::holds(&arena.window, 4, TOTAL, 10, "what is held")
}

fn total_holds_for_all_spaces() -> Outcome {
    let (one, other) = (Arena::new(TOTAL, RW)?, Arena::new(TOTAL, RW)?);
    one.stamp(0, TOTAL, 10)?;
    raises(other.window.store(0, 1), Signal::Bus, "page too many")?;
    let stats = other.space.stats()?;
    ensure_eq!((stats.pages, stats.fault_limit), (0, 1), "{stats:?}");
    Arena::holds(&one.window, 0, TOTAL, 10, "first space")
}

/// Each space takes what it can get; what they have together is no more.
fn total_is_not_exceeded_by_many_at_once() -> Outcome {
    let arenas = (0..4)
        .map(|_| Arena::new(TOTAL, RW))
        .collect::<Result<Vec<_>, Stop>>()?;
    super::concurrency::in_threads(4, |number| {
        for page in 0..TOTAL {
            if let Err(fault) = arenas[number].window.store(page * PAGE, 1) {
                ensure_eq!(fault.signal, Signal::Bus, "signal");
            }
        }
        Ok(())
    })?;
    let mut held = 0;
    for arena in &arenas {
        held += arena.space.stats()?.pages;
        super::query::must_add_up(&arena.space)?;
    }
    ensure!(
        (1..=TOTAL as u64).contains(&held),
        "{held} pages held, {TOTAL} allowed"
    );
    Ok(())
}

fn total_stops_willneed() -> Outcome {
    let arena = Arena::new(2 * TOTAL, RW)?;
    let filled = arena.advise(0, 2 * TOTAL, Advice::WillNeed);
    fails(filled, libc::ENOMEM, "WILLNEED of twice the total")?;
    let pages = arena.space.stats()?.pages;
    ensure!(pages <= TOTAL as u64, "{pages} pages held");
    Ok(())
}

fn total_comes_back_with_the_space() -> Outcome {
    for round in 0..20 {
        let arena = Arena::new(TOTAL, RW)?;
        arena.stamp(0, TOTAL, round)?;
        if round % 2 == 0 {
            arena.unmap(0, TOTAL / 2)?;
        }
    }
    // Also of a process that is killed in the midst of it.
    let mut child = Child::fork(|| {
        loop {
            let arena = Arena::new(TOTAL, RW)?;
            arena.stamp(0, TOTAL, 1)?;
        }
    })?;
    std::thread::sleep(Duration::from_millis(100));
    child.signal(libc::SIGKILL)?;
    child.end(crate::selftest::state::AMPLE)?;
    let arena = Arena::new(TOTAL, RW)?;
    arena.stamp(0, TOTAL, 1)
}

/// The space stays, with its region and its window.
fn total_comes_back_when_a_space_is_emptied() -> Outcome {
    let (one, other) = (Arena::new(TOTAL, RW)?, Arena::new(TOTAL, RW)?);
    for round in 0..20 {
        one.stamp(0, TOTAL, round)?;
        one.advise(0, TOTAL, Advice::DontNeed)?;
        other.stamp(0, TOTAL, round)?;
        other.advise(0, TOTAL, Advice::DontNeed)?;
    }
    ensure_eq!(one.space.stats()?.fault_limit, 0, "fault_limit");
    Ok(())
}

fn total_is_left_to_others_by_small_spaces() -> Outcome {
    let arenas = (0..TOTAL / 2)
        .map(|_| Arena::new(1, RW))
        .collect::<Result<Vec<_>, Stop>>()?;
    arenas.iter().try_for_each(|arena| arena.stamp(0, 1, 1))
}

/// Each has enough pages for some to be taken ahead.
fn total_is_not_taken_ahead_by_a_few_spaces() -> Outcome {
    const SPACES: usize = 8;
    const PAGES: usize = 128;
    let arenas = (0..SPACES)
        .map(|_| Arena::new(PAGES, RW))
        .collect::<Result<Vec<_>, Stop>>()?;
    super::concurrency::in_threads(SPACES, |number| arenas[number].stamp(0, PAGES, 1))?;
    // Of the rest, one more can have half at least.
    let half = (4096 - SPACES * PAGES) / 2;
    let arena = Arena::new(half, RW)?;
    arena.stamp(0, half, 1)
}

/// What one gives back while it fills and empties itself in many threads, the
/// others take.
fn total_is_not_exceeded_by_spaces_that_empty_themselves() -> Outcome {
    const PART: usize = TOTAL / 2;
    let arenas = (0..2)
        .map(|_| Arena::new(TOTAL + 1, RW))
        .collect::<Result<Vec<_>, Stop>>()?;
    super::concurrency::for_a_while(Duration::from_secs(3), 4, |number, round| {
        let (arena, from) = (&arenas[number % 2], number / 2 * PART);
        for page in from..from + PART {
            if let Err(fault) = arena.window.store(page * PAGE, round) {
                ensure_eq!(fault.signal, Signal::Bus, "signal");
            }
        }
        Ok(arena.advise(from, PART, Advice::DontNeed)?)
    })?;
    for arena in &arenas {
        ensure_eq!(arena.space.stats()?.pages, 0, "pages at last");
        super::query::must_add_up(&arena.space)?;
        // Nothing of the total was lost, and nothing found.
        arena.stamp(0, TOTAL, 1)?;
        raises(arena.window.store(TOTAL * PAGE, 1), Signal::Bus, "one more")?;
        arena.unmap(0, TOTAL)?;
    }
    Ok(())
}
