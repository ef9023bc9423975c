// SPDX-License-Identifier: GPL-2.0-only
//! Whether threads that do the same get as much done.

use maud::{Markup, html};

use super::data::{Cell, Data};
use super::number;
use super::page::{Page, Table, missing, text};
use super::rows::{self, ALONG, Piece, Row};
use super::scale::Axis;
use super::spread::Spread;

/// The least that a thread did, as a share of the most that one did, median of the
/// rounds; nothing with one thread or if nothing was done.
fn share(cell: &Cell<'_>) -> Option<f64> {
    let of = |counts: &[u64]| {
        let (least, most) = (counts.iter().min()?, counts.iter().max()?);
        (counts.len() > 1 && *most > 0).then(|| *least as f64 / *most as f64)
    };
    let spread = Spread::of(cell.samples.iter().filter_map(|s| of(&s.per_thread)));
    (spread.rounds > 0).then_some(spread.median)
}

/// Rows: a workload with the most threads it was run with.
fn rows<'c, 'd>(data: &'c Data<'d>) -> Vec<(String, Vec<(&'c Cell<'d>, f64)>)> {
    let mut rows = Vec::new();
    for workload in data.workloads().into_iter().filter(|w| !w.interference) {
        let Some(&threads) = data.threads(&workload.name).last() else {
            continue;
        };
        let cells = data.with(&workload.name, threads).into_iter();
        let shares: Vec<_> = cells
            .filter_map(|cell| Some((cell, share(cell)?)))
            .collect();
        if !shares.is_empty() {
            rows.push((format!("{}, {threads}", workload.name), shares));
        }
    }
    rows
}

/// A chart of all workloads.
pub(super) fn section(page: &Page<'_>) -> Markup {
    let all = rows(&page.data);
    if all.is_empty() {
        return html! { p { "No workload of this run had several threads that do the same." } };
    }
    let axis = Axis::linear(1.0, ALONG);
    let drawn: Vec<Row> = all
        .iter()
        .map(|(name, shares)| drawn(page, name, shares))
        .collect();
    let about = "The slowest thread's share of the fastest one's work, a row for each workload";
    let chart = rows::draw(
        about,
        &axis,
        ("slowest thread / fastest thread", number::plain_percent),
        &drawn,
    );
    let targets = page.data.targets;
    let row = |(name, shares): &(String, Vec<(&Cell<'_>, f64)>)| {
        let mut row = vec![text(name)];
        for place in 0..targets.len() {
            let found = shares.iter().find(|(cell, _)| cell.place == place);
            row.push(
                found.map_or_else(|| missing(None), |(_, share)| text(number::percent(*share))),
            );
        }
        row
    };
    let table = Table {
        caption: "The slowest thread's share of the fastest one's work".to_owned(),
        head: ["workload, threads"]
            .into_iter()
            .chain(targets.iter().map(|target| target.name.as_str()))
            .map(str::to_owned)
            .collect(),
        names: 1,
        rows: all.iter().map(row).collect(),
    };
    html! {
        p class="note" {
            "How much the slowest thread got done, compared with the fastest: 100 % is fair. With the \
             most threads of each workload; the median of the rounds. Where threads do different things \
             (interference) nothing is compared."
        }
        (page.legend())
        div class="charts" { (page.figure("Fairness", &chart, table)) }
    }
}

fn drawn(page: &Page<'_>, name: &str, shares: &[(&Cell<'_>, f64)]) -> Row {
    let middle = (page.data.targets.len() as f64 - 1.0) / 2.0;
    let dot = |(cell, share): &(&Cell<'_>, f64)| Piece::Dot {
        ink: page.ink(cell.place),
        at: *share,
        size: 4.0,
        // Most of them are at the same place.
        below: (cell.place as f64 - middle) * 3.4,
        tip: format!("{}: {}", cell.target.name, number::percent(*share)),
    };
    Row {
        name: name.to_owned(),
        pieces: shares.iter().map(dot).collect(),
    }
}
