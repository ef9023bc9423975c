// SPDX-License-Identifier: GPL-2.0-only

//! The models catch what they are for.

use faultline_portable_loom::bug::Bug;

use super::{exclusion, failure::all_are_caught, kill, trim};

/// The model that catches a bug.
fn model_of(bug: Bug) -> fn() {
    match bug {
        Bug::OwnPlaceOnly => exclusion::a_page_and_a_gibibyte_take_turns,
        Bug::FirstSpinLockOnly => exclusion::a_page_and_a_gibibyte_take_turns,
        Bug::NoArrivalOrder => kill::who_leaves_the_line_does_not_let_earlier_ones_pass,
        Bug::LeaveWhenGranted => kill::a_kill_and_a_grant_at_once,
        Bug::PendingSetLate => exclusion::writers_take_turns,
        Bug::TouchAfterGrant => exclusion::writers_take_turns,
        Bug::GrantedStoreRelaxed => exclusion::writers_take_turns,
        Bug::GrantedLoadRelaxed => exclusion::writers_take_turns,
        Bug::PendingSubRelaxed => exclusion::who_waits_for_two_sees_what_both_did,
        Bug::TrimForgets => trim::a_waiter_for_the_first_page_passes_when_it_is_given_back,
        Bug::TrimLetsAllPass => trim::a_waiter_for_all_pages_waits_for_the_rest,
        Bug::DowngradeForgets => trim::a_downgrade_lets_a_reader_in,
        Bug::DowngradeLetsAllPass => trim::a_downgrade_keeps_a_writer_out,
        Bug::NoMark => exclusion::a_reader_and_a_writer_take_turns,
        other => unreachable!("{other:?} is none of the range lock"),
    }
}

#[test]
fn every_bug_is_caught_by_its_model() {
    all_are_caught(&Bug::OF_RANGE_LOCK, model_of);
}
