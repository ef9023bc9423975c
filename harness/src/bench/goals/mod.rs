// SPDX-License-Identifier: GPL-2.0-only
//! `faultline bench goals`: what changes and faults cost beside the kernel's own, and
//! whether that reaches what was aimed at.

mod bounds;
mod cases;
pub(crate) mod churn;
mod counts;
pub(crate) mod ebizzy;
mod measure;
pub(crate) mod open_loop;
mod precision;
mod report;
mod touch;

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use self::cases::Case;
pub(crate) use self::cases::{GIB, KIB, MIB};
use self::measure::Rounds;
pub use self::precision::{Precision, run as run_precision};
use super::memory::{self, On};
use crate::{EXIT_PASS, EXIT_USAGE, Policy, Space, stress};

/// A figure of one turn: its name, with the unit, and its value.
pub(crate) type Figure = (&'static str, f64);

/// Pages a second that were touched first.
const FAULT_RATE: &str = "faults/s";
/// The pace that was set.
const DUE: &str = "due, 1/s";

/// Options of `faultline bench goals`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Goals {
    /// Measure only work whose name, a comma and what it is done with contain this
    #[arg(value_name = "WORK", default_value = "")]
    filter: String,

    /// Rounds, in each of which every case has its turn
    #[arg(long, default_value_t = 7, value_name = "N")]
    rounds: u32,

    /// Milliseconds of a case's turn
    #[arg(long, default_value_t = 300, value_name = "MS")]
    time: u64,

    /// JSON Lines instead of a table
    #[arg(long)]
    json: bool,
}

/// Measures and prints.
pub(crate) fn run(goals: &Goals) -> ExitCode {
    match measure(goals) {
        Ok(results) if results.is_empty() => {
            eprintln!(
                "faultline bench goals: no work has \"{}\" in its name",
                goals.filter
            );
            return ExitCode::from(EXIT_USAGE);
        }
        Ok(results) if goals.json => report::print_json(&results),
        Ok(results) => report::print_text(&results),
        Err(error) => return stress::explain(&error),
    }
    ExitCode::from(EXIT_PASS)
}

/// All turns of a case, figure by figure.
struct Measured {
    case: Case,
    figures: Vec<(&'static str, Rounds)>,
}

impl Measured {
    fn push(&mut self, figures: Vec<Figure>) {
        for (name, value) in figures {
            match self.figures.iter_mut().find(|(known, _)| *known == name) {
                Some((_, rounds)) => rounds.push(value),
                None => {
                    let mut rounds = Rounds::default();
                    rounds.push(value);
                    self.figures.push((name, rounds));
                }
            }
        }
    }
}

fn measure(goals: &Goals) -> io::Result<Vec<Measured>> {
    memory::forbid_huge_pages()?;
    let mut results: Vec<Measured> = cases::all(&subjects()?)
        .into_iter()
        .filter(|case| format!("{}, {}", case.work, case.on).contains(goals.filter.as_str()))
        .map(|case| Measured {
            case,
            figures: Vec::new(),
        })
        .collect();
    for round in 1..=goals.rounds {
        eprintln!("round {round} of {} ...", goals.rounds);
        for result in &mut results {
            let Case { work, on, run } = &result.case;
            let figures = run(Duration::from_millis(goals.time))
                .map_err(|error| io::Error::new(error.kind(), format!("{work}, {on}: {error}")))?;
            result.push(figures);
        }
    }
    Ok(results)
}

/// What faults are measured on: all the policies that the module has.
fn subjects() -> io::Result<Vec<On>> {
    let there = Space::open()?.policies()?;
    for policy in Policy::all().filter(|policy| !there.contains(policy)) {
        eprintln!("skipped: the module has no policy {policy}");
    }
    let policies = there.into_iter().map(On::Space);
    Ok([On::Linux, On::Memfd].into_iter().chain(policies).collect())
}
