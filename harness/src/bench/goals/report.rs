// SPDX-License-Identifier: GPL-2.0-only
//! What is printed of the figures.

use comfy_table::{CellAlignment, Table, presets};
use serde_json::json;

use super::bounds::{Goal, Place, Verdict};
use super::measure::Rounds;
use super::{Measured, churn, ebizzy, open_loop, touch};

/// JSON Lines: the figures, and then the goals.
pub(super) fn print_json(results: &[Measured]) {
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
    for (goal, verdict) in judged(results) {
        let (value, is_reached) = match verdict {
            Verdict::Reached(value) => (Some(value), Some(true)),
            Verdict::Missed(value) => (Some(value), Some(false)),
            Verdict::Unknown => (None, None),
        };
        let line = json!({
            "goal": goal.to_string(),
            "value": value,
            "reached": is_reached,
        });
        println!("{line}");
    }
}

/// A table, what is in it, and the goals.
pub(super) fn print_text(results: &[Measured]) {
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
    let lines: Vec<_> = judged(results)
        .map(|(goal, verdict)| format!("  {goal}: {verdict}"))
        .collect();
    if !lines.is_empty() {
        println!("\ngoals, by medians:\n{}", lines.join("\n"));
    }
}

/// The goals of all work that was measured.
fn judged(results: &[Measured]) -> impl Iterator<Item = (Goal, Verdict)> {
    goals()
        .filter(|goal| {
            let work = goal.figure.work;
            results.iter().any(|result| result.case.work == work)
        })
        .map(|goal| (goal, goal.judge(|place| median(results, place))))
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
pub(super) fn short(value: f64) -> String {
    if value >= 1000.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.4}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::goals::Figure;
    use crate::bench::goals::cases::Case;

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
