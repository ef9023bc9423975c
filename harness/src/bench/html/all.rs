// SPDX-License-Identifier: GPL-2.0-only
//! Every cell in one table.

use maud::{Markup, html};

use super::data::Cell;
use super::interference::extras;
use super::latency::percentile;
use super::number;
use super::page::{Page, Table, head, missing, text};
use super::spread::Spread;

/// All figures.
pub(super) fn section(page: &Page<'_>) -> Markup {
    let cells = &page.data.cells;
    html! {
        p class="note" {
            "A row for each workload, target and count of threads. The records of each turn, with every \
             counter, are the JSON Lines file beside this page."
        }
        (page.folded(Table {
            caption: "All figures".to_owned(),
            head: head(&[
                "workload", "target", "threads", "rounds", "unit", "median/s", "1st quartile",
                "3rd quartile", "least", "most", "latency, median", "99 %", "longest", "besides",
            ]),
            names: 2,
            rows: cells.iter().map(row).collect(),
        }))
    }
}

fn row(cell: &Cell<'_>) -> Vec<Markup> {
    let rate = &cell.rate;
    let mut row = vec![
        text(&cell.workload.name),
        text(&cell.target.name),
        text(cell.threads.to_string()),
        text(cell.samples.len().to_string()),
        text(&cell.workload.unit),
    ];
    let figures = [rate.median, rate.low, rate.high, rate.least, rate.most];
    row.extend(figures.map(|figure| text(number::short(figure))));
    match &cell.latencies {
        Some(latencies) => {
            row.extend([0.5, 0.99].map(|share| percentile(latencies, share)));
            row.push(text(number::time(latencies.max() as f64)));
        }
        None => row.extend([missing(None), missing(None), missing(None)]),
    }
    row.push(text(besides(cell)));
    row
}

fn besides(cell: &Cell<'_>) -> String {
    let shown = extras(&[cell]).into_iter().map(|name| {
        let found = cell
            .samples
            .iter()
            .filter_map(|s| s.extra.get(name).copied());
        format!("{name}: {}", number::short(Spread::of(found).median))
    });
    shown.collect::<Vec<_>>().join("; ")
}
