// SPDX-License-Identifier: GPL-2.0-only
//! A whole run in one table: how each target compares with the kernel's own memory.

use comfy_table::{CellAlignment, Table, presets};

use super::cells::{Cell, cells};
use super::read;
use super::record::{Record, Run, Workload};
use super::table::short;

/// A row for each workload and number of threads: the rate on the kernel's own memory,
/// and on each target as a multiple of that. Empty if nothing was measured that can be
/// compared.
pub(super) fn text(records: &[Record]) -> String {
    let Some(run) = read::run(records) else {
        return String::new();
    };
    let cells = cells(records);
    let rows: Vec<_> = run
        .workloads
        .iter()
        .filter(|workload| !workload.empty)
        .flat_map(|workload| rows(run, workload, &cells))
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    let fixed = ["workload", "threads", "kernel's own, 1/s"];
    let targets = run.targets.iter().map(|target| target.name.as_str());
    table.set_header(fixed.into_iter().chain(targets));
    table.add_rows(rows);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    format!(
        "\nAt a glance: rates as multiples of that of the kernel's own memory, which is named; the \
         highest of a row is **marked**\n{table}\n"
    )
}

fn rows(run: &Run, workload: &Workload, cells: &[Cell<'_>]) -> Vec<Vec<String>> {
    let peer = workload.peer.as_deref().unwrap_or("anon");
    let of = |target: &str, threads| {
        let key = (workload.name.as_str(), target, threads);
        cells.iter().find(|cell| cell.key() == key)
    };
    let row = |&threads: &u32| {
        let of_peer = of(peer, threads)?;
        let ratio = |target: &str| of(target, threads)?.ratio_to(of_peer);
        let ratios: Vec<_> = run.targets.iter().map(|t| ratio(&t.name)).collect();
        let highest = ratios.iter().flatten().copied().fold(0.0, f64::max);
        let shown = ratios.iter().map(|ratio| match ratio {
            None => "-".to_owned(),
            Some(ratio) if *ratio == highest => format!("**{ratio:.2}**"),
            Some(ratio) => format!("{ratio:.2}"),
        });
        let rate = of_peer.rate().map_or(0.0, |rate| rate.median);
        let own = format!("{peer}: {} {}", short(rate), workload.unit);
        let begin = [workload.name.clone(), threads.to_string(), own];
        Some(begin.into_iter().chain(shown).collect())
    };
    workload.threads.iter().filter_map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::record::{Sample, Target};

    #[test]
    fn a_row_compares_the_targets_with_the_peer() {
        let target = |name: &str| Target {
            name: name.to_owned(),
            ..Target::default()
        };
        let run = Run {
            workloads: vec![Workload {
                name: "pft".to_owned(),
                unit: "faults".to_owned(),
                peer: Some("anon".to_owned()),
                threads: vec![2, 4],
                ..Workload::default()
            }],
            targets: ["range", "anon", "file"].map(target).to_vec(),
            ..Run::default()
        };
        let sample = |target: &str, done| {
            Record::Sample(Box::new(Sample {
                workload: "pft".to_owned(),
                target: target.to_owned(),
                threads: 2,
                seconds: 1.0,
                per_thread: vec![done, done],
                ..Sample::default()
            }))
        };
        let records = [
            Record::Run(Box::new(run)),
            sample("range", 75),
            sample("anon", 50),
        ];
        let text = text(&records);
        let row = text.lines().last().unwrap();
        let row: Vec<_> = row.split('|').map(str::trim).collect();
        let expected = ["pft", "2", "anon: 100 faults", "**1.50**", "1.00", "-"];
        assert_eq!(row[1..7], expected, "{text}");
        assert_eq!(super::text(&records[..1]), "", "nothing measured");
    }
}
