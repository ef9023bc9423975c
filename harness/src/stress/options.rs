// SPDX-License-Identifier: GPL-2.0-only
//! What a stress run does.

use clap::{Args, ValueEnum};

use crate::oracle::Stamp;
use crate::rng::random_seed;
use crate::target::{Features, Operation, Operations};
use crate::{Policy, stress::layout};

/// What is put under stress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TargetKind {
    /// The faultline device
    Device,
    /// Linux's own mmap, as a peer (one process, one window, no QUERY)
    Linux,
}

/// Options of `faultline stress`.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Faulting threads: each loads and stores all over the pages
    #[arg(long, default_value_t = 2, value_name = "N")]
    pub threads: u32,

    /// Remapping threads: each maps and unmaps in areas of its own
    #[arg(long, default_value_t = 2, value_name = "M")]
    pub remappers: u32,

    /// Spaces, all worked on by all threads
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub spaces: u32,

    /// Windows of each space in each process, at various offsets
    #[arg(long, default_value_t = 3, value_name = "N")]
    pub windows: u32,

    /// Processes the threads are spread over: forked, with a window more each
    /// through a descriptor passed by SCM_RIGHTS
    #[arg(long, default_value_t = 1, value_name = "P")]
    pub procs: u32,

    /// Run this long [default: 10, without --ops]
    #[arg(long, value_name = "S")]
    pub seconds: Option<u64>,

    /// Stop after this many operations of all threads together
    #[arg(long, value_name = "K")]
    pub ops: Option<u64>,

    /// Repeat the random choices of an earlier run
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,

    /// Locking policy of the spaces [default: the module's]
    #[arg(long, value_name = "P")]
    pub policy: Option<Policy>,

    /// Pages under test in each space
    #[arg(long, default_value_t = 1024, value_name = "N")]
    pub pages: u32,

    /// Most pages changed by one call
    #[arg(long, default_value_t = 64, value_name = "MAX")]
    pub change_pages: u32,

    /// What remappers do beside MAP, UNMAP and QUERY [default: all that the
    /// target can]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "LIST")]
    pub operations: Option<Vec<Operation>>,

    /// Keep each thread on one CPU (the default)
    #[arg(long, overrides_with = "no_pin")]
    pub pin: bool,

    /// Let the scheduler place the threads
    #[arg(long, overrides_with = "pin")]
    pub no_pin: bool,

    /// Fail if a thread makes no progress for this long
    #[arg(long, default_value_t = 20, value_name = "S")]
    pub hang_seconds: u64,

    /// What to put under stress
    #[arg(long, value_enum, default_value_t = TargetKind::Device)]
    pub target: TargetKind,

    /// Fail unless faults and changes were delayed at every point of the module
    /// (build with test hooks, and its parameter delay_one_in)
    #[arg(long)]
    pub every_point: bool,

    /// Report in JSON
    #[arg(long)]
    pub json: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            threads: 2,
            remappers: 2,
            spaces: 1,
            windows: 3,
            procs: 1,
            seconds: None,
            ops: None,
            seed: None,
            policy: None,
            pages: 1024,
            change_pages: 64,
            operations: None,
            pin: false,
            no_pin: false,
            every_point: false,
            hang_seconds: 20,
            target: TargetKind::Device,
            json: false,
        }
    }
}

impl Options {
    /// Faulting and remapping threads.
    pub fn total_threads(&self) -> u32 {
        self.threads + self.remappers
    }

    /// Why these options make no sense, if they do not.
    pub fn check(&self) -> Result<(), String> {
        let bounds = [
            ("--threads", self.threads, 0, Stamp::MAX_WRITERS - 1),
            ("--remappers", self.remappers, 0, 255),
            ("--spaces", self.spaces, 1, 255),
            ("--windows", self.windows, 1, 255),
            ("--procs", self.procs, 1, 64),
            ("--change-pages", self.change_pages, 1, Stamp::MAX_PAGES),
        ];
        for (name, value, least, most) in bounds {
            if !(least..=most).contains(&value) {
                return Err(format!("{name} {value}: must be from {least} to {most}"));
            }
        }
        let most = Stamp::MAX_PAGES / self.spaces;
        let least = layout::areas_wanted(self.pages, self.remappers).max(2);
        if !(least..=most).contains(&self.pages) {
            return Err(format!(
                "--pages {}: must be from {least} to {most}",
                self.pages
            ));
        }
        if self.total_threads() == 0 {
            return Err("--threads 0 --remappers 0: nothing to do".to_owned());
        }
        if self.target == TargetKind::Linux {
            if self.procs > 1 {
                return Err("--target linux runs in one process".to_owned());
            }
            if self.policy.is_some() {
                return Err("--target linux has no policies".to_owned());
            }
        }
        Ok(())
    }

    /// What remappers may do.
    pub fn operations(&self) -> Operations {
        match &self.operations {
            Some(operations) => operations.iter().copied().collect(),
            None => Operations::all(),
        }
    }

    /// True if the threads can do all that these options ask of the target.
    pub fn suits(&self, features: Features) -> bool {
        self.procs == 1 || features.processes
    }

    /// How long to run, if there is a limit.
    pub fn limit_seconds(&self) -> Option<u64> {
        self.seconds
            .or(if self.ops.is_none() { Some(10) } else { None })
    }

    /// The operations of one thread, if there is a limit.
    pub fn ops_per_thread(&self) -> Option<u64> {
        self.ops
            .map(|ops| ops.div_ceil(u64::from(self.total_threads())))
    }

    /// The seed that was asked for, or one that nobody chose.
    pub fn seed_or_random(&self) -> u64 {
        self.seed.unwrap_or_else(random_seed)
    }

    /// The command that repeats this run, and its seed.
    pub fn describe(&self, seed: u64) -> String {
        let mut text = format!(
            "faultline stress --threads {} --remappers {} --spaces {} --windows {} --procs {} \
             --pages {} --change-pages {} --seed {seed}",
            self.threads,
            self.remappers,
            self.spaces,
            self.windows,
            self.procs,
            self.pages,
            self.change_pages,
        );
        let mut add = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                text.push_str(&format!(" {name} {value}"));
            }
        };
        add(
            "--seconds",
            self.limit_seconds().map(|seconds| seconds.to_string()),
        );
        add("--ops", self.ops.map(|ops| ops.to_string()));
        add(
            "--operations",
            self.operations
                .as_ref()
                .map(|_| self.operations().to_string()),
        );
        add(
            "--policy",
            self.policy.map(|policy| policy.name().to_owned()),
        );
        if self.target == TargetKind::Linux {
            add("--target", Some("linux".to_owned()));
        }
        if self.no_pin {
            text.push_str(" --no-pin");
        }
        if self.every_point {
            text.push_str(" --every-point");
        }
        text
    }
}
