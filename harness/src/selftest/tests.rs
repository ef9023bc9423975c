// SPDX-License-Identifier: GPL-2.0-only
//! Tests of the runner itself, with tests that need no module.

use std::collections::HashSet;
use std::time::Duration;

use super::cases;
use super::check::{Outcome, Stop, ensure_eq};
use super::runner::{Needs, Test, run_alone};

/// Far more than any of these bodies needs, on a machine however busy.
const AMPLE: Duration = Duration::from_secs(60);

fn outcome_of(body: fn() -> Outcome) -> Outcome {
    outcome_within(AMPLE, body)
}

fn outcome_within(limit: Duration, body: fn() -> Outcome) -> Outcome {
    let test = Test {
        name: "runner.example",
        needs: Needs::Module,
        body,
    };
    run_alone(&test, limit)
}

#[track_caller]
fn assert_fails_with(outcome: Outcome, text: &str) {
    match outcome {
        Err(Stop::Fail(message)) => assert!(message.contains(text), "{message}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn names_are_unique_and_of_the_form_group_name() {
    let mut seen = HashSet::new();
    for test in cases::all() {
        assert!(seen.insert(test.name), "{} twice", test.name);
        let plain = |text: &str| {
            !text.is_empty()
                && text
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        };
        let (group, name) = test.name.split_once('.').expect("a group");
        assert!(plain(group) && plain(name), "{}", test.name);
    }
}

#[test]
fn a_test_that_returns_passes() {
    assert_eq!(outcome_of(|| Ok(())), Ok(()));
}

#[test]
fn a_skip_keeps_its_reason() {
    assert_eq!(
        outcome_of(|| Err(Stop::skip("no"))),
        Err(Stop::Skip("no".to_owned()))
    );
}

#[test]
fn a_failed_check_says_where_and_what() {
    fn body() -> Outcome {
        ensure_eq!(1 + 1, 3, "sum");
        Ok(())
    }
    assert_fails_with(outcome_of(body), "tests.rs:");
    assert_fails_with(outcome_of(body), "sum: expected 3, seen 2");
}

#[test]
fn a_panic_is_a_failure() {
    assert_fails_with(outcome_of(|| panic!("at the disco")), "at the disco");
}

#[test]
fn a_crash_is_a_failure() {
    assert_fails_with(outcome_of(|| std::process::abort()), "signal 6");
}

#[test]
fn a_silent_exit_is_a_failure() {
    assert_fails_with(outcome_of(|| std::process::exit(0)), "no outcome");
}

#[test]
fn a_hang_is_a_failure() {
    let sleep = || {
        std::thread::sleep(Duration::from_secs(600));
        Ok(())
    };
    let limit = Duration::from_millis(500);
    assert_fails_with(outcome_within(limit, sleep), "not done after 500ms");
}
