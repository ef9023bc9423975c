// SPDX-License-Identifier: GPL-2.0-only
//! What a test ends with, and the checks it is made of.

use std::ffi::OsStr;
use std::fmt::Debug;
use std::io;
use std::panic::Location;
use std::path::Path;

use crate::access::{Fault, Signal};

/// Why a test did not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// It could not be run here.
    Skip(String),
    /// What was expected and what was seen.
    Fail(String),
}

/// The end of a test, or of a part of one.
pub(crate) type Outcome = Result<(), Stop>;

impl Stop {
    #[track_caller]
    pub(crate) fn fail(message: impl AsRef<str>) -> Stop {
        let place = Location::caller();
        let file = Path::new(place.file())
            .file_name()
            .and_then(OsStr::to_str)
            .unwrap_or("?");
        Stop::Fail(format!("{file}:{}: {}", place.line(), message.as_ref()))
    }

    pub(crate) fn skip(reason: impl Into<String>) -> Stop {
        Stop::Skip(reason.into())
    }
}

impl From<io::Error> for Stop {
    #[track_caller]
    fn from(error: io::Error) -> Stop {
        Stop::fail(error.to_string())
    }
}

impl From<Fault> for Stop {
    #[track_caller]
    fn from(fault: Fault) -> Stop {
        Stop::fail(format!("unexpected {fault}"))
    }
}

/// Ends the test as failed unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err($crate::selftest::check::Stop::fail(format!($($message)+)));
        }
    };
}
pub(crate) use ensure;

/// Ends the test as failed unless the first value is the second.
macro_rules! ensure_eq {
    ($seen:expr, $expected:expr, $($what:tt)+) => {
        match (&$seen, &$expected) {
            (seen, expected) => {
                if *seen != *expected {
                    let what = format!($($what)+);
                    return Err($crate::selftest::check::Stop::fail(format!(
                        "{what}: expected {expected:?}, seen {seen:?}"
                    )));
                }
            }
        }
    };
}
pub(crate) use ensure_eq;

/// The call must fail with `errno`.
#[track_caller]
pub(crate) fn fails<T: Debug>(result: io::Result<T>, errno: i32, what: &str) -> Outcome {
    fails_with_one_of(result, &[errno], what)
}

/// The call must fail with one of `errnos`.
#[track_caller]
pub(crate) fn fails_with_one_of<T: Debug>(
    result: io::Result<T>,
    errnos: &[i32],
    what: &str,
) -> Outcome {
    let seen = match result {
        Ok(value) => format!("success, {value:?}"),
        Err(error)
            if error
                .raw_os_error()
                .is_some_and(|seen| errnos.contains(&seen)) =>
        {
            return Ok(());
        }
        Err(error) => error.to_string(),
    };
    let expected: Vec<_> = errnos
        .iter()
        .map(|&errno| io::Error::from_raw_os_error(errno).to_string())
        .collect();
    Err(Stop::fail(format!(
        "{what}: expected {}, seen {seen}",
        expected.join(" or ")
    )))
}

/// The access must raise `signal`.
#[track_caller]
pub(crate) fn raises<T: Debug>(result: Result<T, Fault>, signal: Signal, what: &str) -> Outcome {
    match result {
        Err(fault) if fault.signal == signal => Ok(()),
        Err(fault) => Err(Stop::fail(format!(
            "{what}: expected {signal}, seen {fault}"
        ))),
        Ok(value) => Err(Stop::fail(format!(
            "{what}: expected {signal}, seen success, {value:?}"
        ))),
    }
}

/// The load must give `expected`.
#[track_caller]
pub(crate) fn reads(result: Result<u64, Fault>, expected: u64, what: &str) -> Outcome {
    match result {
        Ok(value) if value == expected => Ok(()),
        Ok(value) => Err(Stop::fail(format!(
            "{what}: expected {expected:#x}, seen {value:#x}"
        ))),
        Err(fault) => Err(Stop::fail(format!(
            "{what}: expected {expected:#x}, seen {fault}"
        ))),
    }
}
