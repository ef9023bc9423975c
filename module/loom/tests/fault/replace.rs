// SPDX-License-Identifier: GPL-2.0-only

//! Beside a MAP that takes the place of another.

use super::{
    model::{Model, EMPTY, FULL, WRITTEN},
    region::{Access, OTHER, OTHER_FILE},
};

/// The page of the old region is in the slot.
#[test]
pub(crate) fn a_fault_on_a_page_that_is_there() {
    Model::of([FULL]).explore(|space| {
        let change = space.spawn(|space| {
            space.replace(0..1, OTHER);
            space.must_have_lost_first(0);
        });
        let _ = space.access(0, Access::Write);
        change.join();
    });
}

/// The page was got ready for the old region: zeros, or of its file.
#[test]
pub(crate) fn a_fault_that_fills_a_slot() {
    for new in [OTHER, OTHER_FILE] {
        Model::of([EMPTY, FULL]).explore(move |space| {
            let change = space.spawn(move |space| space.replace(0..1, new));
            let _ = space.access(0, Access::Write);
            change.join();
        });
    }
}

#[test]
pub(crate) fn a_fault_that_makes_the_leaf() {
    for new in [OTHER, OTHER_FILE] {
        Model::of([EMPTY]).explore(move |space| {
            let change = space.spawn(move |space| space.replace(0..1, new));
            let _ = space.access(0, Access::Write);
            change.join();
        });
    }
}

/// A write by an entry that is still there goes to the old page.
#[test]
fn a_write_to_a_page_that_is_mapped() {
    Model::of([WRITTEN]).explore(|space| {
        let change = space.spawn(|space| space.replace(0..1, OTHER_FILE));
        let _ = space.access(0, Access::Write);
        change.join();
    });
}

/// It never finds nothing: the old region, or the new one under the lock.
#[test]
fn a_fault_succeeds() {
    for start in [EMPTY, FULL, WRITTEN] {
        Model::of([start]).explore(|space| {
            let change = space.spawn(|space| space.replace(0..1, OTHER_FILE));
            assert_eq!(space.access_surely(0, Access::Write), Ok(()));
            change.join();
        });
    }
}
