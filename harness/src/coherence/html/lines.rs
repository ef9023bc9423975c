// SPDX-License-Identifier: GPL-2.0-only
//! The hottest lines of each workload and target, of all and of the module, with the
//! most processors.

use faultline_coherence::measured::{Hot, Measured};
use maud::{Markup, html};

use super::MARKS;
use crate::coherence::counted::Counted;
use crate::coherence::words;
use crate::html::number::short;
use crate::html::table::{Table, head, text};

/// Functions of a line that are named.
const CODE: usize = 4;

/// All of them, folded.
pub(super) fn section(counted: &Counted) -> Markup {
    html! {
        p class="note" {
            "With the most processors. Shared truly: processors meet in the same bytes; falsely: \
             only in the same line. The code that writes it most comes first."
        }
        @for workload in counted.workloads() {
            details {
                summary { (workload) }
                @for target in counted.targets() {
                    @if let Some(phase) = counted.series(workload, target).last() {
                        (of_phase(phase))
                    }
                }
            }
        }
    }
}

fn of_phase(phase: &Measured) -> Markup {
    let name = format!(
        "{} on {}, {}",
        phase.workload,
        phase.target,
        words::cpus(phase.threads)
    );
    let sharing = phase.per_operation(phase.counted.sharing_writes);
    html! {
        @if phase.hottest.is_empty() {
            p { (name) ": no line is shared." }
        } @else {
            details {
                summary { (name) ": " (short(sharing)) " sharing writes per " (phase.unit) }
                @if !phase.owners.is_empty() {
                    (owners(phase, format!("All shared lines: {name}, by {}", phase.unit)).draw(&MARKS))
                }
                (table(phase, format!("{name}, by {}", phase.unit), &phase.hottest).draw(&MARKS))
                @if !phase.of_module.is_empty() {
                    @let caption = format!("{name}, of the module, by {}", phase.unit);
                    (table(phase, caption, &phase.of_module).draw(&MARKS))
                }
            }
        }
    }
}

fn owners(phase: &Measured, caption: String) -> Table {
    let each = |count| text(short(phase.per_operation(count)));
    let rows = phase.owners.iter().take(words::OWNERS).map(|owned| {
        vec![
            text(words::owner(&owned.owner)),
            each(owned.writes),
            each(owned.transfers),
            text(owned.lines.to_string()),
        ]
    });
    Table {
        caption,
        head: head(&["what", "writes", "moves", "lines"]),
        names: 1,
        rows: rows.collect(),
    }
}

fn table(phase: &Measured, caption: String, lines: &[Hot]) -> Table {
    Table {
        caption,
        head: head(&[
            "what", "shared", "code", "writes", "atomic", "moves", "writers",
        ]),
        names: 3,
        rows: lines.iter().map(|hot| row(phase, hot)).collect(),
    }
}

fn row(phase: &Measured, hot: &Hot) -> Vec<Markup> {
    let each = |count| text(short(phase.per_operation(count)));
    vec![
        text(words::owner(&hot.owner)),
        text(words::sharing(hot)),
        code(hot),
        each(hot.writes),
        each(hot.atomics),
        each(hot.transfers),
        text(hot.writers.to_string()),
    ]
}

fn code(hot: &Hot) -> Markup {
    let others = hot.code.len().saturating_sub(CODE);
    html! {
        @for code in hot.code.iter().take(CODE) { div { (words::code(code)) } }
        @if others > 0 { div { "and " (others) " more" } }
        @if hot.code.is_empty() { "unknown code" }
    }
}
