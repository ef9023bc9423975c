// SPDX-License-Identifier: GPL-2.0-only
//! `faultline coherence`: the work whose cache-line traffic `cargo xtask coherence`
//! counts, and what is made of the counts.
//!
//! * `work`, `team`: the work, and who does it.
//! * `read`, `counted`: what xtask wrote of it. `words`: how its lines are called.
//! * `ceiling`: a model of how far the work scales.
//! * `report`: the figures as `text`, `json` or `html`; `compare`: those of two runs.
//!
//! Each piece of work is done, in each round, once unmarked, which warms up what is kept for each
//! processor, and once between two marker instructions. These do nothing, on any
//! processor; the plugin of QEMU sees them. What is printed says which phase was what,
//! and how many operations it had.

mod ceiling;
mod compare;
mod counted;
mod html;
mod json;
mod read;
mod report;
mod team;
#[cfg(test)]
pub(crate) mod testdata;
mod text;
mod words;
mod work;

use std::io;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use maud::Markup;
use serde_json::json;

use self::ceiling::Costs;
use self::compare::Compare;
pub(crate) use self::counted::Counted;
pub(crate) use self::read::read;
use self::report::Report;
use self::team::Phase;
use self::work::Work;
use crate::bench::memory::{self, On};
use crate::{EXIT_PASS, Policy, stress, sys};

/// Options of `faultline coherence`.
#[derive(Args, Clone, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Coherence {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    options: Options,
}

/// What else can be done than to do the work.
#[derive(Clone, Debug, Subcommand)]
enum Action {
    /// Show what was counted, and how far it lets the work scale
    Report(Report),
    /// Compare two counted runs: which phases agree, and which differ
    Compare(Compare),
}

/// What to do, and how much of it.
#[derive(Args, Clone, Debug)]
struct Options {
    /// Threads, each on a processor of its own
    #[arg(long, default_value_t = 2, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    threads: u32,

    /// Pages that each thread touches; other work is scaled alike
    #[arg(long, default_value_t = 256, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=511))]
    pages: u64,

    /// How often all of it is done, in turns
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=99))]
    rounds: u32,

    /// Work [default: all]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "LIST")]
    workload: Option<Vec<Work>>,

    /// Leave out work that has threads sleep for each other, which does not repeat
    #[arg(long)]
    calm: bool,

    /// Policies of spaces, "anon" or "memfd" [default: all]
    #[arg(long, value_parser = target, value_delimiter = ',', value_name = "LIST")]
    target: Option<Vec<On>>,
}

/// The kernel's own memory, by the names of the benchmarks.
const KERNELS: [(&str, On); 2] = [("anon", On::Linux), ("memfd", On::Memfd)];

fn target(name: &str) -> Result<On, String> {
    if let Some((_, on)) = KERNELS.iter().find(|(known, _)| *known == name) {
        return Ok(*on);
    }
    let policy: Result<Policy, _> = name.parse();
    policy
        .map(On::Space)
        .map_err(|unknown| format!("{unknown}; or anon, or memfd"))
}

fn name(on: On) -> &'static str {
    let kernel = KERNELS.iter().find(|(_, known)| *known == on);
    kernel.map_or_else(|| on.name(), |(name, _)| name)
}

/// What was counted, as a section of the benchmark's report.
pub(crate) fn section(counted: &Counted) -> Markup {
    html::section(counted, &Costs::default())
}

/// Does the work, and prints a line of JSON for each phase; or does what else was asked
/// for.
pub fn run(coherence: &Coherence) -> ExitCode {
    match &coherence.action {
        Some(Action::Report(report)) => return report::run(report),
        Some(Action::Compare(compare)) => return compare::run(compare),
        None => {}
    }
    match phases(&coherence.options) {
        Ok(()) => ExitCode::from(EXIT_PASS),
        Err(error) => stress::explain(&error),
    }
}

fn phases(options: &Options) -> io::Result<()> {
    let cpus = sys::allowed_cpus().len();
    if options.threads as usize > cpus {
        let error = format!(
            "{} threads need as many processors: there are {cpus}",
            options.threads
        );
        return Err(io::Error::other(error));
    }
    memory::forbid_huge_pages()?;
    // What the scheduler does depends on how long a phase takes, not on its work.
    sys::become_realtime()?;
    let all = || {
        let policies = Policy::all().map(On::Space);
        KERNELS.iter().map(|(_, on)| *on).chain(policies).collect()
    };
    let targets = options.target.clone().unwrap_or_else(all);
    let works = options.workload.clone().unwrap_or_else(Work::all);
    let mut fit = Vec::new();
    for work in works {
        for &on in &targets {
            let restless = (options.calm && work.has_one_lock(on))
                .then_some("one lock for all, and calm work is wanted");
            match work.unfit(on, options.threads).or(restless) {
                Some(why) => eprintln!("skipped: {}, {}: {why}", work.name(), name(on)),
                None => fit.push((work, on)),
            }
        }
    }
    let mut phase = 0;
    for _ in 0..options.rounds {
        for &(work, on) in &fit {
            work.run(on, options.threads, options.pages, None)?;
            let mut measured = Phase::default();
            let operations = work.run(on, options.threads, options.pages, Some(&mut measured))?;
            let objects = measured.objects.lines().map(serde_json::from_str);
            let objects: Vec<serde_json::Value> = objects.collect::<Result<_, _>>()?;
            phase += 1;
            let line = json!({
                "phase": phase,
                "workload": work.name(),
                "unit": work.unit(),
                "target": name(on),
                "threads": options.threads,
                "operations": operations,
                "sleeps": measured.sleeps,
                "objects": objects,
            });
            println!("{line}");
        }
    }
    Ok(())
}
