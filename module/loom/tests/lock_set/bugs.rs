// SPDX-License-Identifier: GPL-2.0-only

//! The models catch what they are for.

use faultline_portable_loom::bug::Bug;

use super::{changes, failure::all_are_caught, waits};

/// The model that catches a bug.
fn model_of(bug: Bug) -> fn() {
    match bug {
        Bug::IgnoreDraining => changes::a_change_of_the_object,
        Bug::IgnoreNumber => changes::a_change_of_the_object,
        Bug::OneLookOnly => changes::a_change_that_replaces_the_object,
        Bug::LastIsSilent => waits::a_change_waits_for_a_reader,
        Bug::NewNotLocked => changes::a_change_that_stores_a_new_object,
        Bug::FirstLookRelaxed => changes::a_change_that_replaces_the_object,
        Bug::CountInRelaxed => changes::a_change_that_replaces_the_object,
        Bug::CountOutRelaxed => changes::a_change_of_the_object,
        Bug::DrainRelaxed => changes::a_change_of_the_object,
        Bug::DrainedRelaxed => waits::a_change_waits_for_a_reader,
        Bug::DrainEndRelaxed => changes::a_change_that_replaces_the_object,
        Bug::BeginRelaxed => changes::two_changes_one_after_the_other,
        Bug::EndRelaxed => changes::a_change_that_replaces_the_object,
        Bug::FindRelaxed => changes::a_change_that_stores_a_new_object,
        Bug::FreeAtOnce => changes::a_change_that_replaces_the_object,
        other => unreachable!("{other:?} is none of the locks of objects"),
    }
}

#[test]
fn every_bug_is_caught_by_its_model() {
    all_are_caught(&Bug::OF_LOCK_SETS, model_of);
}
