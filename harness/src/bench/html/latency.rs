// SPDX-License-Identifier: GPL-2.0-only
//! How latencies are distributed.

use hdrhistogram::Histogram;
use maud::{Markup, html};

use super::data::Cell;
use super::number;
use super::page::{Page, Table, head, missing, text};
use super::plot::{self, ACROSS, Line, Plot, Point, UPRIGHT};
use super::scale::Axis;
use crate::bench::record::Workload;
use crate::html::axis_name;

/// Shares that are marked and tabled.
pub(super) const SHARES: [(f64, &str); 5] = [
    (0.5, "50 %"),
    (0.9, "90 %"),
    (0.99, "99 %"),
    (0.999, "99.9 %"),
    (0.9999, "99.99 %"),
];

/// Fewer longer ones than that are an accident, not a percentile.
const FEW: f64 = 10.0;

/// A chart for each workload and count of threads that has latencies.
pub(super) fn section(page: &Page<'_>) -> Markup {
    let mut figures = Vec::new();
    for workload in page.data.workloads() {
        for threads in page.data.threads(&workload.name) {
            let mut cells = page.data.with(&workload.name, threads);
            cells.retain(|cell| cell.latencies.is_some());
            if !cells.is_empty() {
                figures.push(figure(page, workload, threads, &cells));
            }
        }
    }
    html! {
        @if figures.is_empty() {
            p { "No workload of this run records latencies." }
        } @else {
            p class="note" {
                "The latencies of all rounds together. A point says how long the fastest 50, 90, 99 \
                 ... percent took at most: the further right, the rarer. Lower is better. Times are \
                 logarithmic. In the tables, italics stand for a percentile that fewer than ten \
                 latencies lie beyond."
            }
            (page.legend())
            div class="charts" { @for figure in &figures { (figure) } }
        }
    }
}

fn figure(page: &Page<'_>, workload: &Workload, threads: u32, cells: &[&Cell<'_>]) -> Markup {
    let of = workload.latency_of.as_deref().unwrap_or("operation");
    let title = format!(
        "{}, {}: latency of a {of}",
        workload.name,
        number::threads(threads)
    );
    page.figure(&title, &chart(page, &title, cells), table(&title, cells))
}

/// The nines: 1 for 90 %, 2 for 99 %.
fn nines(share: f64) -> f64 {
    -(1.0 - share).log10()
}

/// Where a share stands; the largest of all, 1, is a step beyond the last mark.
fn across(share: f64) -> f64 {
    let first = nines(SHARES[0].0);
    let steps = nines(SHARES[SHARES.len() - 1].0) + 1.0 - first;
    let at = if share >= 1.0 {
        steps
    } else {
        nines(share) - first
    };
    ACROSS.0 + (ACROSS.1 - ACROSS.0) * at / steps
}

fn chart(page: &Page<'_>, title: &str, cells: &[&Cell<'_>]) -> Markup {
    let all = || {
        cells
            .iter()
            .filter_map(|cell| Some((*cell, cell.latencies.as_ref()?)))
    };
    let least = all()
        .map(|(_, h)| h.value_at_quantile(0.5))
        .min()
        .unwrap_or(1);
    let most = all().map(|(_, h)| h.max()).max().unwrap_or(1);
    let axis = Axis::log(least.max(1) as f64, most.max(1) as f64, UPRIGHT);
    let mut marks: Vec<_> = SHARES
        .iter()
        .map(|(share, name)| (across(*share), name.trim_end_matches(" %").to_owned()))
        .collect();
    marks.push((across(1.0), "max".to_owned()));
    let lines = all().map(|(cell, latencies)| Line {
        ink: page.ink(cell.place),
        name: cell.target.name.clone(),
        dots: false,
        points: points(latencies, &axis),
    });
    Plot {
        about: format!("{title}: percentiles, a line for each target"),
        y: &plot::upright(&axis, number::plain_time),
        y_name: axis_name("time", &axis),
        x: &marks,
        x_name: "percent of all, and the longest",
        lines: lines.collect(),
    }
    .draw()
}

fn points(latencies: &Histogram<u64>, axis: &Axis) -> Vec<Point> {
    let (first, last) = (nines(SHARES[0].0), nines(SHARES[SHARES.len() - 1].0));
    let steps = 60;
    let shares = (0..=steps).map(|n| {
        let nines = first + (last - first) * f64::from(n) / f64::from(steps);
        1.0 - 10f64.powf(-nines)
    });
    let place = |share: f64| Point {
        x: across(share),
        y: axis.at(latencies.value_at_quantile(share) as f64),
        bar: None,
        tip: String::new(),
    };
    // Shares that so few latencies do not have are left to the line to the longest.
    let there = shares.filter(|share| (1.0 - share) * latencies.len() as f64 >= 1.0);
    there.chain([1.0]).map(place).collect()
}

/// A percentile for a table: in italics if few lie beyond it.
pub(super) fn percentile(latencies: &Histogram<u64>, share: f64) -> Markup {
    let shown = number::time(latencies.value_at_quantile(share) as f64);
    let few = (1.0 - share) * (latencies.len() as f64) < FEW;
    html! { @if few { i { (shown) } } @else { (shown) } }
}

fn table(title: &str, cells: &[&Cell<'_>]) -> Table {
    let row = |cell: &&Cell<'_>| {
        let mut row = vec![text(&cell.target.name)];
        match &cell.latencies {
            Some(latencies) => {
                row.push(text(number::count(latencies.len())));
                row.extend(
                    SHARES
                        .iter()
                        .map(|(share, _)| percentile(latencies, *share)),
                );
                row.push(text(number::time(latencies.max() as f64)));
            }
            None => row.push(missing(None)),
        }
        row
    };
    let mut names = head(&["target", "count"]);
    names.extend(SHARES.iter().map(|(_, name)| (*name).to_owned()));
    names.push("longest".to_owned());
    Table {
        caption: title.to_owned(),
        head: names,
        names: 1,
        rows: cells.iter().map(row).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_nine_is_a_step_and_the_longest_is_last() {
        let places = [0.9, 0.99, 0.999, 0.9999, 1.0].map(across);
        let step = places[1] - places[0];
        assert!(
            places
                .windows(2)
                .all(|two| (two[1] - two[0] - step).abs() < 1e-6),
            "{places:?}"
        );
        assert!((across(0.5) - ACROSS.0).abs() < 1e-9);
        assert!((places[4] - ACROSS.1).abs() < 1e-9);
    }
}
