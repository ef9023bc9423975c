// SPDX-License-Identifier: GPL-2.0-only

//! Beside DONTNEED, which leaves the region as it is.

use super::{
    model::{Model, EMPTY, FULL, WRITTEN},
    region::Access,
};

#[test]
pub(crate) fn a_fault_on_a_page_that_is_there() {
    Model::of([FULL]).explore(|space| {
        let change = space.spawn(|space| {
            space.discard(0);
            space.must_have_lost_first(0);
        });
        let _ = space.access(0, Access::Write);
        change.join();
    });
}

/// What is put into the slot behind the change stays.
#[test]
pub(crate) fn a_fault_that_fills_a_slot() {
    Model::of([EMPTY, FULL]).explore(|space| {
        let change = space.spawn(|space| space.discard(0));
        let _ = space.access(0, Access::Write);
        change.join();
    });
}

#[test]
fn a_fault_that_makes_the_leaf() {
    Model::of([EMPTY]).explore(|space| {
        let change = space.spawn(|space| space.discard(0));
        let _ = space.access(0, Access::Write);
        change.join();
    });
}

#[test]
pub(crate) fn a_write_to_a_page_that_is_mapped() {
    Model::of([WRITTEN]).explore(|space| {
        let change = space.spawn(|space| {
            space.discard(0);
            space.must_have_lost_first(0);
        });
        let _ = space.access(0, Access::Write);
        change.join();
    });
}
