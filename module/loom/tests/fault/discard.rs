// SPDX-License-Identifier: GPL-2.0-only

//! Beside DONTNEED, which leaves the region as it is.

use super::{
    model::{Model, EMPTY, FULL, READ, WRITTEN},
    region::Access,
    world::Start,
};

fn a_write_to_a_page_that_begins_as(start: Start) {
    Model::of([start]).explore(|space| {
        let change = space.spawn(|space| {
            space.discard(0..1);
            space.must_have_lost_first(0);
        });
        let _ = space.access(0, Access::Write);
        change.join();
    });
}

#[test]
pub(crate) fn a_fault_on_a_page_that_is_there() {
    a_write_to_a_page_that_begins_as(FULL);
}

/// What is put into the slot behind the change stays.
#[test]
pub(crate) fn a_fault_that_fills_a_slot() {
    Model::of([EMPTY, FULL]).explore(|space| {
        let change = space.spawn(|space| space.discard(0..1));
        let _ = space.access(0, Access::Write);
        change.join();
    });
}

#[test]
fn a_fault_that_makes_the_leaf() {
    Model::of([EMPTY]).explore(|space| {
        let change = space.spawn(|space| space.discard(0..1));
        let _ = space.access(0, Access::Write);
        change.join();
    });
}

#[test]
pub(crate) fn a_write_to_a_page_that_is_mapped() {
    a_write_to_a_page_that_begins_as(WRITTEN);
}

/// An entry is read-only, and to become writable.
#[test]
fn an_upgrade() {
    a_write_to_a_page_that_begins_as(READ);
}

/// The slot lies between others that are emptied. Its entry may go, but not the
/// page.
#[test]
pub(crate) fn a_fault_that_fills_a_slot_between_others() {
    Model::of([FULL, EMPTY, FULL]).explore(|space| {
        let change = space.spawn(|space| space.discard(0..3));
        assert_eq!(space.access_surely(1, Access::Write), Ok(()));
        change.join();
    });
}

#[test]
fn a_fault_succeeds() {
    for start in [EMPTY, FULL, WRITTEN, READ] {
        Model::of([start]).explore(|space| {
            let change = space.spawn(|space| space.discard(0..1));
            assert_eq!(space.access_surely(0, Access::Write), Ok(()));
            change.join();
        });
    }
}

/// What the first has discarded is made again, and discarded by the second.
#[test]
fn a_fault_in_flight_across_two_changes() {
    Model::of([FULL, FULL]).explore(|space| {
        let change = space.spawn(|space| {
            space.discard(0..1);
            space.discard(0..1);
        });
        let _ = space.access(0, Access::Write);
        let _ = space.access(0, Access::Write);
        change.join();
    });
}

#[test]
fn two_faults_on_the_page() {
    Model::of([FULL]).bounded().explore(|space| {
        let change = space.spawn(|space| space.discard(0..1));
        let other = space.spawn(|space| {
            let _ = space.access(0, Access::Write);
        });
        let _ = space.access(0, Access::Read);
        change.join();
        other.join();
    });
}
