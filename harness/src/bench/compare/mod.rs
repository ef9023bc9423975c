// SPDX-License-Identifier: GPL-2.0-only
//! `faultline bench compare`: what is better, worse or the same in the second of two runs.
//!
//! A figure is better or worse if both holds:
//! - its median has changed by no less than the least change that counts, and
//! - a Mann-Whitney U test over the rounds says that this is no chance, with its
//!   probabilities adjusted for the number of figures (Benjamini and Hochberg, 5 %).
//!
//! Chance within a run is what the test sees. That the whole machine was slower in one of
//! the runs it does not, so all figures are corrected by the workload `empty`, which no
//! module and no kernel has a part in.

mod differences;
mod judge;
mod print;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use self::judge::{Comparison, Rules, judge};
use super::read::read;
use super::record::{Record, Run};
use crate::{EXIT_FAIL, EXIT_PASS, EXIT_USAGE};

/// Options of `faultline bench compare`.
#[derive(Args, Clone, Debug)]
pub(super) struct Compare {
    /// Run to compare with: its run.jsonl, or the directory that has it
    #[arg(value_name = "A")]
    before: PathBuf,

    /// Run that may be better or worse
    #[arg(value_name = "B")]
    after: PathBuf,

    /// The least change of a rate that counts; of a latency it is twice that
    #[arg(long, value_name = "PERCENT", default_value_t = 10.0, value_parser = percent)]
    least: f64,

    /// Compare runs that were not made alike, too
    #[arg(long)]
    force: bool,

    /// JSON Lines: a figure each, and then the verdict
    #[arg(long)]
    json: bool,
}

fn percent(text: &str) -> Result<f64, String> {
    let percent: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    match (0.0..=100.0).contains(&percent) {
        true => Ok(percent),
        false => Err("not between 0 and 100".to_owned()),
    }
}

/// Compares and prints. The status is 0 if nothing is worse.
pub(super) fn run(compare: &Compare) -> ExitCode {
    match comparison(compare) {
        Ok(comparison) => {
            let text = match compare.json {
                true => print::json(&comparison),
                false => print::text(&comparison),
            };
            print!("{text}");
            ExitCode::from(match comparison.is_worse() {
                true => EXIT_FAIL,
                false => EXIT_PASS,
            })
        }
        Err(why) => {
            eprintln!("faultline bench compare: {why}");
            ExitCode::from(EXIT_USAGE)
        }
    }
}

fn comparison(compare: &Compare) -> Result<Comparison, String> {
    let (a, b) = (read(&compare.before)?, read(&compare.after)?);
    let (run_a, run_b) = (run_of(&a, &compare.before)?, run_of(&b, &compare.after)?);
    let differences = differences::of(run_a, run_b);
    if !differences.is_empty() && !compare.force {
        return Err(format!(
            "these runs were not made alike, so what differs may not be due to what was \
             changed:\n{}\ncompare them nevertheless with --force",
            lines(&differences)
        ));
    }
    let rules = Rules {
        least_rate: compare.least / 100.0,
        least_latency: compare.least / 50.0,
    };
    let mut comparison = judge(&a, &b, rules)?;
    comparison.notes.extend(differences);
    for (run, path) in [(run_a, &compare.before), (run_b, &compare.after)] {
        let warnings = super::table::warnings(run);
        let of_run = |text: String| format!("{}: {text}", path.display());
        comparison.notes.extend(warnings.into_iter().map(of_run));
    }
    Ok(comparison)
}

fn run_of<'a>(records: &'a [Record], path: &Path) -> Result<&'a Run, String> {
    let run = super::read::run(records);
    run.ok_or_else(|| format!("{}: no record of the run", path.display()))
}

fn lines(texts: &[String]) -> String {
    let lines: Vec<_> = texts.iter().map(|text| format!("  {text}")).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests;
