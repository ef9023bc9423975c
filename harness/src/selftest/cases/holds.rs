// SPDX-License-Identifier: GPL-2.0-only
//! What regions hold of a memfd: given up when the call that removes the last of
//! them returns, and never before.

use std::fs::File;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::concurrency::{for_a_while, in_threads};
use crate::selftest::check::{Outcome, Stop, ensure_eq, fails};
use crate::selftest::files::{memfd, shared};
use crate::selftest::runner::{Needs, Test, tests};
use crate::selftest::state::{Arena, at, bytes};
use crate::selftest::sys::file::seal;
use crate::{Placement, Policy, Prot, Relocation};

pub(super) const TESTS: &[Test] = tests![Needs::Module, "holds":
    kept_while_regions_join_and_split,
    given_up_by_unmap,
    given_up_by_unmap_after_protect,
    given_up_by_unmap_after_remap,
    given_up_by_unmap_after_a_map_that_joins,
    given_up_by_unmap_after_growth,
    given_up_by_protect_that_joins_and_unmap,
    given_up_by_map,
    given_up_by_unmap_after_unmap_of_parts,
    given_up_by_two_unmaps_at_once,
];

const RW: Prot = Prot::READ_WRITE;
const RO: Prot = Prot::READ;
const PAGES: usize = 16;
const POLICIES: [Policy; 2] = [Policy::RANGE, Policy::GLOBAL];

/// The memfd can be resized at the first try, and sealed at the first try.
#[track_caller]
fn given_up(file: &File, when: &str) -> Outcome {
    let shrunk = file.set_len(bytes(PAGES / 2));
    shrunk.map_err(|error| Stop::fail(format!("ftruncate {when}: {error}")))?;
    file.set_len(bytes(PAGES))?;
    let sealed = seal(file, libc::F_SEAL_WRITE);
    sealed.map_err(|error| Stop::fail(format!("F_SEAL_WRITE {when}: {error}")))
}

/// With each policy, several times: `change` of a space with a memfd's pages
/// `[0, 8)` at page 0 leaves nothing of it, and so nothing is held.
fn gives_up(what: &str, change: fn(&Arena, &File) -> Outcome) -> Outcome {
    for policy in POLICIES {
        for round in 0..20 {
            let file = memfd(PAGES, 50)?;
            let arena = Arena::empty(PAGES)?;
            arena.space.set_policy(policy)?;
            arena.place(0, 8, RW, shared(&file, 0))?;
            if round % 2 == 1 {
                arena.stamp(0, 8, 7)?;
            }
            change(&arena, &file)?;
            given_up(&file, &format!("after {what}, {policy:?}, round {round}"))?;
        }
    }
    Ok(())
}

fn given_up_by_unmap() -> Outcome {
    gives_up("MAP and UNMAP", |arena, _| arena.unmap(0, 8))
}

fn given_up_by_unmap_after_protect() -> Outcome {
    gives_up("PROTECT and UNMAP", |arena, _| {
        arena.protect(0, 8, RO)?;
        arena.unmap(0, 8)
    })?;
    gives_up("PROTECT of a part and UNMAP", |arena, _| {
        arena.protect(2, 3, RO)?;
        arena.unmap(0, 8)
    })
}

fn given_up_by_protect_that_joins_and_unmap() -> Outcome {
    gives_up("PROTECT, back again, and UNMAP", |arena, _| {
        arena.protect(2, 3, RO)?;
        arena.protect(0, 8, RW)?;
        arena.unmap(0, 8)
    })
}

fn given_up_by_unmap_after_remap() -> Outcome {
    gives_up("REMAP and UNMAP", |arena, _| {
        arena.shift(0, 8, 100)?;
        arena.unmap(100, 8)
    })?;
    gives_up("REMAP of a part and UNMAP", |arena, _| {
        arena.shift(2, 3, 100)?;
        arena.unmap(0, 200)
    })?;
    gives_up("REMAP that shrinks and moves, and UNMAP", |arena, _| {
        arena.resize(0, 8, 3, Relocation::Fixed(at(100)))?;
        arena.unmap(100, 3)
    })
}

fn given_up_by_unmap_after_a_map_that_joins() -> Outcome {
    gives_up("a FIXED MAP that joins, and UNMAP", |arena, file| {
        arena.place(8, 8, RW, shared(file, 8))?;
        ensure_eq!(arena.shape()?, [(0, 16, RW)], "regions");
        arena.unmap(0, 16)
    })?;
    gives_up("a MAP by a hint that joins, and UNMAP", |arena, file| {
        let (addr, place) = (at(8), Placement::Hint);
        let source = shared(file, 8);
        let got = arena.space.map_from(addr, bytes(8), RW, place, source)?;
        ensure_eq!(got, addr, "address");
        ensure_eq!(arena.shape()?, [(0, 16, RW)], "regions");
        arena.unmap(0, 16)
    })
}

fn given_up_by_unmap_after_growth() -> Outcome {
    gives_up("growth and UNMAP", |arena, _| {
        arena.resize(0, 8, 12, Relocation::Stay)?;
        arena.unmap(0, 12)
    })
}

fn given_up_by_map() -> Outcome {
    gives_up("MAP of ANON", |arena, _| arena.remap(0, 8, RW))
}

fn given_up_by_unmap_after_unmap_of_parts() -> Outcome {
    gives_up("UNMAP of parts", |arena, _| {
        arena.unmap(3, 2)?;
        arena.unmap(0, 2)?;
        arena.unmap(0, 8)
    })
}

fn given_up_by_two_unmaps_at_once() -> Outcome {
    for (policy, seconds) in [(Policy::RANGE, 8), (Policy::GLOBAL, 2)] {
        let file = memfd(PAGES, 50)?;
        let arena = Arena::empty(PAGES)?;
        arena.space.set_policy(policy)?;
        let arrived = AtomicUsize::new(0);
        // Together to the instruction, or nearly so.
        let meet = |count: usize| {
            arrived.fetch_add(1, Ordering::SeqCst);
            let mut spins = 0u32;
            while arrived.load(Ordering::SeqCst) < 2 * count {
                spins += 1;
                match spins % 10_000 {
                    0 => thread::yield_now(),
                    _ => std::hint::spin_loop(),
                }
            }
        };
        let mut took = Duration::from_millis(1);
        for _ in 0..20 {
            arena.place(0, PAGES, RO, shared(&file, 0))?;
            arena.window.load(0)?;
            let start = Instant::now();
            arena.unmap(0, PAGES)?;
            took = took.min(start.elapsed());
        }
        let end = Instant::now() + Duration::from_secs(seconds);
        let last = AtomicUsize::new(usize::MAX);
        in_threads(2, |number| {
            let mut outcome = Ok(());
            for round in 0.. {
                // Nobody may leave the other waiting.
                if number == 0 && outcome.is_ok() {
                    outcome = arena.place(0, PAGES, RO, shared(&file, 0));
                    // Its half has a page to zap, the other has not.
                    outcome = outcome.and_then(|()| Ok(arena.window.load(0).map(drop)?));
                }
                meet(2 * round + 1);
                if number == 1 {
                    // Later and later, up to twice as long as it takes.
                    let late = took * (round % 128) as u32 / 64;
                    let start = Instant::now();
                    while start.elapsed() < late {}
                }
                let half = PAGES / 2;
                outcome = outcome.and_then(|()| arena.unmap(number * half, half));
                if number == 0 && (outcome.is_err() || Instant::now() > end) {
                    last.fetch_min(round, Ordering::SeqCst);
                }
                meet(2 * round + 2);
                if round == last.load(Ordering::SeqCst) {
                    break;
                }
                if number == 0 && outcome.is_ok() {
                    outcome = file.set_len(bytes(PAGES - round % 2)).map_err(|error| {
                        Stop::fail(format!("ftruncate, {policy:?}, round {round}: {error}"))
                    });
                }
            }
            outcome
        })?;
    }
    Ok(())
}

/// A region that another has taken over for a part still holds the memfd there.
fn kept_while_regions_join_and_split() -> Outcome {
    // As many threads as processors, and more of them: each finds what the other
    // does not.
    for (policy, time, rounds) in [(Policy::RANGE, 2000, 6), (Policy::GLOBAL, 500, 2)] {
        for round in 0..rounds {
            let file = memfd(PAGES, 50)?;
            let arena = Arena::empty(PAGES)?;
            arena.space.set_policy(policy)?;
            arena.place(0, PAGES, RW, shared(&file, 0))?;
            let threads = [2, 6][round % 2];
            for_a_while(Duration::from_millis(time), threads, |number, round| {
                if number % 2 == 0 {
                    return arena.place(8, 8, RW, shared(&file, 8));
                }
                let prot = [RO, RW][round as usize % 2];
                arena
                    .protect(0, 8, prot)
                    .map_err(|error| Stop::fail(format!("PROTECT to {prot:?}: {error}")))
            })?;
            arena.unmap(8, 8)?;
            fails(
                file.set_len(bytes(1)),
                libc::EPERM,
                &format!("ftruncate with half of it mapped, {policy:?}"),
            )?;
            arena.protect(0, 8, RW)?;
            arena.stamp(0, 8, 9)?;
        }
    }
    Ok(())
}
