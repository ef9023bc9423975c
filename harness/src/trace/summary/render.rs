// SPDX-License-Identifier: GPL-2.0-only
//! The summary for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use comfy_table::{CellAlignment, Table, presets};

use super::Summary;
use super::locks::LocksSummary;
use super::spread::{Spread, duration};
use super::timeline::Timeline;

/// All of it; losses first.
pub fn text(summary: &Summary) -> String {
    let mut text = summary.lost.text();
    for line in &summary.recorded {
        match line.strip_prefix("events: ") {
            // The names stand in the trace and in JSON.
            Some(names) if names.len() > 80 => {
                let _ = writeln!(text, "events: {} kinds", names.split(',').count());
            }
            _ => {
                let _ = writeln!(text, "{line}");
            }
        }
    }
    let all: u64 = summary.events.values().sum();
    let _ = writeln!(
        text,
        "{all} events in {:.3} s (clock {})",
        summary.seconds, summary.clock
    );
    let lost = if summary.lost.any() {
        ""
    } else {
        "nothing was lost; "
    };
    let _ = write!(text, "{lost}{}", summary.agreement.text());
    section(&mut text, "Faults", faults(summary));
    section(&mut text, "Calls", calls(summary));
    section(
        &mut text,
        "Time from asking for a lock to getting it",
        waits(&summary.locks),
    );
    section(&mut text, "Time a lock was held", holds(&summary.locks));
    section(&mut text, "Who waited for whom", pairs(&summary.locks));
    section(&mut text, "Held longest", longest(&summary.locks));
    for life in &summary.lives {
        let title = format!(
            "Life of fault {}: {} ({}, page {}, {})",
            life.fault,
            life.title,
            life.task,
            life.page,
            duration(life.time_ns)
        );
        section(&mut text, &title, timeline(life));
    }
    let others = other_events(&summary.events);
    section(&mut text, "Other events", others);
    text
}

fn section(text: &mut String, title: &str, body: String) {
    if !body.is_empty() {
        let _ = write!(text, "\n{title}\n{body}");
    }
}

/// A table whose first `left` columns are text and whose others are numbers.
fn table(header: &[&str], rows: Vec<Vec<String>>, left: usize) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(header.iter().copied());
    table.add_rows(rows);
    for (number, column) in table.column_iter_mut().enumerate() {
        if number >= left {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let lines = table.to_string();
    let lines = lines.lines().map(|line| format!(" {}\n", line.trim_end()));
    lines.collect()
}

fn share(part: u64, whole: u64) -> String {
    match whole {
        0 => "-".into(),
        _ => format!("{:.2} %", 100.0 * part as f64 / whole as f64),
    }
}

fn faults(summary: &Summary) -> String {
    let counts = &summary.counts;
    let attempts = counts.successes() + counts.aborts();
    let mut rows = Vec::new();
    let mut row = |what: String, count: u64, of: u64| {
        rows.push(vec![what, count.to_string(), share(count, of)]);
    };
    for (how, count) in &counts.completed {
        row(format!("completed: {how}"), *count, counts.faults());
    }
    for (kind, count) in &counts.speculated {
        row(
            format!("speculated: {}", kind.replace('_', " ")),
            *count,
            attempts,
        );
    }
    for (cause, count) in &counts.aborted {
        row(format!("given up: {cause}"), *count, attempts);
    }
    if counts.fell_back != 0 {
        row("fell back to a lock".into(), counts.fell_back, attempts);
    }
    let committed = counts.pages_filled + counts.pages_found;
    if committed != 0 {
        row("page came".into(), counts.pages_filled, committed);
        row("page was there".into(), counts.pages_found, committed);
    }
    table(&["", "count", "share"], rows, 1)
}

fn calls(summary: &Summary) -> String {
    let counts = &summary.counts;
    let mut names: Vec<&str> = counts
        .calls
        .keys()
        .chain(counts.failed.keys())
        .copied()
        .collect();
    names.sort_unstable();
    names.dedup();
    let count = |of: &BTreeMap<&'static str, u64>, name| of.get(name).copied().unwrap_or(0);
    let rows = names.into_iter().map(|name| {
        let (done, failed) = (count(&counts.calls, name), count(&counts.failed, name));
        vec![name.to_owned(), done.to_string(), failed.to_string()]
    });
    let mut text = table(&["", "done", "failed"], rows.collect(), 1);
    if counts.zaps != 0 {
        let _ = writeln!(
            text,
            " {} zaps of {} pages in all",
            counts.zaps, counts.pages_zapped
        );
    }
    text
}

fn spread(spread: &Spread) -> Vec<String> {
    let mut cells = vec![spread.count.to_string()];
    let times = [
        spread.p50_ns,
        spread.p90_ns,
        spread.p99_ns,
        spread.max_ns,
        spread.sum_ns,
    ];
    cells.extend(times.map(duration));
    cells
}

fn waits(locks: &LocksSummary) -> String {
    let rows = locks.by_size.iter().filter(|row| row.waited.count != 0);
    let rows = rows.map(|row| {
        let mut cells = vec![row.size.to_owned(), row.mode.to_owned()];
        cells.extend(spread(&row.waited));
        cells.push(row.failed.to_string());
        cells
    });
    let header = [
        "pages", "for", "count", "p50", "p90", "p99", "max", "sum", "in vain",
    ];
    table(&header, rows.collect(), 2)
}

fn holds(locks: &LocksSummary) -> String {
    let rows = locks.by_size.iter().filter(|row| row.held.count != 0);
    let rows = rows.map(|row| {
        let mut cells = vec![row.size.to_owned(), row.mode.to_owned()];
        cells.extend(spread(&row.held));
        cells
    });
    let header = ["pages", "for", "count", "p50", "p90", "p99", "max", "sum"];
    table(&header, rows.collect(), 2)
}

fn pairs(locks: &LocksSummary) -> String {
    let rows = locks.pairs.iter().map(|pair| {
        vec![
            pair.waiter.clone(),
            pair.holder.clone(),
            pair.count.to_string(),
            duration(pair.total_ns),
        ]
    });
    let mut text = table(&["waiter", "holder", "count", "time"], rows.collect(), 2);
    if locks.more_pairs != 0 {
        let _ = writeln!(text, " and {} pairs more", locks.more_pairs);
    }
    text
}

fn longest(locks: &LocksSummary) -> String {
    let rows = locks.longest.iter().map(|hold| {
        vec![
            hold.task.clone(),
            hold.lock.to_owned(),
            hold.mode.to_owned(),
            format!("[{},{})", hold.start, hold.end),
            duration(hold.held_ns),
        ]
    });
    table(&["task", "lock", "for", "pages", "held"], rows.collect(), 4)
}

fn timeline(life: &Timeline) -> String {
    let mut before = None;
    let rows = life.steps.iter().map(|step| {
        let since = before.replace(step.at_ns).map(|last| step.at_ns - last);
        let since = since.map_or(String::new(), |ns| format!("+{}", micros(ns)));
        let task = if step.is_other { &step.task } else { "" };
        vec![
            micros(step.at_ns),
            since,
            task.to_owned(),
            step.event.clone(),
        ]
    });
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["µs", "", "other task", "event"]);
    table.add_rows(rows.collect::<Vec<_>>());
    for column in table.column_iter_mut().take(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let lines = table.to_string();
    let mut text: String = lines
        .lines()
        .map(|line| format!(" {}\n", line.trim_end()))
        .collect();
    if life.left_out != 0 {
        let _ = writeln!(text, " and {} events of others", life.left_out);
    }
    text
}

fn micros(ns: i64) -> String {
    format!("{:.3}", ns as f64 / 1e3)
}

/// Events that are not the module's.
fn other_events(events: &BTreeMap<String, u64>) -> String {
    let others = events
        .iter()
        .filter(|(name, _)| !name.starts_with("faultline_"));
    let rows = others.map(|(name, count)| vec![name.clone(), count.to_string()]);
    table(&["", "count"], rows.collect(), 1)
}
