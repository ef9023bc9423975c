// SPDX-License-Identifier: GPL-2.0-only
//! `coherence`: how many cache lines are shared, counted in the VM.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use faultline_coherence::measured::{Entry, Measured, Run, VERSION};

use super::report;
use crate::coherence::measure::{Measurement, Wanted, measure};
use crate::ctx::{AccelChoice, Ctx};
use crate::exit::{self, Coded};
use crate::harness::on_the_host;
use crate::host::needs::Scope;
use crate::host::qemu;
use crate::kernel::Flavour;
use crate::module::Variant;
use crate::pipeline::Built;
use crate::vm::rundir::RunDir;
use crate::{fsx, pipeline, say};

/// Counts of processors that are tried.
const CPUS: [u32; 5] = [1, 2, 4, 8, 16];
/// In short: so few that no two threads meet in a shard of the range lock, which does not
/// repeat.
const QUICK: [u32; 3] = [1, 2, 4];
/// Work without contention; where threads sleep for each other it is left out.
const QUICK_WORK: &str = "pft,pft_striped,range_lock";
/// Rounds in short, as two such runs are to agree.
const QUICK_ROUNDS: u32 = 5;
/// Rounds otherwise.
const ROUNDS: u32 = 3;
/// At length.
const LONG: [u32; 7] = [1, 2, 4, 8, 16, 32, 64];

/// Count the cache lines that several processors write, in an emulated VM
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct CoherenceArgs {
    #[command(subcommand)]
    action: Option<Action>,
    /// Counts of virtual processors, each with as many threads [default: 1,2,4,8,16]
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=64))]
    cpus: Vec<u32>,
    /// 1, 2 and 4 processors, work without contention: one to three minutes
    #[arg(long, conflicts_with_all = ["cpus", "long"])]
    quick: bool,
    /// 1 to 64 processors: hours, unless work and targets are chosen
    #[arg(long, conflicts_with = "cpus")]
    long: bool,
    /// Pages that each thread touches; other work is scaled alike
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u64).range(1..=511))]
    pages: u64,
    /// How often each phase is done; the median is kept [default: 3, or 5 with --quick]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=99))]
    rounds: Option<u32>,
    /// Work, separated by commas [default: all; see `faultline coherence --help`]
    #[arg(long, value_name = "LIST")]
    workload: Option<String>,
    /// Targets, separated by commas [default: all]
    #[arg(long, value_name = "LIST")]
    target: Option<String>,
    /// Cost of moving a line from one core to another, in nanoseconds, for the ceiling
    #[arg(long, value_name = "NS", value_parser = nanoseconds)]
    transfer_ns: Option<f64>,
    /// Time that an operation takes on one core, in nanoseconds, for the ideal
    #[arg(long, value_name = "NS", value_parser = nanoseconds)]
    operation_ns: Option<f64>,
    /// The records as JSON Lines on stdout, instead of tables
    #[arg(long)]
    json: bool,
    /// Seconds that each round of a count of processors may take
    #[arg(long, value_name = "S", default_value_t = 1800, value_parser = clap::value_parser!(u64).range(1..))]
    timeout: u64,
}

/// What is done with results, on the host.
#[derive(Debug, Subcommand)]
enum Action {
    /// Compare two runs: which figures differ
    Compare {
        /// Two files of records, and options of `faultline coherence compare`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        args: Vec<OsString>,
    },
}

impl CoherenceArgs {
    /// Boots once for each count of processors, and prints what all of them say.
    pub(crate) fn run(&self, ctx: &Ctx) -> Result<u8> {
        if let Some(Action::Compare { args }) = &self.action {
            return on_the_host(ctx, &["coherence", "compare"], args);
        }
        if ctx.global.accel == AccelChoice::Kvm {
            let why = "only QEMU's emulation shows each access to memory: leave --accel out";
            return Err(Coded::usage(why));
        }
        let built = pipeline::build(ctx, Scope::ALL, Flavour::Base, &[Variant::Plain])?;
        let run = self.about(ctx, &built);
        let mut phases = Vec::new();
        let mut code = exit::PASS;
        for &cpus in &run.cpus {
            let Measurement {
                outcome,
                phases: of_boot,
            } = measure(ctx, &built, &self.wanted(cpus))?;
            code = report(&outcome);
            if code != exit::PASS {
                break;
            }
            say!("{cpus} processors: {} phases counted", of_boot.len());
            phases.extend(of_boot);
        }
        if phases.is_empty() {
            return Ok(code);
        }
        // Also what was counted before something failed.
        let results = RunDir::create(ctx, "coherence-results")?;
        let shown = self.show(ctx, results.path(), &lines(run, phases)?)?;
        Ok(code.max(shown))
    }

    /// Keeps the records and the report, and prints one of them.
    fn show(&self, ctx: &Ctx, results: &Path, records: &str) -> Result<u8> {
        let file = results.join("run.jsonl");
        fsx::write_atomic(&file, records)?;
        let page = results.join("report.html");
        let mut args: Vec<OsString> = vec![file.into(), "--html".into(), page.into()];
        let costs = [
            ("--transfer-ns", self.transfer_ns),
            ("--operation-ns", self.operation_ns),
        ];
        for (name, cost) in costs {
            args.extend(
                cost.into_iter()
                    .flat_map(|ns| [name.into(), ns.to_string().into()]),
            );
        }
        if self.json {
            args.push("--quiet".into());
        }
        let code = on_the_host(ctx, &["coherence", "report"], &args)?;
        if self.json {
            // A reader that has gone away has read enough.
            io::stdout().lock().write_all(records.as_bytes()).ok();
        }
        say!("results: {}", results.display());
        Ok(code)
    }

    fn about(&self, ctx: &Ctx, built: &Built) -> Run {
        let cpus = match &self.cpus[..] {
            _ if self.quick => QUICK.to_vec(),
            _ if self.long => LONG.to_vec(),
            [] => CPUS.to_vec(),
            listed => {
                let mut once = listed.to_vec();
                once.sort_unstable();
                once.dedup();
                once
            }
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        Run {
            version: VERSION,
            kernel: built.kernel.record.release.clone(),
            qemu: qemu::found_version(ctx).unwrap_or_default(),
            cpus,
            pages: self.pages,
            rounds: self.rounds(),
            began: now.unwrap_or_default().as_secs(),
        }
    }

    fn rounds(&self) -> u32 {
        let default = if self.quick { QUICK_ROUNDS } else { ROUNDS };
        self.rounds.unwrap_or(default)
    }

    fn wanted(&self, cpus: u32) -> Wanted {
        Wanted {
            cpus,
            pages: self.pages,
            rounds: self.rounds(),
            workload: self
                .workload
                .clone()
                .or(self.quick.then(|| QUICK_WORK.into())),
            target: self.target.clone(),
            calm: self.quick,
            limit: Duration::from_secs(self.timeout) * self.rounds(),
            variant: Variant::Plain,
            params: Vec::new(),
        }
    }
}

/// As `faultline coherence report` takes them: the guest is not booted to refuse others.
fn nanoseconds(text: &str) -> Result<f64, String> {
    let ns = text.parse().map_err(|_| "not a number".to_owned())?;
    match (0.001..=1e9).contains(&ns) {
        true => Ok(ns),
        false => Err("not between 0.001 and 1000000000".to_owned()),
    }
}

fn lines(run: Run, phases: Vec<Measured>) -> Result<String> {
    let phases = phases
        .into_iter()
        .map(|phase| Entry::Phase(Box::new(phase)));
    let mut text = String::new();
    for entry in std::iter::once(Entry::Run(run)).chain(phases) {
        text += &serde_json::to_string(&entry).context("a record")?;
        text.push('\n');
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        coherence: CoherenceArgs,
    }

    fn parse(words: &str) -> Result<CoherenceArgs, clap::Error> {
        let words = std::iter::once("coherence").chain(words.split_whitespace());
        Cli::try_parse_from(words).map(|cli| cli.coherence)
    }

    #[test]
    fn comparing_takes_the_words_behind_it() {
        let Some(Action::Compare { args }) = parse("compare a b --within 1").unwrap().action else {
            panic!("it counts");
        };
        assert_eq!(args, ["a", "b", "--within", "1"]);
        assert!(parse("--quick").unwrap().action.is_none());
    }

    #[test]
    fn rounds_are_an_odd_number_unless_told_otherwise() {
        let rounds = |words| parse(words).unwrap().rounds();
        assert_eq!((rounds(""), rounds("--long"), rounds("--quick")), (3, 3, 5));
        assert_eq!(rounds("--quick --rounds 2"), 2);
    }

    #[test]
    fn counts_of_processors_that_cannot_be_are_refused() {
        for wrong in [
            "--cpus 0",
            "--cpus 65",
            "--quick --cpus 2",
            "--quick --long",
            "--pages 512",
            "--rounds 0",
            "--transfer-ns 0",
            "--operation-ns nan",
            "--quick compare a b",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
