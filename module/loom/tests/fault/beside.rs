// SPDX-License-Identifier: GPL-2.0-only

//! Faults beside each other, and beside changes of other pages.

use std::{cell::Cell, rc::Rc};

use super::{
    leaf::LEAF_PAGES,
    model::{Model, EMPTY, FULL, HOLE},
    region::{Access, RO},
};

/// Both get a page ready. Of two writes none is lost.
#[test]
fn two_faults_on_one_page() {
    for starts in [[EMPTY, FULL], [EMPTY, EMPTY], [FULL, EMPTY]] {
        Model::of(starts).explore(|space| {
            let other = space.spawn(|space| {
                assert_eq!(space.access(0, Access::Write), Ok(()));
            });
            assert_eq!(space.access(0, Access::Write), Ok(()));
            other.join();
        });
    }
}

/// One has the lock of the page.
#[test]
fn two_faults_on_one_page_of_which_one_speculates() {
    for starts in [[EMPTY, FULL], [EMPTY, EMPTY]] {
        Model::of(starts).explore(|space| {
            let other = space.spawn(|space| {
                assert_eq!(space.fault_locked(0, Access::Write), Ok(()));
            });
            assert_eq!(space.access(0, Access::Write), Ok(()));
            other.join();
        });
    }
}

/// There is room for one page. Neither fails for that of the other.
#[test]
pub(crate) fn two_faults_on_the_last_page() {
    for starts in [[EMPTY, EMPTY], [EMPTY, FULL]] {
        Model::of(starts).with_room(1).explore(|space| {
            let other = space.spawn(|space| {
                assert_eq!(space.fault_beside_faults(0, Access::Write), Ok(()));
            });
            assert_eq!(space.fault_beside_faults(0, Access::Write), Ok(()));
            other.join();
        });
    }
}

/// There is room for one page, of two that are wanted. One gets it, and the leaf does
/// not stay for the other.
#[test]
fn two_faults_on_different_pages_of_which_one_finds_room() {
    let start = Model::of([EMPTY, HOLE, HOLE, EMPTY]);
    start.with_room(1).explore(|space| {
        let got = Rc::new(Cell::new(Ok(())));
        let others = got.clone();
        let other = space.spawn(move |space| {
            others.set(space.fault_beside_faults(0, Access::Write));
        });
        let mine = space.fault_beside_faults(LEAF_PAGES, Access::Write);
        other.join();
        assert_ne!(mine.is_ok(), got.get().is_ok(), "{mine:?}");
    });
}

/// One reads and one writes.
#[test]
fn a_fault_and_an_upgrade_of_one_page() {
    Model::of([FULL]).explore(|space| {
        let other = space.spawn(|space| {
            assert_eq!(space.access(0, Access::Read), Ok(()));
        });
        assert_eq!(space.access(0, Access::Write), Ok(()));
        other.join();
    });
}

/// A fault gets through beside changes of its leaf that do not want its page.
#[test]
pub(crate) fn two_changes_in_one_leaf_beside_a_fault_on_a_third_page() {
    Model::of([FULL, FULL, FULL]).bounded().explore(|space| {
        let first = space.spawn(|space| space.discard(0..1));
        let second = space.spawn(|space| space.protect(1..2, RO));
        assert_eq!(space.access(2, Access::Write), Ok(()));
        first.join();
        second.join();
    });
}

/// As before, and the leaf may go meanwhile.
#[test]
fn two_changes_that_empty_a_leaf_beside_a_fault_on_a_third_page() {
    Model::of([FULL, FULL, EMPTY]).bounded().explore(|space| {
        let first = space.spawn(|space| space.discard(0..1));
        let second = space.spawn(|space| space.unmap(1..2));
        assert_eq!(space.access(2, Access::Write), Ok(()));
        first.join();
        second.join();
    });
}
