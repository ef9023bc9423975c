// SPDX-License-Identifier: GPL-2.0-only
//! What is printed of a run: for each workload, how the targets compare.

use std::fmt::Write as _;

use comfy_table::{CellAlignment, Table, presets};
use hdrhistogram::Histogram;

use super::cells::{Cell, cells};
use super::read;
use super::record::{End, Record, Run, Workload};

/// A run in which the slowest thread has done less than this part of what the fastest
/// has is marked.
const FAIR: f64 = 0.8;

/// A rate is as good as another from this part of it on.
const AS_GOOD: f64 = 0.98;

/// All of it.
pub(super) fn text(records: &[Record]) -> String {
    let Some(run) = read::run(records) else {
        return String::new();
    };
    let cells = cells(records);
    let mut text = head(run);
    for workload in &run.workloads {
        let of_it = |cell: &&Cell<'_>| cell.work().0 == workload.name;
        let mut of_it: Vec<_> = cells.iter().filter(of_it).collect();
        // Turns are taken in random order.
        let place = |cell: &&Cell<'_>| run.targets.iter().position(|t| t.name == cell.work().1);
        of_it.sort_by_key(|cell| (cell.threads(), place(cell)));
        if !of_it.is_empty() {
            text += &block(workload, &of_it);
        }
    }
    text += &foot(run, records);
    text
}

fn head(run: &Run) -> String {
    let machine = &run.machine;
    let mut text = format!(
        "{}, {} processors ({}), {}; {} rounds of {} ms turns, seed {}\n",
        machine.kernel,
        machine.cpus,
        machine.cpu_model,
        machine.accelerator,
        run.rounds,
        run.turn_ms,
        run.seed
    );
    for warning in warnings(run) {
        let _ = writeln!(text, "CAUTION: {warning}");
    }
    text
}

/// What every figure has to be read with.
pub(super) fn warnings(run: &Run) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(caveat) = run.machine.caveat() {
        warnings.push(format!("{caveat}: ratios say something, rates do not"));
    }
    if run.machine.checked_kernel {
        warnings.push("the kernel checks itself: no figure is worth anything".to_owned());
    }
    if let Some(percent) = run.planted_slowdown {
        warnings.push(format!(
            "a slowdown of {percent} % was planted, but in what has fixed times"
        ));
    }
    warnings
}

fn block(workload: &Workload, cells: &[&Cell<'_>]) -> String {
    let peer = workload.peer.as_deref().unwrap_or("anon");
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    let extras = extras(cells);
    let rate = format!("{}/s", workload.unit);
    let mut header = vec!["threads".to_owned(), "target".to_owned(), rate];
    if !workload.empty {
        header.push(format!("to {peer}"));
    }
    header.push("spread".to_owned());
    if workload.latency_of.is_some() {
        let columns = ["p50", "p90", "p99", "p99.9", "max, us"];
        header.extend(columns.map(str::to_owned));
    }
    header.extend(extras.iter().cloned());
    header.push(String::new());
    table.set_header(header);
    for cell in cells {
        table.add_row(row(workload, peer, cells, cell, &extras));
    }
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    if let Some(marks) = table.column_iter_mut().last() {
        marks.set_cell_alignment(CellAlignment::Left);
    }
    format!("\n{}: {}\n{table}\n", workload.name, workload.about)
}

/// The names of this workload's own figures.
fn extras(cells: &[&Cell<'_>]) -> Vec<String> {
    let samples = cells.iter().flat_map(|cell| cell.samples());
    let names = samples.flat_map(|sample| sample.extra.keys().cloned());
    names
        .collect::<std::collections::BTreeSet<_>>()
        .into_iter()
        .collect()
}

fn row(
    workload: &Workload,
    peer: &str,
    cells: &[&Cell<'_>],
    cell: &Cell<'_>,
    extras: &[String],
) -> Vec<String> {
    let same_threads = |other: &&&Cell<'_>| other.threads() == cell.threads();
    let median = |cell: &Cell<'_>| cell.rate().map_or(0.0, |rate| rate.median);
    let rate = median(cell);
    let beside: Vec<_> = cells.iter().filter(same_threads).collect();
    let mut row = vec![
        cell.threads().to_string(),
        cell.work().1.to_owned(),
        short(rate),
    ];
    if !workload.empty {
        let of_peer = beside.iter().find(|other| other.work().1 == peer);
        let ratio = of_peer.and_then(|other| cell.ratio_to(other));
        row.push(ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}")));
    }
    let spread = cell.rate().map_or(0.0, |rate| rate.spread());
    row.push(format!("{:.0} %", spread * 100.0));
    if workload.latency_of.is_some() {
        row.extend(percentiles(cell.latencies().as_ref()));
    }
    for name in extras {
        row.push(cell.extra(name).map_or("-".to_owned(), short));
    }
    let best = best(&beside);
    let is_unfair = cell.fairness().is_some_and(|part| part < FAIR);
    let mut marks = Vec::new();
    if beside.len() > 1 && best == Some(cell.key()) {
        marks.push("best".to_owned());
    }
    if is_unfair && let Some(part) = cell.fairness() {
        marks.push(format!("UNFAIR {part:.2}"));
    }
    row.push(marks.join(", "));
    row
}

/// The highest rate, or, where several are as good as that, the shortest latencies.
fn best<'a>(cells: &[&&Cell<'a>]) -> Option<(&'a str, &'a str, u32)> {
    let rate = |cell: &Cell<'_>| cell.rate().map_or(0.0, |rate| rate.median);
    let highest = cells.iter().map(|cell| rate(cell)).fold(0.0, f64::max);
    let p99 = |cell: &Cell<'_>| {
        let latencies = cell.latencies();
        latencies.map_or(0, |latencies| latencies.value_at_quantile(0.99))
    };
    let as_good = |cell: &&&&Cell<'_>| rate(cell) >= highest * AS_GOOD;
    let fastest_first = |cell: &&&&Cell<'_>| (p99(cell), -rate(cell) as i64);
    let best = cells.iter().filter(as_good).min_by_key(fastest_first);
    best.map(|cell| cell.key())
}

fn percentiles(latencies: Option<&Histogram<u64>>) -> [String; 5] {
    let us = |nanoseconds: u64| short(nanoseconds as f64 / 1e3);
    match latencies {
        None => ["-"; 5].map(str::to_owned),
        Some(all) => {
            let at = |quantile| us(all.value_at_quantile(quantile));
            [at(0.5), at(0.9), at(0.99), at(0.999), us(all.max())]
        }
    }
}

fn foot(run: &Run, records: &[Record]) -> String {
    let mut text = "\nMedians of rounds; spread: from the first to the third quartile, of the \
                    median. Latencies are of all rounds. \"to\": to the kernel's own memory of \
                    that name, round by round. best: the highest rate of those with as \
                    many threads, by p99 where rates are within 2 %. UNFAIR: what the slowest thread did of what the fastest did.\n"
        .to_owned();
    match records.last() {
        Some(Record::End(end)) => text += &end_text(end),
        _ => text += "The run broke off.\n",
    }
    for warning in warnings(run) {
        let _ = writeln!(text, "CAUTION: {warning}");
    }
    text
}

fn end_text(end: &End) -> String {
    let mut text = String::new();
    for (workload, why, targets) in end.reasons() {
        let _ = writeln!(text, "skipped: {workload} on {}: {why}", targets.join(", "));
    }
    let _ = writeln!(text, "It took {:.0} s.", end.seconds);
    text
}

/// With three significant digits or so.
pub(super) fn short(value: f64) -> String {
    match value.abs() {
        millions if millions >= 1e7 => format!("{:.1}M", value / 1e6),
        millions if millions >= 1e6 => format!("{:.2}M", value / 1e6),
        thousands if thousands >= 1e5 => format!("{:.0}k", value / 1e3),
        thousands if thousands >= 1e4 => format!("{:.1}k", value / 1e3),
        large if large >= 100.0 => format!("{value:.0}"),
        small if small >= 10.0 => format!("{value:.1}"),
        0.0 => "0".to_owned(),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::record::{Sample, Target};

    fn sample(target: &str, done: &[u64]) -> Record {
        Record::Sample(Box::new(Sample {
            workload: "pft".to_owned(),
            target: target.to_owned(),
            threads: done.len() as u32,
            seconds: 1.0,
            per_thread: done.to_vec(),
            ..Sample::default()
        }))
    }

    fn records() -> Vec<Record> {
        let mut run = Run {
            planted_slowdown: Some(20.0),
            workloads: vec![Workload {
                name: "pft".to_owned(),
                unit: "faults".to_owned(),
                peer: Some("anon".to_owned()),
                ..Workload::default()
            }],
            targets: vec![Target::default()],
            ..Run::default()
        };
        run.machine.accelerator = "tcg".to_owned();
        let skipped = |target: &str, threads| {
            (
                "pft".to_owned(),
                target.to_owned(),
                threads,
                "no room".to_owned(),
            )
        };
        vec![
            Record::Run(Box::new(run)),
            sample("spf-range", &[100, 100]),
            sample("anon", &[100, 20]),
            Record::End(End {
                seconds: 3.0,
                skipped: vec![skipped("file", 1), skipped("file", 2), skipped("memfd", 1)],
            }),
        ]
    }

    #[test]
    fn a_block_says_who_is_best_and_who_is_unfair() {
        let text = text(&records());
        let row = |target: &str| {
            let line = text.lines().find(|line| line.contains(target)).unwrap();
            line.split('|')
                .map(|cell| cell.trim().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(row("spf-range")[3..], ["200", "1.67", "0 %", "best", ""]);
        assert_eq!(
            row("| anon")[3..],
            ["120", "1.00", "0 %", "UNFAIR 0.20", ""]
        );
    }

    #[test]
    fn of_equal_rates_the_shortest_latencies_are_best() {
        let with_latency = |target: &str, done, us: u64| {
            let mut sample = Sample {
                target: target.to_owned(),
                seconds: 1.0,
                per_thread: vec![done],
                ..Sample::default()
            };
            let mut histogram = crate::bench::turn::histogram();
            histogram.record(us * 1000).unwrap();
            sample.histogram = Some(crate::bench::run::encode(&histogram).unwrap());
            Record::Sample(Box::new(sample))
        };
        let records = [
            with_latency("slow", 1000, 900),
            with_latency("fast", 990, 10),
            with_latency("few", 900, 1),
        ];
        let cells = cells(&records);
        let cells: Vec<&Cell<'_>> = cells.iter().collect();
        let cells: Vec<&&Cell<'_>> = cells.iter().collect();
        assert_eq!(best(&cells).map(|(_, target, _)| target), Some("fast"));
    }

    #[test]
    fn what_makes_figures_doubtful_is_said() {
        let text = text(&records());
        assert!(text.contains("CAUTION: TCG, not hardware"), "{text}");
        assert!(
            text.contains("CAUTION: a slowdown of 20 % was planted, but"),
            "{text}"
        );
        assert!(
            text.contains("skipped: pft on file, memfd: no room"),
            "{text}"
        );
        let broken_off = super::text(&records()[..3]);
        assert!(broken_off.contains("broke off"), "{broken_off}");
    }

    #[test]
    fn numbers_have_three_digits() {
        let texts = [0.0, 0.123, 12.34, 1234.5, 12345.0, 123_456.0, 1.5e6].map(short);
        assert_eq!(
            texts,
            ["0", "0.12", "12.3", "1234", "12.3k", "123k", "1.50M"]
        );
    }
}
