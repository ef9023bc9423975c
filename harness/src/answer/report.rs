// SPDX-License-Identifier: GPL-2.0-only
//! What is printed of the runs.

use std::fmt::Write as _;

use clap::ValueEnum;
use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Map, Value, json};

use super::load::Workload;
use super::measure::{CORE, Run};
use super::probe::NAMES;
use crate::bench::latency::Latencies;
use crate::bench::memory::On;
use crate::counts::Counts;

/// As it is typed.
pub(super) fn name(workload: Workload) -> String {
    let value = workload.to_possible_value();
    value.map_or_else(String::new, |value| value.get_name().to_owned())
}

/// One line of JSON.
pub(super) fn json(run: &Run) -> Value {
    let core: Map<String, Value> = CORE
        .iter()
        .zip(run.core)
        .map(|(name, count)| ((*name).to_owned(), json!(count)))
        .collect();
    let calls: Map<String, Value> = NAMES
        .iter()
        .zip(&run.calls)
        .map(|(name, latencies)| ((*name).to_owned(), json_of(latencies)))
        .collect();
    let counts = run.counts.map(|counts| {
        let fields = counts.all().into_iter();
        let fields = fields.map(|(name, count)| (name.to_owned(), json!(count)));
        Value::Object(fields.collect())
    });
    json!({
        "workload": name(run.workload),
        "on": run.on.name(),
        "seconds": run.elapsed.as_secs_f64(),
        "core_faults": run.core_faults,
        "core": core,
        "counts": counts,
        "counts_tell_how": run.counts.map(|counts| counts.tell_how()),
        "calls": calls,
    })
}

fn json_of(latencies: &Latencies) -> Value {
    json!({
        "count": latencies.len(),
        "median_us": latencies.percentile_us(50.0),
        "p99_us": latencies.percentile_us(99.0),
        "max_us": latencies.max_us(),
    })
}

/// All for people.
pub(super) fn text(runs: &[Run]) -> String {
    let mut text = String::new();
    let mut add = |part: String| {
        text += &part;
        text += "\n";
    };
    add("What became of faults:".to_owned());
    add(faults(runs).to_string());
    add(FAULTS_NOTE.to_owned());
    let causes = causes(runs);
    if !causes.is_empty() {
        add(format!("\nAborts by cause:\n{}", causes.join("\n")));
    }
    add("\nHow long calls took that need the mapping in which the load faults, in us:".to_owned());
    add(calls(runs).to_string());
    add(CALLS_NOTE.to_owned());
    add("\nCan the retry go, and at what price:".to_owned());
    add(answers(runs).join("\n"));
    text
}

const FAULTS_NOTE: &str = "\
retried: answers of the module that ask for a retry; vma_lock_retry: what the core counts of them, \
in all processes. waits: of faults for a lock of the space; false: no change of the page was under \
way. -: not counted.";

const CALLS_NOTE: &str = "\
median / 99th percentile / maximum. mprotect and munmap take the last page off the window (linux: \
off the mapping that is touched; ebizzy, and what is small and big, have their own there). Compare \
with spin, where nothing faults; a fork also copies page tables.";

fn faults(runs: &[Run]) -> Table {
    let mut table = table(&[
        "workload",
        "on",
        "faults",
        "retried",
        "vma_lock_retry",
        "attempts",
        "aborts",
        "false",
        "fallbacks",
        "waits",
        "false",
        "ms waited",
    ]);
    for run in runs {
        let counts = run.counts;
        let told = counts.filter(Counts::tell_how);
        let told = |value: fn(&Counts) -> u64| shown(told.as_ref().map(value));
        table.add_row([
            name(run.workload),
            run.on.name().to_owned(),
            faults_of(run).to_string(),
            shown(counts.map(|counts| counts.fault_retried)),
            shown(run.core_retries()),
            told(|counts| counts.spf_attempts),
            told(Counts::aborts),
            told(|counts| counts.spf_false_aborts),
            told(|counts| counts.spf_fallbacks),
            told(|counts| counts.fault_waits),
            told(|counts| counts.fault_waits_false),
            told(|counts| counts.fault_wait_ns / 1_000_000),
        ]);
    }
    align(table, 2)
}

/// Of the space, or else of the process.
fn faults_of(run: &Run) -> u64 {
    run.counts.map_or(run.core_faults, |counts| counts.faults)
}

fn shown(count: Option<u64>) -> String {
    count.map_or_else(|| "-".to_owned(), |count| count.to_string())
}

fn causes(runs: &[Run]) -> Vec<String> {
    let mut lines = Vec::new();
    for run in runs {
        let counts = run.counts.unwrap_or_default();
        let seen = counts.causes().into_iter().filter(|&(_, count)| count > 0);
        let seen: Vec<_> = seen
            .map(|(cause, count)| format!("{count} {cause}"))
            .collect();
        if !seen.is_empty() {
            let (workload, on) = (name(run.workload), run.on.name());
            lines.push(format!("  {workload}, {on}: {}", seen.join(", ")));
        }
    }
    lines
}

fn calls(runs: &[Run]) -> Table {
    let mut table = table(&[
        "workload",
        "on",
        "fork",
        "mprotect",
        "munmap",
        "calls of each",
    ]);
    for run in runs {
        let [fork, mprotect, munmap] = &run.calls;
        table.add_row([
            name(run.workload),
            run.on.name().to_owned(),
            three(fork),
            three(mprotect),
            three(munmap),
            munmap.len().to_string(),
        ]);
    }
    align(table, 2)
}

fn three(latencies: &Latencies) -> String {
    match latencies.len() {
        0 => "-".to_owned(),
        _ => format!(
            "{:.0} / {:.0} / {:.0}",
            latencies.percentile_us(50.0),
            latencies.percentile_us(99.0),
            latencies.max_us()
        ),
    }
}

/// For each kind of memory a line.
fn answers(runs: &[Run]) -> Vec<String> {
    let mut subjects: Vec<On> = Vec::new();
    for run in runs {
        if !subjects.contains(&run.on) {
            subjects.push(run.on);
        }
    }
    subjects.into_iter().map(|on| answer(runs, on)).collect()
}

fn answer(runs: &[Run], on: On) -> String {
    let of_it = || runs.iter().filter(|run| run.on == on);
    let faults: u64 = of_it().map(faults_of).sum();
    let retries = of_it().map(|run| match run.counts {
        Some(counts) => Some(counts.fault_retried),
        None => run.core_retries(),
    });
    let retries: Option<u64> = retries.sum();
    let mut line = format!(
        "  {}: {} retries of {faults} faults",
        on.name(),
        shown(retries)
    );
    for (number, call) in NAMES.iter().enumerate() {
        let loaded = of_it().filter(|run| run.workload != Workload::Spin);
        let worst = loaded
            .filter(|run| run.calls[number].len() > 0)
            .map(|run| (run.calls[number].percentile_us(99.0), name(run.workload)))
            .max_by(|a, b| a.0.total_cmp(&b.0));
        let Some((p99, workload)) = worst else {
            continue;
        };
        write!(line, "; {call} p99 {:.1} ms in {workload}", p99 / 1e3)
            .expect("a string takes everything");
        let quiet = of_it().find(|run| run.workload == Workload::Spin);
        if let Some(quiet) = quiet {
            let p99 = quiet.calls[number].percentile_us(99.0) / 1e3;
            write!(line, " (spin: {p99:.1})").expect("a string takes everything");
        }
    }
    line
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(header);
    table
}

fn align(mut table: Table, from: usize) -> Table {
    for column in table.column_iter_mut().skip(from) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Policy;
    use crate::bench::latency::Record;

    fn run(workload: Workload, on: On, counts: Option<Counts>, ms: u64) -> Run {
        let calls = NAMES.map(|_| {
            let mut record = Record::new(1);
            record.note(Duration::ZERO, Duration::from_millis(ms));
            record.latencies()
        });
        Run {
            workload,
            on,
            elapsed: Duration::from_secs(1),
            core_faults: 7,
            core: [Some(1), Some(0), None, Some(6)],
            counts,
            calls,
        }
    }

    fn runs() -> Vec<Run> {
        let on = On::Space(Policy::SPF_RANGE);
        let counts = Counts {
            faults: 100,
            fault_ok: 100,
            spf_attempts: 100,
            spf_anon_write: 98,
            spf_writer_active: 2,
            ..Counts::default()
        };
        vec![
            run(Workload::Spin, on, Some(Counts::default()), 1),
            run(Workload::Clash, on, Some(counts), 4),
            run(Workload::Clash, On::Linux, None, 3),
        ]
    }

    #[test]
    fn one_line_of_each_kind_of_memory_answers() {
        let lines = answers(&runs());
        assert_eq!(lines.len(), 2);
        let ours = "  spf-range: 0 retries of 100 faults; fork p99 4.0 ms in clash (spin: 1.0)";
        assert!(lines[0].starts_with(ours), "{}", lines[0]);
        let theirs = "  linux: 1 retries of 7 faults; fork p99 3.0 ms in clash; mprotect";
        assert!(lines[1].starts_with(theirs), "{}", lines[1]);
    }

    #[test]
    fn what_is_not_counted_is_no_zero() {
        let mut runs = runs();
        assert_eq!(causes(&runs), ["  clash, spf-range: 2 writer active"]);
        runs[1].counts = Some(Counts {
            faults: 5,
            fault_ok: 5,
            ..Counts::default()
        });
        let text = faults(&runs[1..2]).to_string();
        let row = text.lines().nth(2).unwrap();
        assert_eq!(row.matches(" - ").count(), 7, "{row}");
    }

    #[test]
    fn json_has_every_counter_by_its_name() {
        let runs = runs();
        let line = json(&runs[1]);
        assert_eq!(line["workload"], "clash");
        assert_eq!(line["counts"]["spf_writer_active"], 2);
        assert_eq!(line["calls"]["munmap"]["max_us"], 4000.0);
        assert_eq!(line["core"]["vma_lock_miss"], Value::Null);
        assert_eq!(json(&runs[2])["counts"], Value::Null);
    }
}
