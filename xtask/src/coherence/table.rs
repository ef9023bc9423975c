// SPDX-License-Identifier: GPL-2.0-only
//! What is printed of counted phases.

use comfy_table::{CellAlignment, Table, presets};

use super::join::{Hot, Measured};

/// What the figures are, below the table.
const NOTE: &str = "Counted under emulation, by physical lines of 64 bytes; interrupts are left out. \
Sharing writes: writes to lines that another processor writes or reads in the same phase; they do \
not depend on how processors are interleaved. Moves do: they are what happened here, where two \
processors run at a time.";

/// A row for each phase, and what was in the way most.
pub(crate) fn text(measured: &[Measured]) -> String {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    let figures = ["sharing writes", "of the module", "moves"];
    let head = ["workload", "target", "threads", "operations"];
    let head = head.into_iter().chain(figures).chain(["hottest line"]);
    table.set_header(head);
    for of_phase in measured {
        let done = &of_phase.done;
        let each = |count| format!("{:.2}", of_phase.per_operation(count));
        table.add_row([
            done.workload.clone(),
            done.target.clone(),
            done.threads.to_string(),
            format!("{} {}s", done.operations, done.unit),
            each(of_phase.phase.sharing_writes),
            each(of_phase.module_sharing_writes),
            each(of_phase.phase.transfers),
            of_phase.hottest.first().map_or(String::new(), |hot| {
                format!("{}: {}", each(u64::from(hot.writes)), what(hot))
            }),
        ]);
    }
    for column in table.column_iter_mut().skip(2).take(5) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    format!("{table}\n\nBy operation. {NOTE}\n")
}

fn what(hot: &Hot) -> String {
    let data = hot.data.as_deref().unwrap_or("memory without a name");
    let code = hot.code.as_deref().unwrap_or("unknown code");
    let falsely = if hot.truly_shared {
        ""
    } else {
        ", shared falsely"
    };
    format!("{data}, by {code}{falsely}")
}
