// SPDX-License-Identifier: GPL-2.0-only
//! A measured thread beside others.

use maud::{Markup, html};

use super::data::Cell;
use super::latency::percentile;
use super::number;
use super::page::{Page, Table, head, missing, text};
use super::rows::{self, ALONG, Piece, Row};
use super::scale::Axis;
use super::spread::Spread;
use super::throughput;
use crate::bench::record::Workload;
use crate::html::axis_name;

/// What is shown of latencies, with the size of its dot.
const DOTS: [(f64, f64, &str); 4] = [
    (0.5, 5.5, "median"),
    (0.99, 4.2, "99 %"),
    (0.999, 3.1, "99.9 %"),
    (1.0, 2.0, "longest"),
];

/// Rates and latencies of the workloads that stand for it.
pub(super) fn section(page: &Page<'_>) -> Markup {
    let mut all = page.data.workloads();
    all.retain(|workload| workload.interference);
    html! {
        @if all.is_empty() {
            p { "No workload of this run measures a thread beside others." }
        } @else {
            p class="note" {
                "What the measured thread is left while others work beside it. Where latencies were \
                 recorded, the dots of a row are, from large to small, the median, 99 %, 99.9 % and the \
                 longest; otherwise it is its rate."
            }
            div class="charts" {
                @for workload in all {
                    @for threads in page.data.threads(&workload.name) { (figure(page, workload, threads)) }
                }
            }
        }
    }
}

fn figure(page: &Page<'_>, workload: &Workload, threads: u32) -> Markup {
    let cells = page.data.with(&workload.name, threads);
    let latencies = cells.iter().any(|cell| cell.latencies.is_some());
    let chart = if latencies {
        dots(page, workload, &cells)
    } else {
        bars(page, workload, &cells)
    };
    let title = format!("{}, {}", workload.name, number::threads(threads));
    page.figure(&title, &chart, table(&title, workload, &cells))
}

fn bars(page: &Page<'_>, workload: &Workload, cells: &[&Cell<'_>]) -> Markup {
    let ends: Vec<f64> = cells
        .iter()
        .flat_map(|cell| [cell.rate.low, cell.rate.high])
        .collect();
    let axis = Axis::fitting(&ends, ALONG);
    let rows: Vec<Row> = cells
        .iter()
        .map(|cell| throughput::bar(page, cell, &axis))
        .collect();
    let about = format!(
        "{} per second of {} beside others",
        workload.unit, workload.name
    );
    let name = axis_name(&format!("{}/s", workload.unit), &axis);
    rows::draw(&about, &axis, (&name, number::plain), &rows)
}

fn dots(page: &Page<'_>, workload: &Workload, cells: &[&Cell<'_>]) -> Markup {
    let all = || cells.iter().filter_map(|cell| cell.latencies.as_ref());
    let least = all()
        .map(|h| h.value_at_quantile(0.5))
        .min()
        .unwrap_or(1)
        .max(1);
    let most = all().map(|h| h.max()).max().unwrap_or(1).max(1);
    let axis = Axis::log(least as f64, most as f64, ALONG);
    let rows: Vec<Row> = cells.iter().map(|cell| row(page, cell)).collect();
    let about = format!(
        "Latencies of {} beside others, a row for each target",
        workload.name
    );
    let name = format!(
        "latency of a {}, logarithmic",
        workload.latency_of.as_deref().unwrap_or("operation")
    );
    rows::draw(&about, &axis, (&name, number::plain_time), &rows)
}

fn row(page: &Page<'_>, cell: &Cell<'_>) -> Row {
    let mut pieces = Vec::new();
    if let Some(latencies) = &cell.latencies {
        let ink = page.ink(cell.place);
        let at = |share| latencies.value_at_quantile(share) as f64;
        pieces.push(Piece::Range {
            ink: ink.clone(),
            from: at(0.5),
            to: at(1.0),
        });
        pieces.extend(DOTS.iter().map(|(share, size, name)| Piece::Dot {
            ink: ink.clone(),
            at: at(*share),
            size: *size,
            below: 0.0,
            tip: format!("{}: {name} {}", cell.target.name, number::time(at(*share))),
        }));
    }
    Row {
        name: cell.target.name.clone(),
        pieces,
    }
}

fn table(title: &str, workload: &Workload, cells: &[&Cell<'_>]) -> Table {
    let extra = extras(cells);
    let row = |cell: &&Cell<'_>| {
        let mut row = vec![
            text(&cell.target.name),
            text(number::short(cell.rate.median)),
        ];
        row.push(html! { (number::short(cell.rate.low)) "–" (number::short(cell.rate.high)) });
        row.extend(DOTS.iter().map(|(share, ..)| match &cell.latencies {
            Some(latencies) if *share < 1.0 => percentile(latencies, *share),
            Some(latencies) => text(number::time(latencies.max() as f64)),
            None => missing(None),
        }));
        row.extend(extra.iter().map(|name| figure_of(cell, name)));
        row
    };
    let mut names = head(&["target"]);
    names.extend([format!("{}/s", workload.unit), "quartiles".to_owned()]);
    names.extend(DOTS.iter().map(|(.., name)| (*name).to_owned()));
    names.extend(extra.iter().map(|name| (*name).to_owned()));
    Table {
        caption: title.to_owned(),
        head: names,
        names: 1,
        rows: cells.iter().map(row).collect(),
    }
}

/// Names of the figures that only such a workload has.
pub(super) fn extras<'c>(cells: &[&Cell<'c>]) -> Vec<&'c str> {
    let mut names: Vec<&str> = Vec::new();
    for name in cells
        .iter()
        .flat_map(|cell| &cell.samples)
        .flat_map(|s| s.extra.keys())
    {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    names
}

/// The median of one of them.
pub(super) fn figure_of(cell: &Cell<'_>, name: &str) -> Markup {
    let found = Spread::of(
        cell.samples
            .iter()
            .filter_map(|s| s.extra.get(name).copied()),
    );
    match found.rounds {
        0 => missing(None),
        _ => text(number::short(found.median)),
    }
}
