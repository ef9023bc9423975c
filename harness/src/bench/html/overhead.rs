// SPDX-License-Identifier: GPL-2.0-only
//! What the harness itself adds to each unit of work.

use maud::{Markup, html};

use super::data::{Cell, Data};
use super::number;
use super::page::{Page, Table, head, missing, text};
use super::spread::Spread;
use crate::bench::record::Workload;

/// The loops without work, and their share of the work of the others.
pub(super) fn section(page: &Page<'_>) -> Markup {
    let data = &page.data;
    let empty: Vec<&Cell<'_>> = data
        .cells
        .iter()
        .filter(|cell| cell.workload.empty)
        .collect();
    html! {
        @if empty.is_empty() {
            p { "This run did not measure the loop without work, so the harness's share is not known." }
        } @else {
            p class="note" {
                "The same loops without the work. Their time is part of that of every workload: the \
                 second table says how large a part, with the most threads of each. Each is \
                 compared with the slowest of these loops that is like it, in recording latencies or \
                 not and in its threads, as far as one was measured."
            }
            (page.folded(loops(&empty)))
            (page.table(shares(data)))
        }
    }
}

fn loops(cells: &[&Cell<'_>]) -> Table {
    let row = |cell: &&Cell<'_>| {
        let ns = cell
            .ns_per_unit()
            .map_or_else(|| missing(None), |ns| text(number::time(ns)));
        vec![
            text(&cell.workload.name),
            text(&cell.target.name),
            text(cell.threads.to_string()),
            ns,
            text(number::short(cell.rate.median)),
        ]
    };
    Table {
        caption: "The loop without work".to_owned(),
        head: head(&[
            "loop",
            "target",
            "threads",
            "time of a round of the loop",
            "rounds of it/s",
        ]),
        names: 2,
        rows: cells.iter().map(row).collect(),
    }
}

/// Nanoseconds of the slowest loop without work that is most like this workload: with
/// latencies recorded or not, as there, and with as many threads; or else with any.
fn empty_ns(data: &Data<'_>, workload: &Workload, threads: u32) -> Option<f64> {
    let alike =
        |cell: &Cell<'_>| cell.workload.latency_of.is_some() == workload.latency_of.is_some();
    let slowest = |like: &dyn Fn(&Cell<'_>) -> bool| {
        let cells = data
            .cells
            .iter()
            .filter(|cell| cell.workload.empty && like(cell));
        let spread = Spread::of(cells.filter_map(Cell::ns_per_unit));
        (spread.rounds > 0).then_some(spread.most)
    };
    slowest(&|cell| alike(cell) && cell.threads == threads)
        .or_else(|| slowest(&alike))
        .or_else(|| slowest(&|_| true))
}

fn shares(data: &Data<'_>) -> Table {
    let row = |workload: &&Workload| {
        let threads = data.threads(&workload.name).last().copied().unwrap_or(0);
        let empty = empty_ns(data, workload, threads);
        let cells = data.with(&workload.name, threads);
        let mut row = vec![text(format!("{}, {threads}", workload.name))];
        for place in 0..data.targets.len() {
            let cell = cells.iter().find(|cell| cell.place == place);
            let share = cell.and_then(|cell| Some(empty? / cell.ns_per_unit()?));
            row.push(share.map_or_else(|| missing(None), |share| text(number::percent(share))));
        }
        row
    };
    Table {
        caption: "The harness's share of the time of a unit of work".to_owned(),
        head: ["workload, threads"]
            .into_iter()
            .chain(data.targets.iter().map(|target| target.name.as_str()))
            .map(str::to_owned)
            .collect(),
        names: 1,
        rows: data.workloads().iter().map(row).collect(),
    }
}
