// SPDX-License-Identifier: GPL-2.0-only
//! The differential test: a space must do what Linux does.
//!
//! The same random calls and accesses are made on a space and, with the system
//! calls of the same names, on ordinary memory at addresses that nobody else
//! uses. After each step the answers, the regions (QUERY against
//! `/proc/self/maps`), and the contents of pages must be alike. What differs on
//! purpose is treated in [`deviations`] and nowhere else.
//!
//! The space's regions are compared as they are, Linux's after those were merged
//! that are alike: Linux keeps some apart (after mremap, or once both were
//! touched), and a space never does.
//!
//! The process must have one thread, or none that maps memory at
//! [addresses of its choice](linux).

pub mod call;
pub mod deviations;
pub mod files;
pub mod generate;
pub mod linux;
pub mod model;
pub mod runner;
pub mod space;
#[cfg(test)]
mod tests;

use std::io;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};

use crate::rng::{Rng, random_seed};
use crate::stress::explain;
use crate::target::{Operation, Operations};
use crate::{EXIT_FAIL, EXIT_PASS, EXIT_USAGE, Policy};
use call::Side;
use deviations::TABLE;
use model::Model;
use runner::{Plan, Runner, Stop, Tally};
use space::DeviceSide;

/// What is compared with Linux.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Subject {
    /// A space of the faultline device
    Device,
    /// A model of a space in userspace, to test this test
    Model,
}

/// Options of `faultline differential`.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Seed of the first sequence; the next ones follow it
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,

    /// Sequences, each on an empty space
    #[arg(long, default_value_t = 4, value_name = "N")]
    pub sequences: u64,

    /// Steps of a sequence, at most
    #[arg(long, default_value_t = 1000, value_name = "K", value_parser = clap::value_parser!(u64).range(1..))]
    pub steps: u64,

    /// Run sequences for this long; the last one may be cut short
    #[arg(long, value_name = "S")]
    pub seconds: Option<u64>,

    /// Pages under test
    #[arg(long, default_value_t = 96, value_name = "N", value_parser = clap::value_parser!(u32).range(8..4096))]
    pub pages: u32,

    /// Compare all pages after one call in N [default: 1 or 8, by the seed]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub sweep: Option<u64>,

    /// Operations beyond MAP and UNMAP [default: all that the module has]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "LIST")]
    pub operations: Option<Vec<Operation>>,

    /// Locking policy of the space [default: the module's]
    #[arg(long, value_name = "P")]
    pub policy: Option<Policy>,

    /// What to compare
    #[arg(long, value_enum, default_value_t = Subject::Device)]
    pub subject: Subject,

    /// Print each step
    #[arg(long)]
    pub trace: bool,

    /// Print what differs on purpose, and why
    #[arg(long)]
    pub deviations: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            seed: None,
            sequences: 4,
            steps: 1000,
            seconds: None,
            pages: 96,
            sweep: None,
            operations: None,
            policy: None,
            subject: Subject::Device,
            trace: false,
            deviations: false,
        }
    }
}

/// Runs `faultline differential`.
pub fn run(options: &Options) -> ExitCode {
    if options.deviations {
        print!("{}", deviations::markdown());
        return ExitCode::from(EXIT_PASS);
    }
    if options.subject == Subject::Model && options.policy.is_some() {
        eprintln!("faultline differential: the model has no policies");
        return ExitCode::from(EXIT_USAGE);
    }
    let seed = options.seed.unwrap_or_else(random_seed);
    match run_all(options, seed, &|line| println!("{line}")) {
        Ok(tally) => {
            print!("{}", summary(&tally));
            println!("PASS: no difference but those meant, seeds from {seed}");
            ExitCode::from(EXIT_PASS)
        }
        Err(Stop::Mismatch(report)) => {
            print!("{report}");
            println!("FAIL");
            ExitCode::from(EXIT_FAIL)
        }
        Err(Stop::Error(error)) => explain(&error),
    }
}

/// Runs the sequences from this seed on. The command that repeats the first one, if it is
/// not cut short, is given to `say`.
pub fn run_all(options: &Options, first: u64, say: &dyn Fn(&str)) -> Result<Tally, Stop> {
    let mut tally = Tally::default();
    let until = options
        .seconds
        .map(|seconds| Instant::now() + Duration::from_secs(seconds));
    for number in 0.. {
        let more = match until {
            Some(until) => Instant::now() < until,
            None => number < options.sequences,
        };
        if !more {
            break;
        }
        let seed = first.wrapping_add(number);
        run_one(options, seed, until, &mut tally, say)?;
    }
    Ok(tally)
}

/// Runs one sequence.
fn run_one(
    options: &Options,
    seed: u64,
    until: Option<Instant>,
    tally: &mut Tally,
    say: &dyn Fn(&str),
) -> Result<(), Stop> {
    let mut rng = Rng::new(seed, 0x7370_6163);
    let (mut side, able) = subject(options, &mut rng)?;
    let asked = options
        .operations
        .as_ref()
        .map_or_else(Operations::all, |operations| {
            operations.iter().copied().collect()
        });
    let plan = Plan {
        seed,
        steps: options.steps,
        until,
        pages: options.pages,
        sweep: options.sweep.unwrap_or(if rng.one_in(2) { 1 } else { 8 }),
        operations: asked.and(able),
        trace: options.trace,
    };
    if tally.sequences == 0 {
        say(&describe(options, &plan));
    }
    let mut runner = Runner::new(plan, &mut *side, tally)?;
    runner.run().map_err(|stop| match stop {
        Stop::Mismatch(report) => {
            let repeat = describe(options, runner.plan());
            Stop::Mismatch(format!("{report}repeat: {repeat}\n"))
        }
        error => error,
    })
}

/// The side that is compared with Linux, and what it can do.
fn subject(options: &Options, rng: &mut Rng) -> io::Result<(Box<dyn Side>, Operations)> {
    Ok(match options.subject {
        Subject::Model => (Box::new(Model::new(options.pages, None)), Operations::all()),
        Subject::Device => {
            let side = DeviceSide::new(options.pages, options.policy, rng)?;
            let able = side.operations();
            (Box::new(side), able)
        }
    })
}

/// The command that repeats a sequence.
fn describe(options: &Options, plan: &Plan) -> String {
    let mut text = format!(
        "faultline differential --seed {} --steps {} --pages {} --sweep {} --operations {}",
        plan.seed, plan.steps, plan.pages, plan.sweep, plan.operations
    );
    if let Some(policy) = options.policy {
        text.push_str(&format!(" --policy {policy}"));
    }
    if options.subject == Subject::Model {
        text.push_str(" --subject model");
    }
    text
}

/// What was done, a line each.
fn summary(tally: &Tally) -> String {
    let mut text = format!(
        "{:<22}{}, {} steps\n{:<22}{}, {} of them faulted as they must; {} pages swept\n",
        "sequences",
        tally.sequences,
        tally.steps,
        "accesses",
        tally.accesses.0,
        tally.accesses.1,
        tally.swept,
    );
    for (name, (count, failed)) in &tally.calls {
        text.push_str(&format!(
            "{name:<22}{count}, {failed} of them failed as they must\n"
        ));
    }
    text.push_str("deviations met:\n");
    for (deviation, ..) in TABLE {
        let (name, count) = (format!("{deviation:?}"), tally.met.of(*deviation));
        text.push_str(&format!("  {name:<20}{count}\n"));
    }
    text
}
