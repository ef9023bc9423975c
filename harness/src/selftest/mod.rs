// SPDX-License-Identifier: GPL-2.0-only
//! The tests that need the module, one file of `cases` per subject.
//!
//! Each runs in a process of its own with a deadline, so that one that crashes
//! or hangs is one that fails; and none may leave an object of the module
//! behind. The report is KTAP; the names are stable.

mod cases;
pub(crate) mod check;
mod fail;
mod files;
mod hang;
mod overlap;
mod runner;
pub(crate) mod state;
pub(crate) mod sys;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use crate::{EXIT_FAIL, EXIT_PASS, EXIT_SKIP, EXIT_USAGE, Space};
use runner::Test;

/// Options of `faultline test`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Run only the tests whose name contains this
    filter: Option<String>,
    /// But not those whose name begins with one of these
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    skip: Vec<String>,
    /// Seconds that a test may run
    #[arg(long, value_name = "S", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    timeout: u64,
    /// Print the names instead
    #[arg(long)]
    list: bool,
    /// Where to find faultline.ko, for the tests that load it anew
    #[arg(long, value_name = "DIR", default_value = "/lib/faultline")]
    module_dir: PathBuf,
}

/// Runs the tests and prints a KTAP report. The exit status is 0 if all passed
/// or were skipped, 1 if one failed, 4 if there is no device, 64 if no test has
/// such a name.
pub fn run(args: Args) -> ExitCode {
    let filter = args.filter.unwrap_or_default();
    let tests: Vec<Test> = cases::all()
        .filter(|test| test.name.contains(&filter))
        .filter(|test| !args.skip.iter().any(|skip| test.name.starts_with(skip)))
        .collect();
    if tests.is_empty() {
        eprintln!("faultline test: no test that is wanted has \"{filter}\" in its name");
        return ExitCode::from(EXIT_USAGE);
    }
    if args.list {
        tests.iter().for_each(|test| println!("{}", test.name));
        return ExitCode::from(EXIT_PASS);
    }
    if let Err(error) = Space::open() {
        println!(
            "KTAP version 1\n1..0 # SKIP {}: {error}",
            Space::device().display()
        );
        return ExitCode::from(EXIT_SKIP);
    }
    let limit = Duration::from_secs(args.timeout);
    match runner::run(&tests, args.module_dir, limit, &mut io::stdout().lock()) {
        Ok(totals) if totals.failed == 0 => ExitCode::from(EXIT_PASS),
        Ok(_) => ExitCode::from(EXIT_FAIL),
        Err(error) => {
            eprintln!("faultline test: cannot write the report: {error}");
            ExitCode::from(EXIT_FAIL)
        }
    }
}

#[cfg(test)]
mod tests;
