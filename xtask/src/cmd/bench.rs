// SPDX-License-Identifier: GPL-2.0-only
//! `bench`: workloads on spaces and on the kernel's own memory, measured in the VM.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use clap::{Args, Subcommand};
use sha2::{Digest, Sha256};

use super::run::{deliver, must_be_no_file};
use super::{VmArgs, report};
use crate::ctx::Ctx;
use crate::harness::on_the_host;
use crate::vm::{Spec, Task};
use crate::{exit, fsx, say};

/// Memory of the guest: the large workloads want a GiB, and room for all others.
const MEMORY: &str = "4G";
/// Where the guest leaves its files.
const GUEST_OUT: &str = "/out";

/// Measure workloads on spaces and on the kernel's own memory, in the VM
#[derive(Args, Debug)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    vm: VmArgs,
    /// The most telling workloads, short turns: less than two minutes
    #[arg(long, conflicts_with = "long")]
    quick: bool,
    /// All workloads, long turns and many rounds: over an hour
    #[arg(long)]
    long: bool,
    /// Workloads, separated by commas (`-- --list` lists them)
    #[arg(long, value_name = "LIST")]
    workload: Option<String>,
    /// Targets, separated by commas
    #[arg(long, value_name = "LIST")]
    target: Option<String>,
    /// Counts of threads, separated by commas
    #[arg(long, value_name = "LIST")]
    threads: Option<String>,
    /// Seconds of a turn
    #[arg(long, value_name = "S", value_parser = seconds)]
    seconds: Option<f64>,
    /// Rounds
    #[arg(long, value_name = "N")]
    rounds: Option<u32>,
    /// Seed of all that is random
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// The records as JSON Lines on stdout, instead of tables
    #[arg(long)]
    json: bool,
    /// Copy the results to DIR as well
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Seconds that all of it may take [default: by what is measured]
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u64).range(1..))]
    timeout: Option<u64>,
    /// More options of `faultline bench`
    #[arg(last = true, value_name = "OPTIONS")]
    more: Vec<OsString>,
}

/// What is done with results, on the host.
#[derive(Debug, Subcommand)]
enum Action {
    /// Compare two runs: what is better, worse, or the same
    Compare {
        /// Two directories of results, and options of `faultline bench compare`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        args: Vec<OsString>,
    },
}

impl BenchArgs {
    /// Measures, or compares what was measured.
    pub(crate) fn run(mut self, ctx: &Ctx) -> Result<u8> {
        if let Some(Action::Compare { args }) = &self.action {
            return on_the_host(ctx, &["bench", "compare"], args);
        }
        if let Some(dir) = &self.out {
            must_be_no_file(dir)?;
        }
        self.vm.mem.get_or_insert_with(|| MEMORY.into());
        let task = Task::Run {
            argv: self.argv(),
            // What the guest says of its progress would be among the records.
            echo: !self.json,
        };
        let limit = self.limit();
        let adjust = |spec: &mut Spec| {
            spec.run_limit = Some(limit);
            spec.bring = true;
            pass_config_hash(spec);
        };
        if self.vm.dry_run {
            return self.vm.go(ctx, "bench", task, adjust);
        }
        let outcome = self.vm.boot(ctx, "bench", task, adjust)?;
        let mut code = report(&outcome);
        if let Some(brought) = &outcome.brought {
            if self.json && !print_records(&brought.dir) {
                code = code.max(exit::FAIL);
            }
            say!("results: {}", brought.dir.display());
        }
        if let Some(dir) = &self.out {
            deliver(&outcome, dir)?;
        }
        Ok(code)
    }

    fn argv(&self) -> Vec<OsString> {
        let options = [
            ("--workload", self.workload.clone()),
            ("--target", self.target.clone()),
            ("--threads", self.threads.clone()),
            ("--seconds", self.seconds.map(|n| n.to_string())),
            ("--rounds", self.rounds.map(|n| n.to_string())),
            ("--seed", self.seed.map(|n| n.to_string())),
        ];
        let mut argv: Vec<OsString> = vec!["faultline".into(), "bench".into()];
        argv.extend(["--out".into(), GUEST_OUT.into()]);
        for (name, value) in options {
            argv.extend(value.into_iter().flat_map(|v| [name.into(), v.into()]));
        }
        for (name, wanted) in [("--quick", self.quick), ("--long", self.long)] {
            argv.extend(wanted.then(|| name.into()));
        }
        argv.extend(self.more.iter().cloned());
        argv
    }

    /// Several times what it takes where nothing else runs; longer turns and more rounds
    /// than usual take as much longer.
    fn limit(&self) -> Duration {
        let (seconds, turn, rounds) = match (self.quick, self.long) {
            (true, _) => (600.0, 0.12, 5.0),
            (_, true) => (5.0 * 3600.0, 2.0, 12.0),
            _ => (2400.0, 0.15, 8.0),
        };
        let longer = self.seconds.map_or(1.0, |s| (s / turn).max(1.0));
        let more = self
            .rounds
            .map_or(1.0, |n| (f64::from(n) / rounds).max(1.0));
        let usual = Duration::from_secs_f64(seconds * longer * more);
        self.timeout.map_or(usual, Duration::from_secs)
    }
}

/// Has the guest note what its kernel was configured with, which it cannot see.
fn pass_config_hash(spec: &mut Spec) {
    let config = std::fs::read(spec.kernel.dir.join(".config"));
    if let (Ok(config), Task::Run { argv, .. }) = (config, &mut spec.task) {
        let sum: String = Sha256::digest(&config)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        argv.extend(["--config-hash".into(), sum.into()]);
    }
}

/// Prints the records, or says that there are none.
fn print_records(dir: &Path) -> bool {
    match fsx::read(&dir.join("run.jsonl")) {
        Ok(records) => {
            // A reader that has gone away has read enough.
            io::stdout().lock().write_all(records.as_bytes()).ok();
            true
        }
        Err(error) => {
            say!("there are no records: {error:#}");
            false
        }
    }
}

/// As `faultline bench` takes them: the guest is not booted to refuse others.
fn seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse().map_err(|_| "not a number".to_owned())?;
    match (0.001..=3600.0).contains(&seconds) {
        true => Ok(seconds),
        false => Err("not between 0.001 and 3600".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        bench: BenchArgs,
    }

    fn bench(words: &str) -> BenchArgs {
        let words = std::iter::once("bench").chain(words.split_whitespace());
        Cli::try_parse_from(words).unwrap().bench
    }

    #[test]
    fn options_are_passed_on() {
        let argv = bench("--quick --mem 3G --workload pft --rounds 3 -- --dir /run").argv();
        let argv: Vec<_> = argv.iter().map(|word| word.to_string_lossy()).collect();
        assert_eq!(
            argv.join(" "),
            "faultline bench --out /out --workload pft --rounds 3 --quick --dir /run"
        );
    }

    /// Options of all commands may stand before it.
    #[test]
    fn comparing_takes_the_words_behind_it() {
        let Some(Action::Compare { args }) = bench("compare a b --force --least 5").action else {
            panic!("it measures");
        };
        assert_eq!(args, ["a", "b", "--force", "--least", "5"]);
        assert!(bench("--quick").action.is_none());
    }

    #[test]
    fn turns_that_cannot_be_are_refused() {
        for wrong in ["inf", "nan", "-1", "0", "1e9", "soon"] {
            let words = ["bench", "--seconds", wrong];
            assert!(Cli::try_parse_from(words).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_run_without_records_is_told_apart() {
        let dir = std::env::temp_dir().join(format!("bench-records-{}", std::process::id()));
        fsx::make_dir(&dir).unwrap();
        assert!(!print_records(&dir));
        fsx::write_atomic(&dir.join("run.jsonl"), "").unwrap();
        assert!(print_records(&dir));
        fsx::remove(&dir).unwrap();
    }

    #[test]
    fn the_limit_grows_with_what_is_asked_for() {
        let seconds = |words: &str| bench(words).limit().as_secs();
        assert!(seconds("--quick") < seconds("") && seconds("") < seconds("--long"));
        assert_eq!(seconds("--rounds 16"), 2 * seconds(""));
        assert_eq!(seconds("--rounds 1 --seconds 0.1"), seconds(""));
        assert_eq!(seconds("--long --timeout 7"), 7);
    }
}
