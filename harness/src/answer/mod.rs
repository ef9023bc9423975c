// SPDX-License-Identifier: GPL-2.0-only
//! `faultline answer`: can the core's retry of faults go, and at what price?
//!
//! Without it a fault that has to sleep keeps its mapping meanwhile. So beside
//! each load, fork(2), mprotect(2) and munmap(2) of that mapping are timed, and
//! all that the core and the module count of faults is set beside it.

mod load;
mod measure;
mod probe;
mod report;
mod stage;
mod tail;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, ValueEnum};

use self::load::Workload;
use self::measure::{Cold, Run};
use crate::bench::memory::{self, On};
use crate::{EXIT_PASS, EXIT_SKIP, Policy, Space, stress};

/// Options of `faultline answer`.
#[derive(Args, Clone, Debug)]
pub struct Answer {
    /// Seconds of each load on each kind of memory
    #[arg(long, default_value_t = 3, value_name = "S", value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,

    /// Policies of spaces, or "linux" for private anonymous memory of Linux
    /// [default: linux and all that the module has]
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    policy: Option<Vec<Subject>>,

    /// Loads [default: all]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "LIST")]
    workload: Option<Vec<Workload>>,

    /// Where to make a file of 128 MiB for the load "cold" [default: on a disk that is
    /// made for it, and takes 1 ms for a request]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,

    /// JSON Lines instead of tables
    #[arg(long)]
    json: bool,
}

/// What is named on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Subject(On);

impl FromStr for Subject {
    type Err = String;

    fn from_str(name: &str) -> Result<Subject, String> {
        if name == On::Linux.name() {
            return Ok(Subject(On::Linux));
        }
        let policy: Result<Policy, _> = name.parse();
        policy
            .map(|policy| Subject(On::Space(policy)))
            .map_err(|unknown| format!("{unknown}; or linux"))
    }
}

/// Measures and prints.
pub fn run(answer: &Answer) -> ExitCode {
    match measure(answer) {
        // It has said why.
        Ok(runs) if runs.is_empty() => ExitCode::from(EXIT_SKIP),
        Ok(runs) => {
            if !answer.json {
                print!("{}", report::text(&runs));
            }
            ExitCode::from(EXIT_PASS)
        }
        Err(error) => stress::explain(&error),
    }
}

fn measure(answer: &Answer) -> io::Result<Vec<Run>> {
    memory::forbid_huge_pages()?;
    let subjects = subjects(answer)?;
    let workloads = answer.workload.clone();
    let mut runs = Vec::new();
    for workload in workloads.unwrap_or_else(|| Workload::value_variants().to_vec()) {
        let file = match file(workload, answer)? {
            Ok(file) => file,
            Err(why) => {
                eprintln!("skipped: {}: {why}", report::name(workload));
                continue;
            }
        };
        for &on in &subjects {
            eprintln!("{}, {} ...", report::name(workload), on.name());
            let time = Duration::from_secs(answer.seconds);
            let file = file.as_ref().map(|cold| &cold.file);
            let run = measure::run(workload, on, file, time).map_err(|error| {
                let (workload, on) = (report::name(workload), on.name());
                io::Error::new(error.kind(), format!("{workload}, {on}: {error}"))
            })?;
            if answer.json {
                println!("{}", report::json(&run));
            }
            runs.push(run);
        }
    }
    Ok(runs)
}

/// The file that the load wants, or why there is none.
fn file(workload: Workload, answer: &Answer) -> io::Result<Result<Option<Cold>, String>> {
    match workload {
        Workload::Cold => Ok(measure::cold(answer.dir.as_deref())?.map(Some)),
        _ => Ok(Ok(None)),
    }
}

/// What is asked for, without the policies that the module does not have.
fn subjects(answer: &Answer) -> io::Result<Vec<On>> {
    let wanted: Vec<On> = match &answer.policy {
        Some(subjects) => subjects.iter().map(|subject| subject.0).collect(),
        None => {
            let policies = Policy::all().map(On::Space);
            [On::Linux].into_iter().chain(policies).collect()
        }
    };
    let is_space = |on: &On| matches!(on, On::Space(_));
    let there = match wanted.iter().any(is_space) {
        true => Space::open()?.policies()?,
        false => Vec::new(),
    };
    let mut subjects = Vec::new();
    for on in wanted {
        match on {
            On::Space(policy) if !there.contains(&policy) => {
                eprintln!("skipped: the module has no policy {policy}");
            }
            on => subjects.push(on),
        }
    }
    Ok(subjects)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_are_policies_and_linux() {
        assert_eq!("linux".parse(), Ok(Subject(On::Linux)));
        let range = On::Space(Policy::RANGE);
        assert_eq!("range".parse(), Ok(Subject(range)));
        let refused = "nonsense".parse::<Subject>().unwrap_err();
        assert!(refused.contains("spf-range") && refused.contains("linux"));
    }
}
