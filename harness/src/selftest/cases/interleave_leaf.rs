// SPDX-License-Identifier: GPL-2.0-only
//! Leaves that lose their last page while somebody is about to use them.

use super::query::must_add_up;
use crate::selftest::check::{Outcome, ensure_eq, reads};
use crate::selftest::overlap::pass;
use crate::selftest::runner::{Needs, Test, tests};
use crate::selftest::state::{Arena, PAGE};
use crate::{Policy, Prot};

pub(super) const WITH_HOOKS: &[Test] = tests![Needs::Variant("test_hooks"), "interleave":
    leaf_stays_for_what_moves_into_it,
];

const RW: Prot = Prot::READ_WRITE;
/// Pages of a leaf. Page 0 of an arena is the last of one.
const LEAF: usize = 512;

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
