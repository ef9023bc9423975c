// SPDX-License-Identifier: GPL-2.0-only
//! The command line of `faultline bench`, and what is run by it.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};

use super::compare::Compare;
use super::goals::Goals;
use super::html::command::Report;
use super::target::Subject;
use super::turn::Sizes;
use super::workload::{Crew, Kind};

/// Options of `faultline bench`.
#[derive(Args, Clone, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Bench {
    #[command(subcommand)]
    pub(super) action: Option<Action>,
    #[command(flatten)]
    pub(super) options: Options,
}

/// What else can be done than to measure.
#[derive(Clone, Debug, Subcommand)]
pub(super) enum Action {
    /// Measure what changes of regions and faults cost, and whether goals are reached
    Goals(Goals),
    /// Compare two runs: what is better, worse, or the same
    Compare(Compare),
    /// Make a page with charts of a run
    Report(Report),
}

/// What to measure, and how long.
#[derive(Args, Clone, Debug)]
pub(super) struct Options {
    /// The most telling workloads, short turns: less than two minutes
    #[arg(long, conflicts_with = "long")]
    pub(super) quick: bool,

    /// All workloads, long turns and many rounds: over an hour
    #[arg(long)]
    pub(super) long: bool,

    /// Workloads [default: all; see --list]
    #[arg(long, value_delimiter = ',', value_name = "LIST", value_parser = names(Kind::all().map(|kind| kind.name)))]
    pub(super) workload: Option<Vec<String>>,

    /// Targets: policies of a space, and kinds of memory of the kernel's [default: all]
    #[arg(long, value_delimiter = ',', value_name = "LIST", value_parser = names(Subject::all().map(Subject::name)))]
    pub(super) target: Option<Vec<String>>,

    /// Counts of threads [default: by workload, mostly one and one for each processor]
    #[arg(long, value_delimiter = ',', value_name = "LIST", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(super) threads: Option<Vec<u32>>,

    /// Seconds of a turn, such as 0.5
    #[arg(long, value_name = "S", value_parser = seconds)]
    pub(super) seconds: Option<Duration>,

    /// Rounds, in each of which every workload has its turn on every target
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) rounds: Option<u32>,

    /// Seed of all that is random [default: one that nobody chose]
    #[arg(long, value_name = "N")]
    pub(super) seed: Option<u64>,

    /// Where the target "file" makes its files
    #[arg(long, value_name = "DIR", default_value = "/tmp")]
    pub(super) dir: PathBuf,

    /// List workloads and targets, and measure nothing
    #[arg(long)]
    pub(super) list: bool,

    /// The records as JSON Lines on stdout, instead of tables
    #[arg(long)]
    pub(super) json: bool,

    /// Write run.jsonl, run.csv and histograms/ into this directory
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,

    /// Measure everything twice in each round, and write the second run there: two runs
    /// that nothing but chance, and --plant-slowdown, tells apart
    #[arg(long, value_name = "DIR", hide = true, requires = "out")]
    pub(super) twin: Option<PathBuf>,

    /// Slow all work down by so many percent, to see whether that is found; of the twin
    /// alone if there is one
    #[arg(long, value_name = "PERCENT", hide = true, value_parser = percent)]
    pub(super) plant_slowdown: Option<f64>,

    /// SHA-256 of the kernel's configuration, where the kernel does not show it
    #[arg(long, value_name = "HASH", hide = true)]
    pub(super) config_hash: Option<String>,
}

fn names(names: impl Iterator<Item = &'static str>) -> PossibleValuesParser {
    PossibleValuesParser::new(names.collect::<Vec<_>>())
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    match (0.001..=3600.0).contains(&seconds) {
        true => Ok(Duration::from_secs_f64(seconds)),
        false => Err("not between 0.001 and 3600".to_owned()),
    }
}

fn percent(text: &str) -> Result<f64, String> {
    let percent: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    match (1.0..=90.0).contains(&percent) {
        true => Ok(percent),
        false => Err("not between 1 and 90".to_owned()),
    }
}

/// How much is measured if nothing is said.
#[derive(Clone, Copy, Debug)]
pub(super) struct Preset {
    pub(super) name: &'static str,
    sizes: Sizes,
    turn: Duration,
    rounds: u32,
    /// Nothing stands for all.
    workloads: &'static [&'static str],
    /// Whether what scales is also run with one thread.
    alone: bool,
}

/// Five rounds: with fewer, no change can be told from chance, see `compare`.
const QUICK: Preset = Preset {
    name: "quick",
    sizes: Sizes::QUICK,
    turn: Duration::from_millis(120),
    rounds: 5,
    workloads: &[
        "empty",
        "page_fault1",
        "page_fault3",
        "mmap1",
        "pft",
        "ebizzy",
        "big_vs_small",
    ],
    alone: false,
};

/// Eight rounds: as many as `compare` wants to find one cell among all.
const DEFAULT: Preset = Preset {
    name: "default",
    sizes: Sizes::DEFAULT,
    turn: Duration::from_millis(150),
    rounds: 8,
    workloads: &[],
    alone: true,
};

const LONG: Preset = Preset {
    name: "long",
    sizes: Sizes::LONG,
    turn: Duration::from_secs(2),
    rounds: 12,
    workloads: &[],
    alone: true,
};

/// What is to be run.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// A preset's name, or "custom".
    pub(super) preset: &'static str,
    pub(super) sizes: Sizes,
    pub(super) turn: Duration,
    pub(super) rounds: u32,
    /// Workloads, each with its counts of threads.
    pub(super) workloads: Vec<(&'static Kind, Vec<u32>)>,
    pub(super) targets: Vec<Subject>,
    pub(super) seed: u64,
}

impl Options {
    fn preset(&self) -> Preset {
        match (self.quick, self.long) {
            (true, _) => QUICK,
            (_, true) => LONG,
            _ => DEFAULT,
        }
    }

    /// Whether more than the preset decides what is measured.
    fn is_custom(&self) -> bool {
        self.workload.is_some()
            || self.target.is_some()
            || self.threads.is_some()
            || self.seconds.is_some()
            || self.rounds.is_some()
            || self.plant_slowdown.is_some()
    }

    /// What is asked for, on a machine with so many processors.
    pub(super) fn plan(&self, cpus: u32, seed: u64) -> Plan {
        let preset = self.preset();
        let is_in_preset =
            |kind: &&Kind| preset.workloads.is_empty() || preset.workloads.contains(&kind.name);
        let kinds: Vec<&'static Kind> = match &self.workload {
            Some(names) => names.iter().filter_map(|name| Kind::named(name)).collect(),
            None => Kind::all().filter(is_in_preset).collect(),
        };
        let threads = |kind: &Kind| match (&self.threads, kind.crew) {
            (Some(threads), _) => threads.clone(),
            (None, Crew::Fixed(threads)) => vec![threads],
            (None, Crew::Scaling) if preset.alone && cpus > 1 => vec![1, cpus],
            (None, Crew::Scaling) => vec![cpus],
        };
        let targets = match &self.target {
            Some(names) => names
                .iter()
                .filter_map(|name| Subject::named(name))
                .collect(),
            None => Subject::all().collect(),
        };
        Plan {
            preset: if self.is_custom() {
                "custom"
            } else {
                preset.name
            },
            sizes: preset.sizes,
            turn: self.seconds.unwrap_or(preset.turn),
            rounds: self.rounds.unwrap_or(preset.rounds),
            workloads: kinds
                .into_iter()
                .map(|kind| (kind, threads(kind)))
                .collect(),
            targets,
            seed,
        }
    }

    /// Whether a turn takes exactly what was said, or more where work is slow to come round.
    pub(super) fn turns_are_weighted(&self) -> bool {
        self.seconds.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        bench: Bench,
    }

    fn options(words: &str) -> Options {
        let words = std::iter::once("bench").chain(words.split_whitespace());
        Cli::try_parse_from(words).unwrap().bench.options
    }

    #[test]
    fn a_preset_is_custom_as_soon_as_something_is_chosen() {
        assert_eq!(options("").plan(2, 1).preset, "default");
        assert_eq!(options("--quick").plan(2, 1).preset, "quick");
        assert_eq!(options("--quick --rounds 3").plan(2, 1).preset, "custom");
        assert_eq!(
            options("--quick --out x --seed 3").plan(2, 3).preset,
            "quick"
        );
    }

    #[test]
    fn what_is_named_is_run_in_that_order() {
        let plan = options("--workload ebizzy,pft --target memfd,spf-range --threads 3").plan(2, 1);
        let names: Vec<_> = plan.workloads.iter().map(|(kind, _)| kind.name).collect();
        assert_eq!(names, ["ebizzy", "pft"]);
        assert_eq!(plan.workloads[0].1, [3]);
        let names: Vec<_> = plan.targets.iter().map(|on| on.name()).collect();
        assert_eq!(names, ["memfd", "spf-range"]);
    }

    #[test]
    fn a_bad_name_is_refused_with_the_good_ones() {
        let refused = |words: [&str; 3]| {
            let error = Cli::try_parse_from(words).map(|_| ()).unwrap_err();
            error.to_string()
        };
        assert!(refused(["bench", "--workload", "pfd"]).contains("mapbench_pipeline"));
        assert!(refused(["bench", "--target", "linux"]).contains("shared-anon"));
        assert!(refused(["bench", "--seconds", "0"]).contains("0.001"));
    }

    #[test]
    fn presets_name_workloads_that_are_there() {
        for name in QUICK.workloads {
            assert!(Kind::named(name).is_some(), "{name}");
        }
        assert_eq!(
            options("--long").plan(4, 1).workloads.len(),
            Kind::all().count()
        );
        assert_eq!(options("").plan(1, 1).workloads[0].1, [1], "one processor");
    }
}
