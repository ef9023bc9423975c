// SPDX-License-Identifier: GPL-2.0-only
//! A space does what Linux does: see [`crate::differential`].

use crate::differential::runner::Stop as Found;
use crate::differential::{Options, run_all};
use crate::rng::random_seed;
use crate::selftest::check::{Outcome, Stop};
use crate::selftest::runner::{Needs, Test, tests};
use crate::target::Operation;

pub(super) const TESTS: &[Test] = tests![Needs::Module, "differential":
    anonymous_memory_is_as_in_linux,
    memory_and_files_are_as_in_linux,
    large_changes_are_as_in_linux,
];

/// As many short sequences as there is time for: on the debug kernel a whole one
/// may take 20 s.
fn short() -> Options {
    Options {
        steps: 300,
        seconds: Some(6),
        ..Options::default()
    }
}

/// Runs sequences from a seed that nobody chose; a failure says which.
fn compare(options: &Options) -> Outcome {
    match run_all(options, random_seed(), &|line| println!("# {line}")) {
        Ok(_) => Ok(()),
        Err(Found::Mismatch(report)) => Err(Stop::fail(report)),
        Err(Found::Error(error)) => Err(error.into()),
    }
}

fn anonymous_memory_is_as_in_linux() -> Outcome {
    use Operation::{DontNeed, Grow, Move, Protect, Shrink, WillNeed};
    compare(&Options {
        operations: Some(vec![Protect, Shrink, Grow, Move, DontNeed, WillNeed]),
        ..short()
    })
}

fn memory_and_files_are_as_in_linux() -> Outcome {
    compare(&short())
}

/// Over several leaves of the page directory.
fn large_changes_are_as_in_linux() -> Outcome {
    compare(&Options {
        pages: 1200,
        sweep: Some(40),
        ..short()
    })
}
