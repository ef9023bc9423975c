// SPDX-License-Identifier: GPL-2.0-only
//! `trace`: a command in the VM with the module's trace events on.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;

use super::run::{added_files, must_be_no_file};
use super::{VmArgs, report};
use crate::ctx::Ctx;
use crate::step::{die_with_parent, show, tail};
use crate::vm::{Spec, Task};
use crate::{exit, fsx, say};

/// What is traced if nothing else is asked for.
const USUAL: [&str; 6] = [
    "faultline",
    "stress",
    "--policy",
    "spf-range",
    "--seconds",
    "3",
];
/// Lines of the guest's output that are shown where there is no trace.
const LAST_LINES: usize = 20;

/// Run a command in the VM with trace events on; bring back a trace and a summary of it
#[derive(Args, Debug)]
pub(crate) struct TraceArgs {
    #[command(flatten)]
    vm: VmArgs,
    /// Events: SYSTEM:EVENT, or EVENT of the module, with * and ?, separated by commas
    #[arg(long, value_name = "LIST", default_value = "faultline:*")]
    events: String,
    /// Keep only such events, such as 'fault_aborted:cause == 3' (may be repeated)
    #[arg(long = "filter", value_name = "EVENT:EXPR")]
    filters: Vec<String>,
    /// Trace functions on the way of faults and changes, with their durations, too
    #[arg(long)]
    function_graph: bool,
    /// Buffer of each processor, such as 512K
    #[arg(long, value_name = "SIZE", default_value = "8M")]
    buffer: String,
    /// Clock of the time stamps, as tracefs has them
    #[arg(long, value_name = "CLOCK", default_value = "mono")]
    clock: String,
    /// The summary in JSON, and nothing else on stdout
    #[arg(long)]
    json: bool,
    /// Show the life of this fault, counted from 1 in the order of their ends
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    fault: Option<u64>,
    /// Choose the faults that are shown among those of this thread
    #[arg(long, value_name = "PID")]
    task: Option<u32>,
    /// Where the files go [default: the run's directory]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// File to take along, executable, at GUEST or in the command's directory (may be repeated)
    #[arg(long, value_name = "HOST[:GUEST]")]
    add: Vec<String>,
    /// Seconds that the command may take
    #[arg(long, value_name = "S", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..))]
    timeout: u64,
    /// Command and its arguments [default: faultline stress, for 3 seconds, under spf-range]
    #[arg(last = true, value_name = "CMD")]
    command: Vec<OsString>,
}

impl TraceArgs {
    /// Runs and reports; the status is the command's, unless there is no report.
    pub(crate) fn run(self, ctx: &Ctx) -> Result<u8> {
        let added = added_files(&self.add)?;
        if let Some(dir) = &self.out {
            must_be_no_file(dir)?;
        }
        let task = Task::Run {
            argv: self.record(),
            echo: !self.json,
        };
        let adjust = |spec: &mut Spec| {
            spec.added = added;
            spec.run_limit = Some(Duration::from_secs(self.timeout));
            spec.bring = true;
        };
        if self.vm.dry_run {
            return self.vm.go(ctx, "trace", task, adjust);
        }
        let outcome = self.vm.boot(ctx, "trace", task, adjust)?;
        let code = report(&outcome);
        let brought = outcome.brought.context("nothing was brought back")?;
        if !brought
            .files
            .iter()
            .any(|file| file == Path::new("trace.dat"))
        {
            if self.json {
                say!(
                    "the guest said:\n{}",
                    tail(&outcome.dir.output(), LAST_LINES)
                );
            }
            say!("there is no trace");
            return Ok(if code == exit::PASS { exit::FAIL } else { code });
        }
        let dir = match &self.out {
            Some(dir) => {
                brought.copy_to(dir)?;
                dir.clone()
            }
            None => brought.dir,
        };
        let reported = self.report(&crate::harness::built(ctx), &dir)?;
        Ok(if code == exit::PASS { reported } else { code })
    }

    /// The command in the guest.
    fn record(&self) -> Vec<OsString> {
        let mut argv: Vec<OsString> = ["faultline", "trace", "record", "--out", "/out/trace.dat"]
            .map(Into::into)
            .into();
        let options = [
            ("--events", &self.events),
            ("--buffer", &self.buffer),
            ("--clock", &self.clock),
        ];
        let filters = self.filters.iter().map(|filter| ("--filter", filter));
        for (name, value) in options.into_iter().chain(filters) {
            argv.extend([name.into(), value.into()]);
        }
        if self.function_graph {
            argv.push("--function-graph".into());
        }
        argv.push("--".into());
        match self.command.is_empty() {
            true => argv.extend(USUAL.map(Into::into)),
            false => argv.extend(self.command.iter().cloned()),
        }
        argv
    }

    /// Lets the harness report on `dir`'s trace, here: it is no program of the guest's
    /// only, and this machine is faster.
    fn report(&self, harness: &Path, dir: &Path) -> Result<u8> {
        let (dat, text) = (dir.join("trace.dat"), dir.join("trace.txt"));
        let mut command = Command::new(harness);
        command.args(["trace", "report"]).arg(&dat);
        command.arg("--text").arg(&text);
        if self.json {
            command.arg("--json");
        }
        if let Some(fault) = self.fault {
            command.args(["--fault", &fault.to_string()]);
        }
        if let Some(task) = self.task {
            command.args(["--task", &task.to_string()]);
        }
        let output = die_with_parent(&mut command)
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .with_context(|| format!("starting `{}`", show(&command)))?;
        let name = if self.json {
            "summary.json"
        } else {
            "summary.txt"
        };
        let summary = dir.join(name);
        if !output.status.success() {
            say!("{} has no summary", dat.display());
            let code = output.status.code().and_then(|c| u8::try_from(c).ok());
            return Ok(code.unwrap_or(exit::FAIL));
        }
        fsx::write_atomic(&summary, &output.stdout)?;
        print!("{}", String::from_utf8_lossy(&output.stdout));
        say!("for trace-cmd and KernelShark: {}", dat.display());
        say!("as text: {}", text.display());
        say!("the summary: {}", summary.display());
        Ok(exit::PASS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: TraceArgs,
    }

    fn argv(line: &[&str]) -> Vec<String> {
        let line = std::iter::once(&"trace").chain(line);
        let argv = Line::parse_from(line).args.record();
        argv.into_iter().map(|w| w.into_string().unwrap()).collect()
    }

    #[test]
    fn a_short_stress_is_traced_if_nothing_else_is() {
        let argv = argv(&[]);
        assert!(argv.ends_with(&USUAL.map(String::from)), "{argv:?}");
        assert!(argv.contains(&"faultline:*".to_owned()));
    }

    #[test]
    fn options_go_to_the_recorder_and_words_to_the_command() {
        let argv = argv(&[
            "--filter",
            "zap:pages > 1",
            "--buffer",
            "64K",
            "--",
            "a",
            "--json",
        ]);
        let text = argv.join(" ");
        assert!(text.contains("--filter zap:pages > 1"), "{text}");
        assert!(text.contains("--buffer 64K"), "{text}");
        assert!(text.ends_with("-- a --json"), "{text}");
    }
}
