// SPDX-License-Identifier: GPL-2.0-only

//! The models catch what they are for.

use std::panic::{catch_unwind, set_hook, take_hook};
use std::{cell::Cell, sync::Once};

use faultline_portable_loom::{bug::Bug, sync::bust};

use super::{exclusion, kill, trim};

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
    }
}

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// What a model says that fails, if it does. Nothing is printed.
fn failure(model: fn()) -> Option<String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let loud = take_hook();
        set_hook(Box::new(move |info| {
            if !QUIET.get() {
                loud(info);
            }
        }));
    });
    QUIET.set(true);
    let result = catch_unwind(model);
    QUIET.set(false);
    result
        .err()
        .map(|payload| match payload.downcast_ref::<String>() {
            Some(text) => text.clone(),
            None => (*payload.downcast_ref::<&str>().unwrap_or(&"?")).to_owned(),
        })
}

#[test]
fn every_bug_is_caught_by_its_model() {
    let mut missed = Vec::new();
    for bug in Bug::OF_RANGE_LOCK {
        bust(Some(bug));
        let said = failure(model_of(bug));
        bust(None);
        match said {
            Some(text) => println!("{bug:?}: {}", text.lines().next().unwrap_or_default()),
            None => missed.push(bug),
        }
    }
    assert!(missed.is_empty(), "not caught: {missed:?}");
}
