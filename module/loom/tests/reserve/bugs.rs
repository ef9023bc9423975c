// SPDX-License-Identifier: GPL-2.0-only

//! The models catch what they are for.

use faultline_portable_loom::bug::Bug;

use super::failure::all_are_caught;

/// The model that catches a bug, and what it says.
fn model_of(bug: Bug) -> (fn(), &'static str) {
    let changed = "another has stored meanwhile";
    match bug {
        Bug::IgnoreReserved | Bug::ReserveNothing => (super::who_waits_is_alone, changed),
        Bug::NoQueue => (super::two_wait_one_after_the_other, "has not queued"),
        Bug::LetQueueGo => (super::two_wait_one_after_the_other, "slept twice"),
        Bug::KeepLock => (super::who_looks_waits_for_nobody, "deadlock"),
        other => unreachable!("{other:?} is none of what can be reserved"),
    }
}

#[test]
fn every_bug_is_caught_by_its_model() {
    all_are_caught(&Bug::OF_RESERVE, model_of);
}
