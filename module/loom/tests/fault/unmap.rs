// SPDX-License-Identifier: GPL-2.0-only

//! Beside UNMAP, and a MAP where nothing is.

use faultline_portable_loom::fault::Cause;

use super::{
    leaf::LEAF_PAGES,
    model::{Model, EMPTY, FULL, HOLE, WRITTEN},
    region::{Access, OTHER, OTHER_FILE, RW},
};

/// The page is in its slot.
#[test]
pub(crate) fn a_fault_on_a_page_that_is_there() {
    Model::of([FULL]).explore(|space| {
        let change = space.spawn(|space| space.unmap(0..1));
        let _ = space.access(0, Access::Write);
        change.join();
    });
}

/// The leaf stays, for another page.
#[test]
pub(crate) fn a_fault_that_fills_a_slot() {
    Model::of([EMPTY, FULL]).explore(|space| {
        let change = space.spawn(|space| space.unmap(0..1));
        let _ = space.access(0, Access::Write);
        change.join();
    });
}

/// The change passes over a leaf that is not there, or waits for the commit.
#[test]
pub(crate) fn a_fault_that_makes_the_leaf() {
    Model::of([EMPTY]).explore(|space| {
        let change = space.spawn(|space| space.unmap(0..1));
        let _ = space.access(0, Access::Write);
        change.join();
    });
}

/// The leaf goes with its last page, while a fault is about to fill another slot.
#[test]
pub(crate) fn a_fault_whose_leaf_dies() {
    Model::of([EMPTY, WRITTEN]).explore(|space| {
        let change = space.spawn(|space| space.unmap(1..2));
        let got = space.access(0, Access::Write);
        assert_eq!(got, Ok(()), "nothing is in its way");
        change.join();
    });
}

/// And then the fault's own page is unmapped.
#[test]
fn a_fault_whose_leaf_dies_and_is_replaced() {
    Model::of([EMPTY, FULL]).explore(|space| {
        let change = space.spawn(|space| {
            space.unmap(1..2);
            space.unmap(0..1);
        });
        let _ = space.access(0, Access::Write);
        change.join();
    });
}

/// One makes the leaf, and one finds it.
#[test]
fn two_faults_that_make_the_leaf() {
    Model::of([EMPTY, EMPTY]).bounded().explore(|space| {
        let change = space.spawn(|space| space.unmap(0..1));
        let other = space.spawn(|space| {
            let got = space.access(1, Access::Write);
            assert_eq!(got, Ok(()), "nothing is in its way");
        });
        let _ = space.access(0, Access::Write);
        change.join();
        other.join();
    });
}

/// Both pages of a leaf are unmapped, by two changes at once.
#[test]
fn a_fault_and_two_changes_that_empty_the_leaf() {
    Model::of([EMPTY, FULL]).bounded().explore(|space| {
        let first = space.spawn(|space| space.unmap(0..1));
        let second = space.spawn(|space| space.unmap(1..2));
        let _ = space.access(0, Access::Write);
        first.join();
        second.join();
    });
}

/// The leaf of the page comes behind another.
#[test]
fn a_fault_that_makes_the_second_leaf() {
    const LAST: usize = LEAF_PAGES;
    Model::of([EMPTY, EMPTY, FULL, EMPTY]).explore(|space| {
        let change = space.spawn(|space| space.unmap(LAST - 1..LAST + 1));
        let _ = space.access(LAST, Access::Write);
        change.join();
    });
}

/// Two processes have the page. They lose it one after the other.
#[test]
fn faults_in_two_windows() {
    let start = Model::of([FULL]).with_two_windows();
    start.bounded().explore(|space| {
        let change = space.spawn(|space| space.unmap(0..1));
        let other = space.spawn(|space| {
            let _ = space.access_by(1, 0, Access::Write);
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
    for start in [EMPTY, FULL] {
        Model::of([start]).explore(|space| {
            let change = space.spawn(|space| space.unmap(0..1));
            let got = space.access_surely(0, Access::Write);
            assert!(matches!(got, Ok(()) | Err(Cause::NoRegion)), "{got:?}");
            change.join();
        });
    }
}

/// The same, if it need not wait for the end, but for that of the region.
#[test]
fn a_fault_that_falls_back_and_is_let_in() {
    for start in [EMPTY, FULL] {
        Model::of([start]).explore(|space| {
            let change = space.spawn(|space| space.unmap_and_let_in(0..1));
            let got = space.access_surely(0, Access::Write);
            assert!(matches!(got, Ok(()) | Err(Cause::NoRegion)), "{got:?}");
            change.join();
        });
    }
}

/// Another page of the leaf, which dies.
#[test]
fn a_fault_that_falls_back_beside_the_change_and_is_let_in() {
    Model::of([EMPTY, WRITTEN]).explore(|space| {
        let change = space.spawn(|space| space.unmap_and_let_in(1..2));
        let got = space.access_surely(0, Access::Write);
        assert_eq!(got, Ok(()), "nothing is in its way");
        change.join();
    });
}

/// The region is freed a grace period after the change, not after the fault.
#[test]
pub(crate) fn a_fault_that_outlives_the_region() {
    for starts in [[FULL, FULL], [EMPTY, EMPTY]] {
        Model::of(starts).with_lives().explore(|space| {
            let change = space.spawn(|space| space.unmap(0..1));
            let _ = space.access(0, Access::Write);
            change.join();
        });
    }
}

/// A region of another MAP comes to where the old one was.
#[test]
fn a_fault_in_flight_while_the_page_is_mapped_anew() {
    for (starts, new) in [
        ([FULL, EMPTY], OTHER),
        ([EMPTY, FULL], OTHER),
        ([EMPTY, FULL], OTHER_FILE),
        ([EMPTY, EMPTY], OTHER_FILE),
    ] {
        Model::of(starts).explore(move |space| {
            let change = space.spawn(move |space| {
                space.unmap(0..1);
                space.insert(0..1, new);
            });
            let _ = space.access(0, Access::Write);
            change.join();
        });
    }
}

/// There is no region at first.
#[test]
fn a_fault_on_a_page_that_is_about_to_be_mapped() {
    Model::of([HOLE]).explore(|space| {
        let change = space.spawn(|space| space.insert(0..1, RW));
        let got = space.access_surely(0, Access::Write);
        assert!(matches!(got, Ok(()) | Err(Cause::NoRegion)), "{got:?}");
        change.join();
        assert_eq!(space.access(0, Access::Write), Ok(()));
    });
}
