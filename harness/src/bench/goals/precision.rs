// SPDX-License-Identifier: GPL-2.0-only
//! `faultline precision`: how many faults are aborted by changes of other pages, if
//! speculation goes by the page, or by a count of its leaf, its region or the space.
//!
//! The module's build with test hooks can do each; see `module/driver/precision.rs`.

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use comfy_table::{CellAlignment, Table, presets};

use super::cases::{GIB, KIB, MIB};
use super::churn::{self, change, change_once, touch_bursts};
use super::measure::{Rounds, rate};
use super::report::short;
use super::{FAULT_RATE, ebizzy};
use crate::bench::memory::{self, Arena, On};
use crate::bench::team::beside;
use crate::counts::Counts;
use crate::selftest::sys::kmodule::set_parameter;
use crate::{EXIT_PASS, EXIT_SKIP, PAGE_SIZE, Policy, Space, stress};

/// Options of `faultline precision`.
#[derive(Args, Clone, Debug)]
pub struct Precision {
    /// Rounds, in each of which every precision has its turn with every load
    #[arg(long, default_value_t = 5, value_name = "N")]
    rounds: u32,

    /// Milliseconds of a turn
    #[arg(long, default_value_t = 500, value_name = "MS")]
    time: u64,
}

const PARAMETER: &str = "precision";
/// The values of the parameter, the one that the module is built for first.
const PRECISIONS: [&str; 4] = ["page", "leaf", "region", "space"];

/// Faults a second, and what was counted.
type Turn = io::Result<(f64, Counts)>;

/// Measures for so long.
type Load = fn(Duration) -> Turn;

const LOADS: [(&str, Load); 4] = [
    ("ebizzy, 2 threads", chunks),
    ("faults beside changes of another region", elsewhere),
    ("faults beside changes of their region", in_another_leaf),
    ("faults beside changes of their leaf", in_the_same_leaf),
];

/// Measures and prints.
pub fn run(precision: &Precision) -> ExitCode {
    // So that it is the device that is missed first.
    if let Err(error) = Space::open() {
        return stress::explain(&error);
    }
    if let Err(error) = set_parameter(PARAMETER, PRECISIONS[0]) {
        eprintln!(
            "faultline: the module's parameter \"{PARAMETER}\" cannot be set ({error}): only the \
             build with test hooks has it; try `cargo xtask run --module test_hooks --mem 4G -- \
             faultline precision`"
        );
        return ExitCode::from(EXIT_SKIP);
    }
    let measured = measure(precision);
    // Whatever came of it, who is next finds the module as it was.
    let restored = set_parameter(PARAMETER, PRECISIONS[0]);
    match measured.and_then(|rows| restored.map(|()| rows)) {
        Ok(rows) => {
            println!("{}\n\n{NOTE}", table(&rows));
            ExitCode::from(EXIT_PASS)
        }
        Err(error) => stress::explain(&error),
    }
}

const NOTE: &str = "A false abort is one that the page alone would not have called for. Touched \
are 8 MiB (the last row: 1 MiB), emptied and touched again by one thread, while another maps, \
touches and unmaps 64 KiB as often as it can. ebizzy: each thread maps 512 KiB, touches every page \
and unmaps it. Policy spf-range; medians of faults/s, percentages of all rounds together.";

/// A load under a precision, over all rounds.
struct Row {
    load: &'static str,
    precision: &'static str,
    run: Load,
    rates: Rounds,
    counts: Counts,
}

fn measure(options: &Precision) -> io::Result<Vec<Row>> {
    memory::forbid_huge_pages()?;
    let mut rows: Vec<Row> = LOADS
        .into_iter()
        .flat_map(|(load, run)| {
            PRECISIONS.map(|precision| Row {
                load,
                precision,
                run,
                rates: Rounds::default(),
                counts: Counts::default(),
            })
        })
        .collect();
    for round in 1..=options.rounds {
        eprintln!("round {round} of {} ...", options.rounds);
        for row in &mut rows {
            set_parameter(PARAMETER, row.precision)?;
            let (rate, counts) = (row.run)(Duration::from_millis(options.time))?;
            row.rates.push(rate);
            row.counts.add(&counts);
        }
    }
    Ok(rows)
}

fn table(rows: &[Row]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header([
        "load",
        "precision",
        "attempts",
        "aborts",
        "aborts, %",
        "false aborts, %",
        FAULT_RATE,
    ]);
    for row in rows {
        let percent = |count| percent(count, row.counts.spf_attempts);
        table.add_row([
            row.load.to_owned(),
            row.precision.to_owned(),
            row.counts.spf_attempts.to_string(),
            row.counts.aborts().to_string(),
            percent(row.counts.aborts()),
            percent(row.counts.spf_false_aborts),
            short(row.rates.median()),
        ]);
    }
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// Of none, nothing.
fn percent(count: u64, of: u64) -> String {
    match of {
        0 => "-".to_owned(),
        of => format!("{:.3}", count as f64 / of as f64 * 100.0),
    }
}

fn arena(pages: u64) -> io::Result<Arena> {
    Arena::new(On::Space(Policy::SPF_RANGE), churn::ARENA, pages)
}

fn chunks(time: Duration) -> Turn {
    const THREADS: usize = 2;
    let pages = ebizzy::CHUNK / PAGE_SIZE;
    let arena = arena(THREADS as u64 * pages)?;
    let mut counts = Counts::default();
    let chunks = counts.during(arena.space(), || {
        rate(THREADS, time, |number| {
            change_once(&arena, number as u64 * ebizzy::APART, ebizzy::CHUNK)
        })
    })?;
    Ok((chunks * pages as f64, counts))
}

fn elsewhere(time: Duration) -> Turn {
    beside_changes(8 * MIB, 8 * MIB, GIB, time)
}

fn in_another_leaf(time: Duration) -> Turn {
    beside_changes(32 * MIB, 8 * MIB, 16 * MIB, time)
}

fn in_the_same_leaf(time: Duration) -> Turn {
    beside_changes(2 * MIB, MIB, MIB + 512 * KIB, time)
}

/// A region of so many bytes, of which the first `touched` are touched, while a chunk
/// at `changed` is mapped anew and unmapped.
fn beside_changes(region: u64, touched: u64, changed: u64, time: Duration) -> Turn {
    let arena = arena((touched + churn::CHUNK) / PAGE_SIZE)?;
    let whole = arena.map(0, region)?;
    let burst = whole.part(0, touched);
    let mut counts = Counts::default();
    let (faults, _changes) = counts.during(arena.space(), || {
        beside(
            time,
            |stop| touch_bursts(&arena, &burst, stop),
            |stop| change(&arena, changed, None, stop),
        )
    })?;
    arena.unmap(whole)?;
    Ok((faults, counts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_are_of_something() {
        assert_eq!(percent(1, 8), "12.500");
        assert_eq!(percent(0, 0), "-");
    }

    #[test]
    fn each_load_has_a_row_under_each_precision() {
        let rows: Vec<Row> = LOADS
            .into_iter()
            .map(|(load, run)| Row {
                load,
                precision: PRECISIONS[0],
                run,
                rates: Rounds::default(),
                counts: Counts::default(),
            })
            .collect();
        assert_eq!(table(&rows).row_iter().count(), LOADS.len());
    }
}
