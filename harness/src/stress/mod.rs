// SPDX-License-Identifier: GPL-2.0-only
//! Threads and processes that access and remap the same pages, judged by the
//! [oracle](crate::oracle).

mod accessor;
mod answers;
mod change;
mod counters;
mod layout;
mod moves;
mod options;
mod process;
mod quiet;
mod remapper;
mod report;
mod run;
#[cfg(test)]
mod tests;
mod watch;
mod worker;
mod world;

use std::io;
use std::process::ExitCode;

pub use counters::{Counter, Counters};
pub use options::{Options, TargetKind};
pub use report::Report;
pub use run::execute;

use crate::rng::Rng;
use crate::target::{DeviceTarget, LinuxTarget, Target};
use crate::{EXIT_FAIL, EXIT_PASS, EXIT_SKIP, EXIT_USAGE};

/// Runs `faultline stress`.
pub fn run(options: &Options) -> ExitCode {
    if let Err(message) = options.check() {
        eprintln!("faultline stress: {message}");
        return ExitCode::from(EXIT_USAGE);
    }
    let seed = options.seed_or_random();
    if !options.json {
        println!("{}", options.describe(seed));
    }
    let report = make_targets(options, seed).and_then(|targets| execute(options, seed, targets));
    match report {
        Ok(report) => {
            print!(
                "{}",
                if options.json {
                    report.json()
                } else {
                    report.text()
                }
            );
            ExitCode::from(if report.passed() {
                EXIT_PASS
            } else {
                EXIT_FAIL
            })
        }
        Err(error) => explain(&error),
    }
}

/// Says why nothing could be run; no device is a skip, not a failure.
pub fn explain(error: &io::Error) -> ExitCode {
    let device = crate::Space::device();
    if error.kind() == io::ErrorKind::NotFound && !device.exists() {
        eprintln!(
            "{} not found: is the module loaded? try it in the VM: \
             `cargo xtask run -- faultline ...`",
            device.display()
        );
        return ExitCode::from(EXIT_SKIP);
    }
    eprintln!("faultline: {error}");
    ExitCode::from(EXIT_FAIL)
}

/// The spaces of a run, empty.
pub fn make_targets(options: &Options, seed: u64) -> io::Result<Vec<Box<dyn Target>>> {
    let make = |index| -> io::Result<Box<dyn Target>> {
        let mut rng = Rng::new(seed, 0x7461_7267 + u64::from(index));
        Ok(match options.target {
            TargetKind::Linux => Box::new(LinuxTarget::new(options.pages)?),
            TargetKind::Device => Box::new(DeviceTarget::new(
                options.pages,
                options.windows,
                options.policy,
                &mut rng,
            )?),
        })
    };
    (0..options.spaces).map(make).collect()
}
