// SPDX-License-Identifier: GPL-2.0-only
//! Builds, boots, runs and tests faultline; `cargo xtask help` lists how.

mod cmd;
mod coherence;
mod ctx;
mod exit;
mod fsx;
mod harness;
mod host;
mod kernel;
mod ktap;
mod module;
mod pipeline;
mod signal;
mod step;
mod suite;
mod vm;

use std::process::ExitCode;

use anyhow::Result;
use clap::error::ErrorKind;
use clap::{Parser, Subcommand};

use cmd::bench::BenchArgs;
use cmd::build::BuildArgs;
use cmd::build_and_load::BuildAndLoadArgs;
use cmd::clean::CleanArgs;
use cmd::coherence::CoherenceArgs;
use cmd::doctor::DoctorArgs;
use cmd::run::RunArgs;
use cmd::shell::ShellArgs;
use cmd::stress::StressArgs;
use cmd::test::TestArgs;
use cmd::trace::TraceArgs;
use ctx::{Ctx, Global};

/// Builds, boots, runs and tests faultline
#[derive(Parser, Debug)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    version,
    after_help = "Exit status: 0 pass, 1 fail, 4 skip, 64 usage, 69 VM could not start, 124 timeout, 130 interrupted, 255 guest died; `run` and `shell` pass on the command's own."
)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    Doctor(DoctorArgs),
    Build(BuildArgs),
    BuildAndLoad(BuildAndLoadArgs),
    Run(RunArgs),
    Shell(ShellArgs),
    Stress(StressArgs),
    Trace(Box<TraceArgs>),
    Bench(BenchArgs),
    Coherence(CoherenceArgs),
    Test(TestArgs),
    Clean(CleanArgs),
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    match run(cli) {
        Ok(code) => code.into(),
        Err(error) if exit::code_of(&error) == exit::INTERRUPTED => {
            say!("interrupted");
            exit::INTERRUPTED.into()
        }
        Err(error) => {
            // `{:#}`: the causes on one line, and never a backtrace.
            say!("error: {error:#}");
            exit::code_of(&error).into()
        }
    }
}

fn run(cli: Cli) -> Result<u8> {
    signal::install()?;
    let ctx = Ctx::new(cli.global)?;
    match cli.command {
        Command::Doctor(args) => args.run(&ctx),
        Command::Build(args) => args.run(&ctx),
        Command::BuildAndLoad(args) => args.run(&ctx),
        Command::Run(args) => args.run(&ctx),
        Command::Shell(args) => args.run(&ctx),
        Command::Stress(args) => args.run(&ctx),
        Command::Trace(args) => args.run(&ctx),
        Command::Bench(args) => args.run(&ctx),
        Command::Coherence(args) => args.run(&ctx),
        Command::Test(args) => args.run(&ctx),
        Command::Clean(args) => args.run(&ctx),
    }
}

/// Help and version are no errors; all else is wrong usage.
fn usage(error: &clap::Error) -> ExitCode {
    // Nothing can be said if stderr is gone.
    error.print().ok();
    let asked_for = matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    );
    if asked_for { exit::PASS } else { exit::USAGE }.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_follows_two_dashes_is_the_guests() {
        let line = [
            "cargo xtask",
            "run",
            "--smp",
            "4",
            "--",
            "sh",
            "--kernel",
            "x",
        ];
        let cli = Cli::try_parse_from(line).unwrap();
        assert!(matches!(cli.command, Command::Run(_)));
    }

    #[test]
    fn nonsense_is_refused() {
        for line in [
            &["run", "--smp", "0"][..],
            &["run", "--frobnicate"],
            &["run", "--mem", "2"],
            &[],
        ] {
            let line = std::iter::once("cargo xtask").chain(line.iter().copied());
            assert!(Cli::try_parse_from(line).is_err());
        }
    }
}
