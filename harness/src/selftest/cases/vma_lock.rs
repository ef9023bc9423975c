// SPDX-License-Identifier: GPL-2.0-only
//! Faults are handled under the lock of their VMA and never sent back to be
//! retried under `mmap_lock`.

use crate::Prot;
use crate::selftest::check::{Outcome, Stop, ensure, ensure_eq};
use crate::selftest::runner::{Needs, Test, tests};
use crate::selftest::state::{Arena, BASE, PAGE, vmstat, window};

pub(super) const TESTS: &[Test] = tests![Needs::Module, "vma_lock":
    first_touch_is_not_retried,
    reads_are_not_retried,
    upgrades_are_not_retried,
    module_asks_for_no_retry,
];

const PAGES: usize = 512;
/// Of other processes of the machine, meanwhile.
const NOISE: u64 = 16;

/// What happens to the counters of the core while `accesses` takes 512 faults.
fn counted(accesses: impl FnOnce() -> Outcome) -> Outcome {
    const NAMES: [&str; 4] = [
        "vma_lock_success",
        "vma_lock_retry",
        "vma_lock_miss",
        "vma_lock_abort",
    ];
    let read = || NAMES.map(vmstat);
    // Once for the pages of this code and of the stack.
    let _ = read();
    let before = read();
    accesses()?;
    let after = read();
    for ((name, before), after) in NAMES.into_iter().zip(before).zip(after) {
        let (Some(before), Some(after)) = (before, after) else {
            return Err(Stop::skip(format!("no {name} in /proc/vmstat")));
        };
        let grown = after - before;
        if name == "vma_lock_success" {
            ensure!(
                grown >= PAGES as u64,
                "{name} grew by {grown} with {PAGES} faults"
            );
        } else {
            ensure!(grown <= NOISE, "{name} grew by {grown} with {PAGES} faults");
        }
    }
    Ok(())
}

fn first_touch_is_not_retried() -> Outcome {
    let arena = Arena::new(PAGES, Prot::READ_WRITE)?;
    counted(|| arena.stamp(0, PAGES, 1))?;
    ensure_eq!(arena.space.stats()?.faults, PAGES as u64, "faults");
    Ok(())
}

fn reads_are_not_retried() -> Outcome {
    let arena = Arena::new(PAGES, Prot::READ_WRITE)?;
    arena.stamp(0, PAGES, 1)?;
    let second = window(&arena.space, BASE, PAGES)?;
    counted(|| Arena::holds(&second, 0, PAGES, 1, "second window"))?;
    ensure_eq!(arena.space.stats()?.faults, 2 * PAGES as u64, "faults");
    Ok(())
}

fn upgrades_are_not_retried() -> Outcome {
    let arena = Arena::new(PAGES, Prot::READ_WRITE)?;
    for page in 0..PAGES {
        arena.window.load(page * PAGE)?;
    }
    counted(|| arena.stamp(0, PAGES, 1))?;
    ensure_eq!(arena.space.stats()?.fault_mkwrite, PAGES as u64, "upgrades");
    Ok(())
}

fn module_asks_for_no_retry() -> Outcome {
    let arena = Arena::new(PAGES, Prot::READ_WRITE)?;
    arena.stamp(0, PAGES, 1)?;
    arena.unmap(0, PAGES / 2)?;
    let _ = arena.window.load(0);
    ensure_eq!(arena.space.stats()?.fault_retried, 0, "fault_retried");
    Ok(())
}
