// SPDX-License-Identifier: GPL-2.0-only
//! What is printed of a counted run.

use comfy_table::{CellAlignment, Table, presets};
use faultline_coherence::measured::{Hot, Measured};

use super::ceiling::{Costs, LIMITS};
use super::counted::{Counted, hottest};
use super::words;
use crate::html::number::short;

/// All of it; the hottest lines only if they are asked for.
pub(super) fn text(counted: &Counted, costs: &Costs, with_lines: bool) -> String {
    let run = &counted.run;
    let mut text = format!(
        "{}, QEMU {}; {} pages for each thread, {}\n\n{}\n\nBy operation, but for the lines. {}\n",
        run.kernel,
        run.qemu,
        run.pages,
        words::rounds(run.rounds),
        phases(counted),
        words::NOTE
    );
    text += &format!(
        "\nWhat limits it: operations a second that the hottest line allows, by processors. A \
         transfer is taken for {} ns, an operation on one processor for {} ns.\n{}\n\nseen: the \
         ceiling if there are no more transfers than the moves that were seen; meets: the \
         processors beyond which more of them bring nothing; both with the most processors. {LIMITS}\n",
        costs.transfer_ns,
        costs.operation_ns,
        ceilings(counted, costs)
    );
    if with_lines {
        text += &counted
            .all_series()
            .map(|series| lines(&series))
            .collect::<String>();
    }
    text
}

fn table<'a>(head: impl IntoIterator<Item = &'a str>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(head);
    table
}

/// Some columns have numbers.
fn align(table: &mut Table, from: usize, count: usize) {
    for column in table.column_iter_mut().skip(from).take(count) {
        column.set_cell_alignment(CellAlignment::Right);
    }
}

fn phases(counted: &Counted) -> Table {
    let names = ["workload", "target", "CPUs", "operations"];
    let figures = [
        "sharing writes",
        "of all rounds",
        "of the module",
        "module lines",
        "moves",
        "sleeps",
    ];
    let mut table = table(names.into_iter().chain(figures).chain(["hottest line"]));
    table.add_rows(counted.all_series().flatten().map(phase));
    align(&mut table, 2, 8);
    table
}

fn phase(phase: &Measured) -> Vec<String> {
    let each = |count| format!("{:.2}", phase.per_operation(count));
    let hot = hottest(phase);
    vec![
        phase.workload.clone(),
        phase.target.clone(),
        phase.threads.to_string(),
        format!("{} × {}", phase.operations, phase.unit),
        each(phase.counted.sharing_writes),
        phase.spread().map_or(String::new(), words::spread),
        each(phase.module.writes),
        phase.module.lines.to_string(),
        each(phase.counted.transfers),
        each(phase.sleeps),
        hot.map_or(String::new(), |hot| {
            format!("{}: {}", each(hot.writes), words::line(hot))
        }),
    ]
}

/// A row for each workload and target, a column for each count of processors.
fn ceilings(counted: &Counted, costs: &Costs) -> Table {
    let mut cpus: Vec<u32> = counted.phases.iter().map(|phase| phase.threads).collect();
    cpus.sort_unstable();
    cpus.dedup();
    let counts: Vec<_> = cpus.iter().map(u32::to_string).collect();
    let head = ["workload", "target"].into_iter();
    let head = head.chain(counts.iter().map(String::as_str));
    let mut table = table(head.chain(["seen", "meets", "the line"]));
    for series in counted.all_series() {
        let Some(last) = series.last() else { continue };
        let of_last = costs.limit(last);
        let known = |value: Option<f64>| value.map_or("-".to_owned(), short);
        let ceiling = |cpus: &u32| {
            let of_count = series.iter().find(|phase| phase.threads == *cpus);
            known(of_count.and_then(|phase| costs.limit(phase).ceiling))
        };
        let begin = [last.workload.clone(), last.target.clone()].into_iter();
        let end = [
            known(of_last.by_moves),
            known(of_last.meet),
            hottest(last).map_or(String::new(), words::line),
        ];
        let row = begin.chain(cpus.iter().map(ceiling)).chain(end);
        table.add_row(row.collect::<Vec<_>>());
    }
    align(&mut table, 2, cpus.len() + 2);
    table
}

/// Whose lines are shared with the most processors, and the hottest, of all and of the module.
fn lines(series: &[&Measured]) -> String {
    let Some(phase) = series.last() else {
        return String::new();
    };
    let both = [
        ("the hottest lines", &phase.hottest),
        ("those of the module", &phase.of_module),
    ];
    let some = both.into_iter().filter(|(_, hot)| !hot.is_empty());
    let blocks = some.map(|(which, hot)| format!("{}\n", block(phase, which, hot)));
    let owners = (!phase.owners.is_empty()).then(|| format!("{}\n", owners(phase)));
    owners.into_iter().chain(blocks).collect()
}

fn owners(phase: &Measured) -> String {
    let mut table = table(["writes", "moves", "lines", "what"]);
    table.add_rows(phase.owners.iter().take(words::OWNERS).map(|owned| {
        let each = |count| format!("{:.2}", phase.per_operation(count));
        let lines = owned.lines.to_string();
        let name = words::owner(&owned.owner);
        [each(owned.writes), each(owned.transfers), lines, name]
    }));
    align(&mut table, 0, 3);
    format!("\n{}\n{table}", heading(phase, "all shared lines"))
}

fn heading(phase: &Measured, which: &str) -> String {
    let cpus = words::cpus(phase.threads);
    let (workload, target, unit) = (&phase.workload, &phase.target, &phase.unit);
    format!("{workload} on {target} with {cpus}, {which} by {unit}:")
}

fn block(phase: &Measured, which: &str, hot: &[Hot]) -> String {
    let figures = ["writes", "moves", "writers", "shared"];
    let mut table = table(figures.into_iter().chain(["what", "code"]));
    table.add_rows(hot.iter().map(|hot| line(phase, hot)));
    align(&mut table, 0, 3);
    format!("\n{}\n{table}", heading(phase, which))
}

fn line(phase: &Measured, hot: &Hot) -> [String; 6] {
    let each = |count| format!("{:.2}", phase.per_operation(count));
    let code = hot.code.first();
    [
        each(hot.writes),
        each(hot.transfers),
        hot.writers.to_string(),
        words::sharing(hot).to_owned(),
        words::owner(&hot.owner),
        code.map_or(String::new(), words::code),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coherence::testdata::counted;

    fn rows(text: &str, begin: [&str; 2]) -> Vec<Vec<String>> {
        let cells = text.lines().map(|line| {
            let cells = line.split('|').skip(1).map(|cell| cell.trim().to_owned());
            cells.collect::<Vec<_>>()
        });
        cells
            .filter(|row| row.len() > 2 && row[..2] == begin)
            .collect()
    }

    #[test]
    fn a_row_has_the_figures_by_operation() {
        let text = text(&counted(&[1, 2]), &Costs::default(), false);
        let rows = rows(&text, ["pft", "global"]);
        assert_eq!(rows.len(), 3, "two phases and their ceilings: {text}");
        assert_eq!(
            rows[0][2..11],
            [
                "1",
                "256 × fault",
                "0.00",
                "0.00 to 0.00",
                "0.00",
                "0",
                "0.00",
                "0.00",
                ""
            ]
        );
        let with_two = [
            "2",
            "512 × fault",
            "6.00",
            "5.40 to 12.00",
            "3.00",
            "4",
            "1.20",
        ];
        assert_eq!(rows[1][2..9], with_two);
        assert_eq!(rows[1][10], "3.00: faultline's space, by fault [faultline]");
    }

    #[test]
    fn the_ceiling_is_told_for_each_count_of_processors() {
        let text = text(&counted(&[1, 2]), &Costs::default(), false);
        let rows = rows(&text, ["pft", "global"]);
        // Three writes to the line, of 100 ns; a fifth of them was seen to move it.
        assert_eq!(rows[2][2..6], ["-", "3.33 M", "16.7 M", "3.33"]);
        assert!(text.contains("A transfer is taken for 100 ns"), "{text}");
    }

    #[test]
    fn the_hottest_lines_are_told_if_they_are_asked_for() {
        let counted = counted(&[2, 64]);
        let costs = Costs::default();
        assert!(!text(&counted, &costs, false).contains("the hottest lines by"));
        let text = text(&counted, &costs, true);
        let owners = "pft on global with 64 CPUs, all shared lines by fault:";
        let owners: Vec<_> = text.split_once(owners).unwrap().1.lines().collect();
        assert_eq!(owners[3], "|   5.91 |  1.48 |     2 | faultline's space |");
        let hottest = "pft on global with 64 CPUs, the hottest";
        let block = text.split_once(hottest).unwrap().1;
        assert!(!text.contains("pft on global with 2 CPUs"));
        let lines: Vec<_> = block.lines().skip(1).take(12).collect();
        assert!(lines[2].contains("fault [faultline] at space/fault.rs:120"));
        assert!(block.contains("64 CPUs, those of the module by fault"));
        assert!(lines[4].contains("falsely") && lines[4].contains("vm_event_states"));
    }
}
