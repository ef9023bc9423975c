// SPDX-License-Identifier: GPL-2.0-only

//! Beside a REMAP, which moves a page.

use faultline_portable_loom::fault::Cause;

use super::{
    leaf::LEAF_PAGES,
    model::{having, Model, EMPTY, FULL, HOLE, WRITTEN},
    region::{Access, OTHER_FILE},
    world::Content,
};

#[test]
pub(crate) fn a_fault_where_the_page_was() {
    Model::of([FULL, HOLE]).explore(|space| {
        let change = space.spawn(|space| space.move_page(0, 1));
        let _ = space.access(0, Access::Write);
        change.join();
        space.must_have_kept_first(0, 1);
    });
}

/// A write that was made goes with the page.
#[test]
pub(crate) fn a_write_where_the_page_was() {
    Model::of([WRITTEN, HOLE]).explore(|space| {
        let change = space.spawn(|space| space.move_page(0, 1));
        let _ = space.access(0, Access::Write);
        change.join();
        space.must_have_kept_first(0, 1);
    });
}

#[test]
fn a_fault_where_the_page_goes() {
    Model::of([WRITTEN, HOLE]).explore(|space| {
        let change = space.spawn(|space| space.move_page(0, 1));
        let _ = space.access(1, Access::Write);
        change.join();
        space.must_have_kept_first(0, 1);
    });
}

/// In place of what is there.
#[test]
fn a_fault_where_the_page_takes_the_place_of_another() {
    for content in [Content::Empty, Content::Page] {
        let starts = [FULL, HOLE, HOLE, having(OTHER_FILE, content)];
        Model::of(starts).explore(|space| {
            let change = space.spawn(|space| space.move_page(0, LEAF_PAGES));
            let _ = space.access(LEAF_PAGES, Access::Write);
            change.join();
            space.must_have_kept_first(0, LEAF_PAGES);
        });
    }
}

/// To a leaf that is not there, from one that does not stay.
#[test]
fn a_fault_where_the_page_goes_in_another_leaf() {
    const TO: usize = LEAF_PAGES;
    for from in [0, TO] {
        Model::of([FULL, HOLE, HOLE, HOLE]).explore(move |space| {
            let change = space.spawn(|space| space.move_page(0, TO));
            let _ = space.access(from, Access::Write);
            change.join();
            space.must_have_kept_first(0, TO);
        });
    }
}

/// The page finds its leaf there, although that has lost all others meanwhile.
#[test]
pub(crate) fn a_change_that_empties_the_leaf_where_the_page_goes() {
    const TO: usize = LEAF_PAGES;
    Model::of([FULL, HOLE, HOLE, HOLE, FULL]).explore(|space| {
        let change = space.spawn(|space| space.move_page(0, TO));
        space.unmap(TO + 1..TO + 2);
        change.join();
        space.must_have_kept_first(0, TO);
    });
}

/// The change passes over the leaf, which is not there yet. A fault that finds it sees
/// what the change has stored.
#[test]
pub(crate) fn a_fault_beside_a_change_in_the_leaf_where_the_page_goes() {
    const TO: usize = LEAF_PAGES;
    let start = Model::of([FULL, HOLE, HOLE, HOLE, EMPTY]);
    start.bounded().explore(|space| {
        let first = space.spawn(|space| space.move_page(0, TO));
        let second = space.spawn(|space| space.unmap(TO + 1..TO + 2));
        let _ = space.access(TO + 1, Access::Write);
        first.join();
        second.join();
        space.must_have_kept_first(0, TO);
    });
}

/// What is written beside a change is not lost, if the change keeps the pages.
#[test]
pub(crate) fn a_fault_that_fills_the_slot() {
    Model::of([EMPTY, HOLE]).explore(|space| {
        let change = space.spawn(|space| space.move_page(0, 1));
        let _ = space.access(0, Access::Write);
        change.join();
    });
}

/// The page that comes is found, or it is not there yet.
#[test]
fn a_fault_that_falls_back_where_the_page_goes() {
    Model::of([FULL, HOLE]).explore(|space| {
        let change = space.spawn(|space| space.move_page(0, 1));
        let got = space.access_surely(1, Access::Write);
        assert!(matches!(got, Ok(()) | Err(Cause::NoRegion)), "{got:?}");
        change.join();
        space.must_have_kept_first(0, 1);
    });
}

/// Two pages of one leaf go into another at once, beside a fault there.
#[test]
fn two_moves_beside_a_fault() {
    const TO: usize = LEAF_PAGES;
    let start = Model::of([FULL, FULL, HOLE, HOLE, HOLE]);
    start.bounded().explore(|space| {
        let first = space.spawn(|space| space.move_page(0, TO));
        let second = space.spawn(|space| space.move_page(1, TO + 1));
        let _ = space.access(TO, Access::Write);
        first.join();
        second.join();
        space.must_have_kept_first(0, TO);
        space.must_have_kept_first(1, TO + 1);
    });
}
