// SPDX-License-Identifier: GPL-2.0-only

//! Beside PROTECT, which takes the right to write.

use faultline_portable_loom::fault::Cause;

use super::{
    model::{having, Model, EMPTY, FULL, READ},
    region::{Access, RO, RW},
    world::Content,
};

#[test]
pub(crate) fn a_fault_on_a_page_that_is_there() {
    Model::of([FULL]).explore(|space| {
        let change = space.spawn(|space| space.protect(0..1, RO));
        let _ = space.access(0, Access::Write);
        change.join();
        space.must_have_kept_first(0, 0);
    });
}

/// An entry is read-only, and to become writable.
#[test]
pub(crate) fn an_upgrade() {
    Model::of([READ]).explore(|space| {
        let change = space.spawn(|space| space.protect(0..1, RO));
        let _ = space.access(0, Access::Write);
        change.join();
        space.must_have_kept_first(0, 0);
    });
}

#[test]
fn a_fault_that_fills_a_slot() {
    Model::of([EMPTY, FULL]).explore(|space| {
        let change = space.spawn(|space| space.protect(0..1, RO));
        let _ = space.access(0, Access::Write);
        change.join();
    });
}

#[test]
pub(crate) fn a_fault_that_makes_the_leaf() {
    Model::of([EMPTY]).explore(|space| {
        let change = space.spawn(|space| space.protect(0..1, RO));
        let _ = space.access(0, Access::Write);
        change.join();
    });
}

/// A read is allowed all the time.
#[test]
fn a_read_succeeds() {
    Model::of([FULL]).explore(|space| {
        let change = space.spawn(|space| space.protect(0..1, RO));
        assert_eq!(space.access(0, Access::Read), Ok(()));
        change.join();
    });
}

/// Writable, read-only and writable again while a fault is in flight.
#[test]
fn a_fault_in_flight_across_two_changes() {
    Model::of([FULL]).explore(|space| {
        let change = space.spawn(|space| {
            space.protect(0..1, RO);
            space.protect(0..1, RW);
        });
        let _ = space.access(0, Access::Write);
        change.join();
        space.must_have_kept_first(0, 0);
    });
}

/// As before, and read-only in the end.
#[test]
fn an_upgrade_in_flight_across_three_changes() {
    Model::of([READ]).explore(|space| {
        let change = space.spawn(|space| {
            space.protect(0..1, RO);
            space.protect(0..1, RW);
            space.protect(0..1, RO);
        });
        let _ = space.access(0, Access::Write);
        change.join();
        space.must_have_kept_first(0, 0);
    });
}

/// A fault that was given up is handled under the lock.
#[test]
fn a_fault_that_falls_back() {
    for start in [EMPTY, FULL, READ] {
        Model::of([start]).explore(|space| {
            let change = space.spawn(|space| space.protect(0..1, RO));
            let got = space.access_surely(0, Access::Write);
            assert!(matches!(got, Ok(()) | Err(Cause::Denied)), "{got:?}");
            change.join();
        });
    }
}

/// The right to write comes. The entry stays, to be upgraded.
#[test]
fn an_upgrade_that_becomes_possible() {
    Model::of([having(RO, Content::Entry(Access::Read))]).explore(|space| {
        let change = space.spawn(|space| space.protect(0..1, RW));
        let _ = space.access(0, Access::Write);
        change.join();
        assert_eq!(space.access(0, Access::Write), Ok(()));
        space.must_have_kept_first(0, 0);
    });
}

/// Two processes upgrade theirs. They lose them one after the other.
#[test]
fn upgrades_in_two_windows() {
    let start = Model::of([READ]).with_two_windows();
    start.bounded().explore(|space| {
        let change = space.spawn(|space| space.protect(0..1, RO));
        let other = space.spawn(|space| {
            let _ = space.access_by(1, 0, Access::Write);
        });
        let _ = space.access(0, Access::Write);
        change.join();
        other.join();
        space.must_have_kept_first(0, 0);
    });
}
