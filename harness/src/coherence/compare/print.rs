// SPDX-License-Identifier: GPL-2.0-only
//! What is printed of a comparison.

use std::fmt::Write as _;

use comfy_table::{CellAlignment, Table, presets};
use serde_json::json;

use super::judge::{ALWAYS, Comparison, Figure, Name, Pair, Verdict};
use crate::coherence::words::{self, cpus};

/// A table, what one has to know, and the verdict as the last line.
pub(super) fn text(comparison: &Comparison, within: f64) -> String {
    let mut text = format!(
        "{}\n\nWrites per operation, in the first run and in the second. They agree within \
         {within} % of the first; less than {ALWAYS} per operation agrees always.\n",
        table(comparison)
    );
    for (names, which) in comparison.only.iter().zip(["first", "second"]) {
        for Name {
            workload,
            target,
            threads,
        } in names
        {
            let _ = writeln!(
                text,
                "only in the {which} run: {workload} on {target}, {}",
                cpus(*threads)
            );
        }
    }
    for note in &comparison.notes {
        let _ = writeln!(text, "NOTE: not alike: {note}");
    }
    let [agree, differ, slept] = counts(comparison);
    if slept != 0 {
        text += "slept: they differ, but threads slept for each other in them, which does not \
                 repeat.\n";
    }
    let [before, after] = comparison.only.each_ref().map(Vec::len);
    let _ = writeln!(
        text,
        "{}: {agree} phases agree, {differ} differ, {slept} differ and slept, {before} only in the first run, {after} only \
         in the second",
        verdict(comparison)
    );
    text
}

fn verdict(comparison: &Comparison) -> &'static str {
    match (comparison.agrees(), comparison.count(Verdict::Different)) {
        (true, _) => "same",
        (false, 0) => "INCOMPLETE",
        (false, _) => "DIFFERENT",
    }
}

/// Phases that agree, that differ, and that differ and slept.
fn counts(comparison: &Comparison) -> [usize; 3] {
    let verdicts = [Verdict::Same, Verdict::Different, Verdict::Slept];
    verdicts.map(|verdict| comparison.count(verdict))
}

fn table(comparison: &Comparison) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    let name = ["workload", "target", "CPUs"];
    let figures = [
        "sharing writes",
        "of all rounds",
        "change",
        "of the module",
        "change",
    ];
    table.set_header(name.into_iter().chain(figures).chain(["verdict"]));
    for pair in &comparison.pairs {
        let name = &pair.name;
        let [sharing, module] = [&pair.sharing, &pair.module];
        table.add_row([
            name.workload.clone(),
            name.target.clone(),
            name.threads.to_string(),
            both(sharing),
            rounds(pair),
            change(sharing),
            both(module),
            change(module),
            match pair.verdict() {
                Verdict::Same => "same",
                Verdict::Different => "DIFFERENT",
                Verdict::Slept => "slept",
            }
            .to_owned(),
        ]);
    }
    for column in table.column_iter_mut().skip(2).take(6) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn both(figure: &Figure) -> String {
    format!("{:.2} / {:.2}", figure.before, figure.after)
}

fn rounds(pair: &Pair) -> String {
    let spread = |of: &Option<_>| of.map_or("one".to_owned(), words::spread);
    pair.spread.each_ref().map(spread).join(" / ")
}

fn change(figure: &Figure) -> String {
    let change = figure.change();
    change.map_or("new".to_owned(), |part| format!("{:+.1} %", part * 100.0))
}

/// A line for each phase, and one for all.
pub(super) fn json(comparison: &Comparison) -> String {
    let mut text: String = comparison.pairs.iter().map(pair).collect();
    let names = ["before", "after"];
    for (of_run, only_in) in comparison.only.iter().zip(names) {
        text.extend(of_run.iter().map(|name| only(name, only_in)));
    }
    let [same, different, slept] = counts(comparison);
    let [only_before, only_after] = comparison.only.each_ref().map(Vec::len);
    let last = json!({
        "verdict": verdict(comparison).to_lowercase(),
        "same": same,
        "different": different,
        "slept": slept,
        "only_before": only_before,
        "only_after": only_after,
        "notes": comparison.notes,
    });
    text += &format!("{last}\n");
    text
}

fn pair(pair: &Pair) -> String {
    let figure = |of: &Figure| {
        json!({
            "before": of.before,
            "after": of.after,
            "change": of.change(),
            "agrees": of.agrees,
        })
    };
    let line = json!({
        "workload": pair.name.workload,
        "target": pair.name.target,
        "threads": pair.name.threads,
        "sharing_writes": figure(&pair.sharing),
        "spread": pair.spread,
        "module_writes": figure(&pair.module),
        "verdict": match pair.verdict() {
            Verdict::Same => "same",
            Verdict::Different => "different",
            Verdict::Slept => "slept",
        },
    });
    format!("{line}\n")
}

fn only(name: &Name, only_in: &str) -> String {
    let line = json!({
        "workload": name.workload,
        "target": name.target,
        "threads": name.threads,
        "only_in": only_in,
    });
    format!("{line}\n")
}

#[cfg(test)]
mod tests {
    use super::super::judge::judge;
    use super::*;
    use crate::coherence::testdata::counted;

    #[test]
    fn a_phase_that_differs_is_marked() {
        let a = counted(&[2]);
        let mut b = a.clone();
        b.phases[0].counted.sharing_writes *= 2;
        let comparison = judge(&a, &b, 0.05).unwrap();
        let text = text(&comparison, 5.0);
        let marked: Vec<_> = text.lines().filter(|l| l.contains("DIFFERENT")).collect();
        assert_eq!(marked.len(), 2, "a row and the verdict: {text}");
        assert!(marked[0].contains("5.40 to 12.00 / 5.40 to 12.00"));
        assert!(marked[0].contains("6.00 / 12.00") && marked[0].contains("+100.0 %"));
        assert!(marked[1].starts_with("DIFFERENT: 18 phases agree, 1 differ"));
        assert!(text.contains("less than 0.05 per operation agrees always"));
        assert!(json(&comparison).contains("\"verdict\":\"different\""));
    }

    #[test]
    fn what_only_one_has_is_named() {
        let (a, mut b) = (counted(&[2]), counted(&[2]));
        b.phases.remove(0);
        let comparison = judge(&a, &b, 0.05).unwrap();
        let text = text(&comparison, 5.0);
        assert!(text.contains("only in the first run: pft on global, 2 CPUs"));
        assert!(text.contains("INCOMPLETE: 18 phases agree"), "{text}");
        let json = json(&comparison);
        assert!(json.contains("\"only_in\":\"before\""), "{json}");
        let again = judge(&b, &b, 0.05).unwrap();
        assert!(super::text(&again, 5.0).contains("\nsame: 18 phases agree"));
    }
}
