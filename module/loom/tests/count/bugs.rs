// SPDX-License-Identifier: GPL-2.0-only

//! The models catch what they are for.

use faultline_portable_loom::bug::Bug;

use super::{failure::all_are_caught, limit};

/// The model that catches a bug.
fn model_of(bug: Bug) -> fn() {
    match bug {
        Bug::LookAtOpenStocks => limit::a_count_with_room_is_not_full,
        Bug::AskTotalOnce => limit::a_page_of_another_space_is_found,
        Bug::KeepStocks => limit::the_last_page_is_found_wherever_it_is,
        Bug::RecallNothing => limit::behind_a_lowered_limit_nothing_is_added,
        other => unreachable!("{other:?} is none of the count of pages"),
    }
}

#[test]
fn every_bug_is_caught_by_its_model() {
    all_are_caught(&Bug::OF_COUNT, model_of);
}
