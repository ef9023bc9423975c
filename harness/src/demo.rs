// SPDX-License-Identifier: GPL-2.0-only
//! `faultline demo`: a short checked run under each policy, and one table.

use std::io;
use std::process::ExitCode;

use clap::Args;
use comfy_table::{CellAlignment, Table, presets};

use crate::rng::random_seed;
use crate::stress::{self, Options, Report};
use crate::{EXIT_FAIL, EXIT_PASS, Policy, Space};

/// Options of `faultline demo`.
#[derive(Args, Clone, Debug)]
pub struct Demo {
    /// Seconds for each policy
    #[arg(long, default_value_t = 3, value_name = "S")]
    seconds: u64,

    /// Repeat the random choices of an earlier run
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

/// Runs the demonstration.
pub fn run(demo: &Demo) -> ExitCode {
    match run_all(demo) {
        Ok(true) => ExitCode::from(EXIT_PASS),
        Ok(false) => ExitCode::from(EXIT_FAIL),
        Err(error) => stress::explain(&error),
    }
}

fn run_all(demo: &Demo) -> io::Result<bool> {
    let policies = Space::open()?.policies()?;
    let seed = demo.seed.unwrap_or_else(random_seed);
    println!("faultline demo --seconds {} --seed {seed}", demo.seconds);
    println!();
    println!("Two threads load and store all over 4 MiB of one space, through three windows");
    println!("in each of two processes, while two others map and unmap parts of it. What");
    println!("each access sees is compared with what was mapped at that moment: an access");
    println!("to a mapped page must work and find what was written there since it was");
    println!("mapped; one to an unmapped page must end in a signal, and is caught.");
    println!();

    let mut results = Vec::new();
    for &policy in &policies {
        let options = Options {
            procs: 2,
            seconds: Some(demo.seconds),
            policy: Some(policy),
            ..Options::default()
        };
        let targets = stress::make_targets(&options, seed)?;
        let report = stress::execute(&options, seed, targets)?;
        for text in &report.texts {
            println!("MISMATCH under {policy}: {text}");
        }
        results.push((policy, report));
    }
    println!("{}", table(&results));
    println!();
    println!("illegal: accesses that had to fault / that did");
    let failed = results
        .iter()
        .filter(|(_, report)| !report.passed())
        .count();
    let checked: u64 = results.iter().map(|(_, report)| report.sums.checked).sum();
    if failed == 0 {
        let count = results.len();
        println!("PASS: {checked} accesses checked under {count} policies, no mismatch");
    } else {
        println!(
            "FAIL: mismatches under {failed} of {} policies, seed {seed}",
            results.len()
        );
    }
    Ok(failed == 0 && !results.is_empty())
}

fn table(results: &[(Policy, Report)]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header([
        "policy",
        "faults/s",
        "remaps/s",
        "checked",
        "illegal",
        "mismatches",
    ]);
    for (policy, report) in results {
        let sums = &report.sums;
        table.add_row([
            policy.name().to_owned(),
            report
                .fault_rate()
                .map_or_else(|| "-".to_owned(), |rate| format!("{rate:.0}")),
            format!("{:.0}", report.rate(sums.changes())),
            sums.checked.to_string(),
            format!("{} / {}", sums.illegal_expected, sums.illegal_seen),
            report.mismatches.to_string(),
        ]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
