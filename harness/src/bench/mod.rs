// SPDX-License-Identifier: GPL-2.0-only
//! `faultline bench`: what changes of regions cost, beside the kernel's own.

mod cases;
mod measure;

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use comfy_table::{CellAlignment, Table, presets};
use serde_json::json;

use self::cases::Case;
use self::measure::Rounds;
use crate::{EXIT_PASS, stress};

/// Options of `faultline bench`.
#[derive(Args, Clone, Debug)]
pub struct Bench {
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
pub fn run(bench: &Bench) -> ExitCode {
    match measure(bench) {
        Ok(results) if bench.json => print_json(&results),
        Ok(results) => println!("{}", table(&results)),
        Err(error) => return stress::explain(&error),
    }
    ExitCode::from(EXIT_PASS)
}

type Results = Vec<(Case, Rounds)>;

fn measure(bench: &Bench) -> io::Result<Results> {
    let wanted = |case: &Case| {
        let name = format!("{}, {}", case.work, case.on);
        name.contains(bench.filter.as_str())
    };
    let mut results: Results = cases::all()
        .into_iter()
        .filter(wanted)
        .map(|case| (case, Rounds::default()))
        .collect();
    for round in 1..=bench.rounds {
        eprintln!("round {round} of {} ...", bench.rounds);
        for (case, rounds) in &mut results {
            rounds.push((case.run)(Duration::from_millis(bench.time))?);
        }
    }
    Ok(results)
}

fn print_json(results: &Results) {
    for (case, rounds) in results {
        let (low, high) = rounds.spread();
        let line = json!({
            "work": case.work,
            "on": case.on,
            "unit": case.unit,
            "median": rounds.median(),
            "quartiles": [low, high],
        });
        println!("{line}");
    }
}

fn table(results: &Results) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(["work", "on", "median", "quartiles", "unit", "to the first"]);
    for (case, rounds) in results {
        let first = results
            .iter()
            .find(|(other, _)| other.work == case.work)
            .map_or(f64::NAN, |(_, rounds)| rounds.median());
        let (low, high) = rounds.spread();
        table.add_row([
            case.work.to_owned(),
            case.on.to_owned(),
            short(rounds.median()),
            format!("{} .. {}", short(low), short(high)),
            case.unit.to_owned(),
            format!("{:.2}", rounds.median() / first),
        ]);
    }
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// With four significant digits or so.
fn short(value: f64) -> String {
    if value >= 1000.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.4}")
    }
}
