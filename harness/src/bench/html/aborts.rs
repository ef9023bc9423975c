// SPDX-License-Identifier: GPL-2.0-only
//! What became of faults: speculation, its aborts by cause, and waits.

use maud::{Markup, html};

use super::data::Cell;
use super::number;
use super::page::{Page, Table, head, text};
use super::rows::{self, ALONG, Piece, Row};
use super::scale::Axis;
use crate::bench::record::Workload;

/// Counters of `faultline_stats`, and what they count for people.
const CAUSES: [(&str, &str); 10] = [
    ("spf_writer_active", "writer active"),
    ("spf_no_region", "no region"),
    ("spf_not_speculable", "not speculable"),
    ("spf_stale", "snapshot stale"),
    ("spf_denied", "access denied"),
    ("spf_detached", "detached"),
    ("spf_not_cached", "not cached"),
    ("spf_leaf_busy", "leaf busy"),
    ("spf_raced", "commit raced"),
    ("spf_no_memory", "no memory"),
];

/// Backing and access, as in `spf_anon_read` and `locked_anon_read`.
const KINDS: [&str; 6] = [
    "anon_read",
    "anon_write",
    "shared_read",
    "shared_write",
    "private_read",
    "private_write",
];

const ATTEMPTS: &str = "spf_attempts";

/// How many attempts were given up.
fn aborts(cell: &Cell<'_>) -> u64 {
    CAUSES
        .iter()
        .map(|(counter, _)| cell.counter(counter))
        .sum()
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}

/// "spf-range, 2", as not every workload has the same counts of threads.
fn name(cell: &Cell<'_>) -> String {
    format!("{}, {}", cell.target.name, cell.threads)
}

/// Aborts by cause, successes by kind, and waits.
pub(super) fn section(page: &Page<'_>) -> Markup {
    let data = &page.data;
    let counted: Vec<&Cell<'_>> = data
        .cells
        .iter()
        .filter(|cell| !cell.workload.empty && cell.counter("faults") > 0)
        .collect();
    html! {
        @if counted.is_empty() {
            p { "The module counted no fault in this run." }
        } @else {
            h3 { "Aborts by cause" }
            (causes(page))
            h3 { "How faults were handled" }
            p class="note" {
                "Entries that faults installed, of all rounds: by speculation, and with a lock held, by \
                 what is mapped and how it was accessed. Targets are followed by their threads."
            }
            (page.folded(kinds(&counted)))
            h3 { "Waits for the lock" }
            (waits(page, &counted))
        }
    }
}

fn causes(page: &Page<'_>) -> Markup {
    let data = &page.data;
    let mut figures = Vec::new();
    let mut clean = Vec::new();
    let mut attempts = 0;
    for workload in data.workloads() {
        let cells: Vec<&Cell<'_>> = data
            .of(&workload.name)
            .filter(|cell| cell.counter(ATTEMPTS) > 0)
            .collect();
        if cells.iter().any(|cell| aborts(cell) > 0) {
            figures.push(figure(page, workload, &cells));
        } else if !cells.is_empty() {
            attempts += cells.iter().map(|cell| cell.counter(ATTEMPTS)).sum::<u64>();
            clean.push(workload.name.as_str());
        }
    }
    html! {
        @if figures.is_empty() && clean.is_empty() { p { "No fault of this run was speculative." } }
        @if !clean.is_empty() {
            p {
                "Not one of " (number::count(attempts)) " speculative faults was given up in: "
                (clean.join(", ")) "."
            }
        }
        @if !figures.is_empty() {
            p class="note" {
                "Share of the attempts that were given up and handled with the lock instead, by cause; \
                 targets are followed by their threads."
            }
            ul class="legend" {
                @for (at, (_, cause)) in CAUSES.iter().enumerate() {
                    li {
                        svg width="14" height="12" aria-hidden="true" {
                            rect class={"fill c" (at)} x="1" y="1" width="11" height="10" {}
                        }
                        " " (cause)
                    }
                }
            }
            div class="charts" { @for figure in &figures { (figure) } }
        }
    }
}

fn figure(page: &Page<'_>, workload: &Workload, cells: &[&Cell<'_>]) -> Markup {
    let most = cells
        .iter()
        .map(|cell| share(aborts(cell), cell.counter(ATTEMPTS)));
    let axis = Axis::linear(most.fold(0.0, f64::max), ALONG);
    let rows: Vec<Row> = cells
        .iter()
        .map(|cell| Row {
            name: name(cell),
            pieces: stack(cell),
        })
        .collect();
    let about = format!(
        "Aborts of {} by cause, as a share of the attempts, a bar for each policy",
        workload.name
    );
    let chart = rows::draw(
        &about,
        &axis,
        ("aborted attempts", number::plain_percent),
        &rows,
    );
    page.figure(&workload.name, &chart, table(workload, cells))
}

fn stack(cell: &Cell<'_>) -> Vec<Piece> {
    let attempts = cell.counter(ATTEMPTS);
    let mut before = 0;
    let mut pieces = Vec::new();
    for (at, (counter, cause)) in CAUSES.iter().enumerate() {
        let count = cell.counter(counter);
        if count > 0 {
            pieces.push(Piece::Bar {
                ink: format!("c{at}"),
                from: share(before, attempts),
                to: share(before + count, attempts),
                tip: format!(
                    "{}: {cause}: {} of {} attempts, {}",
                    name(cell),
                    number::count(count),
                    number::count(attempts),
                    number::percent(share(count, attempts)),
                ),
            });
        }
        before += count;
    }
    pieces
}

fn table(workload: &Workload, cells: &[&Cell<'_>]) -> Table {
    let seen: Vec<_> = CAUSES
        .iter()
        .filter(|(counter, _)| cells.iter().any(|c| c.counter(counter) > 0))
        .collect();
    let row = |cell: &&Cell<'_>| {
        let attempts = cell.counter(ATTEMPTS);
        let mut row = vec![text(name(cell)), text(number::count(attempts))];
        row.push(text(number::percent(share(aborts(cell), attempts))));
        row.extend(
            seen.iter()
                .map(|(counter, _)| text(number::count(cell.counter(counter)))),
        );
        row.push(text(number::count(cell.counter("spf_false_aborts"))));
        row
    };
    let mut names = head(&["target", "attempts", "aborted"]);
    names.extend(seen.iter().map(|(_, cause)| (*cause).to_owned()));
    names.push("of them false".to_owned());
    Table {
        caption: format!(
            "Aborts of {}; causes that are not named did not occur",
            workload.name
        ),
        head: names,
        names: 1,
        rows: cells.iter().map(row).collect(),
    }
}

fn kinds(cells: &[&Cell<'_>]) -> Table {
    let all = ["spf", "locked"]
        .into_iter()
        .flat_map(|how| KINDS.map(|kind| (how, kind)));
    let seen: Vec<(&str, String)> = all
        .map(|(how, kind)| (how, format!("{how}_{kind}")))
        .filter(|(_, counter)| cells.iter().any(|cell| cell.counter(counter) > 0))
        .collect();
    let row = |cell: &&Cell<'_>| {
        let mut row = vec![text(&cell.workload.name), text(name(cell))];
        row.extend(
            seen.iter()
                .map(|(_, counter)| text(number::count(cell.counter(counter)))),
        );
        row
    };
    let names = seen.iter().map(|(how, counter)| {
        let kind = counter.trim_start_matches(how).replace('_', " ");
        format!(
            "{}{kind}",
            if *how == "spf" {
                "speculative:"
            } else {
                "locked:"
            }
        )
    });
    Table {
        caption: "Entries installed by faults".to_owned(),
        head: head(&["workload", "target"])
            .into_iter()
            .chain(names)
            .collect(),
        names: 2,
        rows: cells.iter().map(row).collect(),
    }
}

fn waits(page: &Page<'_>, cells: &[&Cell<'_>]) -> Markup {
    let waited: Vec<_> = cells
        .iter()
        .filter(|cell| cell.counter("fault_waits") > 0)
        .collect();
    let row = |cell: &&&Cell<'_>| {
        let (faults, waits) = (cell.counter("faults"), cell.counter("fault_waits"));
        let mean = cell.counter("fault_wait_ns") as f64 / waits as f64;
        vec![
            text(&cell.workload.name),
            text(name(cell)),
            text(number::count(faults)),
            text(number::count(waits)),
            text(number::percent(share(waits, faults))),
            text(number::percent(share(
                cell.counter("fault_waits_false"),
                waits,
            ))),
            text(number::time(mean)),
            text(number::count(cell.counter("fault_retried"))),
        ]
    };
    html! {
        p {
            @if waited.is_empty() {
                "No fault waited for the lock of its space."
            } @else {
                "Faults that could not have the lock of their space at once. A wait is false if no \
                 change that had the lock was one of that page. What is not in the table did not wait."
            }
        }
        @if !waited.is_empty() {
            (page.folded(Table {
                caption: "Waits of faults for the lock of their space".to_owned(),
                head: head(&[
                    "workload", "target", "faults", "waits", "of all faults", "of waits false", "mean wait",
                    "retries",
                ]),
                names: 2,
                rows: waited.iter().map(row).collect(),
            }))
        }
    }
}
