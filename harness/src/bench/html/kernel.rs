// SPDX-License-Identifier: GPL-2.0-only
//! What the kernel itself counts: its locks, switches, and processor time.

use maud::{Markup, html};

use super::data::Cell;
use super::number;
use super::page::{Page, Table, text};
use super::rows::{self, ALONG, Piece, Row};
use super::scale::Axis;
use crate::bench::record::{Sample, Workload};

/// A chart of processor time for each workload, and a table of the counters.
pub(super) fn section(page: &Page<'_>) -> Markup {
    let data = &page.data;
    let mut cells: Vec<&Cell<'_>> = Vec::new();
    html! {
        p class="note" {
            "Processor time of the whole process for each unit of work, all rounds together: user on the \
             left, pale; kernel on the right. With the most threads of each workload."
        }
        div class="charts" {
            @for workload in data.workloads() {
                @if let Some(&threads) = data.threads(&workload.name).last() {
                    @let of = data.with(&workload.name, threads);
                    (figure(page, workload, threads, &of))
                    @let () = cells.extend(of);
                }
            }
        }
        h3 { "Counters of the kernel" }
        p class="note" {
            "Growth of /proc/vmstat, of the whole system, and context switches of the process, for each \
             thousand units of work, all rounds together."
        }
        (page.folded(table(&cells)))
    }
}

/// Nanoseconds of processor time for each unit; nothing if nothing was done.
fn cost(cell: &Cell<'_>, of: impl Fn(&Sample) -> f64) -> Option<f64> {
    let seconds: f64 = cell.samples.iter().map(|sample| of(sample)).sum();
    (cell.work() > 0).then(|| seconds * 1e9 / cell.work() as f64)
}

fn figure(page: &Page<'_>, workload: &Workload, threads: u32, cells: &[&Cell<'_>]) -> Markup {
    let costs: Vec<_> = cells
        .iter()
        .filter_map(|cell| {
            Some((
                *cell,
                cost(cell, |s| s.user_seconds)?,
                cost(cell, |s| s.system_seconds)?,
            ))
        })
        .collect();
    let title = format!(
        "{}, {}: processor time",
        workload.name,
        number::threads(threads)
    );
    if costs.is_empty() {
        return html! { p { (title) ": nothing was done." } };
    }
    let axis = Axis::linear(
        costs.iter().map(|(_, u, s)| u + s).fold(0.0, f64::max),
        ALONG,
    );
    let drawn: Vec<Row> = costs
        .iter()
        .map(|(cell, user, system)| {
            let ink = page.ink(cell.place);
            let tip = |part, ns| format!("{}, {part}: {}", cell.target.name, number::time(ns));
            Row {
                name: cell.target.name.clone(),
                pieces: vec![
                    Piece::Bar {
                        ink: format!("pale {ink}"),
                        from: 0.0,
                        to: *user,
                        tip: tip("user", *user),
                    },
                    Piece::Bar {
                        ink,
                        from: *user,
                        to: user + system,
                        tip: tip("kernel", *system),
                    },
                ],
            }
        })
        .collect();
    let chart = rows::draw(
        &title,
        &axis,
        ("processor time for each unit of work", number::plain_time),
        &drawn,
    );
    let row = |(cell, user, system): &(&Cell<'_>, f64, f64)| {
        let shown = [*user, *system, user + system].map(number::time);
        [cell.target.name.clone()]
            .into_iter()
            .chain(shown)
            .map(text)
            .collect()
    };
    let table = Table {
        caption: format!("{title} for each of the {}", workload.unit),
        head: super::page::head(&["target", "user", "kernel", "both"]),
        names: 1,
        rows: costs.iter().map(row).collect(),
    };
    page.figure(&title, &chart, table)
}

fn table(cells: &[&Cell<'_>]) -> Table {
    let mut counters: Vec<&str> = Vec::new();
    for name in cells
        .iter()
        .flat_map(|cell| &cell.samples)
        .flat_map(|s| s.vmstat.keys())
    {
        if !counters.contains(&name.as_str()) {
            counters.push(name);
        }
    }
    counters.sort_unstable();
    let row = |cell: &&Cell<'_>| {
        let thousands = cell.work() as f64 / 1e3;
        let per = |count: u64| match thousands > 0.0 {
            true => text(number::short(count as f64 / thousands)),
            false => text("–"),
        };
        let switches = |of: fn(&Sample) -> u64| per(cell.samples.iter().map(|s| of(s)).sum());
        let mut row = vec![
            text(&cell.workload.name),
            text(&cell.target.name),
            text(cell.threads.to_string()),
        ];
        row.extend(counters.iter().map(|name| per(cell.vmstat(name))));
        row.push(switches(|s| s.voluntary_switches));
        row.push(switches(|s| s.involuntary_switches));
        row
    };
    let names = ["workload", "target", "threads"]
        .into_iter()
        .chain(counters.iter().copied());
    Table {
        caption: "Counters of the kernel for each thousand units of work".to_owned(),
        head: names
            .chain(["voluntary switches", "involuntary"])
            .map(str::to_owned)
            .collect(),
        names: 2,
        rows: cells.iter().map(row).collect(),
    }
}
