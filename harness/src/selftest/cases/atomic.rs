// SPDX-License-Identifier: GPL-2.0-only
//! What a call sees of others beside it: states that there were, and no others.

use std::time::Duration;

use super::concurrency::for_a_while;
use super::query::must_add_up;
use crate::selftest::check::{Outcome, Stop, ensure, ensure_eq, fails};
use crate::selftest::runner::{Needs, Test, tests};
use crate::selftest::state::{Arena, BASE, at};
use crate::{PAGE_SIZE, Policy, Prot, Region, Relocation};

pub(super) const TESTS: &[Test] = tests![Needs::Module, "atomic":
    query_beside_map_over_a_boundary,
    query_beside_map_up_to_a_boundary,
    shrink_beside_map_of_the_tail,
    growth_beside_a_replacing_move,
];

const RW: Prot = Prot::READ_WRITE;
const RO: Prot = Prot::READ;
const NONE: Prot = Prot::NONE;
const POLICIES: [Policy; 2] = [Policy::RANGE, Policy::GLOBAL];
const TIME: Duration = Duration::from_millis(3000);

/// Other regions, further up.
const CROWD: [usize; 4] = [100, 102, 104, 106];

/// A region: its first page, its end, its protection.
type Piece = (usize, usize, Prot);

fn piece(region: &Region) -> Piece {
    let page = |addr: u64| (addr.wrapping_sub(BASE) / PAGE_SIZE) as usize;
    (page(region.start), page(region.end), region.prot)
}

/// While one thread goes through `steps` over and over, the region of each of the
/// pages must be one of those that stood there.
fn queries_see(steps: [Piece; 3], pages: [(usize, &[Piece]); 2]) -> Outcome {
    for (policy, time) in [(Policy::RANGE, 8), (Policy::GLOBAL, 1)] {
        let arena = Arena::empty(1)?;
        arena.space.set_policy(policy)?;
        arena.remap(0, 10, RO)?;
        arena.remap(10, 10, NONE)?;
        // So that the node of the tree is one that is not rebuilt at each change.
        for page in CROWD {
            arena.remap(page, 1, RW)?;
        }
        for_a_while(Duration::from_secs(time), 2, |number, round| {
            if number == 0 {
                return steps
                    .iter()
                    .try_for_each(|&(start, end, prot)| arena.remap(start, end - start, prot));
            }
            for _ in 0..100 {
                let (page, allowed) = pages[round as usize % 2];
                let found = arena.space.query(at(page))?;
                let found = found.ok_or_else(|| Stop::fail(format!("no region at {page}")))?;
                let seen = piece(&found);
                ensure!(
                    allowed.contains(&seen),
                    "{policy:?}, QUERY of page {page}: {seen:?}, but there were only {allowed:?}"
                );
            }
            Ok(())
        })?;
        ensure_eq!(
            arena.shape()?[..2],
            [(0, 10, RO), (10, 20, NONE)],
            "at last"
        );
    }
    Ok(())
}

fn query_beside_map_over_a_boundary() -> Outcome {
    queries_see(
        [(0, 15, RW), (0, 10, RO), (10, 15, NONE)],
        [
            (5, &[(0, 10, RO), (0, 15, RW)]),
            (12, &[(10, 20, NONE), (0, 15, RW), (10, 15, RW)]),
        ],
    )
}

/// The same from above.
fn query_beside_map_up_to_a_boundary() -> Outcome {
    queries_see(
        [(5, 20, RW), (10, 20, NONE), (5, 10, RO)],
        [
            (7, &[(0, 10, RO), (5, 20, RW), (5, 10, RW)]),
            (15, &[(10, 20, NONE), (5, 20, RW)]),
        ],
    )
}

/// REMAP that shrinks takes the tail only where its first page has a region: then
/// the tail is not what was mapped alone.
fn shrink_beside_map_of_the_tail() -> Outcome {
    for policy in POLICIES {
        let arena = Arena::empty(1)?;
        arena.space.set_policy(policy)?;
        for_a_while(TIME, 4, |number, _| {
            if number != 0 {
                return match arena.resize(0, 10, 5, Relocation::Stay) {
                    Ok(_) => Ok(()),
                    failed => fails(failed, libc::EFAULT, "REMAP"),
                };
            }
            arena.remap(0, 10, RW)?;
            arena.unmap(0, 10)?;
            arena.remap(5, 5, RW)?;
            let found = arena.space.query(at(5))?;
            let seen = found.as_ref().map(piece);
            ensure_eq!(seen, Some((5, 10, RW)), "the tail alone, {policy:?}");
            arena.unmap(0, 10)
        })?;
        must_add_up(&arena.space)?;
    }
    Ok(())
}

/// There is a region all the time, though each is replaced by the next one.
fn growth_beside_a_replacing_move() -> Outcome {
    for policy in POLICIES {
        let arena = Arena::empty(1)?;
        arena.space.set_policy(policy)?;
        arena.remap(0, 40, RW)?;
        arena.remap(40, 1, RO)?;
        for_a_while(TIME, 3, |number, _| {
            if number != 0 {
                let grown = arena.resize(0, 40, 41, Relocation::Stay);
                return fails(grown, libc::ENOMEM, "REMAP");
            }
            arena.remap(100, 40, RW)?;
            arena.shift(100, 40, 0)
        })?;
        must_add_up(&arena.space)?;
    }
    Ok(())
}
