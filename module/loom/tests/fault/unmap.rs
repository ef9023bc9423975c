// SPDX-License-Identifier: GPL-2.0-only

//! Beside UNMAP.

use super::{
    model::{Model, EMPTY, FULL, WRITTEN},
    region::{Access, OTHER},
};

/// The page is in its slot.
#[test]
pub(crate) fn a_fault_on_a_page_that_is_there() {
    Model::of([FULL]).explore(|space| {
        let change = space.spawn(|space| space.unmap(0));
        let _ = space.access(0, Access::Write);
        change.join();
    });
}

/// The leaf stays, for another page.
#[test]
pub(crate) fn a_fault_that_fills_a_slot() {
    Model::of([EMPTY, FULL]).explore(|space| {
        let change = space.spawn(|space| space.unmap(0));
        let _ = space.access(0, Access::Write);
        change.join();
    });
}

/// The change passes over a leaf that is not there, or waits for the commit.
#[test]
pub(crate) fn a_fault_that_makes_the_leaf() {
    Model::of([EMPTY]).explore(|space| {
        let change = space.spawn(|space| space.unmap(0));
        let _ = space.access(0, Access::Write);
        change.join();
    });
}

/// The leaf goes with its last page, while a fault is about to fill another slot.
#[test]
pub(crate) fn a_fault_whose_leaf_dies() {
    Model::of([EMPTY, WRITTEN]).explore(|space| {
        let change = space.spawn(|space| space.unmap(1));
        let got = space.access(0, Access::Write);
        assert_eq!(got, Ok(()), "nothing is in its way");
        change.join();
    });
}

/// And then the fault's own page is unmapped.
#[test]
fn a_fault_whose_leaf_dies_and_is_replaced() {
    Model::of([EMPTY, FULL]).bounded().explore(|space| {
        let change = space.spawn(|space| {
            space.unmap(1);
            space.unmap(0);
        });
        let _ = space.access(0, Access::Write);
        change.join();
    });
}

/// One makes the leaf, and one finds it.
#[test]
fn two_faults_that_make_the_leaf() {
    Model::of([EMPTY, EMPTY]).bounded().explore(|space| {
        let change = space.spawn(|space| space.unmap(0));
        let other = space.spawn(|space| {
            let got = space.access(1, Access::Write);
            assert_eq!(got, Ok(()), "nothing is in its way");
        });
        let _ = space.access(0, Access::Write);
        change.join();
        other.join();
    });
}

/// A fault that was given up is handled under the lock, and finds the end of the
/// change there.
#[test]
fn a_fault_that_falls_back() {
    Model::of([FULL]).explore(|space| {
        let change = space.spawn(|space| space.unmap(0));
        if space.access(0, Access::Write).is_err() {
            let _ = space.fault_locked(0, Access::Write);
        }
        change.join();
    });
}

/// The region is freed a grace period after the change, not after the fault.
#[test]
pub(crate) fn a_fault_that_outlives_the_region() {
    Model::of([FULL]).with_lives().explore(|space| {
        let change = space.spawn(|space| space.unmap(0));
        let _ = space.access(0, Access::Write);
        change.join();
    });
}

/// A region of another MAP comes to where the old one was.
#[test]
fn a_fault_in_flight_while_the_page_is_mapped_anew() {
    Model::of([WRITTEN]).explore(|space| {
        let change = space.spawn(|space| {
            space.unmap(0);
            space.insert(0, OTHER);
        });
        let _ = space.speculate(0, Access::Write);
        change.join();
    });
}
