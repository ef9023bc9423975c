// SPDX-License-Identifier: GPL-2.0-only
//! `faultline bench`: what changes and faults cost, beside the kernel's own.

mod cases;
pub(crate) mod churn;
pub(crate) mod counts;
pub(crate) mod ebizzy;
mod goals;
pub(crate) mod latency;
mod measure;
pub(crate) mod memory;
pub(crate) mod open_loop;
pub(crate) mod pace;
pub(crate) mod team;
mod touch;

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use comfy_table::{CellAlignment, Table, presets};
use serde_json::json;

use self::cases::Case;
pub(crate) use self::cases::{GIB, KIB, MIB};
use self::goals::{Goal, Place};
use self::measure::Rounds;
use self::memory::On;
use crate::{EXIT_PASS, Policy, Space, stress};

/// A figure of one turn: its name, with the unit, and its value.
pub(crate) type Figure = (&'static str, f64);

/// Pages a second that were touched first.
const FAULT_RATE: &str = "faults/s";
/// The pace that was set.
const DUE: &str = "due, 1/s";

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
        Ok(results) => print_text(&results),
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

fn measure(bench: &Bench) -> io::Result<Vec<Measured>> {
    memory::forbid_huge_pages()?;
    let mut results: Vec<Measured> = cases::all(&subjects()?)
        .into_iter()
        .filter(|case| format!("{}, {}", case.work, case.on).contains(bench.filter.as_str()))
        .map(|case| Measured {
            case,
            figures: Vec::new(),
        })
        .collect();
    for round in 1..=bench.rounds {
        eprintln!("round {round} of {} ...", bench.rounds);
        for result in &mut results {
            let Case { work, on, run } = &result.case;
            let figures = run(Duration::from_millis(bench.time))
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

fn print_json(results: &[Measured]) {
    for result in results {
        for (figure, rounds) in &result.figures {
            let (low, high) = rounds.spread();
            let line = json!({
                "work": result.case.work,
                "on": result.case.on,
                "unit": figure,
                "median": rounds.median(),
                "quartiles": [low, high],
            });
            println!("{line}");
        }
    }
}

fn print_text(results: &[Measured]) {
    println!("{}", table(results));
    for (first_work, note) in [
        (touch::GOALS[0].figure.work, touch::NOTE),
        (churn::GOALS[0].figure.work, churn::NOTE),
        (open_loop::GOALS[0].figure.work, open_loop::NOTE),
        (ebizzy::GOALS[0].figure.work, ebizzy::NOTE),
    ] {
        if results.iter().any(|result| result.case.work == first_work) {
            println!("\n{note}");
        }
    }
    let lines: Vec<_> = goals()
        .filter(|goal| {
            results
                .iter()
                .any(|result| result.case.work == goal.figure.work)
        })
        .map(|goal| format!("  {goal}: {}", goal.judge(|place| median(results, place))))
        .collect();
    if !lines.is_empty() {
        println!("\ngoals, by medians:\n{}", lines.join("\n"));
    }
}

fn goals() -> impl Iterator<Item = Goal> {
    let (touch, churn) = (touch::GOALS, churn::GOALS);
    let (open_loop, ebizzy) = (open_loop::GOALS, ebizzy::GOALS);
    touch
        .into_iter()
        .chain(churn)
        .chain(open_loop)
        .chain(ebizzy)
}

fn median(results: &[Measured], place: &Place) -> Option<f64> {
    rounds(results, place.work, place.on, place.figure).map(Rounds::median)
}

fn rounds<'a>(results: &'a [Measured], work: &str, on: &str, figure: &str) -> Option<&'a Rounds> {
    let is_case = |result: &&Measured| result.case.work == work && result.case.on == on;
    let figures = &results.iter().find(is_case)?.figures;
    let found = figures.iter().find(|(name, _)| *name == figure);
    found.map(|(_, rounds)| rounds)
}

fn table(results: &[Measured]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(["work", "on", "median", "quartiles", "unit", "to the first"]);
    for work in works(results) {
        for figure in figures(results, work) {
            let of_work = results.iter().filter(|result| result.case.work == work);
            let mut first = None;
            for result in of_work {
                let Some(rounds) = rounds(results, work, &result.case.on, figure) else {
                    continue;
                };
                let first = *first.get_or_insert(rounds.median());
                let (low, high) = rounds.spread();
                table.add_row([
                    work.to_owned(),
                    result.case.on.clone(),
                    short(rounds.median()),
                    format!("{} .. {}", short(low), short(high)),
                    figure.to_owned(),
                    short_ratio(rounds.median() / first),
                ]);
            }
        }
    }
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// Each work once, in order.
fn works(results: &[Measured]) -> Vec<&'static str> {
    let mut works: Vec<_> = results.iter().map(|result| result.case.work).collect();
    works.dedup();
    works
}

/// Each figure of a work once, in order: rows that are compared are neighbours.
fn figures(results: &[Measured], work: &str) -> Vec<&'static str> {
    let of_work = results.iter().filter(|result| result.case.work == work);
    let mut figures = Vec::new();
    for (name, _) in of_work.flat_map(|result| &result.figures) {
        if !figures.contains(name) {
            figures.push(*name);
        }
    }
    figures
}

/// A ratio; nothing where there is none.
fn short_ratio(ratio: f64) -> String {
    match ratio.is_finite() {
        true => format!("{ratio:.2}"),
        false => "-".to_owned(),
    }
}

/// With four significant digits or so.
fn short(value: f64) -> String {
    if value >= 1000.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.4}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(work: &'static str, on: &str, turns: &[&[Figure]]) -> Measured {
        let mut result = Measured {
            case: Case::new(work, on, |_| Ok(Vec::new())),
            figures: Vec::new(),
        };
        for turn in turns {
            result.push(turn.to_vec());
        }
        result
    }

    #[test]
    fn the_same_figures_of_a_work_are_neighbours() {
        let results = [
            result("a", "linux", &[&[("1/s", 2.0), ("us", 5.0)]]),
            result(
                "a",
                "range",
                &[&[("1/s", 6.0), ("us", 0.0), ("aborts", 1.0)]],
            ),
            result("b", "range", &[&[("1/s", 1.0)]]),
        ];
        let text = table(&results).to_string();
        let rows: Vec<Vec<&str>> = text
            .lines()
            .skip(2)
            .map(|line| line.split('|').map(str::trim).collect())
            .collect();
        let column = |number: usize| rows.iter().map(|row| row[number]).collect::<Vec<_>>();
        assert_eq!(column(1), ["a", "a", "a", "a", "a", "b"]);
        assert_eq!(
            column(2),
            ["linux", "range", "linux", "range", "range", "range"]
        );
        assert_eq!(column(6), ["1.00", "3.00", "1.00", "0.00", "1.00", "1.00"]);
    }

    #[test]
    fn a_median_is_looked_up_by_its_place() {
        let turns: [&[Figure]; 3] = [&[("us", 3.0)], &[("us", 1.0)], &[("us", 2.0)]];
        let results = [result("a", "range", &turns)];
        let place = |figure| Place {
            work: "a",
            on: "range",
            figure,
        };
        assert_eq!(median(&results, &place("us")), Some(2.0));
        assert_eq!(median(&results, &place("ms")), None);
    }
}
