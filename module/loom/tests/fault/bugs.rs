// SPDX-License-Identifier: GPL-2.0-only

//! The models catch what they are for.

use faultline_portable_loom::bug::Bug;

use super::{beside, discard, failure::all_are_caught, moving, protect, replace, unmap};

/// The model that catches a bug.
fn model_of(bug: Bug) -> fn() {
    match bug {
        Bug::NoValidation => protect::an_upgrade,
        Bug::TrustGuess => replace::a_fault_that_fills_a_slot,
        Bug::InstallLeaving => discard::a_fault_on_a_page_that_is_there,
        Bug::NoBarrierAtPublish => unmap::a_fault_that_makes_the_leaf,
        Bug::NoBarrierBeforeLeaves => unmap::a_fault_that_makes_the_leaf,
        Bug::NoSecondLook => beside::two_faults_on_the_last_page,
        Bug::KeepEmptyLeaf => unmap::a_fault_that_makes_the_leaf,
        Bug::NoLeafLock => protect::an_upgrade,
        Bug::FillDeadLeaf => unmap::a_fault_whose_leaf_dies,
        Bug::CountInFreed => unmap::a_fault_that_outlives_the_region,
        Bug::LeafLeaves => beside::two_changes_in_one_leaf_beside_a_fault_on_a_third_page,
        Bug::ZapBeforePass => protect::an_upgrade,
        Bug::EmptyBeforeZap => discard::a_write_to_a_page_that_is_mapped,
        Bug::EmptyYounger => discard::a_fault_that_fills_a_slot_between_others,
        Bug::StoreLate => protect::an_upgrade,
        Bug::ReplaceAtOnce => replace::a_fault_on_a_page_that_is_there,
        Bug::NoLateLeaf => moving::a_fault_that_fills_the_slot,
        Bug::NoReserve => moving::a_change_that_empties_the_leaf_where_the_page_goes,
        Bug::UnlockEarly => moving::a_fault_beside_a_change_in_the_leaf_where_the_page_goes,
        other => unreachable!("{other:?} is none of faults"),
    }
}

#[test]
fn every_bug_is_caught_by_its_model() {
    all_are_caught(&Bug::OF_FAULTS, model_of);
}
