// SPDX-License-Identifier: GPL-2.0-only
//! What is printed of a comparison.

use comfy_table::{CellAlignment, Table, presets};
use serde_json::json;

use super::judge::{Comparison, Figure, Verdict};
use crate::bench::stats::Summary;
use crate::bench::table::short;

/// A table, what one has to know, and the verdict as the last line.
pub(super) fn text(comparison: &Comparison) -> String {
    let mut text = format!("{}\n\n", table(comparison));
    text += "Medians and quartiles of the rounds, latencies in microseconds. chance: how likely \
             so great a difference is if nothing has changed, adjusted for the number of \
             figures.\n";
    for note in &comparison.notes {
        text += &format!("NOTE: {note}\n");
    }
    let count = |verdict| comparison.count(verdict);
    text += &format!(
        "{}: {} figures worse, {} better, {} the same\n",
        overall(comparison),
        count(Verdict::Worse),
        count(Verdict::Better),
        count(Verdict::Same)
    );
    text
}

fn overall(comparison: &Comparison) -> Verdict {
    match (comparison.is_worse(), comparison.count(Verdict::Better)) {
        (true, _) => Verdict::Worse,
        (false, 0) => Verdict::Same,
        _ => Verdict::Better,
    }
}

fn table(comparison: &Comparison) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header([
        "workload", "threads", "target", "figure", "before", "after", "change", "chance", "verdict",
    ]);
    for figure in &comparison.figures {
        table.add_row([
            figure.workload.clone(),
            figure.threads.to_string(),
            figure.target.clone(),
            figure.name.to_owned(),
            spread(&figure.before),
            spread(&figure.after),
            format!("{:+.1} %", figure.change * 100.0),
            format!("{:.3}", figure.chance),
            figure.verdict.to_string(),
        ]);
    }
    for column in table.column_iter_mut().skip(4).take(4) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn spread(summary: &Summary) -> String {
    let [median, low, high] = [summary.median, summary.low, summary.high].map(short);
    format!("{median} ({low} .. {high})")
}

/// A line for each figure, and one for all.
pub(super) fn json(comparison: &Comparison) -> String {
    let mut text: String = comparison.figures.iter().map(figure).collect();
    let count = |verdict| comparison.count(verdict);
    let last = json!({
        "verdict": word(overall(comparison)),
        "worse": count(Verdict::Worse),
        "better": count(Verdict::Better),
        "same": count(Verdict::Same),
        "notes": comparison.notes,
    });
    text += &format!("{last}\n");
    text
}

fn figure(figure: &Figure) -> String {
    let summary = |of: &Summary| json!({"median": of.median, "quartiles": [of.low, of.high]});
    let line = json!({
        "workload": figure.workload,
        "target": figure.target,
        "threads": figure.threads,
        "figure": figure.name,
        "before": summary(&figure.before),
        "after": summary(&figure.after),
        "change": figure.change,
        "chance": figure.chance,
        "verdict": word(figure.verdict),
    });
    format!("{line}\n")
}

fn word(verdict: Verdict) -> String {
    verdict.to_string().to_lowercase()
}
