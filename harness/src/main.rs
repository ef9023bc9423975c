// SPDX-License-Identifier: GPL-2.0-only
//! The `faultline` binary: the library's verbs.

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};
use faultline::{
    EXIT_USAGE, answer, bench, coherence, demo, differential, live, selftest, stress, trace,
};

/// Exercises the faultline kernel module, and checks what it does.
#[derive(Parser)]
#[command(name = "faultline", version, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Fault and remap concurrently, and check every access
    Stress(Box<stress::Options>),
    /// Do the same on a space and on Linux's own memory, and compare
    Differential(differential::Options),
    /// Show a short checked run under each policy
    Demo(demo::Demo),
    /// Measure workloads on spaces and on Linux's own memory, and compare runs
    Bench(Box<bench::Bench>),
    /// Measure how many faults coarser designs of speculation would abort for nothing
    Precision(bench::Precision),
    /// Measure what faults without a retry make others wait
    Answer(answer::Answer),
    /// Do the work whose cache-line traffic `cargo xtask coherence` counts
    Coherence(coherence::Coherence),
    /// Watch the spaces there are: faults, aborts and waits a second
    Top(live::Top),
    /// Show the regions of each space, as /proc/PID/maps shows areas
    Maps(live::Maps),
    /// Record what the module does, and say what it tells
    #[command(subcommand)]
    Trace(trace::Trace),
    /// Run the tests that need the module
    Test(selftest::Args),
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let asked = matches!(
                error.kind(),
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
            );
            // Nothing sensible is left to do if the terminal is gone.
            let _ = error.print();
            return ExitCode::from(if asked { 0 } else { EXIT_USAGE });
        }
    };
    match cli.verb {
        Verb::Stress(options) => stress::run(&options),
        Verb::Differential(options) => differential::run(&options),
        Verb::Demo(demo) => demo::run(&demo),
        Verb::Bench(bench) => bench::run(&bench),
        Verb::Precision(precision) => bench::run_precision(&precision),
        Verb::Answer(answer) => answer::run(&answer),
        Verb::Coherence(options) => coherence::run(&options),
        Verb::Top(top) => live::run_top(&top),
        Verb::Maps(maps) => live::run_maps(&maps),
        Verb::Trace(trace) => trace::run(&trace),
        Verb::Test(args) => selftest::run(args),
    }
}
