// SPDX-License-Identifier: GPL-2.0-only

//! Beside a REMAP, which moves a page to where nothing is.

use super::{
    leaf::LEAF_PAGES,
    model::{Model, EMPTY, FULL, HOLE, WRITTEN},
    region::Access,
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

/// What is written beside a change is not lost, if the change keeps the pages.
#[test]
fn a_fault_that_fills_the_slot() {
    Model::of([EMPTY, HOLE]).explore(|space| {
        let change = space.spawn(|space| space.move_page(0, 1));
        let _ = space.access(0, Access::Write);
        change.join();
    });
}
