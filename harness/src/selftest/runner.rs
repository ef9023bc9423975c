// SPDX-License-Identifier: GPL-2.0-only
//! Runs one test after the other, each in a process of its own, and reports
//! them as KTAP.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::check::{Outcome, Stop};
use super::hang;
use super::state::Live;
use super::sys::kmodule;
use super::sys::process::{self, Child};

/// A test that takes longer than this says so.
const SLOW: Duration = Duration::from_secs(5);

/// What a test needs to be loaded.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Needs {
    /// The module as it is.
    Module,
    /// The file of the default module: the test unloads and loads it itself.
    Unloading,
    /// The default module with these parameters.
    Parameters(&'static str),
    /// A variant of the module.
    Variant(&'static str),
}

/// A test.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Test {
    /// `group.name`, for good.
    pub(crate) name: &'static str,
    pub(crate) needs: Needs,
    pub(crate) body: fn() -> Outcome,
}

/// A list of tests: `tests![Needs::Module, "group": function, function]`.
macro_rules! tests {
    ($needs:expr, $group:literal: $($function:ident),+ $(,)?) => {
        &[$($crate::selftest::runner::Test {
            name: concat!($group, ".", stringify!($function)),
            needs: $needs,
            body: $function,
        }),+]
    };
}
pub(crate) use tests;

static MODULE_DIR: OnceLock<PathBuf> = OnceLock::new();

/// Where the files of the module are.
pub(crate) fn module_dir() -> PathBuf {
    MODULE_DIR.get().cloned().unwrap_or_default()
}

/// Counts of the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    pub(crate) skipped: usize,
}

/// Runs `tests`, each for `limit` at most, and prints the report.
pub(crate) fn run(
    tests: &[Test],
    dir: PathBuf,
    limit: Duration,
    out: &mut impl Write,
) -> io::Result<Totals> {
    let _ = MODULE_DIR.set(dir);
    process::become_subreaper();
    writeln!(out, "KTAP version 1\n1..{}", tests.len())?;
    let parameters = kmodule::parameters();
    let mut totals = Totals::default();
    for (index, test) in tests.iter().enumerate() {
        out.flush()?;
        let start = Instant::now();
        let outcome = run_with_needs(test, &parameters, limit);
        let took = start.elapsed();
        if took > SLOW {
            writeln!(out, "# {}: took {:.1} s", test.name, took.as_secs_f64())?;
        }
        report(out, index + 1, test.name, &outcome)?;
        match outcome {
            Ok(()) => totals.passed += 1,
            Err(Stop::Skip(_)) => totals.skipped += 1,
            Err(Stop::Fail(_)) => totals.failed += 1,
        }
    }
    let Totals {
        passed,
        failed,
        skipped,
    } = totals;
    writeln!(
        out,
        "# Totals: pass:{passed} fail:{failed} xfail:0 xpass:0 skip:{skipped} error:0"
    )?;
    out.flush()?;
    Ok(totals)
}

fn report(out: &mut impl Write, number: usize, name: &str, outcome: &Outcome) -> io::Result<()> {
    match outcome {
        Ok(()) => writeln!(out, "ok {number} {name}"),
        Err(Stop::Skip(reason)) => {
            writeln!(
                out,
                "ok {number} {name} # SKIP {}",
                reason.replace('\n', " ")
            )
        }
        Err(Stop::Fail(message)) => {
            for line in message.lines() {
                writeln!(out, "# {name}: {line}")?;
            }
            writeln!(out, "not ok {number} {name}")
        }
    }
}

fn run_with_needs(test: &Test, parameters: &str, limit: Duration) -> Outcome {
    // So that a report of the kernel can be told to belong to the test.
    let _ = fs::write("/dev/kmsg", format!("<6>faultline test: {}\n", test.name));
    if matches!(test.needs, Needs::Module) {
        let before = Live::now();
        let outcome = run_and_reap(test, limit);
        // Also after a failure, so that its remains do not fail the next one.
        let clean = leaves_nothing(before);
        return outcome.and(clean);
    }
    let dir = module_dir();
    let default = kmodule::file(&dir, None)
        .ok_or_else(|| Stop::skip(format!("no faultline.ko in {}", dir.display())))?;
    if Live::now().is_some_and(|live| live.spaces != 0) {
        return Err(Stop::skip("the module is in use by others"));
    }
    let (file, own) = match test.needs {
        // A module that is wrong on purpose has all that a variant has.
        Needs::Variant(_) if parameters.contains("busted=") => (default.clone(), String::new()),
        Needs::Variant(variant) => {
            let file = kmodule::file(&dir, Some(variant)).ok_or_else(|| {
                Stop::skip(format!("no {variant}/faultline.ko in {}", dir.display()))
            })?;
            (file, String::new())
        }
        Needs::Parameters(own) => (default.clone(), format!(" {own}")),
        Needs::Module | Needs::Unloading => (default.clone(), String::new()),
    };
    // Of two values of a parameter the kernel takes the last.
    reload(&file, &format!("{parameters}{own}"))?;
    let outcome = run_and_reap(test, limit);
    // Whatever the test did, the next one finds the default module.
    outcome.and(reload(&default, parameters))
}

fn reload(file: &Path, parameters: &str) -> Outcome {
    if kmodule::is_loaded() {
        kmodule::unload().map_err(|error| Stop::fail(format!("rmmod faultline: {error}")))?;
    }
    kmodule::load(file, parameters)
        .map_err(|error| Stop::fail(format!("insmod {} {parameters}: {error}", file.display())))
}

/// A test must not leave any object of the module behind.
fn leaves_nothing(before: Option<Live>) -> Outcome {
    match before {
        Some(before) => before.must_return("live objects after the test"),
        None => Ok(()),
    }
}

/// Runs a test and sees to it that no process of it is left.
fn run_and_reap(test: &Test, limit: Duration) -> Outcome {
    let outcome = run_alone(test, limit);
    if process::reap_orphans(Duration::from_secs(5)) {
        return outcome;
    }
    let left = "a process of the test does not die of SIGKILL";
    Err(match outcome {
        Err(Stop::Fail(message)) => Stop::Fail(format!("{message}\n{left}")),
        _ => Stop::Fail(left.to_owned()),
    })
}

/// Runs a test in a child, which is killed with all its own children when it
/// ends or when `limit` is over.
pub(crate) fn run_alone(test: &Test, limit: Duration) -> Outcome {
    let mut child = Child::fork_leader(test.body)?;
    let in_time = child.ends_within(limit)?;
    let stacks = if in_time {
        String::new()
    } else {
        hang::describe(child.pid())
    };
    child.kill_group();
    if in_time {
        let end = child.end(Duration::ZERO)?;
        return child.outcome(end);
    }
    let dead = child.ends_within(Duration::from_secs(5))?;
    let obdurate = if dead {
        ""
    } else {
        ", and SIGKILL does not end it"
    };
    Err(Stop::Fail(format!(
        "not done after {limit:?}{obdurate}\n{stacks}"
    )))
}
