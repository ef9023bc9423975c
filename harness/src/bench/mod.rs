// SPDX-License-Identifier: GPL-2.0-only
//! `faultline bench`: workloads that others have measured, on spaces and on the kernel's
//! own memory, in turns; and what can be done with the results.

mod cells;
mod compare;
mod csv;
mod field;
mod glance;
pub(crate) mod goals;
mod growth;
mod hdr;
mod html;
pub(crate) mod latency;
mod machine;
pub(crate) mod memory;
mod options;
mod out;
pub(crate) mod pace;
pub mod read;
pub mod record;
mod run;
mod slot;
mod stats;
mod steps;
mod table;
mod target;
pub(crate) mod team;
mod turn;
mod workload;

use std::io;
use std::process::ExitCode;

pub(crate) use self::goals::{GIB, KIB, MIB};
pub use self::goals::{Precision, run_precision};
pub use self::options::Bench;
use self::options::{Action, Options, Plan};
use self::record::Record;
use self::target::Subject;
use self::workload::Kind;
use crate::rng::random_seed;
use crate::{EXIT_PASS, Policy, Space, stress, sys};

/// Measures and prints, or does what else was asked for.
pub fn run(bench: &Bench) -> ExitCode {
    let options = &bench.options;
    match &bench.action {
        Some(Action::Goals(goals)) => return goals::run(goals),
        Some(Action::Compare(compare)) => return compare::run(compare),
        Some(Action::Report(report)) => return html::command::run(report),
        None if options.list => {
            print!("{}", list(options));
            return ExitCode::from(EXIT_PASS);
        }
        None => {}
    }
    match measure(options) {
        Ok(records) => {
            if !options.json {
                print!("{}{}", table::text(&records), glance::text(&records));
            }
            ExitCode::from(EXIT_PASS)
        }
        Err(error) => stress::explain(&error),
    }
}

fn measure(options: &Options) -> io::Result<Vec<Record>> {
    memory::forbid_huge_pages()?;
    let mut plan = plan(options);
    let policies = match plan.targets.iter().any(|on| on.is_space()) {
        true => Space::open()?.policies()?,
        false => Vec::new(),
    };
    plan.targets.retain(|on| is_there(*on, &policies));
    let mut outputs = out::Outputs::new(options)?;
    run::run(options, &plan, &mut outputs)?;
    outputs.finish()
}

fn plan(options: &Options) -> Plan {
    let cpus = sys::allowed_cpus().len() as u32;
    options.plan(cpus, options.seed.unwrap_or_else(random_seed))
}

/// A policy of the interface that the module does not have is left out, and said.
fn is_there(on: Subject, policies: &[Policy]) -> bool {
    match on {
        Subject::Space(policy) if !policies.contains(&policy) => {
            eprintln!("skipped: the module has no policy {policy}");
            false
        }
        _ => true,
    }
}

/// All there is, and what it does.
fn list(options: &Options) -> String {
    let plan = plan(options);
    let mut text = "workloads:\n".to_owned();
    for kind in Kind::all() {
        let runs = plan
            .workloads
            .iter()
            .find(|(other, _)| other.name == kind.name);
        let threads = match runs {
            None => "not in this preset".to_owned(),
            Some((_, threads)) => {
                let counts: Vec<_> = threads.iter().map(u32::to_string).collect();
                format!("threads: {}", counts.join(", "))
            }
        };
        let about = (kind.about)(&plan.sizes);
        text += &format!(
            "  {:<20} {about}; counts {} ({threads})\n",
            kind.name, kind.unit
        );
    }
    text += "targets:\n";
    for on in Subject::all() {
        text += &format!("  {:<20} {}\n", on.name(), on.about(&options.dir));
    }
    text
}
