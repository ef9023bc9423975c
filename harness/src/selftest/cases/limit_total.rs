// SPDX-License-Identifier: GPL-2.0-only
//! The limit of the pages of all spaces together, the module's parameter.

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
    std::thread::sleep(std::time::Duration::from_millis(100));
    child.signal(libc::SIGKILL)?;
    child.end(crate::selftest::state::AMPLE)?;
    let arena = Arena::new(TOTAL, RW)?;
    arena.stamp(0, TOTAL, 1)
}
