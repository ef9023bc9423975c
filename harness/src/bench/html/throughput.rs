// SPDX-License-Identifier: GPL-2.0-only
//! Rates by threads, a line for each target.

use maud::{Markup, html};

use super::data::{Cell, Data};
use super::number;
use super::page::{Page, Table, head, text};
use super::plot::{self, ACROSS, Line, Plot, Point, UPRIGHT};
use super::rows::{self, ALONG, Piece, Row};
use super::scale::{Axis, Label};
use crate::bench::record::Workload;
use crate::html::axis_name;

/// A chart for each workload.
pub(super) fn section(page: &Page<'_>) -> Markup {
    html! {
        p class="note" {
            "Median of the rounds; thin bars reach from the first to the third quartile. Axes begin \
             at 0, unless they say that they are logarithmic."
        }
        (page.legend())
        div class="charts" {
            @for workload in page.data.workloads() { (figure(page, workload)) }
        }
    }
}

fn figure(page: &Page<'_>, workload: &Workload) -> Markup {
    let data = &page.data;
    let threads = data.threads(&workload.name);
    let chart = match threads.as_slice() {
        // A line would have one point.
        [_] => bars(page, workload),
        _ => lines(page, workload, &threads),
    };
    let title = match threads.as_slice() {
        [one] => format!("{}, {}", workload.name, number::threads(*one)),
        _ => workload.name.clone(),
    };
    page.figure(&title, &chart, table(data, workload))
}

fn ends<'c>(cells: impl Iterator<Item = &'c Cell<'c>>) -> Vec<f64> {
    cells
        .flat_map(|cell| [cell.rate.low, cell.rate.high])
        .collect()
}

fn tip(cell: &Cell<'_>) -> String {
    format!(
        "{}, {}: {} {}/s (quartiles {} to {})",
        cell.target.name,
        number::threads(cell.threads),
        number::short(cell.rate.median),
        cell.workload.unit,
        number::short(cell.rate.low),
        number::short(cell.rate.high),
    )
}

fn lines(page: &Page<'_>, workload: &Workload, threads: &[u32]) -> Markup {
    let data = &page.data;
    let cells: Vec<&Cell<'_>> = data.of(&workload.name).collect();
    let axis = Axis::fitting(&ends(cells.iter().copied()), UPRIGHT);
    let step = (ACROSS.1 - ACROSS.0) / (threads.len() - 1) as f64;
    let x = |at: usize| ACROSS.0 + step * at as f64;
    let marks: Vec<Label> = threads
        .iter()
        .enumerate()
        .map(|(at, n)| (x(at), n.to_string()))
        .collect();
    let middle = (data.targets.len() as f64 - 1.0) / 2.0;
    let point = |cell: &Cell<'_>| {
        let at = threads.iter().position(|n| *n == cell.threads)?;
        Some(Point {
            // A little beside each other, so that their bars can be told apart.
            x: x(at) + (cell.place as f64 - middle) * 1.8,
            y: axis.at(cell.rate.median),
            bar: Some((axis.at(cell.rate.low), axis.at(cell.rate.high))),
            tip: tip(cell),
        })
    };
    let lines = data.targets.iter().enumerate().map(|(place, target)| Line {
        ink: page.ink(place),
        name: target.name.clone(),
        dots: true,
        points: cells
            .iter()
            .filter(|c| c.place == place)
            .filter_map(|c| point(c))
            .collect(),
    });
    Plot {
        about: format!(
            "{} per second of {} by threads, a line for each target",
            workload.unit, workload.name
        ),
        y: &plot::upright(&axis, number::plain),
        y_name: axis_name(&format!("{}/s", workload.unit), &axis),
        x: &marks,
        x_name: "threads",
        lines: lines.collect(),
    }
    .draw()
}

fn bars(page: &Page<'_>, workload: &Workload) -> Markup {
    let cells: Vec<&Cell<'_>> = page.data.of(&workload.name).collect();
    let axis = Axis::fitting(&ends(cells.iter().copied()), ALONG);
    let rows: Vec<Row> = cells.iter().map(|cell| bar(page, cell, &axis)).collect();
    let about = format!(
        "{} per second of {}, a bar for each target",
        workload.unit, workload.name
    );
    let name = axis_name(&format!("{}/s", workload.unit), &axis);
    rows::draw(&about, &axis, (&name, number::plain), &rows)
}

/// A bar with its spread; a dot where the axis is logarithmic, as the length of a bar
/// would say nothing there.
pub(super) fn bar(page: &Page<'_>, cell: &Cell<'_>, axis: &Axis) -> Row {
    let ink = page.ink(cell.place);
    let (rate, tip) = (cell.rate, tip(cell));
    let range = |ink| Piece::Range {
        ink,
        from: rate.low,
        to: rate.high,
    };
    let pieces = match axis.is_log() {
        true => vec![
            range(ink.clone()),
            Piece::Dot {
                ink,
                at: rate.median,
                size: 5.0,
                below: 0.0,
                tip,
            },
        ],
        false => vec![
            Piece::Bar {
                ink,
                from: 0.0,
                to: rate.median,
                tip,
            },
            range("over".to_owned()),
        ],
    };
    Row {
        name: cell.target.name.clone(),
        pieces,
    }
}

fn table(data: &Data<'_>, workload: &Workload) -> Table {
    let row = |cell: &Cell<'_>| {
        let shown = [cell.rate.median, cell.rate.low, cell.rate.high].map(number::short);
        [cell.target.name.clone(), cell.threads.to_string()]
            .into_iter()
            .chain(shown)
            .map(text)
            .collect()
    };
    Table {
        caption: format!("{}, {}/s", workload.name, workload.unit),
        head: head(&[
            "target",
            "threads",
            "median",
            "1st quartile",
            "3rd quartile",
        ]),
        names: 1,
        rows: data.of(&workload.name).map(row).collect(),
    }
}
