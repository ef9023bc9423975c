// SPDX-License-Identifier: GPL-2.0-only

//! Beside PROTECT, which takes the right to write.

use super::{
    model::{Model, EMPTY, FULL, READ},
    region::{Access, RO, RW},
};

#[test]
pub(crate) fn a_fault_on_a_page_that_is_there() {
    Model::of([FULL]).explore(|space| {
        let change = space.spawn(|space| space.protect(0, RO));
        let _ = space.access(0, Access::Write);
        change.join();
        space.must_have_kept_first(0, 0);
    });
}

/// An entry is read-only, and to become writable.
#[test]
pub(crate) fn an_upgrade() {
    Model::of([READ]).explore(|space| {
        let change = space.spawn(|space| space.protect(0, RO));
        let _ = space.access(0, Access::Write);
        change.join();
        space.must_have_kept_first(0, 0);
    });
}

#[test]
fn a_fault_that_fills_a_slot() {
    Model::of([EMPTY, FULL]).explore(|space| {
        let change = space.spawn(|space| space.protect(0, RO));
        let _ = space.access(0, Access::Write);
        change.join();
    });
}

#[test]
pub(crate) fn a_fault_that_makes_the_leaf() {
    Model::of([EMPTY]).explore(|space| {
        let change = space.spawn(|space| space.protect(0, RO));
        let _ = space.access(0, Access::Write);
        change.join();
    });
}

/// A read is allowed all the time.
#[test]
fn a_read_succeeds() {
    Model::of([FULL]).explore(|space| {
        let change = space.spawn(|space| space.protect(0, RO));
        assert_eq!(space.access(0, Access::Read), Ok(()));
        change.join();
    });
}

/// Writable, read-only and writable again while a fault is in flight.
#[test]
fn a_fault_in_flight_across_two_changes() {
    Model::of([FULL]).explore(|space| {
        let change = space.spawn(|space| {
            space.protect(0, RO);
            space.protect(0, RW);
        });
        let _ = space.access(0, Access::Write);
        change.join();
        space.must_have_kept_first(0, 0);
    });
}

/// As before, and read-only in the end.
#[test]
fn an_upgrade_in_flight_across_three_changes() {
    Model::of([READ]).bounded().explore(|space| {
        let change = space.spawn(|space| {
            space.protect(0, RO);
            space.protect(0, RW);
            space.protect(0, RO);
        });
        let _ = space.access(0, Access::Write);
        change.join();
        space.must_have_kept_first(0, 0);
    });
}
