// SPDX-License-Identifier: GPL-2.0-only

//! The range lock beside its peers, all in one run and taking turns.
//!
//! ```text
//! cargo bench -p faultline-portable --bench range_lock -- [--long] [SECTION...]
//! ```
//!
//! Sections: `alone`, `disjoint`, `crowded`, `streams`, `sweep`; all if none is
//! named. `--long`, or `FAULTLINE_BENCH_LONG=1`, takes five times the rounds.
//!
//! Two work trees must not share a target directory: cargo may then measure the
//! library of one as that of the other.

mod alone;
mod cases;
mod crowded;
mod disjoint;
mod heat_map;
mod measure;
#[path = "../peers/mod.rs"]
mod peers;
mod report;
mod rounds;
mod streams;
mod sweep;

use std::{env, fs, io, process::ExitCode};

use report::{Effort, Report};

const SECTIONS: [&str; 5] = ["alone", "disjoint", "crowded", "streams", "sweep"];

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let long = has("--long") || env::var_os("FAULTLINE_BENCH_LONG").is_some();
    // Cargo says `--bench` when it measures, and not when it tests.
    let effort = match (has("--bench"), long) {
        (false, _) => Effort::Smoke,
        (true, false) => Effort::Usual,
        (true, true) => Effort::Long,
    };
    let mut sections: Vec<_> = arguments.iter().filter(|a| !a.starts_with('-')).collect();
    if let Some(unknown) = sections.iter().find(|s| !SECTIONS.contains(&s.as_str())) {
        eprintln!("no section {unknown}; there are {}", SECTIONS.join(", "));
        return ExitCode::FAILURE;
    }
    let all = SECTIONS.map(str::to_owned);
    if sections.is_empty() {
        sections.extend(&all);
    }
    match run(effort, &sections) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("writing the report: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(effort: Effort, sections: &[&String]) -> io::Result<()> {
    let wanted = |section: &str| sections.iter().any(|s| *s == section);
    let cpus = measure::cpus();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("{} processors, load before: {}", cpus.len(), load.trim());
    println!("Figures: median (quartiles) over rounds in which all peers take turns.");
    measure::pin(cpus[0]);
    let busy = measure::Busy::calibrate();
    let mut report = Report::default();
    report.record_value(serde_json::json!({
        "section": "machine", "processors": cpus.len(), "load_before": load.trim(),
    }));
    if wanted("alone") {
        alone::run(effort, &mut report);
    }
    if wanted("disjoint") {
        disjoint::run(effort, busy, &cpus, &mut report);
    }
    if wanted("crowded") {
        crowded::run(effort, &mut report);
    }
    if wanted("streams") {
        streams::run(effort, &cpus, &mut report);
    }
    if wanted("sweep") {
        sweep::run(effort, busy, &cpus, &mut report)?;
    }
    report.finish()
}
