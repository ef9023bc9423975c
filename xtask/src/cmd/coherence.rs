// SPDX-License-Identifier: GPL-2.0-only
//! `coherence`: how many cache lines are shared, counted in the VM.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;

use super::report;
use crate::coherence::join::{self, Measured};
use crate::coherence::symbols::Symbols;
use crate::coherence::{library, table};
use crate::ctx::{AccelChoice, Ctx};
use crate::exit::{self, Coded};
use crate::host::needs::Scope;
use crate::host::toolchain::Toolchain;
use crate::kernel::Flavour;
use crate::module::Variant;
use crate::vm::plugin::Plugin;
use crate::vm::qemu::Accel;
use crate::vm::{Task, machine};
use crate::{pipeline, say};

/// Count the cache lines that several processors write, in an emulated VM
#[derive(Args, Debug)]
pub(crate) struct CoherenceArgs {
    /// Counts of virtual processors, each with as many threads
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "2,4", value_parser = clap::value_parser!(u32).range(1..=64))]
    cpus: Vec<u32>,
    /// Pages that each thread touches; other work is scaled alike
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u64).range(1..=512))]
    pages: u64,
    /// Work, separated by commas [default: all; see `faultline coherence --help`]
    #[arg(long, value_name = "LIST")]
    workload: Option<String>,
    /// Targets, separated by commas [default: all]
    #[arg(long, value_name = "LIST")]
    target: Option<String>,
    /// JSON Lines instead of a table
    #[arg(long)]
    json: bool,
    /// Seconds that each count of processors may take
    #[arg(long, value_name = "S", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..))]
    timeout: u64,
}

impl CoherenceArgs {
    /// Boots once for each count of processors, and prints what all of them say.
    pub(crate) fn run(&self, ctx: &Ctx) -> Result<u8> {
        if ctx.global.accel == AccelChoice::Kvm {
            let why = "only QEMU's emulation shows each access to memory: leave --accel out";
            return Err(Coded::usage(why));
        }
        let mut all = Vec::new();
        for &cpus in &self.cpus {
            match self.boot(ctx, cpus)? {
                Ok(measured) => all.extend(measured),
                Err(code) => return Ok(code),
            }
        }
        match self.json {
            true => print!("{}", lines(&all)?),
            false => print!("{}", table::text(&all)),
        }
        Ok(exit::PASS)
    }

    /// What was counted, or the status of a run that failed, which has been said.
    fn boot(&self, ctx: &Ctx, cpus: u32) -> Result<Result<Vec<Measured>, u8>> {
        let built = pipeline::build(ctx, Scope::ALL, Flavour::Base, &[Variant::Plain])?;
        let library = library(ctx, &Toolchain::find(ctx)?)?;
        let map = built.kernel.dir.join("System.map");
        let task = Task::Run {
            argv: ["sh", "-c", &self.script(cpus)].map(Into::into).to_vec(),
            echo: false,
        };
        let mut spec = built.spec("coherence", task);
        spec.smp = cpus;
        spec.bring = true;
        spec.run_limit = Some(Duration::from_secs(self.timeout));
        // Every access costs a call: several times as slow.
        spec.boot_limit *= 4;
        spec.plugin = Some(Plugin { library, map });
        let outcome = machine::boot(ctx, &spec, Accel::Tcg)?;
        let code = report(&outcome);
        if code != exit::PASS {
            return Ok(Err(code));
        }
        let brought = outcome
            .brought
            .as_ref()
            .context("the guest brought nothing")?;
        let read = |path: std::path::PathBuf| {
            fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
        };
        let symbols = Symbols::parse(&read(brought.dir.join("kallsyms"))?);
        let guest = read(brought.dir.join("phases.jsonl"))?;
        let measured = join::join(&guest, &read(outcome.dir.coherence())?, &symbols)?;
        say!("{cpus} processors: {} phases counted", measured.len());
        Ok(Ok(measured))
    }

    fn script(&self, cpus: u32) -> String {
        let lists = [("--workload", &self.workload), ("--target", &self.target)];
        let lists = lists.map(|(name, list)| match list {
            Some(list) => format!(" {name} {}", quoted(list)),
            None => String::new(),
        });
        format!(
            "faultline coherence --threads {cpus} --pages {}{} > /out/phases.jsonl && \
             cat /proc/kallsyms > /out/kallsyms",
            self.pages,
            lists.concat()
        )
    }
}

/// As one word of a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

fn lines(all: &[Measured]) -> Result<String> {
    let mut text = String::new();
    for measured in all {
        text += &(serde_json::to_string(measured)? + "\n");
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_one_word_whatever_is_in_it() {
        assert_eq!(quoted("a'; reboot"), "'a'\\''; reboot'");
    }
}
